"""The ledger keeps what it acknowledged, once, and says plainly when it cannot."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import astuple, replace
from itertools import combinations, pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from builders import an_agreement
from ledgers import refused
from suanli.api.job import Usage
from suanli.api.link import Direction, Leg
from suanli.base.errors import SuanliError
from suanli.billing.agreement import Agreement, Carried
from suanli.billing.usage import MAX_CARDS, MAX_CPU_MILLI, MAX_MEMORY_BYTES, MAX_RUN_MS, Gap, PodUsage, total
from suanli.ledgerstore import usage as module
from suanli.ledgerstore.usage import MOST_PARAMETERS, UsageStore

HOUR = 3_600_000


def a_usage(pod: str = "p1", job: str = "u1", **fields: Any) -> PodUsage:
    base = PodUsage(
        pod_uid=pod,
        job_uid=job,
        epoch=1,
        site="east",
        class_="nvidia-a100-80g",
        start_ms=1_000,
        end_ms=1_000 + HOUR,
        cpu_milli=2_000,
        memory_bytes=1 << 30,
        cards=4,
    )
    return replace(base, **fields)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[UsageStore]:
    with UsageStore(path) as opened:
        yield opened


def totals(store: UsageStore) -> Usage:
    with store._plainly():
        pods = [row[0] for row in store._db.execute("SELECT pod_uid FROM pod_usage")]
    return total(store.of_pods(pods))


# --- what it keeps


def test_what_was_recorded_is_there_after_opening_again(path: Path) -> None:
    usages = [a_usage("p1"), a_usage("p2", start_ms=0), a_usage("p3", "u2", estimated=True, note="lost")]
    with UsageStore(path) as store:
        assert store.record(usages) == 3
    with UsageStore(path) as store:
        assert store.of_job("u1") == [usages[1], usages[0]]
        assert store.of_job("u2") == [usages[2]]
        assert store.of_job("u3") == []
        assert totals(store) == total(usages)


def test_the_same_record_again_changes_nothing(store: UsageStore) -> None:
    assert store.record([a_usage()]) == 1
    assert store.record([a_usage(), a_usage(), a_usage("p2")]) == 1
    assert store.record([a_usage()]) == 0
    assert store.conflicts == 0
    assert totals(store).pods == 2


def test_another_record_of_a_known_pod_is_refused_and_counted(
    store: UsageStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.record([a_usage()])
    assert store.record([a_usage(cards=8), a_usage("p2"), a_usage("p2", cards=9)]) == 1
    assert store.conflicts == 2
    assert store.of_job("u1") == [a_usage(), a_usage("p2")]
    assert "the first stays" in caplog.text


def test_what_was_agreed_first_stays(store: UsageStore, path: Path) -> None:
    first, second = an_agreement(), an_agreement(epoch=2, site="west")
    store.agree([first, second, an_agreement("u2")])
    store.agree([replace(first, account="somebody else")])
    with UsageStore(path) as again:
        assert again.agreements("u1") == {1: first, 2: second}
        assert again.agreements("u3") == {}


def test_what_ran_within_a_time_is_read_as_it_was_known_at_some_record(store: UsageStore) -> None:
    assert store.count() == 0
    early = a_usage("p2", start_ms=1_000, end_ms=5_000)
    over = a_usage("p1", "u0", start_ms=4_000, end_ms=9_000)
    late = a_usage("p0", start_ms=2_000, end_ms=6_000)
    store.record([early, over])
    known = store.count()
    store.record([early, late])
    assert store.run_within(0, 10_000, known) == [over, early]
    assert store.run_within(0, 10_000, store.count()) == [over, early, late]
    assert store.run_within(5_000, 6_000, store.count()) == [over, late]
    assert store.run_within(9_000, 10_000, store.count()) == []
    assert store.run_within(0, 1_000, store.count()) == []
    assert store.run_within(0, 1_001, known) == [early]


def test_attempts_that_were_given_up_stay_given_up(store: UsageStore, path: Path) -> None:
    store.give_up("u1", [2, 3])
    known = store.count()
    store.give_up("u1", [3, 5])
    with UsageStore(path) as again:
        assert again.given_up("u1", again.count()) == {2, 3, 5}
        assert again.given_up("u1", known) == {2, 3}
        assert again.given_up("u2", again.count()) == frozenset()


def test_what_a_pod_used_so_far_stands_until_its_end_is_known(store: UsageStore) -> None:
    store.record([a_usage("p0", start_ms=0, end_ms=500)])
    marks = [a_usage(start_ms=1_000, end_ms=end_ms) for end_ms in (2_000, 3_000, 4_000)]
    known = []
    for mark in marks:
        for _ in range(2):
            store.record_so_far([mark])
        known.append(store.count())
    ended = a_usage(start_ms=1_000, end_ms=9_000)
    store.record([ended])
    assert known == [2, 3, 4]
    assert [store.run_within(1_500, 10_000, upto) for upto in [1, *known, 5]] == [[], *([m] for m in marks), [ended]]
    assert store.run_within(3_000, 10_000, known[1]) == []
    assert store.run_within(0, 10_000, known[0]) == [a_usage("p0", start_ms=0, end_ms=500), marks[0]]
    assert [store.open_pods(upto) for upto in [1, *known, 5]] == [[], *([m] for m in marks), []]
    assert store.of_job("u1") == [a_usage("p0", start_ms=0, end_ms=500), ended]
    store.record_so_far([a_usage(start_ms=1_000, end_ms=5_000), a_usage("p2", "u2")])
    assert store.run_within(1_500, 10_000, store.count()) == [ended, a_usage("p2", "u2")]
    assert (store.open_pods(store.count(), "u1"), store.open_pods(store.count(), "u2")) == ([], [a_usage("p2", "u2")])


@pytest.mark.parametrize("seed", range(6))
def test_what_is_heard_of_a_time_is_told_from_what_changes_nothing_of_it(store: UsageStore, seed: int) -> None:
    random = Random(seed)
    start, end = 24 * HOUR, 48 * HOUR

    def told(upto: int) -> list[object]:
        pods = store.run_within(start, end, upto)
        lost = [pod.pod_uid for pod in pods if pod.epoch in store.given_up(pod.job_uid, upto)]
        return [*(replace(pod, end_ms=min(pod.end_ms, end)) for pod in pods), lost]

    known = [0]
    for _ in range(60):
        pod = f"p{random.randrange(25)}"
        usage = a_usage(pod, f"u{pod[1]}", start_ms=5 * HOUR * int(pod[1:]) % (60 * HOUR), epoch=int(pod[-1]))
        until = usage.start_ms + random.randrange(1, 30) * HOUR
        if random.random() < 0.7:
            store.record_so_far([replace(usage, end_ms=until)])
        elif random.random() < 0.8:
            store.record([replace(usage, end_ms=until - random.choice([0, 0, 1_000]))])
        else:
            store.give_up(usage.job_uid, [usage.epoch])
        known.append(store.count())
    heard = set()
    for after, upto in [*pairwise(known), *combinations(known[::9], 2)]:
        heard.add(found := store.heard_within(start, end, after, upto))
        if found != (told(after) != told(upto)):  # an attempt may be given up of which pods are heard of later only
            assert found
            assert any(store.given_up(f"u{n}", after) != store.given_up(f"u{n}", upto) for n in range(10))
    assert heard == {True, False}


def test_what_nobody_will_know_is_told_once_and_no_more_when_it_is_known_after_all(store: UsageStore) -> None:
    store.agree([an_agreement()])
    store.record_so_far([a_usage("p1"), a_usage("p2")])
    assert (store.missing("u1", 1), store.missing("u1", 2)) == (0, 0)
    gap = Gap("east", "u1", 1, "p1", 1, a_usage().end_ms, 9 * HOUR, "gone")
    attempt = replace(gap, pod_uid="", pods=2, start_ms=0)
    assert store.record_gaps([gap, attempt, replace(gap, why="other")]) == [gap, attempt]
    assert store.record_gaps([gap, attempt]) == []
    known = store.count()
    assert store.gaps(known) == [attempt, gap]
    assert store.gaps(known - 1) == [gap]
    assert store.open_pods(known) == [a_usage("p2")]
    assert store.run_within(0, HOUR, known) == [a_usage("p1"), a_usage("p2")]
    store.record([a_usage("p1", end_ms=5 * HOUR), a_usage("p2")])
    assert store.gaps(store.count()) == [attempt]
    assert store.gaps(known) == [attempt, gap]
    assert store.record_gaps([replace(gap, pod_uid="p2")]) == []


def test_pods_of_which_nothing_is_known_are_counted(store: UsageStore) -> None:
    store.agree([an_agreement(tasks=5)])
    store.record([a_usage("p1"), a_usage("p2", epoch=2)])
    store.record_so_far([a_usage("p1"), a_usage("p3"), a_usage("p3", end_ms=2 * HOUR)])
    assert store.missing("u1", 1) == 3


def test_whether_anything_was_heard_of_a_time_since_a_record(path: Path) -> None:
    with UsageStore(path) as store:
        store.record([a_usage("p1", start_ms=100, end_ms=200), a_usage("p2", start_ms=300, end_ms=400)])
        store.record([a_usage("p3", start_ms=500, end_ms=600)])
        assert store.heard_within(150, 160, 0, 3)
        assert store.heard_within(150, 160, 0, 1)
        assert not store.heard_within(150, 160, 1, 3)
        assert not store.heard_within(200, 300, 0, 3)  # ends are exclusive
        assert not store.heard_within(500, 600, 0, 2)


def test_a_file_of_the_first_schema_is_brought_forward(path: Path) -> None:
    old = sqlite3.connect(path, isolation_level=None)
    old.executescript(module._SCHEMAS[0])
    rows = [a_usage("p2", end_ms=7_000, start_ms=2_000), a_usage("p1", end_ms=9_000, start_ms=1_000)]
    old.executemany(module._INSERT, [astuple(row) for row in rows])
    old.execute(f"PRAGMA application_id = {UsageStore.APPLICATION_ID}")
    old.execute("PRAGMA user_version = 1")
    old.close()
    for _ in range(2):
        with UsageStore(path) as store:
            assert store.run_within(0, 10_000, 1) == rows[:1]
            assert store.run_within(0, 10_000, store.count()) == rows[::-1]
            store.agree([an_agreement()])
            assert store.agreements("u1") == {1: an_agreement()}
            store.give_up("u1", [7])
            assert (store.given_up("u1", 2), store.given_up("u1", 3), store.count()) == (frozenset(), frozenset({7}), 3)


def test_a_file_of_the_second_schema_counts_on_and_knows_what_was_given_up(path: Path) -> None:
    old = sqlite3.connect(path, isolation_level=None)
    for script in module._SCHEMAS[:2]:
        old.executescript(script)
    old.execute(module._INSERT, astuple(a_usage("p1")))
    old.execute("INSERT INTO given_up (job_uid, epoch) VALUES ('u1', 7)")
    old.execute(f"PRAGMA application_id = {UsageStore.APPLICATION_ID}")
    old.execute("PRAGMA user_version = 2")
    old.close()
    with UsageStore(path) as store:
        store.record_so_far([a_usage("p2")])
        store.record([a_usage("p3")])
        store.give_up("u1", [8])
        assert (store.given_up("u1", 0), store.given_up("u1", 4), store.count()) == (
            frozenset({7}),
            frozenset({7, 8}),
            4,
        )
        assert store.run_within(0, HOUR, 2) == [a_usage("p1"), a_usage("p2")]


def test_a_file_of_the_third_schema_loses_the_class_that_nobody_asked_for_and_nothing_else(path: Path) -> None:
    old = sqlite3.connect(path, isolation_level=None)
    for script in module._SCHEMAS[:3]:
        old.executescript(script)
    names = (*module._AGREED, "customer_class")
    marks = ", ".join("?" * len(names))
    old.execute(
        f"INSERT INTO agreement ({', '.join(names)}) VALUES ({marks})",
        (*module._AGREED_ROW(an_agreement()), "university"),
    )
    old.execute(f"PRAGMA application_id = {UsageStore.APPLICATION_ID}")
    old.execute("PRAGMA user_version = 3")
    old.close()
    with UsageStore(path) as store:
        store.agree([replace(an_agreement(), account="another")])
        assert store.agreements("u1") == {1: an_agreement()}
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            store._db.execute("UPDATE agreement SET account = 'another'")


def test_attempts_of_a_file_of_the_fourth_schema_send_nothing_and_later_ones_do(path: Path) -> None:
    old = sqlite3.connect(path, isolation_level=None)
    for script in module._SCHEMAS[:4]:
        old.executescript(script)
    old.execute(module._AGREE, module._AGREED_ROW(an_agreement()))
    old.execute(module._INSERT, astuple(a_usage("p1")))
    old.execute(f"PRAGMA application_id = {UsageStore.APPLICATION_ID}")
    old.execute("PRAGMA user_version = 4")
    old.close()
    with UsageStore(path) as store:
        assert (store.count(), store.agreements("u1")) == (1, {1: an_agreement()})
        store.agree([an_attempt(), an_attempt("u2")])
        store.record([a_usage("p2", job="u2")])
        store.succeed("u1", 1, 77_000)
        assert store.carried("u1") == []
        assert store.carried("u2") == [Carried("u2", 1, IN, SENT_MS)]
        assert store.count() == 3


def test_nothing_to_record_is_no_trouble(store: UsageStore) -> None:
    assert store.record([]) == 0
    assert store.of_pods([]) == []
    assert totals(store) == total([])


def test_recorded_asks_for_more_pods_than_one_statement_holds(store: UsageStore) -> None:
    pods = [f"p{n}" for n in range(2 * MOST_PARAMETERS + 1)]
    store.record([a_usage(pod) for pod in pods[::2]])
    assert {u.pod_uid for u in store.of_pods([*pods, "other"])} == set(pods[::2])


def test_the_largest_records_sum_exactly(store: UsageStore) -> None:
    largest: dict[str, Any] = {
        "end_ms": 1_000 + MAX_RUN_MS,
        "cpu_milli": MAX_CPU_MILLI,
        "memory_bytes": MAX_MEMORY_BYTES,
    }
    usages = [a_usage(f"p{n}", cards=MAX_CARDS, **largest) for n in range(100)]
    store.record(usages)
    assert int(totals(store).memory_byte_ms) == 100 * MAX_MEMORY_BYTES * MAX_RUN_MS


def test_one_bad_record_keeps_the_whole_transaction_out(store: UsageStore) -> None:
    refused(lambda: store.record([a_usage("p1"), a_usage("p2", cards=-1)]))
    refused(lambda: store.record([a_usage("p1"), a_usage("p2", cards=1 << 64)]))
    refused(lambda: store.record([a_usage("p1"), a_usage("")]))
    assert totals(store).pods == 0
    assert store.record([a_usage("p1")]) == 1


def test_another_thread_may_use_it(store: UsageStore) -> None:
    thread = threading.Thread(target=store.record, args=([a_usage()],))
    thread.start()
    thread.join()
    assert [u.pod_uid for u in store.of_pods(["p1"])] == ["p1"]


def test_another_process_may_read_while_it_is_written(store: UsageStore, path: Path) -> None:
    store.record([a_usage("p1")])
    with UsageStore(path) as reader:
        store.record([a_usage("p2")])
        assert totals(reader).pods == 2


# --- what goes over links

IN, OUT = Direction
LEGS = (Leg(IN, "campus", "", 7), Leg(IN, "road", "Roads", 5 << 70), Leg(OUT, "road", "Roads", 3))
SENT_MS = 500


def an_attempt(job: str = "u1", epoch: int = 1, legs: tuple[Leg, ...] = LEGS) -> Agreement:
    return an_agreement(job, epoch, legs=legs, made_ms=SENT_MS)


def test_legs_are_kept_with_the_attempts_first_word(store: UsageStore, path: Path) -> None:
    store.agree([an_attempt(), an_attempt("u2", legs=())])
    store.agree([an_attempt(legs=(Leg(IN, "other", "", 1),)), an_attempt("u2")])
    with UsageStore(path) as again:
        found = again.agreements_of(["u1", "u2"])
    assert found == {("u1", 1): an_attempt(), ("u2", 1): an_attempt("u2", legs=())}


def test_inputs_count_once_as_soon_as_a_pod_is_known_to_have_run(store: UsageStore) -> None:
    store.agree([an_attempt(epoch=epoch) for epoch in (1, 2, 3)])
    assert store.carried("u1") == []
    before = store.count()
    store.record([a_usage(f"p{n}", start_ms=n) for n in range(3)])
    store.record_so_far([a_usage("q", epoch=2, end_ms=HOUR), a_usage("q", epoch=2, end_ms=2 * HOUR)])
    store.record([a_usage("q", epoch=2)])
    assert store.carried("u1") == [Carried("u1", 1, IN, SENT_MS), Carried("u1", 2, IN, SENT_MS)]
    assert [store.carried_within(*asked) for asked in ((0, 501, before), (0, 500, 99), (501, 999, 99))] == [[]] * 3
    assert len(store.carried_within(SENT_MS, SENT_MS + 1, store.count())) == 2


def test_the_order_of_what_is_heard_changes_nothing(store: UsageStore) -> None:
    """An agreement may come to the disk after the first pod."""
    store.record([a_usage()])
    store.record_so_far([a_usage("q", job="u2")])
    store.agree([an_attempt(), an_attempt("u2"), an_attempt("u3")])
    assert [store.carried(job) for job in ("u1", "u2", "u3")] == [
        [Carried(u, 1, IN, SENT_MS)] for u in ("u1", "u2")
    ] + [[]]


def test_a_pod_at_another_site_says_nothing_of_the_attempt(store: UsageStore) -> None:
    store.agree([an_attempt()])
    store.record([a_usage(site="west")])
    store.record_so_far([a_usage("q", site="west")])
    assert store.carried("u1") == []


def test_outputs_count_once_when_the_attempt_has_succeeded(store: UsageStore) -> None:
    store.agree([an_attempt(), an_attempt("u2", legs=LEGS[:2]), an_attempt("u3", legs=()), an_attempt("u4")])
    store.record([a_usage("a", end_ms=9_000), a_usage("b", end_ms=12_000), a_usage("c", end_ms=99_000, site="west")])
    for job in ("u1", "u2", "u3", "u4", "unheard-of", "u1"):
        store.succeed(job, 1, 77_000)
    store.succeed("u1", 2, 77_000)
    assert store.carried("u1") == [Carried("u1", 1, IN, SENT_MS), Carried("u1", 1, OUT, 12_000)]
    assert store.carried("u2") == [Carried("u2", 1, IN, SENT_MS)]
    assert store.carried("u3") == []
    assert store.carried("u4")[1] == Carried("u4", 1, OUT, 77_000), "no pod is known"


def test_outputs_go_after_inputs_whatever_a_members_clock_says(store: UsageStore) -> None:
    store.agree([an_attempt()])
    store.record([a_usage(start_ms=1, end_ms=2)])
    store.succeed("u1", 1, 77_000)
    assert [one.at_ms for one in store.carried("u1")] == [SENT_MS, SENT_MS + 1]


def test_what_went_over_links_is_news_of_its_time(store: UsageStore) -> None:
    store.agree([an_attempt()])
    before = store.count()
    store.record([a_usage(start_ms=HOUR, end_ms=2 * HOUR)])
    ran = store.count()
    store.succeed("u1", 1, 5 * HOUR)
    late = store.count()
    assert [store.heard_within(0, HOUR, *span) for span in ((before, ran), (ran, late))] == [True, False]
    assert [store.heard_within(2 * HOUR, 3 * HOUR, *span) for span in ((before, ran), (ran, late))] == [False, True]
    store.give_up("u1", [1])
    assert store.heard_within(0, HOUR, late, store.count())
    assert not store.heard_within(3 * HOUR, 4 * HOUR, 0, store.count())


# --- append only


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE pod_usage SET cards = 0",
        "UPDATE OR REPLACE pod_usage SET pod_uid = 'p2'",
        "DELETE FROM pod_usage",
        "UPDATE pod_order SET sequence = 7 WHERE pod_uid = 'p1'",
        "DELETE FROM pod_order",
        "UPDATE given_up SET epoch = 9",
        "DELETE FROM given_up",
        "UPDATE agreement SET account = 'another'",
        "DELETE FROM agreement",
        "UPDATE pod_so_far SET end_ms = end_ms + 1",
        "DELETE FROM pod_so_far",
        "UPDATE gap SET pods = 9",
        "DELETE FROM gap",
        "UPDATE leg SET size = '9'",
        "DELETE FROM leg",
        "UPDATE carried SET at_ms = 9",
        "DELETE FROM carried",
    ],
)
def test_nothing_can_be_changed_or_deleted(store: UsageStore, path: Path, statement: str) -> None:
    store.record([a_usage("p1"), a_usage("p2")])
    store.agree([an_agreement(legs=LEGS)])
    store.give_up("u1", [1])
    store.record_so_far([a_usage("p3")])
    store.record_gaps([Gap("east", "u1", 1, "p3", 1, 0, 1, "gone")])
    other = sqlite3.connect(path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(statement)
    other.close()
    assert store.of_job("u1") == [a_usage("p1"), a_usage("p2")]


def test_a_replacing_insert_replaces_nothing(store: UsageStore, path: Path) -> None:
    store.record([a_usage()])
    other = sqlite3.connect(path)
    row = "'p1', 'u1', 1, 'east', 'c', 0, 1, 0, 0, 0, 0, ''"
    other.execute(f"INSERT OR REPLACE INTO pod_usage VALUES ({row})")
    other.commit()
    other.close()
    assert store.of_job("u1") == [a_usage()]


def test_the_file_says_what_it_is(store: UsageStore, path: Path) -> None:
    store.record([a_usage()])
    other = sqlite3.connect(path)
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert other.execute("PRAGMA application_id").fetchone() == (0x5355414E,)
    assert other.execute("PRAGMA user_version").fetchone() == (5,)
    other.close()


# --- trouble


def test_a_locked_file(path: Path) -> None:
    with UsageStore(path, busy_ms=10) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        refused(lambda: store.record([a_usage()]), "locked", str(path))
        other.execute("ROLLBACK")
        other.close()
        assert store.record([a_usage()]) == 1


def test_a_missing_folder(tmp_path: Path) -> None:
    refused(lambda: UsageStore(tmp_path / "nowhere" / "usage.sqlite3"), "cannot be opened", "folder")


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    refused(lambda: UsageStore(tmp_path), "cannot be opened")


def test_a_file_that_is_not_sqlite(path: Path) -> None:
    path.write_bytes(b"these are the accounts of a grocer\n" * 100)
    before = path.read_bytes()
    refused(lambda: UsageStore(path), "not a SQLite file")
    assert path.read_bytes() == before


def test_another_applications_database_is_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE grocer (apples)")
    other.commit()
    other.close()
    before = path.read_bytes()
    refused(lambda: UsageStore(path), "another application")
    assert path.read_bytes() == before


def test_another_applications_mark_is_respected(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("PRAGMA application_id = 7")
    other.close()
    refused(lambda: UsageStore(path), "another application")


def test_a_newer_schema_is_left_alone(path: Path) -> None:
    UsageStore(path).close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    refused(lambda: UsageStore(path), "newer", "99")


def test_a_truncated_file(path: Path) -> None:
    with UsageStore(path) as store:
        store.record([a_usage(f"p{n}") for n in range(1_000)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def read() -> None:
        with UsageStore(path) as store:
            totals(store)

    refused(read, "damaged")


def test_an_overwritten_page(path: Path) -> None:
    with UsageStore(path) as store:
        store.record([a_usage(f"p{n}") for n in range(1_000)])
    raw = bytearray(path.read_bytes())
    for offset in range(4_096, len(raw), 4_096):
        raw[offset : offset + 64] = b"\xff" * 64
    path.write_bytes(raw)

    def read() -> None:
        with UsageStore(path) as store:
            totals(store)

    refused(read, "damaged")


def test_a_full_disk_loses_nothing_that_was_acknowledged(path: Path) -> None:
    with UsageStore(path) as store:
        store.record([a_usage()])
        store._db.execute(f"PRAGMA max_page_count = {store._pragma('page_count')}")
        many = [a_usage(f"p{n}", note="x" * 200) for n in range(2, 2_000)]
        refused(lambda: store.record(many), "the disk is full")
        assert totals(store) == total([a_usage()])
        store._db.execute("PRAGMA max_page_count = 1000000")
        assert store.record(many) == len(many)


def test_a_read_only_file(path: Path) -> None:
    with UsageStore(path) as store:
        store.record([a_usage()])
        store._db.execute("PRAGMA query_only = 1")  # the tests may run as root, whom no file mode stops
        refused(lambda: store.record([a_usage("p2")]), "read-only", "writable")
        assert totals(store).pods == 1


def test_a_closed_store_says_so(path: Path) -> None:
    store = UsageStore(path)
    store.close()
    store.close()
    refused(lambda: totals(store), "closed")


def test_what_was_acknowledged_survives_a_kill(path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    acknowledged = [child.stdout.readline().strip() for _ in range(20)]
    os.kill(child.pid, signal.SIGKILL)
    acknowledged += child.stdout.read().split()
    child.stdout.close()
    child.wait()
    with UsageStore(path) as store:
        assert {u.pod_uid for u in store.of_pods(acknowledged)} == set(acknowledged)
        assert totals(store).pods - len(acknowledged) in (0, 1)


KILLED = """
import sys
from pathlib import Path
from suanli.billing.usage import PodUsage
from suanli.ledgerstore.usage import UsageStore

