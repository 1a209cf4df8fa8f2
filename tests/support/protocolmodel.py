"""A model of the protocol between hub and members, small enough to walk all of it: one job, two sites, two epochs.

The leader may die and any message may be late or lost at any point, links may be cut, the job may fail, its user may delete it.
The first attempt is at the first site: the other way round is the same. So only that site's fence matters, and time is counted in
ticks of its lease. `explore` visits every state that can come about and tells of the first that breaks an
invariant, with the way that leads there. A guard is a rule of the real code; without it the model does what the code would do without it.
What it leaves out: more than one job, several pods of a job, and a watch that lags while its link stands (the real leader's mirror).
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

SITES = (0, 1)
FENCED = 0
LAST_EPOCH = 2
LEASE, MARGIN = 2, 1  # in ticks


class Guard(Enum):
    """A rule, and where the real code has it."""

    COMMIT_FIRST = "confirm: the assignment is on the hub before anything is created"
    ONE_WRITE_A_VERSION = "JobWorker._patch: a status write made from an older version fails"
    NAMED_BY_EPOCH = "member_job_name: a create that is sent again finds the first one"
    OLD_GONE_FIRST = "_stopped: the assignment is taken off when nothing of the attempt is left"
    LATE_CREATES = "_stopped: and when no create of it may still come true"
    CERTAINLY_GONE = "remove_stale: what a fresh mirror lacks is not taken for deleted"
    SWEEP = "remove_stale: what no current attempt owns is deleted"
    FINALIZER = "render: a pod stays until its use is recorded"
    RECORD_FIRST = "release: a pod is let go only when its use is recorded"
    LOST_UNBILLED = "give_up: an attempt that was given up is not billed"
    WAIT_FOR_FENCE = "give_up: only when the fence has certainly acted"
    FENCE_KNOWN = "give_up: only where a fence has answered"
    SILENT_FOR_LONG = "give_up: and a create before the silence has met the fence"
    FENCE_ACTS = "Fence: stops what runs when the lease is over"
    FENCE_GOES_ON = "Fence: also what comes after the lease was over"
    FENCE_COUNTS_EARLY = "Countdown: counts from the last look that showed the renewal before"
    RENEWAL_ENDS_LATE = "Fences: a renewal may come true until its request has ended"
    RENEWED_BY_PREDECESSOR = "Fences: a new leader assumes that its predecessor renewed until it died"


class Copy(NamedTuple):
    """What stands on a member of one attempt."""

    site: int
    epoch: int
    runs: bool
    recorded: bool = False
    succeeded: bool = False
    deleting: bool = False
    overran: bool = False  # it ran while a later epoch was current


class Fenced(NamedTuple):
    """One site's lease."""

    left: int = LEASE  # by the fence's clock; below 0 it is late
    age: int = 0  # of the last renewal on the member
    unseen: bool = False  # the fence has not looked since
    sending: bool = False  # a renewal is on its way
    bound: int = LEASE + MARGIN  # until the leader holds it certainly over


class State(NamedTuple):
    """Everything there is."""

    # the hub
    exists: bool = True
    assigned: tuple[int, int] | None = None  # site, epoch
    epoch: int = 0
    ending: bool = False
    finished: bool = False
    lost: frozenset[int] = frozenset()
    committing: frozenset[tuple[int, int, bool]] = frozenset()  # site, epoch, whether its version is still the hub's
    # the leader
    leads: bool = True
    knows: bool = True  # its mirror is full
    asked: bool = False  # it waits for the answer to its commit
    # the members
    copies: frozenset[Copy] = frozenset()
    creating: frozenset[tuple[int, int, int]] = frozenset()  # creates on their way: site, epoch, which try
    cut: frozenset[int] = frozenset()
    silent: int = 0  # ticks since the first site fell silent, or this leader began
    fence: Fenced = Fenced()  # of the first site
    unmetered: bool = False  # a pod went with what it ran
    wronged: bool = False  # a copy that is owned was removed
    # what may still go wrong
    crashes: int = 1
    cuts: int = 1
    failures: int = 1


@dataclass(frozen=True)
class Setting:
    """What is walked: is a second copy allowed, does the first site run a fence, what may happen, which guard is missing."""

    at_most_once: bool = True
    fenced: bool = False
    cuts: int = 2
    failures: int = 1
    tries: int = 2  # creates of one attempt on their way at once
    may_delete: bool = True
    without: Guard | None = None

    def holds(self, guard: Guard) -> bool:
        """Whether the guard is there."""
        return guard is not self.without


# Each world is small and lets happen what matters in it.
FENCED_SITE = Setting(fenced=True, cuts=1, failures=0, tries=1, may_delete=False)
NO_FENCE = Setting()
AT_LEAST_ONCE = Setting(at_most_once=False, cuts=1, failures=0, tries=1, may_delete=False)


