"""Every manifest of the example country loads, and whatever it names exists."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
import yaml

from demo.country import Country, load
from suanli.api import KINDS, ComputeJob
from suanli.base.units import cpu_milli, duration_us, micro, whole

ROOT = Path(__file__).resolve().parents[2] / "examples" / "national"
FILES = sorted(ROOT.rglob("*.yaml"))
MODELS = {model.kind_info.kind: model for model in KINDS}
CITIES = 15


@pytest.fixture(scope="module")
def country() -> Country:
    return load(ROOT)


def documents() -> Iterator[tuple[Path, dict[str, Any]]]:
    for file in FILES:
        for document in yaml.safe_load_all(file.read_text(encoding="utf-8")):
            if document:
                yield file, document


def jobs() -> list[dict[str, Any]]:
    return [document for _, document in documents() if document["kind"] == "ComputeJob"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_loads(file: Path) -> None:
    read = [d for d in yaml.safe_load_all(file.read_text(encoding="utf-8")) if d]
    assert read
    for document in read:
        model = MODELS[document["kind"]].model_validate(document)
        assert model.api_version == "suanli.io/v1alpha1"


def test_names_are_unique() -> None:
    names = Counter((d["kind"], d["metadata"]["name"]) for _, d in documents())
    assert [name for name, count in names.items() if count > 1] == []


def test_no_place_is_both_region_and_site(country: Country) -> None:
    assert not set(country.regions) & set(country.sites)


def test_eight_hubs_ten_clusters_and_enough_cities(country: Country) -> None:
    hubs = country.policy.spec.hubs
    clusters = [cluster for hub in hubs for cluster in hub.clusters]
    of_clusters = {region for cluster in clusters for region in cluster.regions}
    assert (len(hubs), len(clusters)) == (8, 10)
    assert sorted(hub.side for hub in hubs) == ["East"] * 3 + ["West"] * 5
    assert len(set(country.regions) - of_clusters) >= CITIES
    assert len({country.sites[name].spec.region for name in country.sites} & of_clusters) >= len(clusters)


def test_policy_names_known_regions_hubs_and_tiers_once(country: Country) -> None:
    policy = country.policy.spec
    named = [r for hub in policy.hubs for r in (*hub.regions, *(r for c in hub.clusters for r in c.regions))]
    hubs = {hub.name for hub in policy.hubs}
    tiers = {tier.name for tier in policy.latency_tiers} | {"any"}
    assert set(named) <= set(country.regions)
    assert len(named) == len(set(named))
    assert all(set(rule.hubs) <= hubs and set(rule.match.tiers) <= tiers for rule in policy.placement_rules)
    assert all({pairing.source, pairing.target} <= hubs for pairing in policy.pairings)


def test_links_join_known_regions_into_one_network(country: Country) -> None:
    graph: nx.Graph[str] = nx.Graph()
    for link in country.links:
        graph.add_edge(*link.spec.endpoints)
    assert set(graph) == set(country.regions)
    assert nx.is_connected(graph)
    assert len(graph.edges) == len(country.links)


def test_a_sample_link_is_not_faster_than_light_and_a_published_one_is_the_best_way(country: Country) -> None:
    source = (ROOT / "links.yaml").read_text(encoding="utf-8")
    sources = re.findall(r"endpoints: \[([a-z-]+), ([a-z-]+)\]\n\s+oneWay: (\S+)  # (published \(L\)|sample)", source)
    assert len(sources) == len(country.links)
    graph: nx.Graph[str] = nx.Graph()
    for link in country.links:
        graph.add_edge(*link.spec.endpoints, us=duration_us(link.spec.one_way))
    for one, other, time, mark in sources:
        us = duration_us(time)
        if mark == "sample":
            assert us >= country.distance_km(one, other) * 5, f"{one}-{other}"
        else:
            assert nx.shortest_path_length(graph, one, other, weight="us") == us, f"{one}-{other}"


def test_coordinates_lie_in_the_country(country: Country) -> None:
    for name, region in country.regions.items():
        assert 18 < float(region.spec.latitude) < 54, name
        assert 73 < float(region.spec.longitude) < 136, name


def test_sites_stand_in_known_regions_and_keep_the_policy(country: Country) -> None:
    policy = country.policy.spec
    ceilings = {r: cluster.pue_ceiling for hub in policy.hubs for cluster in hub.clusters for r in cluster.regions}
    assert policy.new_build is not None
    for name, site in country.sites.items():
        assert site.spec.region in country.regions, name
        assert micro(site.spec.energy.pue) <= micro(ceilings.get(site.spec.region, "9")), name
        if country.hub(site.spec.region) is None:
            assert site.spec.standard_racks <= policy.new_build.max_racks_outside_hubs, name


def test_sites_declare_what_planning_needs(country: Country) -> None:
    for name, site in country.sites.items():
        declared = site.spec.declared_capacity
        assert declared is not None, name
        cores = sum(r.declared_units or 0 for r in site.spec.resources if r.unit == "Core")
        assert cpu_milli(declared.cpu) >= cores * 1000, name
        assert whole(declared.memory) > 0, name
        assert all(r.declared_units and micro(r.list_price) and r.rated_power_w for r in site.spec.resources), name


def test_one_class_means_the_same_everywhere(country: Country) -> None:
    meanings: dict[str, set[tuple[object, ...]]] = {}
    for site in country.sites.values():
        for r in site.spec.resources:
            meanings.setdefault(r.class_, set()).add((r.type, r.resource_name, r.unit, r.precision, r.petaflops))
    assert {class_: len(found) for class_, found in meanings.items()} == dict.fromkeys(meanings, 1)


def test_every_hour_has_an_electricity_price(country: Country) -> None:
    for name, site in country.sites.items():
        last = site.spec.energy.price_schedule[-1]
        assert (last.from_, last.to, last.months) == ("00:00", "24:00", []), name


def test_jobs_name_known_things_and_all_but_one_have_a_site(country: Country) -> None:
    rooms = country.declared_rooms()
    homeless = []
    for document in jobs():
        spec = ComputeJob.model_validate(document).spec
        data = spec.data
        regions = {
            spec.origin,
            *(data.allowed_regions if data else ()),
            *(i.region for i in (data.inputs if data else ())),
        }
        assert regions <= set(country.regions), document["metadata"]["name"]
        if not country.homes(spec, rooms):
            homeless.append(document["metadata"]["name"])
    assert homeless == ["impossible"]
