"""Whether tasks fit on nodes: sums refute, quick packings prove, and a search decides what is left."""

from collections import Counter
from collections.abc import Sequence

Amounts = tuple[int, int, int, int]  # millicores, bytes, cards, pods
Gang = tuple[Amounts, int]  # one task and how many of them
Groups = Sequence[tuple[int, Amounts]]  # equal nodes
MOST_STEPS = 200_000


class Undecided(Exception):
    """The search gave up: the instance is too large for a checker."""


def tasks_that_fit(groups: Groups, task: Amounts) -> int:
    """Tasks of one kind that the nodes take."""
    return sum(
        count * min(has // asked for has, asked in zip(node, task, strict=True) if asked) for count, node in groups
    )


def fit_together(groups: Groups, gangs: Sequence[Gang]) -> bool:
    """Whether all the tasks fit on the nodes. Raises: Undecided."""
    wanted = Counter[Amounts]()
    for task, count in gangs:
        wanted[task] += count
    tasks = sorted(wanted, key=lambda t: (t[2], t[0], t[1]), reverse=True)
    if not tasks:
        return True
    total = sum(wanted.values())
    for k in range(4):
        if sum(task[k] * wanted[task] for task in tasks) > sum(count * node[k] for count, node in groups):
            return False
    if any(tasks_that_fit(groups, task) < wanted[task] for task in tasks):
        return False
    nodes = [node for count, node in groups for _ in range(min(count, total))]
    orders = (tasks, sorted(tasks, key=lambda t: (t[1], t[0]), reverse=True), sorted(tasks, reverse=True))
    if any(_greedy(nodes, order, wanted, tightest) for order in orders for tightest in (True, False)):
        return True
    return _search(nodes, tasks, wanted)


def _greedy(nodes: list[Amounts], order: list[Amounts], wanted: Counter[Amounts], tightest: bool) -> bool:
    """Kind by kind, node by node, those with the least or with the most left first."""
    rooms = list(nodes)
    for task in order:
        rooms.sort(key=lambda n: (n[2], n[0], n[1], n[3]), reverse=not tightest)
        left = wanted[task]
        for i, room in enumerate(rooms):
            taken = min(left, tasks_that_fit([(1, room)], task)) if left else 0
            if taken:
                rooms[i] = _without(room, task, taken)
                left -= taken
        if left:
            return False
    return True


def _without(room: Amounts, task: Amounts, times: int) -> Amounts:
    return (
        room[0] - times * task[0],
        room[1] - times * task[1],
        room[2] - times * task[2],
        room[3] - times * task[3],
    )


def _search(nodes: list[Amounts], tasks: list[Amounts], wanted: Counter[Amounts]) -> bool:
    """Every way to fill node after node."""
    steps = 0
    dead: set[tuple[int, tuple[int, ...]]] = set()

    def fill(i: int, left: tuple[int, ...]) -> bool:
        nonlocal steps
        if not any(left):
            return True
        if i == len(nodes) or (i, left) in dead:
            return False
        steps += 1
        if steps > MOST_STEPS:
            raise Undecided
        if any(fill(i + 1, rest) for rest in _fillings(nodes[i], tasks, left)):
            return True
        dead.add((i, left))
        return False

    return fill(0, tuple(wanted[task] for task in tasks))


def _fillings(node: Amounts, tasks: list[Amounts], left: tuple[int, ...]) -> list[tuple[int, ...]]:
    """What may be left after one node took as much as it wants, the fullest first."""
    found: list[tuple[Amounts, tuple[int, ...]]] = [(node, ())]
    for task, count in zip(tasks, left, strict=True):
        found = [
            (_without(room, task, n), (*rest, count - n))
            for room, rest in found
            for n in range(min(count, tasks_that_fit([(1, room)], task)), -1, -1)
        ]
    return [rest for _, rest in found]
