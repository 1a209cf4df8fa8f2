"""A lane for every member: full ones wait, others pass."""

import asyncio

import virtualtime
from suanli.reconcile.lanes import Lanes


def test_a_site_takes_so_many_at_a_time_in_their_order_and_others_pass() -> None:
    begun: list[tuple[float, str]] = []

    async def work(site: str, key: str) -> None:
        begun.append((asyncio.get_running_loop().time(), key))
        await asyncio.sleep(10 if site == "slow" else 0.1)

    async def whole() -> None:
        async with asyncio.TaskGroup() as group:
            lanes = Lanes(group, 2, work)
            for n in range(5):
                lanes.add("slow", f"s{n}")
            lanes.add("quick", "q0")
            await asyncio.sleep(1)
            lanes.add("quick", "q1")
        assert lanes._lanes == {}

    virtualtime.run(whole())
    assert begun == [(0, "s0"), (0, "s1"), (0, "q0"), (1, "q1"), (10, "s2"), (10, "s3"), (20, "s4")]


def test_what_is_urgent_at_a_site_goes_first() -> None:
    begun: list[str] = []

    async def work(site: str, key: str) -> None:
        begun.append(key)
        await asyncio.sleep(1)

    async def whole() -> None:
        async with asyncio.TaskGroup() as group:
            lanes = Lanes(group, 1, work)
            for key in "abc":
                lanes.add("s", key, urgent=key == "c")

    virtualtime.run(whole())
    assert begun == ["c", "a", "b"]
