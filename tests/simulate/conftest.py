"""A small land with a near dear site, a far cheap one and cores, and jobs that come faster than they end."""

from collections.abc import Callable

import pytest

from suanli.simulate.land import Land, land_of
from suanli.simulate.scenario import Scenario, ScenarioSpec
from suanli.simulate.trace import TraceRow
from worlds import Raw, a_class, a_country, a_link, a_policy, a_region, a_site

KINDS: list[Raw] = [
    {
        "name": "train",
        "weight": 3,
        "category": "ModelTraining",
        "tiers": {"wide": 1, "any": 2},
        "classes": [{"names": ["gpu"]}],
        "inputs": {"0": 1, "100Gi": 2},
    },
    {
        "name": "serve",
        "weight": 2,
        "tiers": {"city": 1},
        "origins": {"coast": 1},
        "classes": [{"names": ["gpu"]}],
        "priority": 10,
    },
    {"name": "crunch", "weight": 1, "classes": [{"names": ["cpu"]}], "unit": "Core"},
]


@pytest.fixture
def land() -> Land:
    """East and West, 12 ms apart; power is dear by day in the East, by night in the West."""
    hubs = [
        {"name": "sea", "side": "East", "regions": ["coast"]},
        {"name": "sand", "side": "West", "regions": ["desert"]},
    ]
    rule = {
        "name": "west",
        "match": {"categories": ["ModelTraining"]},
        "effect": "Prefer",
        "sides": ["West"],
        "weight": "100000",
    }
    policy = a_policy(
        hubs=hubs,
        latencyTiers=[{"name": "city", "oneWay": "1ms"}, {"name": "wide", "oneWay": "20ms"}],
        placementRules=[rule],
        transferPricePerGib="0.02",
        carbonPricePerTonne="80",
        targets=[{"kpi": "average-pue", "comparison": "AtMost", "value": "1.5"}],
    )
    regions = [a_region("coast", "31", "121"), a_region("desert", "38", "105")]
    country = a_country(regions, [a_link("coast", "desert", "12ms", bandwidth="10G")], policy)
    day, night = ("0.9", "0.3"), ("0.3", "0.6")
    east = a_site("east", region="coast", classes=_classes("6"), energy=_energy("1.25", day), **_cores(64)).site
    west = a_site("west", region="desert", classes=_classes("4"), energy=_energy("1.15", night), **_cores(64)).site
    return land_of(country, [east, west], "1")


def _cores(cores: int) -> Raw:
    return {"declaredCapacity": {"cpu": str(cores), "memory": "4Ti"}}


def _classes(price: str) -> list[Raw]:
    return [
        a_class("gpu", listPrice=price, ratedPowerW=800, declaredUnits=8),
        a_class("cpu", "Core", listPrice="0.05", ratedPowerW=6, declaredUnits=16),
    ]


def _energy(pue: str, prices: tuple[str, str]) -> Raw:
    by_day, by_night = prices
    bands = [
        {"from": "08:00", "to": "20:00", "pricePerKwh": by_day},
        {"from": "20:00", "to": "08:00", "pricePerKwh": by_night},
    ]
    return {"pue": pue, "greenShare": "0.5", "gridFactorGPerKwh": 600, "priceSchedule": bands}


@pytest.fixture
def spec_of() -> Callable[..., ScenarioSpec]:
    """A scenario's spec, with more or other fields."""

    def made(**more: object) -> ScenarioSpec:
        spec = {"origins": {"coast": 3, "desert": 1}, "kinds": KINDS, **more}
        raw = {
            "apiVersion": "simulate.suanli.io/v1alpha1",
            "kind": "Scenario",
            "metadata": {"name": "small"},
            "spec": spec,
        }
        return Scenario.model_validate(raw).spec

    return made


@pytest.fixture
def rows() -> list[TraceRow]:
    """Four days: a job in each hour, of one to eight units, so that some have to wait."""
    return [TraceRow(float(i), 0.2 + (i * 7 % 11) / 2, 1 + i * 5 % 8) for i in range(96)]