store = UsageStore(Path(sys.argv[1]))
n = 0
while True:
    n += 1
    store.record([PodUsage(f"p{n}", "u", 1, "s", "c", 0, 1, 1, 1, 1)])
    print(f"p{n}", flush=True)
"""


# --- against a model

usages = st.builds(
    a_usage,
    pod=st.sampled_from([f"p{n}" for n in range(12)]),
    job=st.sampled_from(["u1", "u2"]),
    cards=st.integers(0, 2),
    epoch=st.integers(0, 2),
)


class Ledger(RuleBasedStateMachine):
    """The store against a dictionary that keeps the first record of each pod."""

    def __init__(self) -> None:
        super().__init__()
        self.store = UsageStore(Path(":memory:"))
        self.model: dict[str, PodUsage] = {}
        self.conflicts = 0

    @rule(batch=st.lists(usages, max_size=6))
    def record(self, batch: list[PodUsage]) -> None:
        before = len(self.model)
        for usage in batch:
            self.conflicts += self.model.setdefault(usage.pod_uid, usage) != usage
        assert self.store.record(batch) == len(self.model) - before

    @rule(good=st.lists(usages, max_size=3))
    def fail(self, good: list[PodUsage]) -> None:
        with pytest.raises(SuanliError):
            self.store.record([*good, a_usage("bad", cards=-1)])

    @invariant()
    def agree(self) -> None:
        assert totals(self.store) == total(self.model.values())
        assert {u.pod_uid: u for u in self.store.of_job("u1")} == {
            p: u for p, u in self.model.items() if u.job_uid == "u1"
        }
        assert {u.pod_uid for u in self.store.of_pods(f"p{n}" for n in range(12))} == set(self.model)
        assert self.store.conflicts == self.conflicts

    def teardown(self) -> None:
        self.store.close()


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