class Move(NamedTuple):
    """One step: its name, where it leads, and whether it is a fault."""

    name: str
    state: State
    fault: bool = False


@dataclass(frozen=True)
class Walk:
    """All that was seen: how many states, and what is broken with the way to it, if anything is."""

    states: int
    broken: str = ""
    way: tuple[str, ...] = ()


Moves = Iterator[Move]


def explore(setting: Setting) -> Walk:
    """Walk every state."""
    start = State(cuts=setting.cuts, failures=setting.failures)
    came: dict[State, tuple[State, str] | None] = {start: None}
    back: dict[State, list[State]] = {}
    queue = deque([start])
    while queue:
        state = queue.popleft()
        wrong = broken(state, setting)
        if wrong:
            return Walk(len(came), wrong, _way(came, state))
        for move in moves(state, setting):
            if not move.fault:
                back.setdefault(move.state, []).append(state)
            if move.state not in came:
                came[move.state] = (state, move.name)
                queue.append(move.state)
    stuck = _never_right(came, back)
    if stuck is not None:
        return Walk(len(came), "it never comes right", _way(came, stuck))
    return Walk(len(came))


def broken(state: State, setting: Setting) -> str:
    """The invariant that does not hold, or nothing."""
    running = [c for c in state.copies if c.runs]
    if setting.at_most_once and len(running) > 1:
        return "two copies run at once"
    current = [c for c in running if (c.site, c.epoch) == state.assigned]
    if len(current) > 1 or len({c.site for c in running if c.epoch == state.epoch}) > 1:
        return "two copies hold the current epoch"
    if any(c.overran and c.recorded and c.epoch not in state.lost for c in state.copies):
        return "what ran beside the current epoch is billed"
    if state.unmetered:
        return "something ran and is not metered"
    if state.wronged:
        return "something that is owned was removed"
    return ""


def moves(state: State, setting: Setting) -> Moves:
    """Everything that can happen next."""
    for part in (_leader, _messages, _members, _fence, _people, _faults, _repairs):
        for move in part(state, setting):
            yield move._replace(state=_plain(move.state))


# --- the leader: each step is one write, seen from nothing but hub and members


def _leader(state: State, setting: Setting) -> Moves:
    if not state.leads:
        return
    yield from _sweep(state, setting)
    yield from _record_and_release(state, setting)
    yield from _renew(state)
    if not (state.exists and state.knows) or state.finished:
        return
    if state.assigned is None:
        yield from _place(state, setting)
        return
    yield from _follow(state, setting)
    yield from _give_up(state, setting)


def _place(state: State, setting: Setting) -> Moves:
    if state.asked or state.epoch == LAST_EPOCH:
        return
    epoch = state.epoch + 1
    for site in SITES if epoch > 1 or state.committing else SITES[:1]:
        if site in state.cut:
            continue
        sent = state._replace(asked=True, committing=state.committing | {(site, epoch, True)})
        yield Move(f"commit {site}/{epoch}", sent)
        if not setting.holds(Guard.COMMIT_FIRST):
            yield Move(f"create {site}/{epoch} at once", state._replace(creating=state.creating | {(site, epoch, 0)}))


def _follow(state: State, setting: Setting) -> Moves:
    """The current attempt, as long as its site answers."""
    assert state.assigned is not None, "the caller looked"
    site, epoch = state.assigned
    if site in state.cut:
        return
    mine = [c for c in state.copies if (c.site, c.epoch) == (site, epoch)]
    tries = [n for s, e, n in state.creating if (s, e) == (site, epoch)]
    if state.ending:
        yield from _take_back(state, setting, mine, late=bool(tries))
        return
    free = [n for n in range(setting.tries) if n not in tries]
    if not mine and free:
        sent = (site, epoch, free[0])
        yield Move("create", state._replace(creating=state.creating | {sent}))
    done = [c for c in mine if not c.runs and c.recorded]
    if any(c.succeeded for c in done):
        yield Move("finish", _written(state, finished=True))
    elif done:
        yield Move("end the attempt", _written(state, ending=True))
    elif state.failures:
        yield Move("end the attempt early", _written(state, ending=True)._replace(failures=state.failures - 1))


def _take_back(state: State, setting: Setting, mine: list[Copy], *, late: bool) -> Moves:
    left = [c for c in mine if not c.deleting]
    if left:
        yield Move("delete", _deleted(state, left[0]))
    gone = not mine or not setting.holds(Guard.OLD_GONE_FIRST)
    if gone and not (late and setting.holds(Guard.LATE_CREATES)):
        yield Move("queue again", _written(state, assigned=None, ending=False))


