"""A quote before a run is the bill after it, to the micro-yuan; prices as arrays come as close as rounding lets them."""

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from builders import an_agreement
from manifests import Manifest, a_tariff
from rates import DAY, HOUR, T0, bands, flat, tariff
from suanli.api.link import Direction, Leg
from suanli.api.tariff import Tariff
from suanli.base.clock import LAST_MS
from suanli.base.units import cpu_milli, whole
from suanli.billing.agreement import Carried
from suanli.billing.event import Owner, class_facts, pod_events, rates
from suanli.billing.owned import carried_events, owned_events
from suanli.billing.period import Period
from suanli.billing.pricebook import PriceBook
from suanli.billing.quote import KINDS, LATEST_MS, LONGEST_MS, Quotes
from suanli.billing.rating import Customer, rate
from suanli.billing.usage import PodUsage
from suanli.placement.snapshot import WaitingJob
from worlds import a_class, a_job, a_node, a_site, seeded

PROVIDER, GPU = "Anhui Computing", "gpu"
YUAN = 1_000_000


def a_place(unit: str = "Card", **spec: Any) -> Any:
    """A site of the tariff's provider."""
    made = [a_class(GPU, unit, precision="FP16", ratedPowerW=413)]
    energy = {"pue": "1.27", "greenShare": "0.35", "gridFactorGPerKwh": 571}
    return a_site("one", {GPU: [a_node()]}, classes=made, operator=PROVIDER, energy=energy, **spec).site


def quoted(
    job: WaitingJob, start_ms: int, run_ms: int, *tariffs: Manifest, customer: Customer | None = None, **place: Any
) -> int | None:
    """What is told before."""
    known = {customer.account: customer} if customer else {}
    return Quotes.of([tariff(t) for t in tariffs], known).cost(
        a_place(**place), GPU, job.job.spec, job.account, start_ms, run_ms
    )


def billed(
    job: WaitingJob, start_ms: int, run_ms: int, *tariffs: Manifest, customer: Customer | None = None, **place: Any
) -> int:
    """What every pod of exactly that run is billed."""
    site, spec = a_place(**place), job.job.spec
    facts = class_facts(site, GPU)
    assert facts is not None
    book = PriceBook([Tariff.model_validate(t) for t in tariffs], {site.metadata.name: PROVIDER})
    per_task, scratch = spec.resources.per_task, spec.template.scratch
    events = []
    for i in range(spec.tasks):
        run = PodUsage(
            f"p{i}", "u1", 1, site.metadata.name, GPU, start_ms, start_ms + run_ms, cpu_milli(per_task.cpu), whole(per_task.memory),
            per_task.cards,
        )  # fmt: skip
        owner = Owner("hub", job.account, "ns", "job", str(spec.qos))
        events += pod_events(
            run, owner, facts, book.borders(run.site), scratch_bytes=whole(scratch.size) if scratch else 0
        )
    known = {customer.account: customer} if customer else {}
    return rate(events, book, known, Period("all", start_ms, start_ms + run_ms + 1)).net_micro_yuan


def one_price(price: str, name: str = "plain", unit: str = "CardHour", **spec: Any) -> Manifest:
    """A tariff with one item."""
    return a_tariff(
        name, **{"schedules": [], "packages": [], "items": [{"name": "it", "unit": unit, "price": price}], **spec}
    )


def by_night(**spec: Any) -> Manifest:
    """4 CNY in the valley, 6 in the peak."""
    item = {"name": "it", "unit": "CardHour", "price": "6", "bandPrices": [{"band": "valley", "price": "4"}]}
    return a_tariff("banded", packages=[], items=[item], **spec)


def test_a_night_costs_less_than_a_day() -> None:
    job = a_job(cards=4, tasks=2)
    monday = T0 + DAY
    night, day = (quoted(job, monday + at * HOUR, HOUR, a_tariff()) for at in (2, 12))
    assert (night, day) == (None, None)  # of class "gpu" the tariff has no card-hours
    prices = by_night()
    assert quoted(job, monday + 2 * HOUR, HOUR, prices) == 8 * 4 * YUAN
    assert quoted(job, monday + 12 * HOUR, HOUR, prices) == 8 * 6 * YUAN
    assert quoted(job, monday + 7 * HOUR, 2 * HOUR, prices) == 8 * (4 + 6) * YUAN


