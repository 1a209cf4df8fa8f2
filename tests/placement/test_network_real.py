"""The network against published topologies and round trips. `pytest -s` prints the figures."""

import csv
import math
import statistics
from itertools import combinations

import networkx as nx
import pytest

from checker.ways import Ways
from shareddata import shared
from suanli.api import ComputeLink, ComputeRegion
from suanli.placement.network import Network
from suanli.placement.snapshot import Country
from worlds import a_region, raw

# The topologies put these far from where they are.
MENDED = {
    ("Cernet", "Chengdou"): (30.67, 104.07),
    ("Cernet", "Xianggang"): (22.32, 114.17),
    ("Chinanet", "Hong Kong"): (22.32, 114.17),
}
# Centres of the cities, by general knowledge.
CITIES = {
    "Dallas": (32.78, -96.80),
    "Toronto": (43.65, -79.38),
    "Washington DC": (38.91, -77.04),
    "Frankfurt": (50.11, 8.68),
    "London": (51.51, -0.13),
    "Madrid": (40.42, -3.70),
    "Osaka": (34.69, 135.50),
    "Sydney": (-33.87, 151.21),
    "Tokyo": (35.68, 139.69),
    "Sao Paulo": (-23.55, -46.63),
}


def a_backbone(name: str) -> Country:
    """A topology whose links take the time of light in fibre along the great circle; ends abroad have no place."""
    graph = nx.read_graphml(shared(f"topology/{name}.graphml"))
    regions: dict[str, ComputeRegion] = {}
    for node, told in graph.nodes(data=True):
        at = MENDED.get((name, told["label"])) or (told.get("Latitude"), told.get("Longitude"))
        if None not in at:
            regions[f"n{node}"] = a_region(f"n{node}", str(at[0]), str(at[1]))
    bare, links = Network(regions.values(), ()), {}
    for i, (a, b) in enumerate(graph.edges()):
        one, other = f"n{a}", f"n{b}"
        if one in regions and other in regions:
            us = max(1, math.ceil(bare.distance_km(one, other) * 5))
            spec = {"endpoints": [one, other], "oneWay": f"{us}us"}
            links[f"l{i}"] = ComputeLink.model_validate(raw("ComputeLink", f"l{i}", spec))
    return Country(regions, links, None)


@pytest.mark.parametrize(("name", "places"), [("Cernet", 37), ("Chinanet", 38)])
def test_more_than_half_of_the_ways_over_a_real_backbone_are_no_slower_than_the_estimate(
    name: str, places: int
) -> None:
    """The rest goes round by a few centres: where that matters, the administrator gives links."""
    country = a_backbone(name)
    network, ways = country.network, Ways(country)
    assert len(country.regions) == places
    ratios = []
    for one, other in combinations(country.regions, 2):
        path, way = network.path(one, "site", other), ways.way(one, "site", other)
        assert way is not None
        assert path.measured
        assert path.one_way_us == way.us
        straight = network.distance_km(one, other) * 5
        if straight > 1:
            ratios.append(path.one_way_us / straight)
    share = sum(ratio <= 1.5 for ratio in ratios) / len(ratios)
    print(
        f"\n{name}: {len(ratios)} pairs, {share:.1%} within 1.5 x the great circle; "
        f"median {statistics.median(ratios):.2f}, 90 % {sorted(ratios)[len(ratios) * 9 // 10]:.2f}, most {max(ratios):.2f}"
    )
    assert min(ratios) >= 0.999
    assert share > 0.5
    assert statistics.median(ratios) < 1.5


def test_the_estimate_against_round_trips_between_clouds() -> None:
    """Half of a round trip is one way. The sea has no straight cables, so far pairs are underestimated more."""
    network = Network([a_region(f"c{i}", str(n), str(e)) for i, (n, e) in enumerate(CITIES.values())], ())
    number = {city: f"c{i}" for i, city in enumerate(CITIES)}
    with shared("rtt/ibm_cloud_rtt_2024-03-03.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "region"]
    ratios = sorted(
        network.estimated_us(number[row["a"]], number[row["b"]]) / (float(row["rtt_ms"]) * 500) for row in rows
    )
    errors = sorted(abs(ratio - 1) for ratio in ratios)
    within = sum(error <= 0.25 for error in errors) / len(errors)
    print(
        f"\nIBM: {len(ratios)} pairs, estimate / measured: least {ratios[0]:.2f}, median {statistics.median(ratios):.2f}, "
        f"most {ratios[-1]:.2f}; error: median {statistics.median(errors):.1%}, 90 % {errors[len(errors) * 9 // 10]:.1%}, "
        f"{within:.1%} within 25 %"
    )
    assert len(ratios) == 45
    assert 0.8 < statistics.median(ratios) < 1.2
    assert ratios[0] > 0.4
    assert ratios[-1] < 2
    assert within > 0.6
