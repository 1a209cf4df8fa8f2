"""Small batches are searched whole: branch and bound over every way to place every job."""

from dataclasses import dataclass

from suanli.placement.draft import Draft
from suanli.placement.market import Market
from suanli.placement.packing import Load, Nodes, pack, slots

MOST_JOBS = 10
MOST_VISITS = 4_000

# Jobs that wait, by priority from the highest; the cost of those that run; and, one by one in the queue, whether a job waits.
Value = tuple[tuple[int, ...], int, tuple[bool, ...]]


@dataclass(frozen=True)
class Found:
    """The best plan. `proven`: nothing better exists."""

    draft: Draft
    proven: bool


def value(market: Market, draft: Draft) -> Value:
    """What a plan makes small: fewer that wait of a higher priority go before anything of a lower one, then cost, then age."""
    placed_r = draft.placed_rp.sum(axis=1)
    waiting = market.count_r - placed_r
    levels = sorted(set(market.priority_r.tolist()), reverse=True)
    counts = tuple(int(waiting[market.priority_r == level].sum()) for level in levels)
    left, waits = placed_r.tolist(), list[bool]()
    for row, jobs in market.queue.tolist():
        runs = min(jobs, left[row])
        left[row] -= runs
        waits += [False] * runs + [True] * (jobs - runs)
    return counts, draft.cost, tuple(waits)


def search(market: Market, start: Draft) -> Found | None:
    """The best plan; None where the batch is too large, or not searched in full and nothing better was found."""
    if market.count_r.sum() > MOST_JOBS:
        return None
    run = _Search(market, value(market, start))
    run.visit(0, (), 0)
    if run.best is None:
        return Found(start, proven=True) if run.complete else None
    draft = Draft(market)
    for row, pool in zip(run.rows, run.best, strict=True):
        if pool is not None:
            packed = draft.room(row, pool) > 0
            if packed:
                draft.put(row, pool, 1)
            else:
                assert draft.tidy_for(row, pool), "the search has packed it"
    return Found(draft, proven=run.complete)


class _Search:
    """One depth-first run; `complete` stays true while nothing was left out for lack of time or of a surer packing."""

    def __init__(self, market: Market, known: Value) -> None:
        self.market = market
        self.rows = [row for row, jobs in market.queue.tolist() for _ in range(jobs)]
        self.best: tuple[int | None, ...] | None = None
        self.complete = True
        self._best_value = known
        self._visits = 0
        levels = sorted(set(market.priority_r.tolist()), reverse=True)
        self._level = [levels.index(int(market.priority_r[row])) for row in self.rows]
        self._waiting = [0] * len(levels)
        self._options = {row: market.preference(row, market.open_cost_rp[row]) for row in set(self.rows)}
        least = [int(market.cost_rp[row, self._options[row][0]]) if self._options[row] else 0 for row in self.rows]
        self._rest = [sum(least[i:]) for i in range(len(least) + 1)]
        self._loads: list[list[Load]] = [[] for _ in market.nodes]

    def visit(self, depth: int, chosen: tuple[int | None, ...], cost: int) -> None:
        """Try every place for the next job, the cheapest first, and last to let it wait."""
        waits = tuple(pool is None for pool in chosen) + (False,) * (len(self.rows) - depth)
        reached = tuple(self._waiting), cost + self._rest[depth], waits
        if reached >= self._best_value:
            return
        if depth == len(self.rows):
            self.best, self._best_value = chosen, reached
            return
        self._visits += 1
        if self._visits > MOST_VISITS:
            self.complete = False
            return
        row = self.rows[depth]
        for pool in self._not_before_a_twin(row, depth, chosen):
            load = self.market.load(row, pool, 1)
            if self._fits(pool, load):
                self._loads[pool].append(load)
                self.visit(depth + 1, (*chosen, pool), cost + int(self.market.cost_rp[row, pool]))
                self._loads[pool].pop()
        self._waiting[self._level[depth]] += 1
        self.visit(depth + 1, (*chosen, None), cost)
        self._waiting[self._level[depth]] -= 1

    def _not_before_a_twin(self, row: int, depth: int, chosen: tuple[int | None, ...]) -> list[int]:
        """The row's pools; of equal jobs a later one does not go before an earlier one, since that is the same plan."""
        options = self._options[row]
        twin = next((i for i in range(depth - 1, -1, -1) if self.rows[i] == row), None)
        if twin is None:
            return options
        pool = chosen[twin]
        return [] if pool is None else options[options.index(pool) :]

    def _fits(self, pool: int, load: Load) -> bool:
        nodes, loads = self.market.nodes[pool], [*self._loads[pool], load]
        if pack(nodes, loads) is not None:
            return True
        if _may_fit(nodes, loads):
            self.complete = False
        return False


def _may_fit(nodes: Nodes, loads: list[Load]) -> bool:
    """Whether sums and single shapes leave it open that a better packing exists."""
    for k in range(4):
        if sum(shape[k] * tasks for shape, tasks in loads) > sum(count * node[k] for count, node in nodes):
            return False
    return all(slots(nodes, shape) >= sum(t for s, t in loads if s == shape) for shape, _ in loads)
