"""Costs by numbers reckoned by hand."""

from typing import Any

import pytest

from suanli.api.job import CostLines
from suanli.placement.batch import make_batch
from suanli.placement.scores import PAID, SCORES, score
from suanli.placement.snapshot import SiteView
from worlds import NOW_MS, World, a_class, a_country, a_job, a_link, a_policy, a_region, a_site, a_world

HOUR = 3_600_000
SHANGHAI_MIDNIGHT = NOW_MS - 16 * HOUR  # NOW is 08:00 UTC, 16:00 in Shanghai
NIGHT = {"from": "22:00", "to": "06:00", "pricePerKwh": "0.30"}
DAY = {"from": "06:00", "to": "22:00", "pricePerKwh": "0.90"}


def lines(world: World) -> dict[str, int]:
    """Cost lines of the one job at the one pool."""
    batch = make_batch(world.jobs, world.sites, world.country, world.now_ms)
    return {name: int(cost[0, 0]) for name, cost in score(batch).lines.items()}


def energy(at_ms: int, duration: str, *bands: dict[str, Any], **more: Any) -> int:
    """Micro-yuan of one card of 1,000 W at PUE 1: one kWh an hour."""
    site = a_site(resources=[a_class(ratedPowerW=1_000)], energy={"pue": "1", "priceSchedule": list(bands), **more})
    return lines(a_world([a_job(timing={"expectedDuration": duration})], [site], now_ms=at_ms))["energy"]


def test_every_line_is_shown() -> None:
    assert list(lines(a_world([a_job()], [a_site()]))) == list(SCORES)
    assert [*SCORES, "total"] == list(CostLines.model_fields)


def test_what_is_paid_are_lines() -> None:
    assert set(PAID) < set(SCORES)


# --- run


def test_cards_cost_by_the_hour() -> None:
    job = a_job(tasks=3, cards=8, timing={"expectedDuration": "90m"})
    assert lines(a_world([job], [a_site(resources=[a_class(listPrice="4.20")])]))["run"] == 3 * 8 * 1.5 * 4_200_000


def test_cores_cost_to_the_millicore() -> None:
    job = a_job(classes=["cpu"], cards=0, cores="1500m", tasks=2, timing={"expectedDuration": "30m"})
    site = a_site(rooms={"cpu": []}, resources=[a_class("cpu", "Core", listPrice="0.05")])
    assert lines(a_world([job], [site]))["run"] == 75_000


@pytest.mark.parametrize(("duration", "cost"), [("1s", 278), ("10m", 166_667), ("8760h", 8_760_000_000)])
def test_costs_are_rounded_to_a_micro_yuan(duration: str, cost: int) -> None:
    assert lines(a_world([a_job(timing={"expectedDuration": duration})], [a_site()]))["run"] == cost


# --- energy


def test_power_times_pue_times_hours() -> None:
    bands = [{"from": "00:00", "to": "24:00", "pricePerKwh": "0.5"}]
    site = a_site(resources=[a_class(ratedPowerW=800)], energy={"pue": "1.25", "priceSchedule": bands})
    job = a_job(cards=4, tasks=2, timing={"expectedDuration": "3h"})
    assert lines(a_world([job], [site]))["energy"] == 4 * 2 * 3 * 500_000  # 1 kW each, cooling included


def test_a_run_over_midnight_pays_the_price_of_each_hour() -> None:
    at_21 = SHANGHAI_MIDNIGHT + 21 * HOUR
    assert energy(at_21, "1h", NIGHT, DAY) == 900_000
    assert energy(at_21, "3h", NIGHT, DAY) == 900_000 + 2 * 300_000
    assert energy(at_21, "10h", NIGHT, DAY) == 900_000 + 8 * 300_000 + 900_000
    assert energy(SHANGHAI_MIDNIGHT, "7h", NIGHT, DAY) == 6 * 300_000 + 900_000


def test_whole_days_cost_the_same_whenever_they_start() -> None:
    assert energy(SHANGHAI_MIDNIGHT + 5 * HOUR, "48h", NIGHT, DAY) == 2 * (8 * 300_000 + 16 * 900_000)
    assert energy(SHANGHAI_MIDNIGHT + 5 * HOUR, "25h", NIGHT, DAY) == 9 * 300_000 + 16 * 900_000


def test_prices_change_to_the_minute() -> None:
    assert energy(SHANGHAI_MIDNIGHT + 6 * HOUR - 60_000, "2m", NIGHT, DAY) == round((300_000 + 900_000) / 60)


