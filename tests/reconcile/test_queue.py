"""The work queue: once each, one worker a key, later when asked, and nothing gets stuck."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

import virtualtime
from suanli.reconcile.line import Line
from suanli.reconcile.queue import MOST_BACKOFF_S, WorkQueue


def play(work: Coroutine[Any, Any, None]) -> None:
    virtualtime.run(work)


def test_a_key_waits_once_and_keys_come_in_order() -> None:
    async def whole() -> None:
        queue = WorkQueue()
        for key in "abab":
            queue.add(key)
        assert len(queue) == 2
        assert [await queue.get(), await queue.get()] == ["a", "b"]

    play(whole())


def test_keys_come_in_the_order_of_the_line_that_was_given() -> None:
    async def whole() -> None:
        queue = WorkQueue(Line(lambda key: key[0]))
        for key in ("a1", "a2", "a3", "b1"):
            queue.add(key)
        assert [await queue.get() for _ in range(4)] == ["a1", "b1", "a2", "a3"]

    play(whole())


def test_a_key_that_is_worked_on_comes_again_afterwards() -> None:
    async def whole() -> None:
        queue = WorkQueue()
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        queue.add("a")
        assert len(queue) == 0
        queue.done("a")
        assert await queue.get() == "a"
        queue.done("a")
        assert len(queue) == 0

    play(whole())


def test_what_the_worker_sees_needs_no_other_look() -> None:
    async def whole() -> None:
        queue = WorkQueue()
        queue.add("a")
        assert await queue.get() == "a"
        queue.add("a")
        queue.seen("a")
        queue.done("a")
        assert len(queue) == 0
        queue.add("a")
        assert await queue.get() == "a"
        queue.seen("a")
        queue.add("a")
        queue.done("a")
        assert await queue.get() == "a", "that came after the look"

    play(whole())


def test_an_urgent_key_passes_also_when_it_was_added_while_it_was_worked_on() -> None:
    async def whole() -> None:
        queue = WorkQueue()
        for key in "abc":
            queue.add(key)
        assert await queue.get() == "a"
        queue.add("a", urgent=True)
        queue.add("a")
        queue.add("c", urgent=True)
        queue.done("a")
        assert [await queue.get() for _ in range(3)] == ["c", "a", "b"]

    play(whole())


def test_the_same_wish_again_and_again_is_one() -> None:
    async def whole() -> None:
        queue = WorkQueue()
        for n in range(100):
            queue.add_later("a", 30 - n / 100_000)
        assert len(queue._later) == 1
        queue.add_later("a", 29)
        assert len(queue._later) == 2

    play(whole())


def test_the_earliest_wish_holds() -> None:
    async def whole() -> None:
        queue, loop = WorkQueue(), asyncio.get_running_loop()
        queue.add_later("a", 30)
        queue.add_later("a", 5)
        queue.add_later("a", 60)
        queue.add_later("b", 1)
        assert await queue.get() == "b"
        assert loop.time() == pytest.approx(1)
        assert await queue.get() == "a"
        assert loop.time() == pytest.approx(5)
        await asyncio.sleep(100)
        queue.done("a")
        assert len(queue) == 0

    play(whole())


def test_failures_double_the_wait_and_a_success_forgets_them() -> None:
    async def whole() -> None:
        queue, loop = WorkQueue(), asyncio.get_running_loop()
        waits = []
        for _ in range(10):
            queue.failed("a")
            began = loop.time()
            await queue.get()
            waits.append(round(loop.time() - began, 3))
            queue.done("a")
        assert waits[:5] == [0.2, 0.4, 0.8, 1.6, 3.2]
        assert waits[-1] == MOST_BACKOFF_S
        queue.succeeded("a")
        queue.failed("a", at_least_s=7)
        began = loop.time()
        await queue.get()
        assert loop.time() - began == pytest.approx(7)

    play(whole())


def test_one_key_wakes_one_worker() -> None:
    async def whole() -> None:
        queue, got = WorkQueue(), []

        async def worker() -> None:
            while True:
                key = await queue.get()
                got.append(key)
                queue.done(key)

        workers = [asyncio.ensure_future(worker()) for _ in range(5)]
        await asyncio.sleep(0.1)
        for key in "abcdefgh":
            queue.add(key)
        await asyncio.sleep(0.1)
        assert sorted(got) == list("abcdefgh")
        for task in workers:
            task.cancel()

    play(whole())


def test_a_cancelled_worker_loses_no_key() -> None:
    async def whole() -> None:
        queue = WorkQueue()
        first = asyncio.ensure_future(queue.get())
        second = asyncio.ensure_future(queue.get())
        await asyncio.sleep(0.1)
        queue.add("a")  # it wakes the first, which is cancelled before it can take it
        first.cancel()
        assert await second == "a"
        assert first.cancelled()

    play(whole())


def test_wishes_that_do_not_hold_any_more_are_forgotten() -> None:
    async def whole() -> None:
        queue = WorkQueue()
        for n in range(10_000):
            queue.add_later("a", 20_000 - n)
        assert len(queue._later) < 200
        assert await queue.get() == "a"

    play(whole())
