import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from suanli.placement.batch import make_batch
from suanli.placement.draft import Draft
from suanli.placement.filters import sift
from suanli.placement.packing import pack
from suanli.placement.scores import score
from suanli.placement.solve import market_of
from worlds import Taste, a_random_world, seeded


class DraftMachine(RuleBasedStateMachine):
    """Jobs put in, taken out and back: what is counted is always what is there."""

    @initialize(seed=st.integers(0, 1 << 20))
    def begin(self, seed: int) -> None:
        world = a_random_world(Taste(jobs=10, sites=3, seed=seed, plain=True, tight=True))
        batch = make_batch(world.jobs, world.sites, world.country, world.now_ms)
        costs = score(batch)
        self.market = market_of(batch, costs, sift(batch, costs))
        self.draft = Draft(self.market)
        self.marks: list[tuple[int, list[list[int]], list[list[float]]]] = []

    def _place(self, pick: int) -> tuple[int, int]:
        rows, pools = self.market.cost_rp.shape
        return pick % rows, pick // rows % pools

    @rule(pick=st.integers(0, 10_000), many=st.integers(1, 3))
    def put(self, pick: int, many: int) -> None:
        row, pool = self._place(pick)
        jobs = min(many, self.draft.room(row, pool))
        if jobs:
            before = self.draft.placed(row)
            self.draft.put(row, pool, jobs)
            assert self.draft.placed(row) == before + jobs

    @rule(pick=st.integers(0, 10_000))
    def take_out(self, pick: int) -> None:
        row, pool = self._place(pick)
        before = self.draft.placed(row)
        if self.draft.placed_rp[row, pool]:
            taken = self.draft.take_out(row, pool, 1)
            assert self.draft.placed(row) == before - taken

    @rule(pick=st.integers(0, 10_000))
    def tidy(self, pick: int) -> None:
        row, pool = self._place(pick)
        before = self.draft.placed(row)
        tidied = self.draft.tidy_for(row, pool)
        assert self.draft.placed(row) == before + tidied

    @rule()
    def mark(self) -> None:
        self.marks.append((self.draft.mark(), self.draft.placed_rp.tolist(), self.draft.left_pk.tolist()))

    @rule(keep=st.integers(0, 3))
    def undo(self, keep: int) -> None:
        if len(self.marks) > keep:
            mark, placed, left = self.marks[keep]
            del self.marks[keep:]
            self.draft.undo(mark)
            assert self.draft.placed_rp.tolist() == placed
            assert self.draft.left_pk.tolist() == left

    @invariant()
    def counts_are_right(self) -> None:
        placed, market = self.draft.placed_rp, self.market
        assert (placed >= 0).all()
        assert not placed[~market.allowed_rp].any()
        assert np.array_equal(self.draft.left_pk, market.capacity_pk - placed.T @ market.demand_rpk[:, 0])
        assert self.draft.cost == int((placed * market.cost_rp).sum())
        assert self.draft.amounts == int((placed * abs(market.cost_rp)).sum())

    @invariant()
    def pools_hold_what_is_in_them(self) -> None:
        for pool, nodes in enumerate(self.market.nodes):
            rows = np.flatnonzero(self.draft.placed_rp[:, pool]).tolist()
            loads = [self.market.load(row, pool, int(self.draft.placed_rp[row, pool])) for row in rows]
            assert pack(nodes, loads) is not None


TestDraft = DraftMachine.TestCase
TestDraft.settings = settings(seeded(25), stateful_step_count=25)
