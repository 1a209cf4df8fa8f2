from suanli.placement.declared import declared_view
from suanli.placement.packing import MOST_SLOTS
from worlds import GIB, a_class, a_site


def test_each_class_is_one_large_node_of_what_is_declared() -> None:
    classes = [a_class(declaredUnits=16), a_class("cpu", "Core", declaredUnits=32), a_class("npu")]
    view = declared_view(a_site(classes=classes, declaredCapacity={"cpu": "64", "memory": "1Ti"}).site)
    assert view.ready
    nodes = {class_: room.empty for class_, room in view.classes.items()}
    assert all(room.free == room.empty for room in view.classes.values())
    told = {c: (n.count, n.cpu_milli, n.memory_bytes // GIB, n.cards, n.pods) for c, (n,) in nodes.items()}
    assert told == {
        "gpu": (1, 64_000, 1_024, 16, MOST_SLOTS),
        "cpu": (1, 32_000, 1_024, 0, MOST_SLOTS),
        "npu": (1, 64_000, 1_024, 0, MOST_SLOTS),
    }


def test_what_is_not_declared_is_no_limit() -> None:
    (node,) = declared_view(a_site(classes=[a_class(declaredUnits=1)]).site).classes["gpu"].empty
    assert node.cards == 1
    assert node.cpu_milli == node.memory_bytes == 1 << 60
