"""Where the country has tariffs, runs cost what these bill for them; where jobs are of accounts, their quotas hold."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from builders import an_object
from rates import bands, flat, tariff
from suanli.api.account import ComputeAccount
from suanli.billing.facts import customers_of
from suanli.billing.quote import Quotes
from suanli.placement.accounts import Accounts, asked_milli
from suanli.simulate.engine import Ran, Simulation
from suanli.simulate.land import Land
from suanli.simulate.meter import Meter
from suanli.simulate.policies import BASELINES, Greedy, Policy, Suanli
from suanli.simulate.scenario import ScenarioSpec
from suanli.simulate.trace import TraceRow
from suanli.simulate.workload import Workload, draw

Spec = Callable[..., ScenarioSpec]
HALVES = [("00:00", "08:00", "valley"), ("08:00", "24:00", "day")]


def an_account(name: str, **spec: object) -> ComputeAccount:
    return ComputeAccount.model_validate(an_object("ComputeAccount", name, spec))


@pytest.fixture
def tariffed(land: Land) -> Land:
    """The western site's cards have a tariff from the third day on, cheaper by night and for universities; all else has none."""
    book = flat("3.70", bandPrices=[{"band": "valley", "price": "1.90"}], **{"class": "gpu"})
    book["spec"] |= {"effectiveFrom": "2026-01-03", "schedules": [{"name": "all", "bands": bands(*HALVES)}]}
    views = tuple(
        replace(
            view,
            site=view.site.model_copy(
                update={"spec": view.site.spec.model_copy(update={"operator": book["spec"]["provider"]})}
            ),
        )
        if view.site.metadata.name == "west"
        else view
        for view in land.views
    )
    lab = an_account("lab", customerClass="university")
    charges = Quotes.of([tariff(book)], customers_of([lab]))
    return replace(land, country=replace(land.country, charges=charges), views=views)


def ran(land: Land, work: Workload, policy: Policy) -> Ran:
    run = Simulation(land, work, policy, cycle_ms=60_000)
    while run.advance():
        pass
    return run.ran()


def policy_of(name: str, land: Land, work: Workload) -> Policy:
    if name == "suanli":
        return Suanli(land, work)
    return Greedy(BASELINES[name], land, work, Meter(land, work).expected_p, 1)


def kinds(spec: ScenarioSpec, account: str) -> list[object]:
    return [{**kind.model_dump(mode="json", by_alias=True), "account": account} for kind in spec.kinds]


@pytest.mark.parametrize("account", ["simulated", "lab"])
def test_runs_cost_what_the_tariff_bills(tariffed: Land, spec_of: Spec, rows: list[TraceRow], account: str) -> None:
    spec = spec_of(redraws=20, kinds=kinds(spec_of(), account))
    work = draw(rows, spec, tariffed, 1)
    done = ran(tariffed, work, Suanli(tariffed, work))
    bill, charges = Meter(tariffed, work).bill(done), tariffed.country.charges
    assert charges is not None
    assert 0 < bill.billed.sum() < len(work)
    for n in range(len(work)):
        p, type_ = int(done.pool_n[n]), work.types[int(work.type_n[n])]
        class_, start = tariffed.pools[p].resource.class_, int(done.start_ms[n])
        site, lasts = tariffed.site(p), int(done.end_ms[n]) - start
        cost = charges.cost(site, class_, type_.job.spec, account, start, lasts)
        assert bill.billed[n] == (cost is not None)
        if cost is not None:
            assert bill.run[n] == pytest.approx(cost, abs=3)
            assert (bill.energy[n], bill.paid[n]) == (0, bill.run[n])


def test_baselines_see_the_same_prices(tariffed: Land, spec_of: Spec, rows: list[TraceRow]) -> None:
    """What `cheapest` goes by is what the run then costs, where its time was known."""
    work = draw(rows, spec_of(redraws=20), tariffed, 1)
    work = replace(work, run_ms=work.expected_min * 60_000)
    meter = Meter(tariffed, work)
    done = ran(tariffed, work, Greedy(BASELINES["cheapest"], tariffed, work, meter.expected_p, 1))
    counted = meter.bill(done).counted
    for n in range(len(work)):
        assert meter.expected_p(n, int(done.start_ms[n]))[done.pool_n[n]] == pytest.approx(counted[n], abs=3)


def held(land: Land, work: Workload, done: Ran) -> Mapping[str, int]:
    """The most that jobs held of each class at a time. Units: thousandths."""
    most: Counter[str] = Counter()
    now: Counter[str] = Counter()
    moments = [(int(done.placed_ms[n]), 1, n) for n in range(len(work))]
    moments += [(int(done.end_ms[n]), -1, n) for n in range(len(work))]
    for _, sign, n in sorted(moments):
        class_ = land.pools[int(done.pool_n[n])].resource.class_
        now[class_] += sign * asked_milli(work.types[int(work.type_n[n])].job.spec)
        most[class_] = max(most[class_], now[class_])
    return most


@pytest.mark.parametrize("name", ["suanli", *BASELINES])
def test_no_policy_holds_more_than_the_quota(land: Land, spec_of: Spec, rows: list[TraceRow], name: str) -> None:
    """Without it they hold more, so it is the quota that has them wait; in the end all have run."""
    small = [row for row in rows if row.units <= 4][:120]
    work = draw(small, spec_of(redraws=20, kinds=kinds(spec_of(), "lab")), land, 1)
    free = held(land, work, ran(land, work, policy_of(name, land, work)))
    assert free["gpu"] > 5_000
    quotas = [{"class": "gpu", "nominal": 5}]
    bound = replace(land, accounts=Accounts({"lab": an_account("lab", quotas=quotas)}))
    done = ran(bound, work, policy_of(name, bound, work))
    assert np.all(done.pool_n >= 0)
    assert held(bound, work, done)["gpu"] <= 5_000
