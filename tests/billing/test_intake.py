"""Events that come late, twice, out of order and by wrong clocks make the same bill, to the unit."""

from collections import Counter
from dataclasses import replace
from random import Random

import pytest

from manifests import a_tariff
from rates import A100, DAY, HOUR, PERIOD, SITE, T0, a_book, a_run, an_event, an_owner
from suanli.billing.event import UsageEvent, UsageKind, pod_events
from suanli.billing.intake import Gap, Intake, Taken, gaps
from suanli.billing.period import Period, month
from suanli.billing.rating import Customer, adjustments, rate

DECEMBER = month("2026-12", "Asia/Shanghai")


def taken(intake: Intake, *events: UsageEvent) -> list[Taken]:
    return [intake.take(event) for event in events]


def test_an_event_counts_once_however_often_it_comes() -> None:
    intake, event = Intake(), an_event()
    assert taken(intake, event, event, replace(event)) == [Taken.NEW, Taken.KNOWN, Taken.KNOWN]
    assert intake.events(PERIOD) == (event,)


def test_a_second_word_that_says_otherwise_changes_nothing_and_is_told() -> None:
    intake, event = Intake(), an_event()
    other = replace(event, amount=1)
    assert taken(intake, event, other, other) == [Taken.NEW, Taken.CONTRADICTS, Taken.CONTRADICTS]
    assert intake.events(PERIOD) == (event,)
    assert intake.contradictions == [(event, other)]


def test_a_period_has_what_began_in_it_in_order() -> None:
    intake = Intake()
    first, last = an_event(), an_event(start_ms=PERIOD.end_ms - 1, end_ms=PERIOD.end_ms)
    taken(
        intake,
        last,
        an_event(start_ms=PERIOD.end_ms, end_ms=PERIOD.end_ms + 1),
        first,
        an_event(start_ms=T0 - 1, end_ms=T0),
    )
    assert intake.events(PERIOD) == (first, last)


def test_what_comes_for_a_closed_period_is_late_and_what_it_was_billed_by_stays() -> None:
    intake, event, late = Intake(), an_event(), an_event(pod_uid="p2")
    intake.take(event)
    assert intake.close(PERIOD) == (event,)
    assert taken(intake, late, late, event) == [Taken.LATE, Taken.KNOWN, Taken.KNOWN]
    assert intake.close(PERIOD) == (event,)
    assert (intake.late(PERIOD), set(intake.events(PERIOD))) == ((late,), {event, late})
    assert intake.take(an_event(start_ms=PERIOD.end_ms, end_ms=PERIOD.end_ms + 1)) is Taken.NEW


def test_closed_periods_do_not_overlap() -> None:
    intake = Intake()
    intake.close(PERIOD)
    with pytest.raises(ValueError, match="period week overlaps period 2026-11, which is closed"):
        intake.close(Period("week", PERIOD.end_ms - 1, PERIOD.end_ms + 7 * DAY))
    intake.close(DECEMBER)


# --- M1


def a_month(seed: int) -> tuple[list[UsageEvent], Counter[tuple[str, UsageKind]]]:
    """Events of runs, and what the runs used by their own numbers. Clocks are up to five minutes off."""
    random, book = Random(seed), a_book()
    events: list[UsageEvent] = []
    sums: Counter[tuple[str, UsageKind]] = Counter()
    skew_ms = random.randint(-300_000, 300_000)
    for i in range(150):
        start = T0 + random.randrange(28 * DAY) + skew_ms
        run = a_run(start, random.randrange(1, 9 * HOUR), f"p{i}", f"u{i // 3}", cards=random.randint(1, 8))
        owner = an_owner(f"acc-{i % 5}", f"job-{i // 3}")
        events += pod_events(run, owner, A100, book.borders(SITE))
        sums[owner.account, UsageKind.CARD_TIME] += run.cards * (run.end_ms - run.start_ms)
        sums[owner.account, UsageKind.CORE_TIME] += run.cpu_milli * (run.end_ms - run.start_ms)
        sums[owner.account, UsageKind.MEMORY_TIME] += run.memory_bytes * (run.end_ms - run.start_ms)
    return events, sums


@pytest.mark.parametrize("seed", range(5))
def test_use_is_exact_with_events_doubled_reordered_and_late_and_so_is_the_money(seed: int) -> None:
    events, sums = a_month(seed)
    random = Random(f"way {seed}")
    late = [e for e in events if random.random() < 0.01]
    sent = [e for e in events if e not in late]
    sent += random.sample(sent, len(sent) // 10)
    for _ in range(len(sent) // 20):
        i, j = random.randrange(len(sent)), random.randrange(len(sent))
        sent[i], sent[j] = sent[j], sent[i]
    everything = Period("all", T0 - DAY, DECEMBER.end_ms)
    intake = Intake()
    for _ in range(50):  # killed, and begun again somewhere before
        at = random.randrange(len(sent))
        taken(intake, *sent[max(0, at - 20) : at])
    taken(intake, *sent)
    book, customers = a_book(), {f"acc-{i}": Customer(f"acc-{i}", "university") for i in range(5)}
    on_time = intake.close(PERIOD)
    billed = rate(on_time, book, customers, PERIOD).lines
    assert [intake.take(event) for event in late if PERIOD.holds(event.start_ms)].count(Taken.LATE) == len(
        intake.late(PERIOD)
    )
    taken(intake, *late, *late)

    found: Counter[tuple[str, UsageKind]] = Counter()
    for event in intake.events(everything):
        found[event.account, event.kind] += event.amount
    assert {key: found[key] for key in sums} == dict(sums)

    truth = rate([e for e in events if PERIOD.holds(e.start_ms)], book, customers, PERIOD)
    adjusted = adjustments(DECEMBER, PERIOD, billed, rate(intake.events(PERIOD), book, customers, PERIOD).lines)
    assert late
    assert adjusted
    assert sum(line.net_micro_yuan for line in (*billed, *adjusted)) == truth.net_micro_yuan
    assert {line.adjusts for line in adjusted} == {"2026-11"}
    assert {line.period for line in adjusted} == {"2026-12"}
    again = adjustments(
        DECEMBER, PERIOD, [*billed, *adjusted], rate(intake.events(PERIOD), book, customers, PERIOD).lines
    )
    assert again == []


# --- gaps


@pytest.mark.parametrize(
    ("heard", "found"),
    [
        ([(0, 100)], []),
        ([(0, 40), (50, 100)], []),  # what ended in between was still there to be read
        ([(0, 40), (60, 100)], [(40, 50)]),
        ([(60, 100), (0, 40), (20, 45)], [(45, 50)]),
        ([], [(0, 90)]),
        ([(0, 20)], [(20, 90)]),
        ([(30, 100)], [(0, 20)]),
        ([(0, 200)], []),
        ([(150, 200)], [(0, 90)]),
        ([(-50, -20), (40, 100)], [(0, 30)]),
    ],
)
def test_a_silence_is_a_gap_but_for_what_the_site_still_tells_afterwards(
    heard: list[tuple[int, int]], found: list[tuple[int, int]]
) -> None:
    assert gaps("west", heard, 0, 100, retention_ms=10) == [Gap("west", *gap) for gap in found]


def test_a_tariff_of_the_tests_is_right() -> None:
    assert a_book(a_tariff()).at("Anhui Computing", T0) is not None
