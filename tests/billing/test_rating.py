"""Lines of a bill: what they say, what they come to, and that an independent reckoning in fractions finds the same."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import Manifest, a_tariff
from rates import (
    DAY,
    HOUR,
    PERIOD,
    PROVIDER,
    SITE,
    T0,
    a_book,
    a_run,
    an_event,
    an_owner,
    bands,
    events_of,
    flat,
    identified,
)
from suanli.billing.event import UsageEvent, UsageKind
from suanli.billing.line import RatedLine, line_record
from suanli.billing.period import Period, month
from suanli.billing.rating import Customer, Rating, Subscription, adjustments, rate

K = UsageKind
LAB = Customer("lab")
YUAN = 1_000_000
WIDE = Period("wide", PERIOD.start_ms - 2 * DAY, PERIOD.end_ms + 2 * DAY)


def bill(events: list[UsageEvent], *tariffs: Manifest, customer: Customer = LAB, period: Period = PERIOD) -> Rating:
    return rate(events, a_book(*tariffs), {customer.account: customer}, period)


def only(rating: Rating) -> RatedLine:
    (line,) = rating.lines
    assert rating.unrated == ()
    return line


def cards(hours: float, start_ms: int = T0, pod: str = "p1", **fields: Any) -> list[UsageEvent]:
    """One card for so many hours, cut at full hours."""
    end, found = start_ms + round(hours * HOUR), []
    while start_ms < end:
        cut = min(end, (start_ms // HOUR + 1) * HOUR)
        found.append(an_event(start_ms=start_ms, end_ms=cut, amount=cut - start_ms, pod_uid=pod, **fields))
        start_ms = cut
    return found


# --- one line


def test_a_line_tells_all_that_made_it() -> None:
    rating = bill([an_event()], customer=Customer("lab", "university"))
    line = only(rating)
    assert line_record(line) == {
        "id": line.id,
        "period": "2026-11",
        "account": "lab",
        "namespace": "team-a",
        "job": "train",
        "job_uid": "u1",
        "site": SITE,
        "provider": PROVIDER,
        "tariff": "anhui-2026",
        "item": "a100",
        "band": "valley",
        "bracket": 0,
        "qos": "Normal",
        "customer_class": "university",
        "kind": "card-time",
        "class": "nvidia-a100-80g",
        "precision": "FP16",
        "quantity": str(4 * HOUR),
        "price_micro_yuan": "4000000",
        "list_micro_yuan": "16000000",
        "discount_micro_yuan": "6400000",
        "net_micro_yuan": "9600000",
        "commission_permille": 50,
        "tax_permille": 60,
        "events": 1,
        "adjusts": "",
        "link": "",
    }
    assert rating.net_micro_yuan == 9_600_000


def test_the_total_is_the_sum_of_lines() -> None:
    rating = bill(events_of([a_run(T0 + 5 * HOUR, 40 * HOUR)], a_book()))
    assert len(rating.lines) == 4
    assert rating.net_micro_yuan == sum(line.net_micro_yuan for line in rating.lines)
    assert len({line.id for line in rating.lines}) == 4


@pytest.mark.parametrize(
    ("how", "price", "ms", "net"),
    [
        ("HalfEven", "0.000001", HOUR // 2, 0),
        ("HalfEven", "0.000003", HOUR // 2, 2),
        ("HalfEven", "0.000001", HOUR // 2 + 1, 1),
        ("Up", "0.000001", 1, 1),
        ("Up", "0.000001", HOUR, 1),
    ],
)
def test_a_line_is_rounded_once_as_the_tariff_says(how: str, price: str, ms: int, net: int) -> None:
    assert (
        only(bill(cards(ms / HOUR), {**flat(price), "spec": {**flat(price)["spec"], "rounding": how}})).net_micro_yuan
        == net
    )


def test_many_events_of_a_line_are_not_rounded_one_by_one() -> None:
    line = only(bill(cards(10 / 3_600_000, T0) + cards(HOUR * 0.5 / HOUR, T0 + HOUR), flat("0.000001")))
    assert (line.events, line.net_micro_yuan) == (2, 1)


# --- which price


def test_the_tariff_of_the_day_holds() -> None:
    later = a_tariff("anhui-late", effectiveFrom="2026-11-02")
    rating = bill(cards(26, T0 + 23 * HOUR), a_tariff(), later)
    assert {(line.tariff, line.quantity // HOUR) for line in rating.lines if line.band == "valley"} == {
        ("anhui-2026", 1),
        ("anhui-late", 11),  # 0 to 8, 22 to 24, and one on Tuesday
    }


@pytest.mark.parametrize(
    ("when", "band"),
    [
        ("2026-11-02T07:59", "valley"),
        ("2026-11-02T08:00", "peak"),
        ("2026-11-02T21:59", "peak"),
        ("2026-11-02T22:00", "valley"),
        ("2026-11-01T12:00", "valley"),  # a Sunday
        ("2026-10-01T12:00", "valley"),  # a holiday
        ("2026-10-10T12:00", "peak"),  # a Saturday that is worked
    ],
)
def test_bands_go_by_the_tariffs_clock_and_kind_of_day(when: str, band: str) -> None:
    start = round(datetime.fromisoformat(f"{when}+08:00").timestamp() * 1000)
    events = cards(1 / 60, start)
    assert only(bill(events, period=Period("p", start, start + 1))).band == band


def test_bands_follow_the_clocks_through_a_change_of_time() -> None:
    """In Berlin the hour from 2 to 3 comes twice on 2026-10-25."""
    hours = bands(("00:00", "02:00", "night"), ("02:00", "03:00", "odd"), ("03:00", "24:00", "day"))
    berlin = a_tariff(
        timezone="Europe/Berlin", schedules=[{"name": "all", "bands": hours}], packages=[],
        items=[{"name": "it", "unit": "CardHour", "price": "1"}],
    )  # fmt: skip
    period = month("2026-10", "Europe/Berlin")
    midnight = round(datetime(2026, 10, 25, tzinfo=ZoneInfo("Europe/Berlin")).timestamp() * 1000)
    rating = rate(cards(25, midnight), a_book(berlin), {}, period)
    assert {line.band: line.quantity // HOUR for line in rating.lines} == {"night": 2, "odd": 2, "day": 21}


def test_quality_of_service_precision_and_plan_choose_the_item() -> None:
    items = [
        {"name": "low", "unit": "CardHour", "qos": "Low", "price": "4"},
        {"name": "normal", "unit": "CardHour", "qos": "Normal", "precision": "FP16", "price": "6"},
        {"name": "normal-32", "unit": "CardHour", "qos": "Normal", "precision": "FP32", "price": "7"},
        {"name": "spot", "unit": "CardHour", "plan": "spot", "qos": "Low", "price": "1"},
    ]
    book = a_tariff(schedules=[], packages=[], items=items)
    cases: list[tuple[dict[str, Any], str, str]] = [
        ({"qos": "Low"}, "", "low"),
        ({}, "", "normal"),
        ({"precision": "FP32"}, "", "normal-32"),
        ({"qos": "Low"}, "spot", "spot"),
        ({}, "spot", "normal"),
        ({"qos": "Low"}, "no-such-plan", "low"),
    ]
    for fields, plan, item in cases:
        assert only(bill(cards(1, **fields), book, customer=Customer("lab", plan=plan))).item == item


def a_transfer(link: str = "wuhan-wuhu", gib: int = 3, **fields: Any) -> UsageEvent:
    whole = {"class_": "", "precision": "", "pod_uid": "", "end_ms": T0, "amount": gib << 30, **fields}
    return an_event(K.TRANSFER, link=link, **whole)


def test_a_link_has_its_price_and_a_gib_is_a_gib() -> None:
    line = only(bill([a_transfer()]))
    assert (line.net_micro_yuan, line.provider, line.site) == (60_000, PROVIDER, SITE)


def test_a_transfer_is_billed_by_the_tariff_of_who_runs_the_link() -> None:
    """Not by that of who runs the site, though it has a price for any link."""
    site = flat("9", "TransferGiB")
    items = [
        {"name": "hefei", "unit": "TransferGiB", "link": "wuhu-hefei", "price": "0.5", "freePerPeriod": 1},
        {"name": "spot", "unit": "TransferGiB", "plan": "spot", "price": "0.1"},
    ]
    classes = [{"name": "university", "percent": 50}]
    roads = a_tariff("roads", provider="Anhui Roads", schedules=[], packages=[], items=items, customerClasses=classes)
    line = only(bill([a_transfer("wuhu-hefei")], site, roads, customer=Customer("lab", "university")))
    assert (line.provider, line.tariff, line.item) == ("Anhui Roads", "roads", "hefei")
    assert (line.quantity, line.list_micro_yuan, line.net_micro_yuan) == (3 << 30, 1_500_000, 500_000)
    assert only(bill([a_transfer("wuhu-hefei")], site, roads, customer=Customer("lab", "", "spot"))).item == "spot"


def test_two_links_of_one_item_have_a_line_each_and_share_its_volume() -> None:
    roads = a_tariff(
        "roads",
        provider="Anhui Roads",
        schedules=[],
        packages=[],
        items=[{"name": "moved", "unit": "TransferGiB", "price": "0.5", "freePerPeriod": 4}],
    )
    events = [a_transfer("wuhu-hefei", start_ms=T0), a_transfer("wuhu-xuancheng", start_ms=T0 + 1, end_ms=T0 + 1)]
    found = bill(events, roads)
    assert [(line.link, line.quantity >> 30, line.net_micro_yuan) for line in found.lines] == [
        ("wuhu-hefei", 3, 0),
        ("wuhu-xuancheng", 3, 1_000_000),
    ]
    assert len({line.id for line in found.lines}) == 2


@pytest.mark.parametrize("link", ["campus", "unheard-of", "wuhu-hefei"])
def test_what_goes_over_a_link_of_nobody_or_of_one_without_a_tariff_is_no_money(link: str) -> None:
    found = bill([a_transfer(link)], flat("9", "TransferGiB"))
    assert (found.lines, found.unrated) == ((), ())


def test_a_tariff_for_other_links_has_a_hole_that_is_told() -> None:
    found = bill([a_transfer()], flat("9", "TransferGiB", link="wuhu-hefei"))
    assert found.lines == ()
    assert [(one.kind, "link wuhan-wuhu" in one.why) for one in found.unrated] == [("transfer", True)]


def test_what_no_item_is_about_is_not_billed() -> None:
    events = [an_event(kind) for kind in (K.MEMORY_TIME, K.ENERGY, K.CARBON)]
    assert (bill(events).lines, bill(events).unrated) == ((), ())
    energy = flat("0.684", "EnergyKWh")
    assert only(bill([an_event(K.ENERGY, amount=1_500_000)], energy)).net_micro_yuan == 1_026_000


# --- volumes


def test_brackets_are_marginal_and_a_line_has_one() -> None:
    item = flat("0.12", brackets=[{"above": 2, "price": "0.10"}, {"above": 5, "price": "0.08"}])
    rating = bill(cards(8.5), item)
    assert [(x.bracket, x.quantity / HOUR, x.net_micro_yuan) for x in rating.lines] == [
        (0, 2.0, 240_000),
        (1, 3.0, 300_000),
        (2, 3.5, 280_000),
    ]


def test_volume_is_the_accounts_and_starts_again_with_each_account() -> None:
    item = flat("1", brackets=[{"above": 1, "price": "0.5"}])
    events = cards(1, job="a", job_uid="a") + cards(1, T0 + HOUR, "p2", job="b", job_uid="b")
    other = [identified("h", replace(e, account="other")) for e in cards(1, T0 + 2 * HOUR)]
    rating = bill(events + other, item)
    assert [(x.account, x.job, x.bracket) for x in rating.lines] == [
        ("lab", "a", 0),
        ("lab", "b", 1),
        ("other", "train", 0),
    ]


def test_volume_runs_on_under_a_new_tariff() -> None:
    brackets = [{"above": 2, "price": "1"}]
    old, new = flat("2", brackets=brackets), flat("4", brackets=brackets)
    new = {**new, "metadata": {"name": "new"}, "spec": {**new["spec"], "effectiveFrom": "2026-11-02"}}
    rating = bill(cards(4, T0 + 23 * HOUR), old, new)
    assert [(x.tariff, x.bracket, x.quantity // HOUR) for x in rating.lines] == [
        ("anhui-2026", 0, 1), ("new", 0, 1), ("new", 1, 2),
    ]  # fmt: skip


def test_free_units_are_listed_and_not_paid() -> None:
    line = only(bill(cards(3), flat("2", freePerPeriod=2)))
    assert (line.quantity, line.list_micro_yuan, line.net_micro_yuan) == (3 * HOUR, 6 * YUAN, 2 * YUAN)


# --- steps


@pytest.mark.parametrize(
    ("step", "ms", "counted"),
    [
        ("Second", 1, 1_000),
        ("Second", 1_000, 1_000),
        ("Minute", 61_000, 120_000),
        ("Hour", HOUR + 1, 2 * HOUR),
        ("Day", 1, DAY),
        ("Day", DAY, DAY),
    ],
)
def test_what_is_begun_counts_whole(step: str, ms: int, counted: int) -> None:
    assert sum(x.quantity for x in bill(cards(ms / HOUR), flat(step=step)).lines) == counted


def test_a_day_lease_counts_every_local_day_on_which_the_pod_ran() -> None:
    rating = bill(cards(26, T0 + 23 * HOUR), flat("720", "CardDay", step="Day"))
    assert only(rating).net_micro_yuan == 3 * 720 * YUAN


def test_a_least_time_is_of_a_pods_day() -> None:
    item = flat("1", atLeast="30m")
    assert only(bill(cards(0.1) + cards(0.1, T0 + HOUR), item)).quantity == HOUR // 2
    assert only(bill(cards(0.1) + cards(0.1, pod="p2"), item)).quantity == HOUR
    assert only(bill(cards(2), item)).quantity == 2 * HOUR


def test_what_rounding_adds_counts_with_the_last_event_of_the_day() -> None:
    hours = bands(("00:00", "01:00", "a"), ("01:00", "24:00", "b"))
    items = [{"name": "it", "unit": "CardHour", "price": "1", "step": "Hour"}]
    spec = a_tariff(schedules=[{"name": "all", "bands": hours}], items=items, packages=[])
    rating = bill(cards(0.75, T0 + HOUR // 2), spec)
    assert {x.band: x.quantity for x in rating.lines} == {"a": HOUR // 2, "b": HOUR // 2}


# --- packages


def packaged(period: str = "Month", **package: Any) -> Manifest:
    whole = {"name": "pack", "item": "it", "period": period, "included": 10, "fee": "50", **package}
    made = flat("6")
    return {**made, "spec": {**made["spec"], "packages": [whole]}}


def subscribed(since: str = "2026-01-01", until: str = "", package: str = "pack") -> Customer:
    return Customer("lab", subscriptions=(Subscription(PROVIDER, package, since, until),))


def test_a_months_package_costs_its_fee_and_covers_its_units_and_what_is_beyond_costs_the_items_price() -> None:
    rating = bill(cards(12), packaged(), customer=subscribed())
    assert [
        (x.item, x.bracket, x.quantity // HOUR, x.list_micro_yuan, x.net_micro_yuan, x.events) for x in rating.lines
    ] == [
        ("pack", 0, 10, 50 * YUAN, 50 * YUAN, 0),
        ("it", 0, 12, 72 * YUAN, 12 * YUAN, 12),
    ]


def test_a_commitment_is_paid_whether_used_or_not_and_its_overage_by_its_own_price() -> None:
    rating = bill(cards(12), packaged(overagePrice="4"), customer=subscribed())
    assert [(x.item, x.bracket, x.job, x.quantity // HOUR, x.net_micro_yuan) for x in rating.lines] == [
        ("pack", 0, "", 10, 50 * YUAN),
        ("it", 0, "train", 10, 0),
        ("pack", 1, "train", 2, 8 * YUAN),
    ]
    assert only(bill([], packaged(overagePrice="4"), customer=subscribed())).net_micro_yuan == 50 * YUAN


def test_a_days_package_is_paid_and_begins_anew_every_day() -> None:
    customer = subscribed("2026-11-01", "2026-11-03")
    rating = bill(
        cards(4) + cards(11, T0 + DAY, "p2") + cards(1, T0 + 2 * DAY, "p3"), packaged("Day"), customer=customer
    )
    assert [(x.item, x.quantity // HOUR, x.net_micro_yuan) for x in rating.lines] == [
        ("pack", 20, 100 * YUAN),
        ("it", 16, 12 * YUAN),
    ]


@pytest.mark.parametrize(
    ("since", "until", "fees"),
    [
        ("2026-01-01", "", 1), ("2026-11-30", "", 1), ("2026-11-15", "2026-11-16", 1), ("2026-12-01", "", 0),
        ("2026-01-01", "2026-11-01", 0), ("2026-11-05", "2026-11-05", 0),
    ],
)  # fmt: skip
def test_a_months_fee_falls_due_once_on_its_first_day(since: str, until: str, fees: int) -> None:
    lines = bill([], packaged(), customer=subscribed(since, until)).lines
    assert [x.net_micro_yuan for x in lines] == [50 * YUAN] * fees


@pytest.mark.parametrize(
    ("zones", "days"),
    [
        # A day begins by the clocks of the tariff that holds then; the 10th, with which the second one begins, once.
        (("Asia/Shanghai", "UTC"), (10, 20)),
        (("UTC", "Asia/Shanghai"), (9, 21)),
        (("Pacific/Kiritimati", "America/New_York"), (10, 20)),
        (("America/New_York", "Pacific/Kiritimati"), (9, 21)),
    ],
)
def test_no_day_of_a_package_is_paid_twice_or_never_where_the_next_tariff_has_another_time_zone(
    zones: tuple[str, str], days: tuple[int, int]
) -> None:
    first, second = packaged("Day"), packaged("Day", fee="60")
    first = {**first, "spec": {**first["spec"], "timezone": zones[0], "effectiveFrom": "2026-01-01"}}
    later = {**second["spec"], "timezone": zones[1], "effectiveFrom": "2026-11-10"}
    second = {**second, "metadata": {"name": "second"}, "spec": later}
    lines = bill([], first, second, customer=subscribed("2026-11-01", "2026-12-01"), period=WIDE).lines
    assert [x.net_micro_yuan for x in lines] == [days[0] * 50 * YUAN, days[1] * 60 * YUAN]
    own = bill([], second, customer=subscribed("2026-11-15", "2026-11-16"), period=WIDE).lines
    assert [x.net_micro_yuan for x in own] == [60 * YUAN]


def test_a_days_fee_falls_into_the_period_in_which_it_begins_by_the_present_tariff() -> None:
    old, new = packaged("Day"), packaged("Day")
    old = {**old, "spec": {**old["spec"], "timezone": "Pacific/Kiritimati", "effectiveFrom": "2025-01-01"}}
    new = {**new, "metadata": {"name": "new"}, "spec": {**new["spec"], "effectiveFrom": "2026-01-01"}}
    lines = bill([], old, new, customer=subscribed("2026-12-01", "2026-12-02")).lines
    assert lines == ()  # by the clocks of Kiritimati, which no longer count, December has begun ten hours before


def test_two_of_a_package_cover_twice_and_cost_twice() -> None:
    twice = replace(subscribed(), subscriptions=subscribed().subscriptions * 2)
    rating = bill(cards(21), packaged(), customer=twice)
    assert [(x.item, x.quantity // HOUR, x.net_micro_yuan) for x in rating.lines] == [
        ("pack", 20, 100 * YUAN),
        ("it", 21, 6 * YUAN),
    ]


def test_customer_classes_reduce_neither_fee_nor_overage() -> None:
    spec = packaged(overagePrice="4")
    rating = bill(cards(12), spec, customer=replace(subscribed(), customer_class="university"))
    assert [(x.item, x.customer_class, x.net_micro_yuan) for x in rating.lines] == [
        ("pack", "", 50 * YUAN), ("it", "university", 0), ("pack", "", 8 * YUAN),
    ]  # fmt: skip


def test_a_package_that_no_tariff_has_is_told() -> None:
    (unrated,) = bill([], packaged(), customer=subscribed("2026-11-30", package="gold")).unrated
    assert unrated.why == f'provider "{PROVIDER}" has no package "gold" on 2026-11-30; end the subscription'


# --- what cannot be rated


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (an_event(site="east"), "the site has no operator; set spec.operator"),
        (an_event(start_ms=HOUR, end_ms=2 * HOUR), "not exactly one tariff for that time; apply one with an earlier effectiveFrom"),
        (an_event(class_="ascend-910b"), "no item for card-time of class ascend-910b, precision FP16, qos Normal; add one"),
        (an_event(start_ms=T0 - 1, end_ms=T0), "did not begin in period 2026-11; rate it with its own period"),
        (an_event(start_ms=T0 + 32 * HOUR - 1, end_ms=T0 + 32 * HOUR + 1), "spans a border of Tariff anhui-2026; cut it"),
        (an_event(amount=-1), "take away more than it was"),
        (an_event(adjusts="f" * 32, amount=-1), "the event that it adjusts is not among those of the period"),
    ],
)  # fmt: skip
def test_what_cannot_be_rated_is_told_and_priced_by_no_guess(event: UsageEvent, says: str) -> None:
    rating = bill([event])
    (unrated,) = rating.unrated
    assert rating.lines == ()
    assert says in unrated.why
    assert (unrated.events, unrated.quantity, unrated.example, unrated.kind) == (1, event.amount, event.id, "card-time")


def test_an_event_that_runs_into_the_next_tariff_is_not_rated() -> None:
    """The next one counts its days in another zone, so it begins in the middle of a day of this one."""
    later = flat("2")
    later = {
        **later,
        "metadata": {"name": "later"},
        "spec": {**later["spec"], "timezone": "Asia/Kolkata", "effectiveFrom": "2026-11-02"},
    }
    begin = T0 + DAY + 5 * HOUR // 2  # 2026-11-02 00:00 in Kolkata
    (unrated,) = bill([an_event(start_ms=begin - 1, end_ms=begin + 1)], flat("1"), later).unrated
    assert "it spans a border of Tariff anhui-2026" in unrated.why
    assert [x.tariff for x in bill(cards(1, begin), flat("1"), later).lines] == ["later"]


def test_two_tariffs_from_one_day_on_price_nothing() -> None:
    (unrated,) = bill([an_event()], a_tariff(), a_tariff("twin")).unrated
    assert "has not exactly one tariff for that time" in unrated.why


def test_two_events_of_one_id_that_differ_are_both_told() -> None:
    one = an_event()
    for events in ([one, replace(one, amount=7)], [replace(one, amount=7), one]):
        (unrated,) = bill([*events, an_event(pod_uid="p2")]).unrated
        assert "says otherwise" in unrated.why
        assert (unrated.events, unrated.quantity) == (2, one.amount + 7)


# --- adjustments


def test_an_adjustment_is_netted_with_the_event_that_it_names() -> None:
    one = an_event()
    less = an_event(adjusts=one.id, amount=-3 * HOUR)
    more = an_event(adjusts=less.id, amount=HOUR)
    line = only(bill([more, less, one], flat("1")))
    assert (line.quantity, line.events) == (2 * HOUR, 1)


def test_a_late_event_moves_what_it_would_have_moved() -> None:
    """It came before others, which thereby are in another bracket."""
    spec = flat("2", brackets=[{"above": 2, "price": "1"}])
    on_time, late = cards(2, T0 + HOUR, "p2", job="b", job_uid="b"), cards(1)
    december = month("2026-12", "Asia/Shanghai")
    billed = bill(on_time, spec).lines
    lines = adjustments(december, PERIOD, billed, bill(on_time + late, spec).lines)
    assert [(x.job, x.bracket, x.quantity // HOUR, x.net_micro_yuan, x.events) for x in lines] == [
        ("b", 0, -1, -2 * YUAN, -1),
        ("b", 1, 1, YUAN, 1),
        ("train", 0, 1, 2 * YUAN, 1),
    ]
    assert {(x.period, x.adjusts) for x in lines} == {("2026-12", "2026-11")}
    assert not {x.id for x in lines} & {x.id for x in billed}
    assert sum(x.net_micro_yuan for x in (*billed, *lines)) == bill(on_time + late, spec).net_micro_yuan


# --- the oracle: one event after the other, in fractions, written from the README

ZONES = ("Asia/Shanghai", "Asia/Kolkata", "Europe/Berlin")
Oracle = dict[tuple[Any, ...], list[Fraction]]
SIZES = {"CoreHour": 1_000 * HOUR, "CardHour": HOUR, "CardDay": DAY, "MemoryGiBHour": (1 << 30) * HOUR}
KINDS = {"CoreHour": "core-time", "CardHour": "card-time", "CardDay": "card-time", "MemoryGiBHour": "memory-time"}
STEPS = {None: 1, "Second": 1_000, "Minute": 60_000, "Hour": HOUR, "Day": DAY}


def local(ms: int, zone: str) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).astimezone(ZoneInfo(zone))


def band_of(spec: Manifest, moment: datetime) -> str:
    day = moment.date().isoformat()
    weekend = moment.weekday() > 4 and day not in spec.get("workdays", ())
    kind = "Holiday" if day in spec.get("holidays", ()) else "Weekend" if weekend else "Workday"
    clock = f"{moment:%H:%M}"
    for schedule in spec["schedules"]:
        if kind in schedule.get("days", [kind]) and moment.month in schedule.get("months", [moment.month]):
            return next(str(h["band"]) for h in schedule["bands"] if h["from"] <= clock < h["to"])
    return ""


def rounded(exact: Fraction, how: str) -> int:
    return -int(-exact // 1) if how == "Up" else round(exact)


def reckoned(
    events: list[UsageEvent], tariffs: list[Manifest], customer: Customer
) -> dict[tuple[Any, ...], tuple[int, int, int]]:
    """Quantity, list and net by (job, tariff, item, band, bracket, qos)."""
    lines: Oracle = defaultdict(lambda: [Fraction(0), Fraction(0), Fraction(0)])
    volume: dict[str, int] = defaultdict(int)
    covered: dict[Any, int] = defaultdict(int)
    per_day: dict[Any, list[UsageEvent]] = defaultdict(list)
    order = sorted(events, key=lambda e: (e.start_ms, e.id))
    chosen = {}
    for e in order:
        spec_name = [(t["spec"]["effectiveFrom"], t["metadata"]["name"], t["spec"]) for t in tariffs]
        _, name, spec = max(s for s in spec_name if s[0] <= f"{local(e.start_ms, s[2]['timezone']):%Y-%m-%d}")
        item = next((i for i in spec["items"] if KINDS[i["unit"]] == e.kind and i.get("qos", e.qos) == e.qos), None)
        chosen[e.id] = (name, spec, item)
        if item:
            per_day[e.pod_uid, item["name"], local(e.start_ms, spec["timezone"]).date()].append(e)
    extra: dict[str, int] = {}
    for group in per_day.values():
        item = chosen[group[-1].id][2]
        assert item is not None
        spent, amount = sum(e.end_ms - e.start_ms for e in group), sum(e.amount for e in group)
        step, least = STEPS[item.get("step")], {None: 0, "30m": HOUR // 2}[item.get("atLeast")]
        counted = max(least, -(-spent // step) * step)
        extra[group[-1].id] = rounded(Fraction(amount * (counted - spent), spent), "Up")
    for e in order:
        name, spec, item = chosen[e.id]
        if item is None:
            continue
        moment = local(e.start_ms, spec["timezone"])
        begin = volume[item["name"]]
        end = volume[item["name"]] = begin + e.amount + extra.get(e.id, 0)
        size, steps = SIZES[item["unit"]], item.get("brackets", [])
        free = item.get("freePerPeriod", 0) * size
        cuts = sorted({begin, end, *(c for c in (free, *(b["above"] * size for b in steps)) if begin < c < end)})
        for low, high in pairwise(cuts):
            bracket = sum(b["above"] * size <= low for b in steps)
            prices = steps[bracket - 1] if bracket else item
            band = band_of(spec, moment)
            price = Fraction(
                next((p["price"] for p in prices.get("bandPrices", []) if p["band"] == band), prices["price"])
            )
            paid, over = high - low if low >= free else 0, None
            for pack in spec["packages"]:
                has = any(
                    s.package == pack["name"] and s.since <= f"{moment:%Y-%m-%d}" < (s.until or "9")
                    for s in customer.subscriptions
                )
                if pack["item"] == item["name"] and has and paid:
                    place = (pack["name"], moment.date() if pack["period"] == "Day" else (moment.year, moment.month))
                    part = min(paid, max(0, pack["included"] * size - covered[place]))
                    covered[place] += part
                    paid -= part
                    over = over or (pack if "overagePrice" in pack else None)
            percent = next((c["percent"] for c in spec["customerClasses"] if c["name"] == customer.customer_class), 100)
            beyond = paid if over else 0
            if beyond:
                assert over is not None
                _add(
                    lines[e.job, name, over["name"], "", 1, e.qos],
                    beyond,
                    Fraction(beyond, size) * Fraction(over["overagePrice"]),
                )
            if high - low > beyond:
                listed = Fraction(high - low - beyond, size) * price
                _add(
                    lines[e.job, name, item["name"], band, bracket, e.qos],
                    high - low - beyond,
                    listed,
                    Fraction(paid - beyond, size) * price * percent / 100,
                )
    how = {t["metadata"]["name"]: t["spec"].get("rounding", "HalfEven") for t in tariffs}
    return {k: (int(q), rounded(a * YUAN, how[k[1]]), rounded(n * YUAN, how[k[1]])) for k, (q, a, n) in lines.items()}


def _add(line: list[Fraction], quantity: int, listed: Fraction, net: Fraction | None = None) -> None:
    line[0] += quantity
    line[1] += listed
    line[2] += listed if net is None else net


def some_tariff(r: Random, name: str, since: str, zone: str) -> Manifest:
    def price() -> str:
        return r.choice(["0", "0.000001", "0.1234567"[:8], "5.5", "3.333333", "720"])

    def item(name: str, unit: str, **more: Any) -> Manifest:
        made: Manifest = {"name": name, "unit": unit, "price": price(), **more}
        if hours and r.random() < 0.6:
            made["bandPrices"] = [
                {"band": band, "price": price()} for band in sorted({h["band"] for s in hours for h in s["bands"]})
            ]
        if r.random() < 0.6:
            made["brackets"] = [
                {"above": above, "price": price()} for above in sorted(r.sample(range(1, 40), r.randint(1, 3)))
            ]
        if r.random() < 0.4:
            made["freePerPeriod"] = r.randint(1, 12)
        if r.random() < 0.5:
            made["step"] = r.choice(["Second", "Minute", "Hour", "Day"])
        if r.random() < 0.3:
            made["atLeast"] = "30m"
        return made

    hours: list[Any] = []
    if r.random() < 0.8:
        edge = r.choice(["06:30", "08:00", "13:00"])
        split = bands(("00:00", edge, "valley"), (edge, "24:00", "peak"))
        other = bands(("00:00", "24:00", r.choice(["valley", "rest"])))
        hours = [
            {"name": "w", "days": ["Workday"], "bands": split},
            {"name": "e", "days": ["Weekend", "Holiday"], "bands": other},
        ]
    items = [item("gpu", r.choice(["CardHour", "CardDay"]))]
    items += [item(f"cpu-{qos}".lower(), "CoreHour", qos=qos) for qos in ("Low", "Normal", "High")]
    items += [item("ram", "MemoryGiBHour")] if r.random() < 0.5 else []
    packs = [
        {"name": f"pack-{i}", "item": r.choice(["gpu", "cpu-normal"]), "period": r.choice(["Day", "Month"]), "included": r.randint(1, 9),
         "fee": "7.25", **({"overagePrice": price()} if r.random() < 0.5 else {})}
        for i in range(r.randint(0, 3))
    ]  # fmt: skip
    return a_tariff(
        name, effectiveFrom=since, timezone=zone, schedules=hours, items=items, packages=packs, holidays=["2026-11-03"],
        workdays=["2026-11-07"], rounding=r.choice(["HalfEven", "Up"]),
    )  # fmt: skip


def a_case(seed: int) -> tuple[list[UsageEvent], list[Manifest], Customer, Period]:
    r = Random(f"case {seed}")
    zone = r.choice(ZONES)
    tariffs = [some_tariff(r, "first", "2026-01-01", zone)]
    tariffs += [some_tariff(r, "second", "2026-11-05", zone)] if r.random() < 0.5 else []
    period = month("2026-11", zone)
    book = a_book(*tariffs)
    events = []
    for i in range(r.randint(1, 8)):
        start = period.start_ms + r.randrange(9 * DAY)
        held = {
            "cards": r.randint(0, 8),
            "cpu_milli": r.choice([0, 1, 500, 64_000]),
            "memory_bytes": r.choice([0, 1, 3 << 30]),
        }
        run = a_run(start, r.choice([1, 999, HOUR, r.randrange(1, 30 * HOUR)]), f"p{i}", f"u{i % 3}", **held)
        events += events_of([run], book, an_owner(job=f"job-{i % 3}", qos=r.choice(["Low", "Normal", "High"])))
    subscriptions = tuple(
        Subscription(PROVIDER, f"pack-{i}", r.choice(["2026-01-01", "2026-11-04"]), r.choice(["", "2026-11-08"]))
        for i in range(3)
        if r.random() < 0.5
    )
    return events, tariffs, Customer("lab", r.choice(["", "university", "company"]), "", subscriptions), period


@pytest.mark.parametrize("seed", range(120))
def test_the_sum_of_lines_is_what_an_independent_reckoning_in_fractions_finds(seed: int) -> None:
    events, tariffs, customer, period = a_case(seed)
    rating = bill(events, *tariffs, customer=customer, period=period)
    assert [u for u in rating.unrated if u.kind] == []
    of_jobs: dict[tuple[Any, ...], tuple[int, int, int]] = {}
    for x in rating.lines:
        if x.job:
            key = (x.job, x.tariff, x.item, x.band, x.bracket, x.qos)
            assert x.discount_micro_yuan == x.list_micro_yuan - x.net_micro_yuan >= 0
            assert key not in of_jobs
            of_jobs[key] = (x.quantity, x.list_micro_yuan, x.net_micro_yuan)
    assert of_jobs == reckoned(events, tariffs, customer)


@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_neither_order_nor_repetition_changes_anything(seed: int, random: Random) -> None:
    events, tariffs, customer, period = a_case(seed)
    once = bill(events, *tariffs, customer=customer, period=period)
    shuffled = [*events, *events[: len(events) // 2]]
    random.shuffle(shuffled)
    assert bill(shuffled, *tariffs, customer=customer, period=period) == once


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(max_examples=40, deadline=None)
def test_splitting_intervals_changes_no_quantity_and_no_money(seed: int, parts: int) -> None:
    """Of events whose amount goes evenly into their time, as of cores, cards and memory."""
    events, tariffs, customer, period = a_case(seed)
    split = []
    for e in events:
        length = e.end_ms - e.start_ms
        if e.kind in (K.ENERGY, K.CARBON) or length < parts:
            split.append(e)
            continue
        edges = [e.start_ms + length * i // parts for i in range(parts + 1)]
        per_ms = e.amount // length
        split += [
            identified("h", replace(e, start_ms=a, end_ms=b, amount=per_ms * (b - a))) for a, b in pairwise(edges)
        ]
    whole = bill(events, *tariffs, customer=customer, period=period)
    pieces = bill(split, *tariffs, customer=customer, period=period)
    assert _sums(pieces) == _sums(whole)


def _sums(rating: Rating) -> dict[tuple[str, str], int]:
    """Quantity by item and band: which of two pods that began together is first in a bracket is decided by their ids."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    for line in rating.lines:
        found[line.item, line.band] += line.quantity
    return found


def test_the_cases_meet_every_rule() -> None:
    """The seeds above are worth nothing if they never come to a bracket, a package or a step."""
    met: set[tuple[object, ...]] = set()
    for seed in range(120):
        events, tariffs, customer, period = a_case(seed)
        for line in bill(events, *tariffs, customer=customer, period=period).lines:
            met |= {
                ("bracket", min(line.bracket, 2)),
                ("band", line.band),
                ("tariff", line.tariff),
                ("class", line.customer_class),
            }
            met |= {("package", line.item.startswith("pack"), line.bracket), ("free", line.net_micro_yuan == 0)}
    wanted = {
        ("bracket", 2),
        ("band", "peak"),
        ("band", ""),
        ("tariff", "second"),
        ("class", "company"),
        ("package", True, 1),
        ("free", True),
    }
    assert wanted <= met
    assert date(2026, 11, 3).weekday() == 1
