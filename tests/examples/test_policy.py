"""What the example policy does with jobs: west what can wait, near what cannot, and otherwise where its origin is."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from checker import violations
from suanli.api.policy import Side
from suanli.cli.manifests import Manifests, read
from suanli.cli.plan import question
from suanli.placement.consistency import policy_findings
from suanli.placement.kpis import NAMES, facts_of, figures
from suanli.placement.snapshot import SiteView, WaitingJob
from suanli.placement.solve import place
from worlds import NOW_MS, a_job

ROOT = Path(__file__).resolve().parents[2] / "examples" / "national"
MOVE_WEST = ("ModelTraining", "MachineLearning", "Rendering", "OfflineAnalytics", "Backup")
STAY = ("IndustrialControl", "Finance", "Telemedicine")
ALL = (*MOVE_WEST, *STAY, "ModelInference", "General")
CARDS = ["nvidia-a100-80g", "ascend-910b"]
CORES = ["cpu-x86"]


@pytest.fixture(scope="module")
def country() -> Manifests:
    return read(ROOT / name for name in ("regions.yaml", "links.yaml", "policy.yaml", "sites"))


def regions_of(country: Manifests, side: Side) -> list[str]:
    return [name for name in country.regions if country.country.side(name) == side]


def jobs(origins: Iterable[str], categories: Iterable[str], **spec: Any) -> list[WaitingJob]:
    """One job of cards and one of cores for each origin and category."""
    spec = {"timing": {"expectedDuration": "2h"}, **spec}
    pairs = [(origin, category) for origin in origins for category in categories]
    of_cards = [
        a_job(f"cards-{o}-{c}".lower(), classes=CARDS, cards=1, origin=o, category=c, memory="8Gi", **spec)
        for o, c in pairs
    ]
    return of_cards + [
        a_job(f"cores-{o}-{c}".lower(), classes=CORES, cards=0, origin=o, category=c, **spec) for o, c in pairs
    ]


def sides(
    country: Manifests, waiting: list[WaitingJob], usable: Callable[[SiteView], bool] = lambda view: True
) -> dict[str, str | None]:
    """The side of each job's site, None where it waits; every decision is checked."""
    asked = question(country, NOW_MS)
    map_, now_ms = asked.country, asked.now_ms
    views = [view if usable(view) else replace(view, ready=False, not_ready="is down") for view in asked.sites]
    plan = place(waiting, views, map_, now_ms)
    assert violations(waiting, views, map_, now_ms, plan) == []
    region_of = {name: site.spec.region for name, site in country.sites.items()}
    return {uid: map_.side(region_of[d.site]) if d.site else None for uid, d in plan.decisions.items()}


def is_western(country: Manifests) -> Callable[[SiteView], bool]:
    return lambda view: country.country.side(view.site.spec.region) == Side.WEST


@pytest.mark.parametrize("latency", [None, {"tier": "cross-hub"}])
def test_what_can_wait_goes_west(country: Manifests, latency: dict[str, str] | None) -> None:
    spec = {} if latency is None else {"latency": latency}
    waiting = jobs(regions_of(country, Side.EAST), (*MOVE_WEST, "ModelInference"), **spec)
    assert set(sides(country, waiting).values()) == {"West"}


@pytest.mark.parametrize("tier", ["city", "region"])
def test_unless_latency_forbids(country: Manifests, tier: str) -> None:
    found = sides(country, jobs(regions_of(country, Side.EAST), ALL, latency={"tier": tier}))
    assert set(found.values()) <= {"East", None}
    assert "East" in found.values()


def test_unless_data_forbid(country: Manifests) -> None:
    """By residency, and by what it would cost to move them."""
    eastern = regions_of(country, Side.EAST)
    for origin in eastern:
        stays = sides(country, jobs([origin], MOVE_WEST, data={"allowedRegions": eastern}))
        assert set(stays.values()) == {"East"}
    heavy = {"inputs": [{"name": "all", "region": "shanghai", "size": "40Ti"}]}
    assert set(sides(country, jobs(["shanghai"], MOVE_WEST, data=heavy)).values()) == {"East"}


