from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker.ways import Ways
from suanli.api import ComputeLink
from suanli.placement.network import HERE, NOWHERE, Network, Path, Wire
from worlds import Taste, a_link, a_random_world, a_region, seeded, tastes

REGIONS = [a_region("here", "30", "110"), a_region("there", "30", "111"), a_region("behind", "31", "112")]


def a_network(*links: ComputeLink) -> Network:
    return Network(REGIONS, links)


def test_distance_and_the_time_it_suggests() -> None:
    # One degree on the equator: 2 pi 6371.0088 / 360 = 111.195080 km; by 7.5 us a km that is 833.963 us.
    network = Network([a_region("a", "0", "10"), a_region("b", "0", "11"), a_region("c", "1", "10")], [])
    assert network.distance_km("a", "b") == pytest.approx(111.195080, abs=1e-6)
    assert network.distance_km("c", "a") == pytest.approx(111.195080, abs=1e-6)
    assert network.estimated_us("a", "b") == 834
    assert network.estimated_us("a", "a") == 0


def test_known_distances_of_the_country() -> None:
    cities = [a_region("beijing", "39.90", "116.41"), a_region("zhangjiakou", "40.41", "115.52")]
    cities += [a_region("shenzhen", "22.54", "114.06")]
    network = Network(cities, [])
    assert round(network.estimated_us("beijing", "zhangjiakou") / 1000, 1) == 0.7
    assert round(network.estimated_us("shenzhen", "zhangjiakou") / 1000, 1) == 14.9


def test_opposite_ends_of_the_earth() -> None:
    network = Network([a_region("a", "90", "0"), a_region("b", "-90", "180")], [])
    assert network.distance_km("a", "b") == pytest.approx(20015.11, abs=0.1)


def test_links_beat_the_estimate_even_where_they_are_slower() -> None:
    path = a_network(a_link("here", "there", "9ms")).path("here", "site", "there")
    assert path == Path(9_000, measured=True)


def test_the_fastest_way_counts_however_many_links_it_has() -> None:
    network = a_network(
        a_link("here", "there", "9ms"), a_link("here", "behind", "3ms"), a_link("there", "behind", "4ms")
    )
    assert network.path("here", "site", "there").one_way_us == 7_000
    assert network.path("there", "site", "here").one_way_us == 7_000


def test_prices_add_up_and_the_narrowest_link_is_the_width() -> None:
    network = a_network(
        a_link("here", "behind", "3ms", pricePerGib="0.10", bandwidth="10G"),
        a_link("behind", "there", "4ms", pricePerGib="0.02", bandwidth="400M"),
    )
    expected = Path(7_000, measured=True, price_micro_yuan_per_gib=120_000, unpriced=0, bandwidth_bps=400_000_000)
    assert network.path("here", "site", "there") == expected


def test_links_that_name_no_price_are_counted_and_a_width_that_only_some_name_is_none() -> None:
    network = a_network(
        a_link("here", "behind", "3ms", pricePerGib="0.10", bandwidth="10G"), a_link("behind", "there", "4ms")
    )
    assert network.path("here", "site", "there") == Path(
        7_000, measured=True, price_micro_yuan_per_gib=100_000, unpriced=1
    )


def test_of_parallel_links_the_faster_one_counts() -> None:
    slow = a_link("here", "there", "5ms", pricePerGib="0")
    fast = a_link("there", "here", "4ms", pricePerGib="1")
    for links in ((slow, fast), (fast, slow)):
        path = a_network(*links).path("here", "site", "there")
        assert (path.one_way_us, path.price_micro_yuan_per_gib) == (4_000, 1_000_000)


def test_of_ways_equally_fast_it_is_always_the_same_one() -> None:
    links = [a_link("here", "there", "4ms", pricePerGib="1"), a_link("there", "here", "4ms", pricePerGib="2")]
    links += [a_link("here", "behind", "2ms", pricePerGib="3"), a_link("there", "behind", "2ms", pricePerGib="4")]
    paths = {a_network(*order).path("here", "site", "there") for order in (links, links[::-1], links[1:] + links[:1])}
    assert len(paths) == 1


def test_a_site_without_a_link_stands_at_its_region() -> None:
    assert a_network().path("here", "site", "here") is HERE
    assert Path(0, measured=True, price_micro_yuan_per_gib=0, unpriced=0) == HERE


def test_a_site_with_its_own_link_is_behind_it() -> None:
    network = a_network(a_link("site", "here", "1.5ms", pricePerGib="0.5"), a_link("here", "there", "3ms"))
    assert network.path("here", "site", "here") == Path(
        1_500, measured=True, price_micro_yuan_per_gib=500_000, unpriced=0
    )
    assert network.path("there", "site", "here").one_way_us == 4_500
    assert network.path("there", "other", "here").one_way_us == 3_000


def test_a_region_and_a_site_of_one_name_are_the_region() -> None:
    network = a_network(a_link("there", "here", "3ms"))
    assert network.path("here", "there", "here") is HERE


def test_without_a_way_of_links_distance_counts_from_the_regions() -> None:
    network = a_network(a_link("site", "nowhere", "1ms"), a_link("here", "there", "3ms"))
    far = network.estimated_us("here", "behind")
    assert network.path("here", "other", "behind") == Path(far, measured=False)
    assert network.path("here", "site", "behind") == Path(far, measured=False)
    assert network.path("behind", "site", "behind") == Path(0, measured=False)


def test_a_link_to_nowhere_carries_nobody() -> None:
    network = a_network(a_link("here", "nowhere", "1ms"), a_link("nowhere", "site", "1ms"))
    assert network.path("here", "other", "there").measured is False


