"""No more is billed of an attempt than was agreed, at no moment, whatever its member tells and in whatever order."""

from dataclasses import replace
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import an_agreement
from suanli.base.units import MS_PER_HOUR
from suanli.billing.event import UsageEvent, UsageKind, full_hours
from suanli.billing.owned import billed_since, owned_events
from suanli.billing.period import Period
from suanli.billing.usage import PodUsage

HOUR = MS_PER_HOUR
JUNE = Period("june", 100 * HOUR, 200 * HOUR)


def a_run(pod: str, start_ms: int, end_ms: int, **fields: object) -> PodUsage:
    base = PodUsage(pod, "u1", 1, "east", "x", start_ms, end_ms, 2_000, 1 << 30, 4)
    return replace(base, **fields)  # type: ignore[arg-type]


def owned(pods: list[PodUsage], period: Period, tasks: int = 2) -> tuple[list[UsageEvent], dict[str, tuple[int, int]]]:
    """Events, and what nobody is billed for, by pod."""
    agreements = {("u1", 1): an_agreement(tasks=tasks, made_ms=0)}
    events, unbilled = owned_events(pods, agreements, lambda uid: frozenset(), period, "hub", lambda site: full_hours)
    return events, {one.pod.pod_uid: (one.pod.start_ms, one.pod.end_ms) for one in unbilled}


pods_of_an_attempt = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9)), max_size=12).map(
    lambda runs: [a_run(f"p{n:02}", start, start + length) for n, (start, length) in enumerate(runs)]
)


@settings(deadline=None)
@given(pods=pods_of_an_attempt, tasks=st.integers(0, 4), seed=st.integers(0, 99))
def test_at_every_moment_those_are_billed_that_started_first(pods: list[PodUsage], tasks: int, seed: int) -> None:
    since = billed_since(pods, tasks)
    for at_ms in range(24):
        runs = sorted((p for p in pods if p.start_ms <= at_ms < p.end_ms), key=lambda p: (p.start_ms, p.pod_uid))
        billed = {p.pod_uid for p in runs if since[p.pod_uid] <= at_ms}
        assert billed == {p.pod_uid for p in runs[:tasks]}
    assert all(p.start_ms <= since[p.pod_uid] <= p.end_ms for p in pods)
    shuffled = list(pods)
    Random(seed).shuffle(shuffled)
    assert billed_since(shuffled, tasks) == since


@settings(deadline=None)
@given(pods=pods_of_an_attempt, tasks=st.integers(0, 4), mark_ms=st.integers(0, 24))
def test_what_is_known_up_to_a_mark_says_the_same_of_the_time_before(
    pods: list[PodUsage], tasks: int, mark_ms: int
) -> None:
    so_far = [replace(p, end_ms=min(p.end_ms, mark_ms)) for p in pods if p.start_ms < mark_ms]
    whole, part = billed_since(pods, tasks), billed_since(so_far, tasks)
    assert {p.pod_uid: min(whole[p.pod_uid], p.end_ms) for p in so_far} == part


def test_a_pod_that_waits_for_its_turn_is_billed_from_then_on() -> None:
    pods = [
        a_run("a", 100 * HOUR, 104 * HOUR),
        a_run("b", 100 * HOUR + 5, 102 * HOUR + 7),
        a_run("c", 101 * HOUR, 110 * HOUR),
    ]
    events, unbilled = owned(pods, JUNE)
    assert unbilled == {"c": (101 * HOUR, 102 * HOUR + 7)}
    of_c = [e for e in events if e.pod_uid == "c" and e.kind is UsageKind.CARD_TIME]
    assert (of_c[0].start_ms, of_c[0].end_ms) == (102 * HOUR + 7, 103 * HOUR)
    assert sum(e.amount for e in of_c) == 4 * (110 * HOUR - 102 * HOUR - 7)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_months_of_a_run_add_up_to_it_whatever_is_cut_and_when_it_is_told(seed: int) -> None:
    random = Random(seed)
    pods = [
        a_run(f"p{n}", start := random.randrange(90 * HOUR, 210 * HOUR), start + random.randrange(60 * HOUR), cards=3)
        for n in range(4)
    ]
    border = random.choice([150 * HOUR, 150 * HOUR + HOUR // 2])
    ever, before = Period("", 0, 1_000 * HOUR), Period("", 0, border)
    whole = {e.id: e for e in owned(pods, ever)[0]}
    mark_ms = 151 * HOUR
    so_far = [replace(p, end_ms=min(p.end_ms, mark_ms)) for p in pods if p.start_ms < mark_ms]
    first = {e.id: e for e in owned([p for p in so_far if p.start_ms < border], before)[0]}
    second = owned([p for p in pods if p.end_ms > border], Period("", border, 1_000 * HOUR))[0]
    assert first | {e.id: e for e in second} == whole
    assert len(first) + len(second) == len(whole)