@pytest.mark.parametrize(
    ("customer", "qos", "price"),
    [
        (Customer("team"), "Normal", 6),
        (Customer("team", "company"), "Normal", 6 * 80 // 100),
        (Customer("team", "", "spot"), "Normal", 2),
        (Customer("team"), "High", 9),
        (Customer("team", "nobody", "nothing"), "Low", 6),
        (Customer("other", "company", "spot"), "Normal", 6),
    ],
)
def test_class_plan_and_qos_of_the_account_count(customer: Customer, qos: str, price: float) -> None:
    items = [
        {"name": "usual", "unit": "CardHour", "qos": "Normal", "price": "6"},
        {"name": "cheap", "unit": "CardHour", "qos": "Low", "price": "6"},
        {"name": "urgent", "unit": "CardHour", "qos": "High", "price": "9"},
        {"name": "spot", "unit": "CardHour", "plan": "spot", "price": "2"},
    ]
    book = a_tariff(schedules=[], packages=[], items=items)
    expected = 4_800_000 if customer.customer_class == "company" and customer.account == "team" else price * YUAN
    assert quoted(a_job(qos=qos), T0, HOUR, book, customer=customer) == expected


def test_what_others_use_and_packages_are_not_counted() -> None:
    book = flat("2", brackets=[{"above": 1, "price": "1"}], freePerPeriod=1)
    assert quoted(a_job(), T0, 4 * HOUR, book) == 8 * YUAN
    assert billed(a_job(), T0, 4 * HOUR, book) == 3 * YUAN


@pytest.mark.parametrize(
    ("tariffs", "run_ms"),
    [
        ([], HOUR),
        ([one_price("5", provider="Somebody else")], HOUR),
        ([one_price("5", effectiveFrom="2027-01-01")], HOUR),
        ([one_price("5"), one_price("5", "twin")], HOUR),
        ([one_price("5", unit="CoreHour")], HOUR),
        ([one_price("5")], LONGEST_MS + 1),
    ],
)
def test_without_a_price_of_the_tariff_there_is_no_quote(tariffs: Sequence[Manifest], run_ms: int) -> None:
    assert quoted(a_job(), T0, run_ms, *tariffs) is None
    assert quoted(a_job(), T0, HOUR, one_price("5")) == 5 * YUAN


def test_who_begins_at_the_end_of_time_is_not_quoted() -> None:
    """Inputs over a thin link may take thousands of years."""
    assert quoted(a_job(), LAST_MS, HOUR, one_price("5")) is None
    assert quoted(a_job(), LATEST_MS, LONGEST_MS, one_price("5")) == 366 * 24 * 5 * YUAN
    pod = PodUsage("p", "u1", 1, "one", GPU, LAST_MS - 1, LAST_MS, 1, 1, 1)
    terms = an_agreement("u1", 1, site="one", provider=PROVIDER, class_=GPU)
    assert Quotes.of([tariff(one_price("5"))], {}).used([pod], {1: terms}) is None


def test_prices_change_where_bands_and_tariffs_do() -> None:
    old, new = by_night(), one_price("5", "new", effectiveFrom="2026-11-03")
    quotes = Quotes.of([tariff(old), tariff(new)], {})
    site = a_place()
    lineup = quotes.price(site, site.spec.resources[0], ("Normal", "", ""), T0)
    assert lineup is not None
    edges = lineup.edges_ms(T0, T0 + 4 * DAY)  # Sunday, Monday with bands, and from Tuesday on the new one
    assert [(int(edge) - T0) / HOUR for edge in edges] == [32, 46, 48]
    assert (lineup.tariff_at(T0), lineup.tariff_at(T0 + 2 * DAY)) == (old["metadata"]["name"], "new")


# --- random tariffs and runs


def some_tariff(r: Random, name: str, since: str, zone: str) -> Manifest:
    """One of which nothing depends on other use."""

    def price() -> str:
        return r.choice(["0", "0.000001", "0.123457", "5.5", "3.333333", "720"])

    def item(name: str, unit: str, **more: Any) -> Manifest:
        made: Manifest = {"name": name, "unit": unit, "price": price(), **more}
        if hours and r.random() < 0.7:
            made["bandPrices"] = [
                {"band": b, "price": price()} for b in sorted({h["band"] for s in hours for h in s["bands"]})
            ]
        if unit not in ("EnergyKWh", "CarbonTonne") and r.random() < 0.5:
            made["step"] = r.choice(["Second", "Minute", "Hour", "Day"])
        if unit not in ("EnergyKWh", "CarbonTonne") and r.random() < 0.3:
            made["atLeast"] = r.choice(["30m", "30h"])
        return made

    hours: list[Any] = []
    if r.random() < 0.8:
        edge = r.choice(["01:30", "08:00", "13:00"])
        split = bands(("00:00", edge, "valley"), (edge, "22:00", "peak"), ("22:00", "24:00", "valley"))
        rest = bands(("00:00", "24:00", r.choice(["valley", "rest"])))
        hours = [
            {"name": "w", "days": ["Workday"], "bands": split},
            {"name": "e", "days": ["Weekend", "Holiday"], "bands": rest},
        ]
    items = [item("gpu", r.choice(["CardHour", "CardDay"])), item("gpu-spot", "CardHour", plan="spot")]
    items += [item(f"cpu-{qos}".lower(), "CoreHour", qos=qos) for qos in r.sample(["Low", "Normal", "High"], 2)]
    for extra, unit in (
        ("ram", "MemoryGiBHour"),
        ("disk", "StorageTBDay"),
        ("power", "EnergyKWh"),
        ("carbon", "CarbonTonne"),
    ):
        items += [item(extra, unit)] if r.random() < 0.4 else []
    return a_tariff(
        name, effectiveFrom=since, timezone=zone, schedules=hours, items=items, packages=[], holidays=["2026-10-26"],
        workdays=["2026-10-24"], rounding=r.choice(["HalfEven", "Up"]),
    )  # fmt: skip


def a_case(seed: int) -> tuple[WaitingJob, int, int, list[Manifest], Customer]:
    """A job, when it begins, how long it runs, and who pays by what. The clocks of Berlin change on 2026-10-25."""
    r = Random(f"quote {seed}")
    zone = r.choice(["Asia/Shanghai", "Asia/Kolkata", "Europe/Berlin"])
    tariffs = [some_tariff(r, "first", "2026-01-01", zone)]
    tariffs += [some_tariff(r, "second", "2026-10-26", r.choice([zone, "UTC"]))] if r.random() < 0.5 else []
    scratch = (
        {"scratch": {"size": r.choice(["1Mi", "3Gi", "2Ti"]), "mountPath": "/scratch"}} if r.random() < 0.5 else {}
    )
    job = a_job(
        cards=r.randint(1, 8), cores=r.choice(["1m", "1500m", "64"]), memory=r.choice(["1Mi", "3Gi"]), tasks=r.randint(1, 5),
        qos=r.choice(["Low", "Normal", "High"]), template={"image": "i", **scratch},
    )  # fmt: skip
    start_ms = T0 - 9 * DAY + r.randrange(4 * DAY)
    run_ms = r.choice([1, 999, HOUR, r.randrange(1, 8 * DAY)])
    return (
        job,
        start_ms,
        run_ms,
        tariffs,
        Customer("team", r.choice(["", "university", "company"]), r.choice(["", "spot"])),
    )


@seeded(120)
@given(st.integers(0, 1 << 32))
def test_a_run_as_it_was_quoted_is_billed_so(seed: int) -> None:
    job, start_ms, run_ms, tariffs, customer = a_case(seed)
    assert quoted(job, start_ms, run_ms, *tariffs, customer=customer) == billed(
        job, start_ms, run_ms, *tariffs, customer=customer
    )


def some_links(r: Random, zone: str) -> tuple[list[Manifest], dict[str, str]]:
    """Tariffs of who runs links, one of them also the site's, and whose the links are."""
    hours = bands(("00:00", "09:30", "valley"), ("09:30", "24:00", "peak"))
    prices = ["0", "0.000001", "0.333333", "7.5"]

    def item(name: str, **more: Any) -> Manifest:
        banded = [{"band": "valley", "price": r.choice(prices)}] if r.random() < 0.6 else []
        return {"name": name, "unit": "TransferGiB", "price": r.choice(prices), "bandPrices": banded, **more}

    tariffs = [
        a_tariff(
            f"roads-{since}", provider="Roads", effectiveFrom=since, timezone=zone, packages=[], rounding=r.choice(["HalfEven", "Up"]),
            schedules=[{"name": "all", "bands": hours}], customerClasses=[{"name": "university", "percent": r.randint(0, 100)}],
            items=[item("a", link="a"), item("spot", plan="spot"), item("c", link="c", qos=r.choice(["Low", "High"]))],
        )
        for since in ("2026-01-01", "2026-10-28")
    ]  # fmt: skip
    return tariffs, {"a": "Roads", "b": r.choice(["Roads", PROVIDER]), "c": "Roads", "d": "", "e": "no tariff"}


@seeded(80)
@given(st.integers(0, 1 << 32))
def test_what_a_run_sends_over_links_is_billed_as_it_was_quoted(seed: int) -> None:
    job, start_ms, run_ms, tariffs, customer = a_case(seed)
    r = Random(f"links {seed}")
    roads, carriers = some_links(r, tariffs[0]["spec"]["timezone"])
    sent_ms, every = start_ms - r.randrange(DAY), [tariff(t) for t in (*tariffs, *roads)]
    legs = tuple(
        Leg(direction, link, carriers[link], r.randint(1, 1 << 43))
        for direction in Direction
        for link in r.sample(sorted(carriers), r.randint(0, len(carriers)))
    )
    moments = {Direction.IN: sent_ms, Direction.OUT: start_ms + run_ms}
    quotes, site = Quotes.of(every, {"team": customer}), a_place()
    alone = quotes.cost(site, GPU, job.job.spec, "team", start_ms, run_ms)
    told = quotes.cost(
        site, GPU, job.job.spec, "team", start_ms, run_ms, [(leg, moments[leg.direction]) for leg in legs]
    )

    terms = an_agreement("u1", 1, site="one", account="team", qos=str(job.job.spec.qos), legs=legs)
    carried = [Carried("u1", 1, direction, at_ms) for direction, at_ms in moments.items()]
    period = Period("all", sent_ms, start_ms + run_ms + 1)
    events = carried_events(carried, {("u1", 1): terms}, lambda _: frozenset(), period, "hub")
    assert len({event.id for event in events}) == len(events) == len(legs)
    book = PriceBook(every, {"one": PROVIDER}, carriers=carriers)
    billed = rate(events, book, {"team": customer}, period).net_micro_yuan
    assert alone is not None
    assert told == alone + billed
    assert (quotes.used([], {1: terms}, carried) or 0) == billed
    near = sum(
        leg.size
        * (quotes.carriage(leg.link, leg.operator, quotes.terms("team", terms.qos), moments[leg.direction]) or 0)
        for leg in legs
    )
    assert abs(near - billed) <= len(legs)


def test_attempts_that_are_given_up_send_nothing_that_is_billed() -> None:
    terms = an_agreement("u1", 1, legs=(Leg(Direction.IN, "a", "Roads", 1),))
    carried = [Carried(job, 1, Direction.IN, T0) for job in ("u1", "u2")]

    def events(lost: frozenset[int], begin_ms: int = T0) -> int:
        period = Period("some", begin_ms, begin_ms + 1)
        return len(carried_events(carried, {("u1", 1): terms}, lambda _: lost, period, "hub"))

    assert events(frozenset()) == 1
    assert events(frozenset({1})) == 0
    assert events(frozenset(), T0 + 1) == 0


@seeded(60)
@given(st.integers(0, 1 << 32))
def test_prices_as_arrays_are_as_near_as_rounding_lets_them(seed: int) -> None:
    """Lines are rounded one by one, energy and carbon to whole milliwatt-hours and milligrams for each pod, begun units to whole ones."""
    job, start_ms, run_ms, tariffs, customer = a_case(seed)
    assume(
        len({t["spec"]["timezone"] for t in tariffs}) == 1
    )  # the day on which another zone begins has two local days
    quotes, site, spec = Quotes.of([tariff(t) for t in tariffs], {"team": customer}), a_place(), job.job.spec
    exact = quotes.cost(site, GPU, spec, "team", start_ms, run_ms)
    lineup = quotes.price(site, site.spec.resources[0], quotes.terms("team", str(spec.qos)), start_ms)
    facts = class_facts(site, GPU)
    assert exact is not None
    assert lineup is not None
    assert facts is not None
    more = start_ms + 2 * DAY  # asked beside others: each by itself
    paid_kn = lineup.paid(np.array([more, start_ms, start_ms]), np.array([more + 1, start_ms, start_ms + run_ms]))
    per_task, scratch = spec.resources.per_task, spec.template.scratch
    usage = PodUsage("p", "u", 1, "one", GPU, 0, 1, cpu_milli(per_task.cpu), whole(per_task.memory), per_task.cards)
    near = sum(
        spec.tasks * numerator / denominator * float(paid_kn[KINDS.index(kind), 2])
        for kind, numerator, denominator in rates(usage, facts, whole(scratch.size) if scratch else 0)
    )
    assert not paid_kn[:, 1].any()
    dearest = 720 * YUAN / 1_000_000 * spec.tasks  # of half a milliwatt-hour, a milligram, or a millisecond of a core
    assert abs(near - exact) <= 200 + 40 * dearest


@seeded(60)
@given(st.integers(0, 1 << 32))
def test_what_a_job_has_used_costs_what_its_bill_says(seed: int) -> None:
    """Pods of two attempts that begin and end as they like, of sizes that were not agreed, more at a time than tasks, and some that nobody sent."""
    job, start_ms, _, tariffs, customer = a_case(seed)
    r = Random(f"used {seed}")
    terms: dict[str, Any] = {
        "site": "one", "provider": PROVIDER, "class_": GPU, "unit": "Card", "precision": "FP16", "qos": str(job.job.spec.qos),
        "account": "team", "cpu_milli": 4_000, "memory_bytes": 3 << 30, "cards": 4, "scratch_bytes": r.choice([0, 1 << 40]),
        "rated_power_w": 413, "pue_micro": 1_270_000, "green_micro": 350_000, "grid_factor_g_per_kwh": 571, "made_ms": start_ms,
        "tasks": r.randint(1, 4),
    }  # fmt: skip
    agreements = {epoch: an_agreement("u1", epoch, **terms) for epoch in (1, 2)}
    pods = []
    for i in range(r.randint(1, 6)):
        began = start_ms + r.randrange(3 * DAY)
        ended = began + r.choice([1, 999, HOUR, r.randrange(1, 4 * DAY)])
        held = r.choice([500, 4_000, 64_000]), r.choice([1 << 20, 3 << 30]), r.randint(1, 8)
        pods.append(PodUsage(f"p{i}", "u1", r.choice([1, 1, 2, 3]), "one", GPU, began, ended, *held))
    book = PriceBook([tariff(t) for t in tariffs], {"one": PROVIDER})
    period = Period("all", start_ms, start_ms + 10 * DAY)
    sent = {("u1", epoch): agreement for epoch, agreement in agreements.items()}
    events, _ = owned_events(pods, sent, lambda uid: frozenset(), period, "hub", book.borders)
    billed_now = rate(events, book, {"team": customer}, period)
    told = Quotes.of([tariff(t) for t in tariffs], {"team": customer}).used(pods, agreements)
    assert told == (billed_now.net_micro_yuan if billed_now.lines else None)