def _give_up(state: State, setting: Setting) -> Moves:
    assert state.assigned is not None, "the caller looked"
    site, epoch = state.assigned
    if site not in state.cut:
        return
    if setting.at_most_once:
        if site != FENCED:
            return
        known = setting.fenced or not setting.holds(Guard.FENCE_KNOWN)
        over = state.fence.bound == 0 and not state.fence.sending
        over = over and (state.silent >= MARGIN or not setting.holds(Guard.SILENT_FOR_LONG))
        if not known or (not over and setting.holds(Guard.WAIT_FOR_FENCE)):
            return
    lost = state.lost | {epoch} if setting.holds(Guard.LOST_UNBILLED) else state.lost
    yield Move("give up", _written(state, assigned=None, ending=False, lost=lost))


def _sweep(state: State, setting: Setting) -> Moves:
    if not setting.holds(Guard.SWEEP):
        return
    for copy in state.copies:
        if copy.site in state.cut or copy.deleting:
            continue
        owned = state.exists and state.assigned == (copy.site, copy.epoch)
        if state.knows and not (owned and not state.finished):
            yield Move("sweep", _deleted(state, copy))
        elif not state.knows and not setting.holds(Guard.CERTAINLY_GONE):
            yield Move("sweep unknown", _deleted(state, copy)._replace(wronged=owned))


def _record_and_release(state: State, setting: Setting) -> Moves:
    for copy in state.copies:
        if copy.site in state.cut or copy.runs:
            continue
        if not copy.recorded:
            yield Move("record", _with(state, copy, copy._replace(recorded=True)))
        if copy.deleting and (copy.recorded or not setting.holds(Guard.RECORD_FIRST)):
            gone = _with(state, copy, None)
            yield Move("release", gone._replace(unmetered=state.unmetered or not copy.recorded))


def _renew(state: State) -> Moves:
    fence = state.fence
    if FENCED not in state.cut and not fence.sending and fence.age > 0:
        yield Move("renew", state._replace(fence=fence._replace(sending=True, bound=LEASE + MARGIN)))


# --- messages: each arrives, late or not, or is lost


def _messages(state: State, setting: Setting) -> Moves:
    for message in state.committing:
        site, epoch, fresh = message
        rest = state._replace(committing=state.committing - {message}, asked=False)
        if fresh or not setting.holds(Guard.ONE_WRITE_A_VERSION):
            yield Move(f"commit {site}/{epoch} arrives", _written(rest, assigned=(site, epoch), epoch=epoch))
        else:
            yield Move("commit is refused", rest)
    for site, epoch, which in state.creating:
        rest = state._replace(creating=state.creating - {(site, epoch, which)})
        mine = [c for c in state.copies if (c.site, c.epoch) == (site, epoch)]
        if not mine:
            yield Move("create arrives", _started(rest, site, epoch))
        elif not setting.holds(Guard.NAMED_BY_EPOCH) and len(mine) == 1 and not mine[0].overran:
            twin = mine[0]._replace(runs=True, overran=True)
            yield Move("create arrives again", rest._replace(copies=rest.copies | {twin}))
        else:
            yield Move("create is known", rest)
    fence = state.fence
    if fence.sending:
        bound = LEASE + MARGIN if setting.holds(Guard.RENEWAL_ENDS_LATE) else fence.bound
        come = fence._replace(sending=False, age=0, unseen=True, bound=bound)
        yield Move("renewal arrives", state._replace(fence=come))


# --- the members


def _members(state: State, setting: Setting) -> Moves:
    for copy in state.copies:
        if not copy.runs:
            continue
        ended = copy._replace(runs=False)
        if copy.deleting:
            if setting.holds(Guard.FINALIZER):
                yield Move("stops", _with(state, copy, ended))
            else:
                yield Move("stops and goes", _with(state, copy, None)._replace(unmetered=True))
        elif not copy.overran:
            yield Move("succeeds", _with(state, copy, ended._replace(succeeded=True)))
            if state.failures:
                yield Move("fails", _with(state, copy, ended)._replace(failures=state.failures - 1))


def _fence(state: State, setting: Setting) -> Moves:
    if not setting.fenced:
        if not setting.holds(Guard.FENCE_KNOWN):
            yield from _tick(state, setting)
        return
    fence = state.fence
    if fence.unseen:
        left = LEASE - fence.age if setting.holds(Guard.FENCE_COUNTS_EARLY) else LEASE
        yield Move("fence looks", state._replace(fence=fence._replace(unseen=False, left=max(fence.left, left))))
    acts = _acts(setting) and fence.left <= 0 and (fence.left == 0 or setting.holds(Guard.FENCE_GOES_ON))
    for copy in state.copies if acts else ():
        if copy.site == FENCED and copy.runs:
            yield Move("fence stops it", _with(state, copy, copy._replace(runs=False)))
    yield from _tick(state, setting)


