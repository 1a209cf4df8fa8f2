import pytest
from hypothesis import given
from hypothesis import strategies as st

from checker import fit_together
from suanli.placement.packing import MOST_SLOTS, Load, Node, Nodes, Shape, nodes_of, pack, slots, take, times
from suanli.placement.snapshot import FreeNodes
from worlds import a_node, seeded

SHAPES = st.tuples(st.integers(0, 4), st.integers(0, 4), st.sampled_from([0, 1, 2, 4]), st.just(1))
NODES = st.lists(
    st.builds(FreeNodes, st.integers(0, 3), *[st.integers(0, most) for most in (9, 9, 8, 9)]), max_size=4
).map(nodes_of)


def total(nodes: Nodes) -> list[int]:
    return [sum(count * node[k] for count, node in nodes) for k in range(4)]


def test_a_node_takes_what_its_scarcest_resource_allows() -> None:
    node: Node = (16_000, 64, 8, 110)
    assert times(node, (4_000, 1, 1, 1)) == 4
    assert times(node, (1_000, 32, 1, 1)) == 2
    assert times(node, (1_000, 1, 8, 1)) == 1
    assert times(node, (0, 0, 0, 1)) == 110
    assert times(node, (17_000, 1, 1, 1)) == 0
    assert times((16_000, 64, 8, 0), (1, 1, 1, 1)) == 0


def test_equal_nodes_are_counted_and_the_fullest_stand_first() -> None:
    rooms = [a_node(2, cards=8), a_node(1, cards=2), a_node(3, cards=8), a_node(0, cards=1)]
    assert [(count, node[2]) for count, node in nodes_of(rooms)] == [(1, 2), (5, 8)]


def test_a_member_that_tells_nonsense_breaks_no_sum() -> None:
    assert slots(((10**30, (10**30, 10**30, 10**30, 10**30)),), (1, 1, 1, 1)) == MOST_SLOTS


@seeded(200)
@given(NODES, SHAPES, st.integers(1, 40))
def test_take_takes_exactly_what_slots_says(nodes: Nodes, shape: Shape, tasks: int) -> None:
    left = take(nodes, shape, tasks)
    assert (left is not None) == (tasks <= slots(nodes, shape))
    if left is not None:
        assert [a - b for a, b in zip(total(nodes), total(left), strict=True)] == [tasks * s for s in shape]
        assert sum(count for count, _ in left) == sum(count for count, _ in nodes)
        assert all(x >= 0 for _, node in left for x in node)
        assert list(left) == sorted(left, key=lambda item: (item[1][2], *item[1]))


@seeded(200)
@given(NODES, SHAPES, st.integers(0, 99), st.integers(0, 99))
def test_taking_twice_is_taking_once(nodes: Nodes, shape: Shape, many: int, some: int) -> None:
    tasks = many % (slots(nodes, shape) + 1)
    one = some % (tasks + 1)
    first = take(nodes, shape, one)
    assert first is not None
    assert take(first, shape, tasks - one) == take(nodes, shape, tasks)


@seeded(200)
@given(NODES, st.lists(st.tuples(SHAPES, st.integers(1, 3)), max_size=4))
def test_what_is_packed_fits(nodes: Nodes, loads: list[Load]) -> None:
    left = pack(nodes, loads)
    if left is not None:
        used = [a - b for a, b in zip(total(nodes), total(left), strict=True)]
        assert used == [sum(tasks * shape[k] for shape, tasks in loads) for k in range(4)]
        assert fit_together(nodes, loads)
    assert pack(nodes, loads[::-1]) == left


@seeded(200)
@given(
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from([1, 2, 4, 8]).map(lambda c: (c, c, c, 1)), st.integers(1, 5)), max_size=5),
)
def test_sizes_that_divide_each_other_are_packed_whenever_they_fit(count: int, loads: list[Load]) -> None:
    nodes: Nodes = ((count, (8, 8, 8, 9)),)
    fits = sum(shape[2] * tasks for shape, tasks in loads) <= 8 * count
    assert (pack(nodes, loads) is not None) == fits


@pytest.mark.parametrize("tasks", [1, 3, 4])
def test_the_fullest_node_that_can_is_filled_first(tasks: int) -> None:
    nodes: Nodes = ((1, (9, 9, 2, 9)), (2, (9, 9, 8, 9)))
    left = take(nodes, (1, 1, 2, 1), tasks)
    assert left is not None
    assert {1: (2, 8), 3: (1, 4), 4: (1, 2)}[tasks] == (
        left[-1][0] if tasks == 1 else left[1][0],
        left[-1][1][2] if tasks == 1 else left[1][1][2],
    )
