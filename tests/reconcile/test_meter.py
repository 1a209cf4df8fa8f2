"""The meter: once, on the disk before anybody relies on it, many at once, and nothing believed that the ledger refused."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import virtualtime
from builders import a_member_pod, an_agreement, ended, running
from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.billing.agreement import Agreement
from suanli.billing.usage import PodUsage
from suanli.federation.facts import own_pod
from suanli.ledgerstore.usage import UsageStore
from suanli.reconcile.meter import Meter

NOW_MS = virtualtime.BASE_MS + 60_000


class CountingStore(UsageStore):
    """A ledger that counts its commits, and fails when told."""

    commits = 0
    fails = False

    def record(self, usages: Sequence[PodUsage]) -> int:
        self._count()
        return super().record(usages)

    def agree(self, agreements: Sequence[Agreement]) -> None:
        self._count()
        super().agree(agreements)

    def _count(self) -> None:
        self.commits += 1
        if self.fails:
            raise SuanliError(Reason.LEDGER_UNUSABLE, "the disk is full")


Make = Callable[[], tuple[Meter, CountingStore]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made() -> tuple[Meter, CountingStore]:
        store = CountingStore(tmp_path / "usage.sqlite3")
        return Meter(store, virtualtime.InlinePool()), store

    return made


def test_what_ended_together_is_one_commit(make: Make) -> None:
    async def whole() -> None:
        meter, store = make()
        pods = [a_member_pod(f"u{n}", state=ended(), phase="Succeeded") for n in range(50)]
        await asyncio.gather(*(meter.record([("east", pod)], NOW_MS) for pod in pods))
        assert store.commits == 1
        assert meter.usage("u7").run_ms == "10000"
        assert meter.recorded("u7") == {pods[7].uid}
        assert meter.last_epoch("u7") == 1
        await meter.close()

    virtualtime.run(whole())


def test_what_is_agreed_is_on_the_disk_once_before_anybody_relies_on_it(make: Make) -> None:
    async def whole() -> None:
        meter, store = make()
        expected, sent = an_agreement("u1"), an_agreement("u2")
        meter.expect(expected)
        await asyncio.gather(meter.agree(sent), meter.agree(expected))
        assert store.commits == 1
        assert (store.agreements("u1"), store.agreements("u2")) == ({1: expected}, {1: sent})
        await meter.agree(expected)
        assert store.commits == 1
        await meter.agree(an_agreement("u1", epoch=2))
        assert set(store.agreements("u1")) == {1, 2}
        await meter.close()

    virtualtime.run(whole())


def test_what_was_expected_and_failed_is_tried_again_when_it_is_needed(make: Make) -> None:
    async def whole() -> None:
        meter, store = make()
        store.fails = True
        meter.expect(an_agreement())
        await asyncio.sleep(1)
        with pytest.raises(SuanliError, match="disk is full"):
            await meter.agree(an_agreement())
        store.fails = False
        await meter.agree(an_agreement())
        assert store.agreements("u1") == {1: an_agreement()}
        await meter.close()

    virtualtime.run(whole())


def test_what_never_ran_is_done_with_and_costs_nothing(make: Make) -> None:
    async def whole() -> None:
        meter, store = make()
        pod = a_member_pod(phase="Failed")
        await meter.record([("east", pod)], NOW_MS)
        assert meter.recorded(pod.job_uid) == {pod.uid}
        assert (store.commits, meter.usage(pod.job_uid).pods) == (0, 0)
        meter.forget(pod.job_uid)
        assert meter.recorded(pod.job_uid) == frozenset()
        await meter.close()

    virtualtime.run(whole())


def test_a_ledger_that_fails_is_told_to_all_who_wait_and_nothing_counts_as_recorded(
    make: Make,
) -> None:
    async def whole() -> None:
        meter, store = make()
        pod = a_member_pod(state=ended(), phase="Succeeded")
        store.fails = True
        told = await asyncio.gather(*(meter.record([("east", pod)], NOW_MS) for _ in range(3)), return_exceptions=True)
        assert [str(error) for error in told] == ["the disk is full"] * 3
        assert meter.recorded(pod.job_uid) == frozenset()
        store.fails = False
        await meter.record([("east", pod)], NOW_MS)
        assert meter.recorded(pod.job_uid) == {pod.uid}
        await meter.close()

    virtualtime.run(whole())


def test_a_fresh_process_knows_what_is_in_the_ledger(make: Make) -> None:
    async def whole() -> None:
        meter, _ = make()
        pod = a_member_pod(epoch=3, state=ended(), phase="Succeeded")
        await meter.record([("east", pod)], NOW_MS)
        await meter.close()
        again, _ = make()
        assert again.recorded(pod.job_uid) == frozenset()
        await again.load(pod.job_uid)
        assert again.recorded(pod.job_uid) == {pod.uid}
        assert again.last_epoch(pod.job_uid) == 3
        assert again.usage(pod.job_uid).pods == 1
        await again.close()

    virtualtime.run(whole())


def test_a_pod_that_a_member_gives_to_another_job_is_paid_once(
    make: Make,
) -> None:
    async def whole() -> None:
        meter, store = make()
        mine = a_member_pod("u1", state=ended(), phase="Succeeded")
        forged = a_member_pod("u2", state=ended(), phase="Succeeded")
        raw = {**forged.raw, "metadata": {**forged.raw["metadata"], "uid": mine.uid}}
        await meter.record([("east", mine)], NOW_MS)
        await meter.record([("east", own_pod(raw))], NOW_MS)
        assert (meter.usage("u1").pods, meter.usage("u2").pods) == (1, 0)
        assert meter.recorded("u2") == {mine.uid}  # there is nothing left to do for it
        assert store.of_job("u2") == []
        await meter.close()

    virtualtime.run(whole())


def test_what_runs_on_is_recorded_up_to_the_mark_and_its_end_takes_its_place(make: Make) -> None:
    async def whole() -> None:
        meter, store = make()
        mark_ms = virtualtime.BASE_MS + 3_600_000
        runs, over = a_member_pod("u1", state=running()), a_member_pod("u2", state=ended(), phase="Succeeded")
        for _ in range(2):
            await meter.record_so_far("east", [runs, over], mark_ms, mark_ms)
        assert [(pod.job_uid, pod.end_ms) for pod in await meter.open_pods()] == [("u1", mark_ms)]
        assert meter.recorded("u1") == frozenset()
        assert meter.usage("u1").pods == 0
        late = a_member_pod("u1", state=ended(end="2026-03-01T10:00:00Z"), phase="Succeeded")
        await meter.record([("east", late)], mark_ms + 3_600_000)
        assert await meter.open_pods() == []
        assert [pod.run_ms for pod in store.run_within(0, 1 << 60, store.count())] == [7_200_000]
        await meter.close()

    virtualtime.run(whole())


def test_an_attempt_is_accounted_for_when_all_its_tasks_are_or_are_told_to_be_unknown(make: Make) -> None:
    async def whole() -> None:
        _, store = make()
        told: list[tuple[str, int]] = []
        meter = Meter(store, virtualtime.InlinePool(), lambda site, pods: told.append((site, pods)))
        store.agree([an_agreement("u1", tasks=3)])
        await meter.record([("east", a_member_pod("u1", state=ended(), phase="Succeeded"))], NOW_MS)
        assert (meter.is_over("u1", 1, 1), meter.is_over("u1", 1, 3), meter.is_over("u1", 1, 0)) == (True, False, False)
        mark_ms = virtualtime.BASE_MS + 3_600_000
        await meter.record_so_far("east", [a_member_pod("u1", index=1, state=running())], mark_ms, mark_ms)
        for _ in range(2):
            await meter.end("u1", 1, "east", virtualtime.BASE_MS, "gone", mark_ms + 5)
        assert [(gap.pod_uid, gap.pods, gap.start_ms, gap.end_ms) for gap in store.gaps(store.count())] == [
            ("", 1, virtualtime.BASE_MS, mark_ms + 5),
            ("pod-u1-1-1", 1, mark_ms, mark_ms + 5),
        ]
        assert told == [("east", 1), ("east", 1)]
        assert meter.is_over("u1", 1, 3)
        assert not meter.is_over("u1", 2, 3)
        meter.forget("u1")
        assert not meter.is_over("u1", 1, 3)
        await meter.close()

    virtualtime.run(whole())


def test_closing_ends_what_was_begun(make: Make, tmp_path: Path) -> None:
    async def whole() -> None:
        meter, _ = make()
        waiting = asyncio.ensure_future(meter.record([("east", a_member_pod(state=ended()))], NOW_MS))
        await asyncio.sleep(0)
        waiting.cancel()
        await meter.close()

    virtualtime.run(whole())
    with UsageStore(tmp_path / "usage.sqlite3") as store:
        assert len(store.of_job("uid-train")) == 1
