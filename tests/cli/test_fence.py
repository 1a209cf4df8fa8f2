from pathlib import Path

import pytest
from typer.testing import CliRunner

from suanli.cli import app


@pytest.mark.parametrize(
    ("flags", "words"),
    [((), "not in a pod with a service account"), (("--kubeconfig", "missing.yaml"), "there is no such file")],
)
def test_without_a_cluster_it_says_so(flags: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    done = CliRunner().invoke(app, ["fence", *flags])
    assert done.exit_code == 4
    assert words in done.stderr


def test_a_kubeconfig_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("[]")
    done = CliRunner().invoke(app, ["fence", "--kubeconfig", str(path)])
    assert done.exit_code == 4
    assert str(path) in done.stderr
