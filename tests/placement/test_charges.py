"""Where a tariff says what is paid, it is what plans compare, what limits hold against, and what jobs wait for."""

from typing import Any

import numpy as np
import pytest

from manifests import Manifest, a_tariff
from rates import DAY, HOUR, T0, tariff
from suanli.base.clock import time_text
from suanli.base.reasons import Reason
from suanli.billing.quote import Quotes
from suanli.billing.rating import Customer
from suanli.placement.batch import make_batch
from suanli.placement.scores import score
from suanli.placement.snapshot import Country, Decision, SiteView
from suanli.placement.solve import place
from worlds import a_class, a_country, a_job, a_link, a_node, a_region, a_site

YUAN = 1_000_000
MONDAY = T0 + DAY  # midnight in Shanghai
STUDENTS = Customer("students", "university")


def a_place(name: str, operator: str | None = "Anhui Computing", **spec: Any) -> SiteView:
    """Eight cards of a list price of 5 CNY, and power."""
    made = a_class("gpu", listPrice="5", ratedPowerW=400)
    energy = {"pue": "1.5", "priceSchedule": [{"from": "00:00", "to": "24:00", "pricePerKwh": "1"}]}
    owned: dict[str, Any] = {"operator": operator} if operator else {}
    return a_site(name, {"gpu": [a_node()]}, classes=[made], energy=energy, **owned, **spec)


def prices(price: str = "6", valley: str = "4", **spec: Any) -> Manifest:
    """Card-hours that cost less at night."""
    item = {"name": "gpu", "unit": "CardHour", "price": price, "bandPrices": [{"band": "valley", "price": valley}]}
    return a_tariff("banded", packages=[], items=[item, *spec.pop("more", [])], **spec)


def sold(*tariffs: Manifest, customers: tuple[Customer, ...] = (), **country: Any) -> Country:
    """A country with tariffs in force."""
    plain = a_country(**country)
    quotes = Quotes.of([tariff(t) for t in tariffs], {c.account: c for c in customers})
    return Country(plain.regions, plain.links, plain.policy, charges=quotes)


def decided(job: Any, sites: list[SiteView], country: Country, now_ms: int) -> Decision:
    (decision,) = place([job], sites, country, now_ms).decisions.values()
    return decision


def test_a_tariff_is_compared_with_a_list_price_and_its_electricity() -> None:
    """Begun at noon, four cards for an hour: 24 CNY by the tariff, 20 and 2.40 for electricity without one."""
    sites = [a_place("billed"), a_place("listed", None)]
    job = a_job(cards=4, timing={"expectedDuration": "1h"})
    batch = make_batch([job], sites, sold(prices()), MONDAY + 12 * HOUR)
    costs = score(batch)
    assert {n: costs.lines[n][0].tolist() for n in ("run", "energy")} == {"run": [24e6, 20e6], "energy": [0, 2.4e6]}
    assert costs.paid_rp.tolist() == [[24e6, 22.4e6]]
    assert decided(job, sites, sold(prices()), MONDAY + 12 * HOUR).site == "listed"
    by_night = decided(job, sites, sold(prices()), MONDAY)
    assert by_night.site == "billed"
    assert by_night.estimate is not None
    assert by_night.estimate.cost == str(16 * YUAN)
    assert by_night.placement.cost is not None
    assert (by_night.placement.cost.run, by_night.placement.cost.total) == (str(16 * YUAN), str(16 * YUAN))
    assert by_night.message.endswith("; billed by Tariff banded")


