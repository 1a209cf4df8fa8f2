"""What a member can still give, class by class, as a scheduler there would find it."""

from collections.abc import Iterable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from suanli.api.site import SiteResource
from suanli.federation.capacity import ClassFigures, Demand, class_of, figures
from suanli.federation.facts import Amounts, NodeFacts, PodLoad
from suanli.placement.snapshot import ClassRoom, FreeNodes

GPU = "nvidia.com/gpu"
GIB = 1 << 30


def a_class(name: str, resource: str = "cpu", **fields: Any) -> SiteResource:
    unit = "Core" if resource == "cpu" else "Card"
    kind = {"class": name, "type": "General", "resourceName": resource, "unit": unit}
    return SiteResource.model_validate({**kind, **fields})


def a_node(
    name: str, cores: int = 8, *, cards: int = 0, pods: int = 10, usable: bool = True, **labels: str
) -> NodeFacts:
    extended = ((GPU, cards),) if cards else ()
    return NodeFacts(
        name, usable, tuple(labels), tuple(labels.values()), Amounts(cores * 1_000, cores * GIB, pods, extended)
    )


def a_load(node: str, cores: int = 1, cards: int = 0) -> PodLoad:
    return PodLoad(node, Amounts(cores * 1_000, cores * GIB, 1, ((GPU, cards),) if cards else ()))


def a_demand(class_: str, count: int, cores: int = 1, cards: int = 0) -> Demand:
    return Demand(class_, count, cores * 1_000, cores * GIB, cards)


def free(*groups: tuple[int, int, int, int]) -> tuple[FreeNodes, ...]:
    """(count, cores, cards, pods) of groups of equal nodes."""
    return tuple(FreeNodes(n, cores * 1_000, cores * GIB, cards, pods) for n, cores, cards, pods in groups)


GENERAL = a_class("general")
A100 = a_class("a100", GPU, nodeLabels={"card": "a100"})
ANY_CARD = a_class("any-card", GPU)


def of(
    classes: Iterable[SiteResource],
    nodes: Iterable[NodeFacts],
    foreign: Iterable[PodLoad] = (),
    own: Iterable[PodLoad] = (),
    unbound: Iterable[Demand] = (),
) -> dict[str, ClassFigures]:
    return dict(figures(tuple(classes), nodes, foreign, own, unbound))


# --- which node is of which class


def test_a_node_is_of_the_first_class_that_it_has_resource_and_labels_of() -> None:
    classes = [GENERAL, A100, ANY_CARD]
    assert class_of(a_node("n", cards=8, card="a100"), classes) is A100
    assert class_of(a_node("n", cards=8, card="h100"), classes) is ANY_CARD
    assert class_of(a_node("n", card="a100"), classes) is GENERAL, "it has no cards"
    assert class_of(a_node("n", cards=8), [A100]) is None


def test_cards_go_before_cores_whatever_the_sites_order() -> None:
    assert class_of(a_node("n", cards=8), [GENERAL, ANY_CARD]) is ANY_CARD
    labelled = a_class("fast", nodeLabels={"speed": "fast"})
    assert class_of(a_node("n", speed="fast"), [labelled, GENERAL]) is labelled
    assert class_of(a_node("n", speed="fast"), [GENERAL, labelled]) is GENERAL


# --- figures


def test_a_class_has_what_all_its_nodes_have_and_gives_what_usable_ones_have_left() -> None:
    nodes = [a_node("a"), a_node("b"), a_node("c", usable=False)]
    found = of([GENERAL], nodes, foreign=[a_load("a", 3), a_load("c", 5), a_load("elsewhere", 1)])
    room = free((1, 5, 0, 9), (1, 8, 0, 10))
    assert found == {"general": ClassFigures(24, 13, ClassRoom(room, room))}


def test_what_our_own_jobs_hold_is_taken_from_free_but_not_from_empty() -> None:
    nodes = [a_node("a"), a_node("b")]
    found = of([GENERAL], nodes, own=[a_load("a", 2)], unbound=[a_demand("general", 3, cores=4)])["general"]
    assert found.room.empty == free((2, 8, 0, 10))
    assert found.room.free == free((1, 0, 0, 8), (1, 2, 0, 8)), "one more fits beside what runs on a, two on b"
    assert found.allocatable == 16


