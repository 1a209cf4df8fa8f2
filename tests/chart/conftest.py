"""The chart rendered by Helm, and installed on a hub."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gates import chart
from harness.shell import Kubectl, run
from installing import upgrade

Objects = dict[tuple[str, str], dict[str, Any]]
Render = Callable[..., Objects]


@pytest.fixture(scope="session")
def helm() -> str:
    return chart.helm()


@pytest.fixture
def render(helm: str, tmp_path: Path) -> Render:
    """Renders the chart with these values, as YAML; the objects by kind and name."""

    def rendered(values: Mapping[str, Any] | None = None, release: str = "suanli") -> Objects:
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump(dict(values or {})))
        text = run([helm, "template", release, chart.CHART, "--namespace", "suanli-system", "--values", file])
        objects = [each for each in yaml.safe_load_all(text) if each]
        found = {(each["kind"], each["metadata"]["name"]): each for each in objects}
        assert len(found) == len(objects), "two objects have one name"
        return found

    return rendered


@pytest.fixture(scope="session")
def hub(bare_hub: Kubectl) -> Kubectl:
    return bare_hub


@pytest.fixture(scope="session")
def installed(hub: Kubectl, helm: str) -> Kubectl:
    """The hub with the chart, its operator not running."""
    upgrade(hub, helm, "operator.replicas=0")
    return hub