@pytest.mark.parametrize(("origin", "region"), [("atlantis", "here"), ("here", "atlantis"), ("atlantis", "atlantis")])
def test_a_region_that_does_not_exist_is_nowhere(origin: str, region: str) -> None:
    assert a_network(a_link("here", "atlantis", "1ms")).path(origin, "site", region) is NOWHERE


def test_a_link_that_is_down_carries_nobody() -> None:
    down = a_link("here", "there", "1ms", desiredState="Down")
    assert a_network(down).path("here", "site", "there").measured is False
    around = [a_link("here", "behind", "3ms"), a_link("there", "behind", "4ms")]
    assert a_network(down, *around).path("here", "site", "there").one_way_us == 7_000
    slower = a_link("here", "there", "2ms")
    assert a_network(down, slower).path("here", "site", "there").one_way_us == 2_000


def test_a_site_whose_link_is_down_does_not_move_to_its_region() -> None:
    network = a_network(a_link("site", "here", "1.5ms", desiredState="Down"))
    assert network.path("here", "site", "here") == Path(0, measured=False)


def test_links_of_a_path_are_told_from_the_site_backwards() -> None:
    network = a_network(a_link("here", "behind", "3ms"), a_link("there", "behind", "4ms"))
    assert [wire.name for wire in network.wires("here", "site", "there")] == ["there-behind-4ms", "here-behind-3ms"]
    assert list(network.wires("here", "site", "here")) == []
    assert list(network.wires("here", "site", "atlantis")) == []
    assert list(a_network().wires("here", "site", "there")) == []


def test_free_links_in_a_ring_change_no_time() -> None:
    """Prices cannot be below zero, and ways are chosen by time: there is nothing to win by going round."""
    ring = [
        a_link(*ends, "1ms", pricePerGib="0") for ends in (("here", "there"), ("there", "behind"), ("behind", "here"))
    ]
    path = a_network(*ring).path("here", "site", "there")
    assert (path.one_way_us, path.price_micro_yuan_per_gib) == (1_000, 0)


# --- what is taken over from the network before


PLACES = ("here", "there", "behind")
LINKS = [a_link("here", "there", "3ms"), a_link("there", "behind", "3ms")]


def origins_kept(*links: ComputeLink) -> set[str]:
    """Of which origins the paths are taken over when LINKS become these."""
    was = a_network(*LINKS)
    for origin in PLACES:
        was.path(origin, "site", "behind" if origin != "behind" else "here")
    now = a_network(*links)
    return set(was.kept(now.links))


def test_a_link_that_cannot_be_on_a_path_changes_nothing() -> None:
    assert origins_kept(*LINKS) == set(PLACES)
    assert origins_kept(*LINKS, a_link("here", "behind", "7ms")) == set(PLACES)
    assert origins_kept(*LINKS, a_link("here", "there", "4ms")) == set(PLACES)
    assert origins_kept(*LINKS, a_link("elsewhere", "nowhere", "1ms")) == set(PLACES)


def test_a_link_that_can_be_on_a_path_has_that_path_searched_again() -> None:
    assert origins_kept(*LINKS, a_link("here", "behind", "4ms")) == {"there"}
    assert origins_kept(*LINKS, a_link("here", "behind", "6ms")) == {"there"}  # as fast as the way that is there
    assert origins_kept(*LINKS, a_link("here", "nowhere", "1ms")) == set()
    assert origins_kept(LINKS[0]) == set()
    dearer = a_link("here", "there", "3ms", pricePerGib="1")
    assert origins_kept(dearer, LINKS[1]) == set()


def test_an_origin_without_links_is_searched_when_it_gets_one() -> None:
    was = Network(REGIONS, [])
    assert was.path("here", "site", "there").measured is False
    now = Network(REGIONS, [a_link("here", "there", "3ms")], was)
    assert now.path("here", "site", "there") == Path(3_000, measured=True)


@seeded(80)
@given(tastes(jobs=0, sites=3, fewest=0), st.integers(0, 1 << 20))
def test_what_is_taken_over_equals_what_is_searched_anew(taste: Taste, seed: int) -> None:
    dice = Random(seed)
    country = a_random_world(taste).country
    others = list(a_random_world(replace(taste, seed=taste.seed + 1)).country.links.items())
    network, links = country.network, dict(country.links)
    for _ in range(4):
        ask(network, country.regions)
        name, link = dice.choice(others) if others and dice.random() < 0.7 else ("none", None)
        if link is None:
            links = dict(list(links.items())[1:])
        else:
            links[name] = link
        network = Network(country.regions.values(), links.values(), network)
        assert ask(network, country.regions) == ask(Network(country.regions.values(), links.values()), country.regions)


def ask(network: Network, regions: Iterable[str]) -> list[tuple[Path, Sequence[Wire]]]:
    """All that can be asked."""
    asked = [(o, site, r) for o in regions for site in ("site-0", "site-1", "site-9") for r in regions]
    return [(network.path(*one), network.wires(*one)) for one in asked]


@seeded(60)
@given(tastes(jobs=0, sites=3, fewest=0))
def test_every_path_is_what_an_independent_search_finds(taste: Taste) -> None:
    country = a_random_world(taste).country
    network, ways = country.network, Ways(country)
    for origin in country.regions:
        for site in ("site-0", "site-1", "site-2"):
            for region in (*country.regions, "atlantis"):
                path, way = network.path(origin, site, region), ways.way(origin, site, region)
                if way is None:
                    assert path is NOWHERE
                else:
                    price, width = path.price_micro_yuan_per_gib, path.bandwidth_bps
                    assert (path.one_way_us, path.measured) == (way.us, way.measured)
                    assert (Fraction(price), path.unpriced) == (way.price, way.unpriced)
                    assert width is None or Fraction(width) == way.width