def test_cards_are_counted_in_cards() -> None:
    nodes = [a_node("a", cards=8, card="a100"), a_node("b", cards=4, card="a100"), a_node("c")]
    found = of([A100, GENERAL], nodes, foreign=[a_load("a", 1, cards=3)], own=[a_load("b", 1, cards=4)])
    assert (found["a100"].capacity, found["a100"].allocatable) == (12, 9)
    assert found["a100"].room.free == free((1, 7, 0, 9), (1, 7, 5, 9))
    assert found["general"].room.free == free((1, 8, 0, 10))


def test_foreign_pods_can_leave_nothing_and_never_less() -> None:
    found = of([A100], [a_node("a", cards=8, card="a100")], foreign=[a_load("a", 99, cards=99)])["a100"]
    assert (found.capacity, found.allocatable) == (8, 0)
    assert found.room.free == free((1, 0, 0, 9))


def test_a_node_whose_pods_are_all_taken_gives_nothing() -> None:
    found = of([GENERAL], [a_node("a", pods=2), a_node("b", pods=1)], foreign=[a_load("a"), a_load("a"), a_load("a")])
    assert found["general"].room.free == free((1, 8, 0, 1))


def test_a_node_that_does_not_say_takes_110_pods() -> None:
    assert of([GENERAL], [a_node("a", pods=0)])["general"].room.free == free((1, 8, 0, 110))


def test_tasks_without_a_node_take_room_of_their_class_only() -> None:
    nodes = [a_node("a", cards=8), a_node("b")]
    found = of([ANY_CARD, GENERAL], nodes, unbound=[a_demand("any-card", 2, cards=3), a_demand("unknown", 50)])
    assert found["any-card"].room.free == free((1, 6, 2, 8))
    assert found["general"].room.free == free((1, 8, 0, 10))


def test_what_fits_nowhere_takes_nothing() -> None:
    found = of([GENERAL], [a_node("a")], unbound=[a_demand("general", 5, cores=9)])
    assert found["general"].room.free == free((1, 8, 0, 10))


def test_a_class_without_nodes_has_nothing() -> None:
    assert of([A100], [a_node("a")]) == {"a100": ClassFigures(0, 0, ClassRoom((), ()))}
    assert of([], [a_node("a")]) == {}


NODES = st.lists(
    st.builds(
        lambda i, cores, cards, pods, usable: a_node(f"n{i}", cores, cards=cards, pods=pods, usable=usable),
        st.integers(0, 5),
        st.integers(0, 9),
        st.integers(0, 4),
        st.integers(1, 5),
        st.booleans(),
    ),
    max_size=6,
    unique_by=lambda n: n.name,
)
LOADS = st.lists(
    st.builds(lambda i, c, k: a_load(f"n{i}", c, k), st.integers(0, 6), st.integers(0, 9), st.integers(0, 4)),
    max_size=8,
)
DEMANDS = st.lists(
    st.builds(
        a_demand, st.sampled_from(["general", "any-card"]), st.integers(0, 9), st.integers(0, 4), st.integers(0, 3)
    ),
    max_size=3,
)


@given(NODES, LOADS, LOADS, DEMANDS)
def test_nothing_is_ever_given_twice(
    nodes: list[NodeFacts], foreign: list[PodLoad], own: list[PodLoad], unbound: list[Demand]
) -> None:
    found = of([GENERAL, ANY_CARD], nodes, foreign, own, unbound)
    for name, unit in (("general", "cpu"), ("any-card", GPU)):
        now, room = found[name], found[name].room
        units = [n.cards if unit == GPU else n.cpu_milli // 1_000 for n in room.free for _ in range(n.count)]
        assert sum(units) <= now.allocatable <= now.capacity
        assert all(min(n.cpu_milli, n.memory_bytes, n.cards) >= 0 and n.pods > 0 for n in (*room.free, *room.empty))
        for field in ("cpu_milli", "memory_bytes", "cards", "pods"):
            assert sum(getattr(n, field) * n.count for n in room.free) <= sum(
                getattr(n, field) * n.count for n in room.empty
            )
    assert found == of([GENERAL, ANY_CARD], nodes, foreign, own, unbound)
