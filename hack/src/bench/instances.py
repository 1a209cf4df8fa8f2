"""Instances of generalised assignment of the five types of the literature, drawn from a seed.

A kind is a type with a number of agents and of items: `c20x400`. Weights and costs of `a` to `c` are independent, those of `d` and `e`
run against each other; room is ample in `a`, less in `b`, and four fifths of what items take on average in the others.

Source: Chu and Beasley 1997, Computers and Operations Research 24(1); Laguna, Kelly, Gonzalez-Velarde and Glover 1995, European Journal
of Operational Research 82(1) for `e`.
"""

import re
from dataclasses import dataclass

import numpy as np

from suanli.placement.batch import Ints

KINDS = "a20x200 b20x200 c10x200 c20x400 c40x1600 d10x200 d20x400 d20x1600 e10x400 e20x200 e40x400 e20x1600"  # what is compared with peers: small, usual and large ones, 10 to 80 items an agent
LEAST, MOST_AGENTS, MOST_ITEMS = 2, 999, 99_999


@dataclass(frozen=True)
class Kind:
    """A type and its size."""

    type_: str
    agents: int
    items: int

    @property
    def name(self) -> str:
        """As files of the literature are named."""
        return f"{self.type_}{self.agents:02d}{self.items}"


def kind(text: str) -> Kind:
    """`c20x400` as a kind. Raises: ValueError with what is wrong."""
    found = re.fullmatch(r"([a-e])([0-9]{1,3})x([0-9]{1,5})", text)
    if found is None or min(int(found[2]), int(found[3])) < LEAST:
        raise ValueError(
            f'"{text}" is no kind; write a type from a to e, agents ({LEAST} to {MOST_AGENTS}) and items ({LEAST} to {MOST_ITEMS}): c20x400'
        )
    return Kind(found[1], int(found[2]), int(found[3]))


def drawn(kind: Kind, seed: int) -> str:
    """An instance in the format of the OR-Library."""
    cost_ai, weight_ai, room_a = _numbers(kind, np.random.default_rng([seed, kind.agents, kind.items, ord(kind.type_)]))
    rows = [(kind.agents, kind.items), *cost_ai.tolist(), *weight_ai.tolist(), room_a.tolist()]
    return "".join(" ".join(map(str, row)) + "\n" for row in rows)


def _numbers(kind: Kind, rng: np.random.Generator) -> tuple[Ints, Ints, Ints]:
    """Costs, weights (A, I) and room (A,)."""
    shape = (kind.agents, kind.items)
    if kind.type_ == "e":
        weight_ai = np.maximum(1, (1 - 10 * np.log(1 - rng.random(shape))).astype(np.int64))
        cost_ai = np.maximum(0, (1000 / weight_ai - 10 * rng.random(shape)).astype(np.int64))
    elif kind.type_ == "d":
        weight_ai = rng.integers(1, 101, shape)
        cost_ai = 111 - weight_ai + rng.integers(-10, 11, shape)
    else:
        weight_ai, cost_ai = rng.integers(5, 26, shape), rng.integers(10, 51, shape)
    if kind.type_ not in "ab":
        return cost_ai, weight_ai, (0.8 * weight_ai.sum(axis=1) / kind.agents).astype(np.int64)
    cheapest_i = cost_ai.argmin(axis=0)
    fullest = max(int(weight_ai[agent, cheapest_i == agent].sum()) for agent in range(kind.agents))
    room = int(0.6 * kind.items / kind.agents * 15 + 0.4 * fullest)
    return cost_ai, weight_ai, np.full(kind.agents, int(0.7 * room) if kind.type_ == "b" else room, dtype=np.int64)