def test_of_sites_that_bill_the_same_the_one_with_the_least_electricity_is_taken() -> None:
    """The name comes last; a cheaper bill, and the class that is wished first, go before."""

    def of(name: str, power: str, *classes: str, **spec: Any) -> SiteView:
        energy = {"pue": "1.5", "priceSchedule": [{"from": "00:00", "to": "24:00", "pricePerKwh": power}]}
        made = [a_class(c, ratedPowerW=400) for c in classes]
        nodes = {c: [a_node()] for c in classes}
        return a_site(name, nodes, classes=made, energy=energy, **{"operator": "Anhui Computing", **spec})

    def item(class_: str, price: str) -> Manifest:
        return {"name": class_, "unit": "CardHour", "price": price, "class": class_}

    flat = sold(a_tariff("flat", packages=[], items=[item("gpu", "6"), item("npu", "6"), item("old", "5")]))
    dear, cheap = of("a-dear", "0.9", "gpu"), of("b-cheap", "0.3", "gpu")
    assert decided(a_job(), [dear, cheap], flat, MONDAY).site == "b-cheap"
    assert decided(a_job(), [dear, of("c-like-it", "0.9", "gpu")], flat, MONDAY).site == "a-dear"
    either = a_job(classes=["gpu", "npu"])
    assert decided(either, [dear, of("b-cheap", "0.3", "npu")], flat, MONDAY).site == "a-dear"
    older = a_job(classes=["gpu", "old"])
    assert decided(older, [cheap, of("z-old", "2", "old")], flat, MONDAY).site == "z-old"


def test_of_hours_that_cost_the_same_nobody_waits_for_cheap_electricity() -> None:
    energy = {
        "pue": "1.5",
        "priceSchedule": [
            {"from": "08:00", "to": "22:00", "pricePerKwh": "1"},
            {"from": "22:00", "to": "08:00", "pricePerKwh": "0.2"},
        ],
    }
    site = a_site("one", {"gpu": [a_node()]}, classes=[a_class("gpu")], energy=energy, operator="Anhui Computing")
    job = a_job(timing={"expectedDuration": "1h", "deferrable": "24h"})
    assert decided(job, [site], sold(prices("6", "6")), MONDAY + 12 * HOUR).site == "one"


def test_every_account_pays_by_its_own_terms() -> None:
    jobs = [a_job("a", account="students"), a_job("b", account="company"), a_job("c", account="students", qos="High")]
    urgent = {"name": "urgent", "unit": "CardHour", "qos": "High", "price": "8"}
    usual = [{"name": qos.lower(), "unit": "CardHour", "qos": qos, "price": "4"} for qos in ("Normal", "Low")]
    country = sold(a_tariff(items=[urgent, *usual], packages=[], schedules=[]), customers=(STUDENTS,))
    batch = make_batch(jobs, [a_place("one")], country, MONDAY)
    paid = {row.jobs[0].uid: paid for row, paid in zip(batch.rows, score(batch).paid_rp[:, 0].tolist(), strict=True)}
    assert paid == {"a": 2.4e6, "b": 4e6, "c": 4.8e6}


def test_all_that_a_tariff_prices_is_compared_as_it_is_billed() -> None:
    """Rows of all sizes and lengths over several pools: near to what each will be billed, one by one."""
    more = [
        {"name": "ram", "unit": "MemoryGiBHour", "price": "0.02", "step": "Hour"},
        {"name": "cores", "unit": "CoreHour", "price": "0.1", "atLeast": "30m"},
        {"name": "disk", "unit": "StorageTBDay", "price": "3", "step": "Day"},
        {"name": "power", "unit": "EnergyKWh", "price": "0.7"},
        {"name": "carbon", "unit": "CarbonTonne", "price": "90"},
    ]
    country = sold(prices(more=more), customers=(STUDENTS,))
    sites = [a_place("one"), a_place("two", None), a_place("three"), a_place("four", "Somebody")]
    scratch = {"image": "i", "scratch": {"size": "1Ti", "mountPath": "/s"}}
    jobs = [
        a_job(
            f"j{i}", tasks=i % 3 + 1, cards=i % 4 + 1, cores=f"{i * 700 + 1}m", memory=f"{i + 1}Gi", account="students" if i % 2 else "team",
            timing={"expectedDuration": f"{7 * i * i + 1}m"}, template=scratch if i % 5 else {"image": "i"},
        )
        for i in range(24)
    ]  # fmt: skip
    batch = make_batch(jobs, sites, country, MONDAY + 7 * HOUR)
    costs = score(batch)
    assert costs.billed_rp is not None
    offered = [view.site.metadata.name in ("one", "three") for view in batch.sites]
    assert costs.billed_rp.tolist() == [offered] * len(batch.rows)
    for r, p in zip(*(at.tolist() for at in np.nonzero(costs.billed_rp)), strict=True):
        exact = batch.bill(r, p, batch.now_ms)
        assert exact is not None
        assert abs(costs.paid_rp[r, p] - exact) <= 20
    assert batch.bill(0, offered.index(False), batch.now_ms) is None


