import pytest

from demo.country import Country, Room
from suanli.api.job import ComputeJobSpec


def spec(**fields: object) -> ComputeJobSpec:
    return ComputeJobSpec.model_validate(
        {
            "origin": "shanghai",
            "resources": {"class": ["cpu-x86"], "perTask": {"cpu": "1", "memory": "1Gi"}},
            "template": {"image": "a"},
            **fields,
        }
    )


def test_sides_and_hubs_come_from_the_policy(whole_country: Country) -> None:
    assert [whole_country.side(r) for r in ("shanghai", "zhongwei", "wuhan")] == ["East", "West", "Outside"]
    assert whole_country.hub("ulanqab") == "inner-mongolia"
    assert whole_country.hub("wuhan") is None


@pytest.mark.parametrize(
    ("origin", "site", "us"),
    [
        ("zhongwei", "zhongwei-dc1", 0),
        ("beijing", "ulanqab-dc1", 5_000),
        ("shanghai", "zhongwei-dc1", 12_000),
        ("wuhan", "yrd-demo-dc1", 5_500),  # over Hefei, Nanjing and Suzhou: 2.4 + 1.2 + 1.5 + 0.4
    ],
)
def test_one_way_time_is_the_shortest_path(whole_country: Country, origin: str, site: str, us: int) -> None:
    assert whole_country.one_way_us(origin, site) == us


def test_without_links_distance_decides(whole_country: Country) -> None:
    unlinked = Country(whole_country.regions, whole_country.policy, (), whole_country.sites)
    assert unlinked.one_way_us("shanghai", "zhongwei-dc1") == pytest.approx(12_300, abs=100)


def test_the_table_of_estimates_in_the_domain_notes_holds(whole_country: Country) -> None:
    unlinked = Country(whole_country.regions, whole_country.policy, (), whole_country.sites)
    assert unlinked.one_way_us("chengdu", "qingyang-dc1") == pytest.approx(5_000, abs=100)
    assert unlinked.one_way_us("shenzhen", "guian-dc1") == pytest.approx(6_500, abs=100)


def test_a_bound_in_time_and_a_tier_both_rule_out(country: Country) -> None:
    near = spec(latency={"tier": "city"})
    nearer = spec(latency={"oneWay": "0.4ms"})
    assert [s for s in country.sites if country.permits(near, s)] == ["yrd-demo-dc1"]
    assert [s for s in country.sites if country.permits(nearer, s)] == []
    assert country.tier(nearer) == "0.4ms"


def test_require_rules_rule_out_and_prefer_rules_do_not(country: Country) -> None:
    assert [s for s in country.sites if country.permits(spec(category="Finance"), s)] == ["yrd-demo-dc1"]
    assert len([s for s in country.sites if country.permits(spec(category="Backup"), s)]) == 3


def test_residency_rules_out(country: Country) -> None:
    kept = spec(data={"allowedRegions": ["wuhan"]})
    assert [s for s in country.sites if country.permits(kept, s)] == ["wuhan-edge1"]
    assert not any(country.permits(spec(data={"allowedSites": ["elsewhere"]}), s) for s in country.sites)
    assert not any(country.permits(spec(data={"domain": "core"}), s) for s in country.sites)


def test_a_gang_fits_by_nodes_not_by_sum() -> None:
    assert Room(nodes=3, units_per_node=8).holds(3, 5)
    assert not Room(nodes=3, units_per_node=8).holds(4, 5)


def test_an_unknown_site_is_named(whole_country: Country) -> None:
    with pytest.raises(ValueError, match='"atlantis" is no site'):
        whole_country.only(["atlantis"])
