"""Processes that stand still, as after SIGSTOP or in a machine that is suspended: nothing of theirs runs, then all that came meanwhile.

All processes of a simulation share one loop. What runs is a process's by its context, which tasks hand down; a loop of this module
keeps back what is of a process that stands still. What is under way to a server is nobody's, so it arrives.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar, TypeVarTuple, Unpack

from virtualtime import InlinePool, VirtualLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@dataclass
class _Turn:
    """Something that is to run; later, or as soon as the loop comes to it."""

    run: Callable[..., object]
    args: tuple[Any, ...]
    is_timer: bool
    handle: asyncio.Handle | None = None


@dataclass
class Standstill:
    """Whether one process stands still, and what it has not done since."""

    still: bool = False
    held: list[tuple[_Turn, Context]] = field(default_factory=list)

    def enter(self) -> Context:
        """A context whose tasks are this process's."""
        context = copy_context()
        context.run(_OF.set, self)
        return context

    async def here(self) -> None:
        """Stand still, in the midst of the process's own work, until `go_on`."""
        self.still = True
        await asyncio.sleep(0)

    def go_on(self) -> None:
        """As an event loop does: first what came from outside, then what was due by the clock."""
        self.still = False
        held, self.held = self.held, []
        for turn, context in sorted(held, key=lambda one: one[0].is_timer):
            context.run(_again, turn)


_OF: ContextVar[Standstill | None] = ContextVar("_OF", default=None)


class StandstillLoop(VirtualLoop):
    """A loop in virtual time in which processes can stand still."""

    def _call_soon(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context | None
    ) -> asyncio.Handle:
        turn = _Turn(callback, args, is_timer=False)
        turn.handle = super()._call_soon(_take, (turn,), context)  # type: ignore[misc]  # asyncio's own, of every handle
        return turn.handle

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As any loop does."""
        turn = _Turn(callback, args, is_timer=True)
        timer = super().call_at(when, _take, turn, context=context)
        turn.handle = timer
        return timer


def _take(turn: _Turn) -> None:
    assert turn.handle is not None, "it is set before anything runs"
    process = _OF.get()
    if turn.handle.cancelled():
        return
    if process is not None and process.still:
        process.held.append((turn, copy_context()))
    else:
        turn.run(*turn.args)


def _again(turn: _Turn) -> None:
    asyncio.get_running_loop().call_soon(_take, turn)


async def outside(work: Coroutine[Any, Any, T]) -> T:
    """What a server does: it goes on, whoever asked for it, and whether that one still waits for the answer."""
    context = copy_context()
    context.run(_OF.set, None)
    return await asyncio.shield(asyncio.get_running_loop().create_task(work, context=context))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, without waiting."""
    with asyncio.Runner(loop_factory=StandstillLoop) as runner:
        runner.get_loop().set_default_executor(InlinePool())
        return runner.run(work)