def _tick(state: State, setting: Setting) -> Moves:
    """Time passes; but a request ends before a lease does, and a fence that is to act acts within the margin."""
    fence = state.fence
    if state.committing or state.creating:
        return
    due = fence.left == 0 or (fence.left < 0 and setting.holds(Guard.FENCE_GOES_ON))
    if setting.fenced and _acts(setting) and due and any(c.runs and c.site == FENCED for c in state.copies):
        return
    passed = fence._replace(
        left=max(-MARGIN, fence.left - 1), age=min(LEASE, fence.age + 1), bound=max(0, fence.bound - 1)
    )
    silent = min(MARGIN, state.silent + 1) if FENCED in state.cut else 0
    yield Move("tick", state._replace(fence=passed, silent=silent))


def _acts(setting: Setting) -> bool:
    return setting.at_most_once and setting.holds(Guard.FENCE_ACTS)


# --- people, faults and their end


def _people(state: State, setting: Setting) -> Moves:
    if state.exists and not state.finished and setting.may_delete:
        yield Move("the user deletes the job", state._replace(exists=False, assigned=None), fault=True)


def _faults(state: State, setting: Setting) -> Moves:
    if state.leads and state.crashes:
        yield Move(
            "crash", state._replace(leads=False, knows=False, asked=False, crashes=state.crashes - 1), fault=True
        )
    for site in SITES:
        if site not in state.cut and state.cuts and (site == FENCED or not setting.fenced):
            yield Move(f"cut {site}", state._replace(cut=state.cut | {site}, cuts=state.cuts - 1, silent=0), fault=True)
    if state.fence.sending:
        yield Move("renewal is lost", state._replace(fence=state.fence._replace(sending=False)), fault=True)
    for message in state.creating:
        yield Move("create is lost", state._replace(creating=state.creating - {message}), fault=True)
    for commit in state.committing:
        lost = state._replace(committing=state.committing - {commit}, asked=False)
        yield Move("commit is lost", lost, fault=True)


def _repairs(state: State, setting: Setting) -> Moves:
    if not state.leads:
        predecessor = LEASE + MARGIN if setting.holds(Guard.RENEWED_BY_PREDECESSOR) else 0
        yield Move("a new leader", state._replace(leads=True, silent=0, fence=state.fence._replace(bound=predecessor)))
    elif not state.knows:
        yield Move("the mirror is full", state._replace(knows=True))
    for site in state.cut:
        yield Move(f"{site} is back", state._replace(cut=state.cut - {site}, silent=0))


# --- small parts


def _plain(state: State) -> State:
    """The lease as new wherever it decides of nothing: before the first attempt, and when nothing of it may run any more."""
    first = (
        state.epoch == 1
        or any(c.epoch == 1 and c.runs for c in state.copies)
        or any(e == 1 for _, e, _ in state.creating)
    )
    over = state.finished or not state.exists
    return state if first and not over else state._replace(fence=Fenced(), silent=0)


def _written(state: State, **fields: Any) -> State:
    """A status write: whatever else is on its way was made from an older version; what runs may have been superseded."""
    stale = frozenset((site, epoch, False) for site, epoch, _ in state.committing)
    state = state._replace(committing=stale, **fields)
    assigned = state.assigned
    if assigned is None:
        return state
    over = {c: c._replace(overran=True) for c in state.copies if c.runs and c.epoch < assigned[1]}
    return state._replace(copies=frozenset(over.get(c, c) for c in state.copies))


def _started(state: State, site: int, epoch: int) -> State:
    late = state.assigned is not None and epoch < state.assigned[1]
    return state._replace(copies=state.copies | {Copy(site, epoch, runs=True, overran=late)})


def _with(state: State, old: Copy, new: Copy | None) -> State:
    return state._replace(copies=state.copies - {old} | ({new} if new is not None else frozenset()))


def _deleted(state: State, copy: Copy) -> State:
    return _with(state, copy, copy._replace(deleting=True))


def _right(state: State) -> bool:
    """Whether nothing is left to do: over, or queued beyond the last epoch that is walked, and nothing stands."""
    over = not state.exists or state.finished or (state.assigned is None and state.epoch == LAST_EPOCH)
    return over and not (state.copies or state.creating or state.committing)


def _never_right(
    came: dict[State, tuple[State, str] | None], back: dict[State, list[State]], right: Callable[[State], bool] = _right
) -> State | None:
    """A state from which no way without faults leads to an end at which everything is right."""
    good = {s for s in came if right(s)}
    queue = deque(good)
    while queue:
        for before in back.get(queue.popleft(), ()):
            if before not in good:
                good.add(before)
                queue.append(before)
    return next((s for s in came if s not in good), None)


def _way(came: dict[State, tuple[State, str] | None], state: State) -> tuple[str, ...]:
    names = []
    step = came[state]
    while step is not None:
        state, name = step
        names.append(name)
        step = came[state]
    return tuple(reversed(names))