def test_the_first_band_that_covers_a_minute_holds() -> None:
    noon = {"from": "11:00", "to": "13:00", "pricePerKwh": "0.10"}
    whole = {"from": "00:00", "to": "24:00", "pricePerKwh": "0.50"}
    at_10 = SHANGHAI_MIDNIGHT + 10 * HOUR
    assert energy(at_10, "4h", noon, whole) == 2 * 500_000 + 2 * 100_000
    assert energy(at_10, "4h", whole, noon) == 4 * 500_000


def test_a_minute_without_a_band_costs_nothing() -> None:
    assert energy(SHANGHAI_MIDNIGHT + 21 * HOUR, "2h", NIGHT) == 300_000
    assert energy(SHANGHAI_MIDNIGHT, "2h") == 0


def test_months_are_those_of_the_sites_own_calendar() -> None:
    january = {"from": "00:00", "to": "24:00", "months": [1], "pricePerKwh": "1"}
    february = {"from": "00:00", "to": "24:00", "months": [2, 3], "pricePerKwh": "2"}
    still_january = SHANGHAI_MIDNIGHT + 24 * HOUR - 60_000
    assert energy(still_january, "1m", january, february) == round(1_000_000 / 60)
    assert energy(still_january, "1h", january, february) == round((1 * 1_000_000 + 59 * 2_000_000) / 60)
    assert energy(still_january + 60_000, "1h", january, february) == 2_000_000
    assert energy(still_january + 60_000, "1h", january, february, timezone="UTC") == 1_000_000


@pytest.mark.parametrize(("zone", "hour"), [("UTC", 8), ("Asia/Shanghai", 16), ("America/New_York", 3)])
def test_hours_are_those_of_the_sites_time_zone(zone: str, hour: int) -> None:
    band = {"from": f"{hour:02}:00", "to": f"{hour + 1:02}:00", "pricePerKwh": "1"}
    assert energy(NOW_MS, "1h", band, timezone=zone) == 1_000_000
    assert energy(NOW_MS + HOUR, "1h", band, timezone=zone) == 0


def test_a_class_without_power_needs_no_prices() -> None:
    site = a_site(resources=[a_class()], energy={"priceSchedule": [NIGHT, DAY]})
    assert lines(a_world([a_job()], [site]))["energy"] == 0


# --- transfer


def test_inputs_and_outputs_pay_the_way_that_they_take() -> None:
    regions = [a_region("here"), a_region("there", "31", "111"), a_region("lonely", "35", "115")]
    links = [a_link("there", "here", "3ms", pricePerGib="0.10", bandwidth="8G")]
    country = a_country(regions, links, a_policy(transferPricePerGib="0.02"))
    data = {
        "inputs": [
            {"name": "a", "region": "there", "size": "10Gi"},
            {"name": "b", "region": "lonely", "size": "512Mi"},
            {"name": "c", "region": "here", "size": "99Ti"},
        ],
        "outputs": {"region": "there", "size": "1Gi"},
    }
    world = a_world([a_job(data=data)], [a_site()], country)
    assert lines(world)["transfer"] == 10 * 100_000 + 10_000 + 0 + 100_000


def test_every_link_of_a_path_has_its_price() -> None:
    regions = [a_region("here"), a_region("half-way", "31", "111"), a_region("there", "32", "112")]
    links = [
        a_link("there", "half-way", "3ms", pricePerGib="0.10"),
        a_link("half-way", "here", "3ms", pricePerGib="0.03"),
    ]
    data = {"inputs": [{"name": "a", "region": "there", "size": "10Gi"}]}
    assert lines(a_world([a_job(data=data)], [a_site()], a_country(regions, links)))["transfer"] == 10 * 130_000


def test_a_link_without_a_price_costs_the_policys_however_many_others_name_one() -> None:
    regions = [a_region("here"), a_region("half-way", "31", "111"), a_region("there", "32", "112")]
    policy = a_policy(transferPricePerGib="0.02")
    data = {"inputs": [{"name": "a", "region": "there", "size": "10Gi"}]}
    for price, expected in (({}, 40_000), ({"pricePerGib": "0.10"}, 120_000), ({"pricePerGib": "0"}, 20_000)):
        links = [a_link("there", "half-way", "3ms", **price), a_link("half-way", "here", "3ms")]
        world = a_world([a_job(data=data)], [a_site()], a_country(regions, links, policy))
        assert lines(world)["transfer"] == 10 * expected