def test_what_links_cost_by_their_operators_tariffs_is_estimated_and_limited() -> None:
    """Four cards for an hour at 6 CNY; 10 GiB in at 0.50, in the night at 0.20, 4 GiB out; the other link is of nobody."""
    regions = [a_region("here"), a_region("there", "31", "111"), a_region("far", "32", "112")]
    links = [
        a_link("there", "here", "3ms", operator="Roads", pricePerGib="9"),
        a_link("far", "there", "3ms", pricePerGib="9"),
    ]
    item = {"name": "any", "unit": "TransferGiB", "price": "0.5", "bandPrices": [{"band": "valley", "price": "0.2"}]}
    roads = a_tariff("roads", provider="Roads", items=[item], packages=[])
    country = sold(prices(), roads, regions=regions, links=links)
    data = {"inputs": [{"name": "a", "region": "far", "size": "10Gi"}], "outputs": {"region": "there", "size": "4Gi"}}
    wanted: dict[str, Any] = {"cards": 4, "timing": {"expectedDuration": "1h"}, "data": data}
    for hour, expected in ((12, 24 * YUAN + 7 * YUAN), (21, 24 * YUAN + 5 * YUAN + 800_000)):
        at_ms = MONDAY + hour * HOUR
        decision = decided(a_job(**wanted), [a_place("one")], country, at_ms)
        assert decision.estimate is not None
        assert decision.estimate.cost == str(expected), hour
    noon = MONDAY + 12 * HOUR
    costs = score(make_batch([a_job(**wanted)], [a_place("one"), a_place("listed", None)], country, noon))
    moved = 7e6 + 90e6  # compared by the tariff, and by the price of the link that has none
    assert costs.lines["transfer"].tolist() == [[moved, moved]]
    assert costs.paid_rp.tolist() == [[20e6 + 2.4e6 + moved, 31e6]]
    for most, reason in (("31000000", Reason.PLACED), ("30999999", Reason.NO_FEASIBLE_SITE)):
        job = a_job(**wanted, limits={"maxCost": most})
        assert decided(job, [a_place("one")], country, noon).reason is reason
    nothing = a_tariff("roads", provider="Roads", items=[{**item, "price": "0", "bandPrices": []}], packages=[])
    gift = score(
        make_batch([a_job(**wanted)], [a_place("one")], sold(prices(), nothing, regions=regions, links=links), noon)
    )
    assert gift.lines["transfer"].tolist() == [[90e6]], "a price of 0 is a price"
    free = sold(prices(), regions=regions, links=links)
    assert score(make_batch([a_job(**wanted)], [a_place("one")], free, noon)).lines["transfer"].tolist() == [[216e6]]
    told = decided(a_job(**wanted), [a_place("one")], free, noon)
    assert told.estimate is not None
    assert told.estimate.cost == str(24 * YUAN), "who runs the link asks nothing"


