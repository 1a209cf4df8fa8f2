"""Tasks onto nodes: how many fit, and what is left when some are taken. Nodes that are alike are counted, not listed."""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from suanli.placement.snapshot import FreeNodes

Shape = tuple[int, int, int, int]  # of one task: millicores, bytes, cards, pods (never 0)
Node = tuple[int, int, int, int]  # what one node can still take, in the same order
Nodes = tuple[tuple[int, Node], ...]  # how many of each kind, the fullest first: by cards, then cores, then memory
Rows = npt.NDArray[np.int64]  # (N, 5): nodes as an array, how many first
Load = tuple[Shape, int]  # a shape and how many tasks of it
MOST_SLOTS = 1 << 40  # members tell of their nodes, and may tell nonsense
MOST_ROOM = 1 << 60  # of one node, in arrays
_fullest = itemgetter(2, 0, 1, 3)


def nodes_of(groups: "Iterable[FreeNodes]") -> Nodes:
    """The nodes of a room."""
    return _ordered([(g.count, (g.cpu_milli, g.memory_bytes, g.cards, g.pods)) for g in groups])


def times(node: Node, shape: Shape) -> int:
    """Tasks of a shape that one node takes."""
    most = node[3] // shape[3]
    if shape[0]:
        most = min(most, node[0] // shape[0])
    if shape[1]:
        most = min(most, node[1] // shape[1])
    if shape[2]:
        most = min(most, node[2] // shape[2])
    return most


def slots(nodes: Nodes, shape: Shape) -> int:
    """Tasks of a shape that all nodes take, if nothing else comes."""
    return min(MOST_SLOTS, sum(count * times(node, shape) for count, node in nodes))


def rows_of(nodes: Nodes) -> Rows:
    """Nodes as an array, cut where nonsense begins."""
    rows = [(min(MOST_SLOTS, count), *(min(MOST_ROOM, room) for room in node)) for count, node in nodes]
    return np.array(rows, dtype=np.int64).reshape(len(rows), 5)


def units_of(nodes: Nodes) -> tuple[int, int, int]:
    """Millicores, bytes and cards of all nodes together."""
    cpu = memory = cards = 0
    for count, node in nodes:
        cpu, memory, cards = cpu + count * node[0], memory + count * node[1], cards + count * node[2]
    return cpu, memory, cards


def slots_hp(pools: Sequence[Rows], shapes: Sequence[Shape]) -> npt.NDArray[np.int64]:
    """What `slots` says of each shape in each pool. Shape (H, P)."""
    rows = np.concatenate(pools) if pools else np.zeros((0, 5), dtype=np.int64)
    pool_n = np.repeat(np.arange(len(pools)), [len(pool) for pool in pools])
    count_n, room_nk = rows[:, 0], rows[:, 1:]
    most_n = MOST_SLOTS // np.maximum(count_n, 1)
    found = np.zeros((len(shapes), len(pools)), dtype=np.int64)
    for h, shape in enumerate(shapes):
        asked = [k for k in range(4) if shape[k]]
        times_n = np.minimum(most_n, (room_nk[:, asked] // np.array([shape[k] for k in asked])).min(axis=1))
        np.add.at(found[h], pool_n, times_n * count_n)
    return np.minimum(found, MOST_SLOTS)


def take(nodes: Nodes, shape: Shape, tasks: int) -> Nodes | None:
    """What is left when the tasks are taken, the fullest nodes first; None if they do not fit."""
    left, kept = tasks, dict[Node, int]()
    for count, node in nodes:
        each = times(node, shape) if left else 0
        if each:
            whole = min(count, left // each)
            left -= whole * each
            if whole:
                emptier = _less(node, shape, each)
                kept[emptier] = kept.get(emptier, 0) + whole
                count -= whole
            if left and count:
                emptier = _less(node, shape, left)
                kept[emptier] = kept.get(emptier, 0) + 1
                count, left = count - 1, 0
        if count:
            kept[node] = kept.get(node, 0) + count
    return None if left else _sorted(kept)


def pack(nodes: Nodes, loads: Iterable[Load]) -> Nodes | None:
    """What is left when all the loads are taken, the largest shapes first; None if they do not fit that way."""
    wanted: dict[Shape, int] = {}
    for shape, tasks in loads:
        wanted[shape] = wanted.get(shape, 0) + tasks
    for shape in by_size(wanted):
        left = take(nodes, shape, wanted[shape])
        if left is None:
            return None
        nodes = left
    return nodes


def by_size(shapes: Iterable[Shape]) -> list[Shape]:
    """The largest first: by cards, then cores, then memory."""
    return sorted(shapes, key=lambda shape: (shape[2], shape[0], shape[1]), reverse=True)


def _less(node: Node, shape: Shape, tasks: int) -> Node:
    return (
        node[0] - tasks * shape[0],
        node[1] - tasks * shape[1],
        node[2] - tasks * shape[2],
        node[3] - tasks * shape[3],
    )


def _ordered(nodes: list[tuple[int, Node]]) -> Nodes:
    counts: dict[Node, int] = {}
    for count, node in nodes:
        if count:
            counts[node] = counts.get(node, 0) + count
    return _sorted(counts)


def _sorted(counts: dict[Node, int]) -> Nodes:
    return tuple([(counts[node], node) for node in sorted(counts, key=_fullest)])