def test_a_dataset_that_lies_at_the_site_is_not_moved() -> None:
    regions = [a_region("here"), a_region("there", "31", "111")]
    country = a_country(regions, [a_link("there", "here", "3ms", pricePerGib="0.10")])
    data = {
        "inputs": [
            {"name": "a", "region": "there", "size": "10Gi", "dataset": "maps"},
            {"name": "b", "region": "there", "size": "1Gi", "dataset": "talks"},
            {"name": "c", "region": "there", "size": "2Gi"},
        ]
    }
    job = a_job(data=data)
    assert lines(a_world([job], [a_site(cachedDatasets=["maps"])], country))["transfer"] == 300_000
    assert lines(a_world([job], [a_site(cachedDatasets=["scans"])], country))["transfer"] == 1_300_000


def test_a_checkpoint_is_moved_to_every_site_but_the_one_that_has_it() -> None:
    regions = [a_region("here"), a_region("there", "31", "111")]
    country = a_country(regions, [a_link("there", "here", "3ms", pricePerGib="0.10")])
    job = a_job(checkpoint={"size": "20Gi", "site": "old"})
    for old, expected in ((a_site("old"), [0, 1]), (a_site("old", region="there"), [0, 2_000_000])):
        world = a_world([job], [old, a_site("other")], country)
        costs = score(make_batch(*world.question))
        assert costs.lines["transfer"].tolist() == [expected], "where moving is free, still a little"


@pytest.mark.parametrize(
    "old",
    [
        a_site("old", region="there", ready=False),
        a_site("outer", region="there"),
        a_site("old", region="lost"),
    ],
    ids=["silent", "gone", "nowhere"],
)
def test_a_checkpoint_that_cannot_be_had_costs_nothing(old: SiteView) -> None:
    country = a_country([a_region("here"), a_region("there", "31", "111")], policy=a_policy(transferPricePerGib="1"))
    world = a_world([a_job(checkpoint={"size": "20Gi", "site": "old"})], [a_site("new"), old], country)
    assert lines(world)["transfer"] == 0


def test_a_checkpoint_at_a_site_that_takes_no_new_work_can_be_had() -> None:
    country = a_country([a_region("here"), a_region("there", "31", "111")], policy=a_policy(transferPricePerGib="1"))
    old = a_site("old", region="there", ready=False, desiredState="Drain")
    world = a_world([a_job(checkpoint={"size": "20Gi", "site": "old"})], [a_site("new"), old], country)
    assert lines(world)["transfer"] == 20_000_000


# --- carbon and policy


def test_carbon_counts_what_is_not_green() -> None:
    grid = {"pue": "1.25", "greenShare": "0.60", "gridFactorGPerKwh": 500}
    site = a_site(resources=[a_class(ratedPowerW=800)], energy=grid)
    country = a_country(policy=a_policy(carbonPricePerTonne="80"))
    # 1 kWh x 500 g x 0.4 = 200 g; 80 CNY a tonne are 80 micro-yuan a gram.
    assert lines(a_world([a_job()], [site], country))["carbon"] == 16_000
    assert lines(a_world([a_job()], [site]))["carbon"] == 0


@pytest.mark.parametrize(
    ("category", "region", "weight"),
    [
        ("Backup", "west", -2_000_000),
        ("Backup", "east", 1_500_000),
        ("General", "west", 0),
        ("General", "east", 500_000),
    ],
)
def test_rules_weigh_by_task_and_hour(category: str, region: str, weight: int) -> None:
    policy = a_policy(
        hubs=[
            {"name": "w", "side": "West", "regions": ["west"]},
            {"name": "e", "side": "East", "regions": ["east"]},
        ],
        placementRules=[
            {
                "name": "go",
                "match": {"categories": ["Backup"]},
                "effect": "Prefer",
                "sides": ["West"],
                "weight": "2000000",
            },
            {
                "name": "leave",
                "match": {"categories": ["Backup"]},
                "effect": "Avoid",
                "sides": ["East"],
                "weight": "1000000",
            },
            {"name": "crowded", "effect": "Avoid", "hubs": ["e"], "weight": "500000"},
        ],
    )
    country = a_country([a_region("west"), a_region("east")], policy=policy)
    job = a_job(category=category, origin="west", tasks=2, timing={"expectedDuration": "3h"})
    assert lines(a_world([job], [a_site(region=region)], country))["policy"] == weight * 6


def test_amounts_beyond_any_money_are_cut_and_still_add_up() -> None:
    job = a_job(tasks=10_000, cards=1024, timing={"expectedDuration": "8760h"})
    site = a_site(resources=[a_class(listPrice="999999", ratedPowerW=1)], energy={"priceSchedule": [DAY, NIGHT]})
    batch = make_batch([job], [site], a_country(), NOW_MS)
    costs = score(batch)
    assert costs.lines["run"][0, 0] == 1 << 50
    assert int(costs.total_rp[0, 0]) == sum(int(line[0, 0]) for line in costs.lines.values())
