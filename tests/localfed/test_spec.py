"""Shapes and federations, from Python and from files."""

from pathlib import Path

import pytest

from localfed import ClusterSpec, LocalfedError, NodeShape
from localfed.nodes import manifests
from localfed.spec import DEFAULT_SHAPE, federation, read_shape_file


def _read(tmp_path: Path, text: str, members: int = 2) -> list[ClusterSpec]:
    path = tmp_path / "shape.yaml"
    path.write_text(text)
    return read_shape_file(path, members)


def test_nodes_shape_every_member(tmp_path: Path) -> None:
    text = (
        "nodes: [{count: 3, cpu: 64, memory: 512Gi, card_resource: huawei.com/Ascend910, cards: 8, name_prefix: asc}]"
    )
    hub, first, second = _read(tmp_path, text)
    assert (hub.name, hub.nodes) == ("hub", ())
    assert (first.name, second.name) == ("member-1", "member-2")
    assert first.nodes == second.nodes
    assert first.nodes[0].cpu == "64"
    assert first.nodes[0].node_names() == ["asc-0", "asc-1", "asc-2"]


def test_members_have_their_own_shapes(tmp_path: Path) -> None:
    text = "members: {east: [{count: 1}], west: [{count: 2, labels: {tier: 1}}, {count: 1, name_prefix: big}]}"
    hub, east, west = _read(tmp_path, text)
    assert [hub.name, east.name, west.name] == ["hub", "east", "west"]
    assert west.nodes[0].labels == {"tier": "1"}
    assert [node["metadata"]["name"] for node in manifests(west.nodes)] == ["node-0", "node-1", "big-0"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"must hold either `nodes`"),
        ("[1]", r"must hold either `nodes`"),
        ("nodes: [{count: 1}]\nmore: 1", r"must hold either `nodes`"),
        ("nodes: [", r"is not YAML"),
        ("members: {east: {count: 1}}", r"members\.east must be a list of shapes"),
        ("nodes: [3]", r"nodes\[0\] must be a mapping with count, cpu"),
        ("nodes: [{cpu: 4}]", r"nodes\[0\]\.count is missing"),
        ("nodes: [{count: many}]", r"nodes\[0\]\.count is 'many'; give a whole number"),
        ("nodes: [{count: true}]", r"nodes\[0\]\.count is True; give a whole number"),
        ("nodes: [{count: -1}]", r"nodes\[0\]\.count is -1; give a whole number"),
        ("nodes: [{count: 0}]", r"count is 0, and a shape has at least 1 node"),
        ("nodes: [{count: 1, gpus: 8}]", r"nodes\[0\]\.gpus is not a field of a shape; there are count, cpu"),
        ("nodes: [{count: 1, cards: 8}]", r"card_resource is '' and cards is 8; give both"),
        ("nodes: [{count: 1, memory: [1]}]", r"nodes\[0\]\.memory is \[1\]; give a text such as '512Gi'"),
        ("nodes: [{count: 1, labels: a}]", r"nodes\[0\]\.labels must be a mapping of labels"),
        ("nodes: [{count: 1}, {count: 1}]", r"two shapes make a node 'node-0'"),
    ],
)
def test_a_bad_file_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(LocalfedError, match=said):
        _read(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalfedError, match=r"nowhere\.yaml cannot be read \(No such file"):
        read_shape_file(tmp_path / "nowhere.yaml", 1)


def test_a_hub_runs_no_workloads_unless_asked() -> None:
    hub, member = federation(1)
    assert not hub.runs_workloads
    assert member.runs_workloads
    assert member.nodes == (DEFAULT_SHAPE,)
    assert ClusterSpec("hub", workloads=True).runs_workloads
    with pytest.raises(LocalfedError, match="has nodes but workloads is false"):
        ClusterSpec("east", nodes=(NodeShape(count=1),), workloads=False)


def test_a_node_without_cards_holds_none() -> None:
    (node,) = manifests((NodeShape(count=1, cpu="8", memory="16Gi", pods=30),))
    assert node["status"]["allocatable"] == {"cpu": "8", "memory": "16Gi", "pods": "30", "ephemeral-storage": "1Ti"}