def test_unless_capacity_forbids(country: Manifests) -> None:
    west = is_western(country)
    waiting = jobs(regions_of(country, Side.EAST), MOVE_WEST)
    assert "West" not in sides(country, waiting, lambda view: not west(view)).values()
    assert None not in sides(country, waiting, lambda view: not west(view)).values()


def test_the_west_serves_the_west(country: Manifests) -> None:
    found = sides(country, jobs(regions_of(country, Side.WEST), ALL))
    assert set(found.values()) == {"West"}


def test_what_the_east_needs_at_once_stays_in_the_east_whatever_it_is(country: Manifests) -> None:
    """Also where the west would be near enough: Ulanqab is 5 ms from Beijing."""
    west = is_western(country)
    waiting = jobs(["beijing"], ALL, latency={"tier": "region"})
    assert set(sides(country, waiting).values()) == {"East"}
    assert "West" in sides(country, waiting, west).values()


def test_what_must_stay_in_the_east_waits_rather_than_go(country: Manifests) -> None:
    found = sides(country, jobs(regions_of(country, Side.EAST), STAY), is_western(country))
    assert set(found.values()) == {None}
    assert set(sides(country, jobs(regions_of(country, Side.EAST), STAY)).values()) == {"East"}


def test_a_green_site_outside_the_hubs_takes_what_can_wait(country: Manifests) -> None:
    """Wuhan as it is does not; with green power and less cooling it counts as the West, and is preferred to the East."""
    wuhan = country.sites["wuhan-edge1"]

    def goes(share: str, pue: str) -> str | None:
        energy = wuhan.spec.energy.model_copy(update={"green_share": share, "pue": pue})
        spec = wuhan.spec.model_copy(update={"energy": energy})
        sites = {**country.sites, "wuhan-edge1": wuhan.model_copy(update={"spec": spec})}
        changed = replace(country, sites=sites)
        east_and_wuhan = [v for v in question(changed, NOW_MS)[1] if not is_western(country)(v)]
        waiting = jobs(["shanghai"], ["ModelTraining"])[:1]
        return place(waiting, east_and_wuhan, country.country, NOW_MS).decisions[waiting[0].uid].site

    assert goes("0.80", "1.25") == "wuhan-edge1"
    assert goes("0.79", "1.25") != "wuhan-edge1"
    assert goes("0.80", "1.26") != "wuhan-edge1"


def test_beijing_is_first_in_its_enclave(country: Manifests) -> None:
    only = {"data": {"allowedSites": ["ulanqab-dc1"]}, "timing": {"expectedDuration": "2h"}}
    shape: dict[str, Any] = {"classes": ["nvidia-a100-80g"], "cards": 512, "memory": "8Gi", **only}
    waiting = [
        a_job(f"{o}-{i}", origin=o, submitted_ms=i, **shape) for i, o in enumerate(["shanghai", "shanghai", "beijing"])
    ]
    plan = place(waiting, question(country, NOW_MS)[1], country.country, NOW_MS)
    assert {uid: d.site for uid, d in plan.decisions.items()} == {
        "shanghai-0": "ulanqab-dc1",
        "shanghai-1": None,
        "beijing-2": "ulanqab-dc1",
    }


def test_its_rules_can_all_hold_and_its_targets_are_figures_that_are_computed(country: Manifests) -> None:
    assert policy_findings(country.country, country.sites.values()) == []
    policy = country.country.policy
    assert policy is not None
    assert {target.kpi for target in policy.spec.targets} <= NAMES


def test_every_figure_but_one_has_a_value_once_something_runs_everywhere(country: Manifests) -> None:
    asked = question(country, NOW_MS)
    waiting = (
        jobs(country.regions, ALL)
        + jobs(["beijing"], ["General"], data={"allowedSites": ["ulanqab-dc1"]}, latency={"tier": "region"})[:1]
    )
    waiting = [replace(job, uid=f"{i}") for i, job in enumerate(waiting)]
    made = figures(facts_of(waiting, asked[1], country.country, asked._replace(waiting=waiting).plan()))
    assert [figure.kpi for figure in made if figure.value is None] == ["intelligent-share"]
