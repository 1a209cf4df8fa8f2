"""What an attempt sends over links: what has to be moved, over the links of the way that is taken, by direction."""

from typing import Any

import pytest

from suanli.api.link import Direction, Leg
from suanli.placement.batch import make_batch
from suanli.placement.legs import legs_of
from suanli.placement.snapshot import SiteView
from suanli.placement.transfer import moved
from worlds import a_country, a_job, a_link, a_region, a_site

GIB = 1 << 30
REGIONS = [a_region(name, str(30 + n), "110") for n, name in enumerate(("here", "half-way", "there", "lonely"))]
LINKS = [
    a_link("there", "half-way", "3ms", operator="Roads"),
    a_link("half-way", "here", "3ms"),
    a_link("there", "here", "1ms", desiredState="Down", operator="Roads"),
]
COUNTRY = a_country(REGIONS, LINKS)
FIRST, SECOND = "there-half-way-3ms", "half-way-here-3ms"
DATA = {
    "inputs": [
        {"name": "a", "region": "there", "size": "10Gi", "dataset": "maps"},
        {"name": "b", "region": "there", "size": "1Gi"},
        {"name": "c", "region": "half-way", "size": "2Gi"},
        {"name": "d", "region": "lonely", "size": "9Ti"},
        {"name": "e", "region": "here", "size": "9Ti"},
    ],
    "outputs": {"region": "half-way", "size": "3Gi"},
}


def legs(site: SiteView, *others: SiteView, **spec: Any) -> dict[tuple[str, str, str], int]:
    """In GiB, by direction, link and operator: as placement asks for them, which is as they are metered."""
    batch = make_batch([a_job(**spec)], [site, *others], COUNTRY, 0)
    names = [view.site.metadata.name for view in batch.sites]
    found = batch.legs(0, names.index(site.site.metadata.name))
    kept = batch.kept_r[0]
    at = batch.sites[kept.site].site if kept else None
    assert found == legs_of(COUNTRY.network, site.site, batch.rows[0].spec, at)
    return {(leg.direction, leg.link, leg.operator): leg.size // GIB for leg in found}


def test_every_link_of_the_way_carries_what_is_moved_once_in_each_direction() -> None:
    """What lies in the site's own region, or comes on a way that no links make, goes over no link."""
    told = legs(a_site("one"), data=DATA)
    assert told == {("in", FIRST, "Roads"): 11, ("in", SECOND, ""): 13, ("out", SECOND, ""): 3}


def test_a_copy_at_the_site_is_not_moved() -> None:
    told = legs(a_site("one", cachedDatasets=["maps"]), data=DATA)
    assert told == {("in", FIRST, "Roads"): 1, ("in", SECOND, ""): 3, ("out", SECOND, ""): 3}


@pytest.mark.parametrize(
    ("old", "expected"),
    [
        (a_site("old", region="there"), {("in", FIRST, "Roads"): 20, ("in", SECOND, ""): 20}),
        (a_site("old"), {}),
        (a_site("old", region="there", ready=False), {}),
        (a_site("another", region="there"), {}),
    ],
)
def test_a_checkpoint_comes_from_where_it_lies_if_it_can_be_had(
    old: SiteView, expected: dict[tuple[str, str, str], int]
) -> None:
    assert legs(a_site("one"), old, checkpoint={"size": "20Gi", "site": "old"}) == expected
    own = legs(a_site("old"), checkpoint={"size": "20Gi", "site": "old"})
    assert own == {}


def test_a_job_without_data_sends_nothing() -> None:
    assert legs(a_site("one")) == {}


def test_what_comes_is_what_placement_reckons_with() -> None:
    site = a_site("one", cachedDatasets=["maps"])
    batch = make_batch([a_job(data=DATA)], [site], COUNTRY, 0)
    over = {leg.link: leg.size for leg in batch.legs(0, 0) if leg.direction is Direction.IN}
    come = moved(batch, 0, 0)
    assert over == {FIRST: come["there"], SECOND: come["there"] + come["half-way"]}
    assert Leg(Direction.OUT, SECOND, "", 3 * GIB) in batch.legs(0, 0)