def test_data_go_where_the_tariffs_of_the_links_make_it_cheap() -> None:
    """By the links' own prices the other site would be cheaper; what is estimated is what was compared."""
    regions = [a_region("here"), a_region("there", "31", "111"), a_region("far", "32", "112")]
    links = [
        a_link("there", "here", "3ms", operator="Roads", pricePerGib="9"),
        a_link("there", "far", "3ms", operator="Rails", pricePerGib="1"),
    ]
    carriers = [
        a_tariff(
            name.lower(), provider=name, items=[{"name": "any", "unit": "TransferGiB", "price": price}], packages=[]
        )
        for name, price in (("Roads", "0.5"), ("Rails", "2"))
    ]
    country = sold(prices(), *carriers, regions=regions, links=links)
    data = {"inputs": [{"name": "a", "region": "there", "size": "10Gi"}]}
    job, noon = a_job(cards=4, timing={"expectedDuration": "1h"}, data=data), MONDAY + 12 * HOUR
    places = [a_place("near"), a_place("away", region="far")]
    decision = decided(job, places, country, noon)
    assert decision.site == "near"
    assert decision.estimate is not None
    assert decision.estimate.cost == str(24 * YUAN + 5 * YUAN)
    assert decision.placement.cost is not None
    assert decision.placement.cost.transfer == str(5 * YUAN)
    own = decided(job, places, sold(prices(), regions=regions, links=links), noon)
    assert own.site == "away"


def test_a_job_that_may_wait_waits_for_the_cheap_hours_of_its_tariff() -> None:
    """It comes on Monday at 20:00, and the valley begins at 22:00."""
    evening = MONDAY + 20 * HOUR
    job = a_job(cards=4, timing={"expectedDuration": "2h", "deferrable": "12h"}, submitted_ms=evening)
    decision = decided(job, [a_place("one")], sold(prices()), evening)
    assert decision.reason is Reason.DEFERRED
    assert decision.estimate is not None
    assert (decision.estimate.start, decision.estimate.cost) == (time_text(MONDAY + 22 * HOUR), str(4 * 2 * 4 * YUAN))
    assert "saves 16.00 of 48.00 CNY" in decision.message
    assert decision.placement.cost is not None
    assert (decision.placement.cost.run, decision.placement.cost.energy) == (str(32 * YUAN), "0")
    at_ten = decided(job, [a_place("one")], sold(prices()), MONDAY + 22 * HOUR)
    assert at_ten.site == "one"
    assert decided(job, [a_place("one")], sold(prices("4", "4")), evening).site == "one"


@pytest.mark.parametrize(("most", "reason"), [(32, Reason.DEFERRED), (31, None)])
def test_a_limit_may_be_met_at_another_hour(most: int, reason: Reason | None) -> None:
    evening = MONDAY + 20 * HOUR
    limits = {"maxCost": str(most * YUAN)}
    job = a_job(cards=4, timing={"expectedDuration": "2h", "deferrable": "12h"}, submitted_ms=evening, limits=limits)
    decision = decided(job, [a_place("one")], sold(prices()), evening)
    assert decision.reason is (reason or Reason.NO_FEASIBLE_SITE)
    assert (
        reason is not None or "would cost 48.00 CNY by Tariff banded, limits.maxCost is 31.00 CNY" in decision.message
    )


def test_the_estimate_is_of_the_hour_in_which_the_inputs_are_there() -> None:
    """450 GB over 1 Gbit/s take an hour: it begins in the valley, and moving is compared but not billed."""
    regions = [a_region("here"), a_region("there", "31")]
    link = a_link("here", "there", "2ms", bandwidth="1G", pricePerGib="0.01")
    data = {"inputs": [{"name": "set", "region": "there", "size": "450G"}]}
    job = a_job(timing={"expectedDuration": "1h"}, data=data)
    country = sold(prices(), regions=regions, links=[link])
    decision = decided(job, [a_place("one")], country, MONDAY + 21 * HOUR)
    assert decision.estimate is not None
    assert decision.estimate.start == time_text(MONDAY + 22 * HOUR)
    assert decision.estimate.cost == str(4 * YUAN)
    assert decision.placement.cost is not None
    assert decision.placement.cost.run == str(6 * YUAN)
    assert int(decision.placement.cost.transfer or 0) > 0
