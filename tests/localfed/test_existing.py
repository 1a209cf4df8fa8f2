"""Clusters that already exist are reached by kubeconfig; what cannot be done to them is said."""

from collections.abc import Callable
from pathlib import Path

import pytest

from localfed import ClusterSpec, KubeconfigProvider, LocalfedError, ProcessProvider, Unsupported, provider_from_env
from localfed.existing import ExistingCluster, read_references

CLUSTER = ExistingCluster("east", "https://127.0.0.1:1", Path("east.kubeconfig"))


def test_the_environment_chooses(tmp_path: Path) -> None:
    (tmp_path / "east.kubeconfig").touch()
    (tmp_path / "clusters.yaml").write_text("east: east.kubeconfig")
    assert isinstance(provider_from_env({}), ProcessProvider)
    assert isinstance(provider_from_env({"SUANLI_CLUSTERS": str(tmp_path / "clusters.yaml")}), KubeconfigProvider)


def test_a_cluster_is_reached_by_file_or_by_context(federation: ProcessProvider, tmp_path: Path) -> None:
    east = federation.clusters["east"]
    path = tmp_path / "clusters.yaml"
    path.write_text(
        f"hub: {federation.clusters['hub'].kubeconfig}\neast: {{kubeconfig: {east.kubeconfig}, context: east}}"
    )
    with KubeconfigProvider(read_references(path)) as provider:
        clusters = provider.up([ClusterSpec("hub"), ClusterSpec("east")])
        assert clusters["east"].server == east.server
        own = clusters["east"].kubeconfig
        assert own.stat().st_mode & 0o77 == 0
        assert "client-key-data" in own.read_text()
    assert not own.exists()
    assert east.api.is_ready(), "it was not ours to end"


def test_a_cluster_that_is_not_there_is_named(federation: ProcessProvider, tmp_path: Path) -> None:
    path = tmp_path / "clusters.yaml"
    path.write_text(f"east: {{kubeconfig: {federation.clusters['east'].kubeconfig}, context: nowhere}}")
    with KubeconfigProvider(read_references(path)) as provider:
        with pytest.raises(LocalfedError, match=r"no kubeconfig is given for cluster 'west', only for east"):
            provider.up([ClusterSpec("west")])
        with pytest.raises(LocalfedError, match=r"cluster 'east' of kubeconfig .* cannot be used: .*nowhere"):
            provider.up([ClusterSpec("east")])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must map names to kubeconfigs"),
        ("- a", "must map names to kubeconfigs"),
        ("a: [", "is not YAML"),
        ("east: 3", r"east is 3; give a path"),
        ("east: {path: x}", r"east is \{'path': 'x'\}; give a path"),
        ("east: nowhere", r"east: there is no kubeconfig at .*nowhere"),
    ],
)
def test_a_bad_list_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "clusters.yaml"
    path.write_text(text)
    with pytest.raises(LocalfedError, match=said):
        read_references(path)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(LocalfedError, match=r"nowhere\.yaml \(SUANLI_CLUSTERS\) cannot be read"):
        read_references(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    "operation",
    [
        CLUSTER.stop,
        CLUSTER.start,
        CLUSTER.pause,
        CLUSTER.resume,
        lambda: CLUSTER.kill_node("a"),
        lambda: CLUSTER.revive_node("a"),
        lambda: CLUSTER.audit_log,
    ],
)
def test_what_cannot_be_done_to_it_is_said(operation: Callable[[], object]) -> None:
    with pytest.raises(Unsupported, match=r"cluster 'east' comes from a kubeconfig, so this tool cannot"):
        operation()
