"""Bare markets for the solver's parts: rows of jobs and pools of one node each, where only cards bind."""

import numpy as np

from suanli.placement.market import Market
from suanli.placement.packing import Nodes

HUGE = 1 << 40


def a_market(
    costs: list[list[int]],
    *,
    cards: list[int],
    room: list[int],
    count: list[int],
    allowed: list[list[bool]] | None = None,
    priority: list[int] | None = None,
    nodes_a_pool: int = 1,
) -> Market:
    """Rows of jobs of one task of so many cards, pools of nodes of so many; the queue is in the order of the rows."""
    need = np.array([[[1, 1, c, 1]] for c in cards], dtype=np.int64).reshape(len(cards), 1, 4)
    nodes: tuple[Nodes, ...] = tuple(((nodes_a_pool, (HUGE, HUGE, r, HUGE)),) if r else () for r in room)
    return Market(
        cost_rp=np.array(costs, dtype=np.int64).reshape(len(cards), len(room)),
        allowed_rp=np.array(allowed if allowed is not None else [[True] * len(room) for _ in cards]).reshape(
            len(cards), len(room)
        ),
        wish_rp=np.zeros((len(cards), len(room)), dtype=np.int64),
        count_r=np.array(count, dtype=np.int64),
        tasks_r=np.ones(len(cards), dtype=np.int64),
        priority_r=np.array(priority or [0] * len(cards), dtype=np.int64),
        need_rpk=need,
        nodes=nodes,
        queue=np.array(list(enumerate(count)), dtype=np.int64).reshape(len(count), 2),
    )
