"""The steps of `hack/check`, in order."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gates import alone, chart, dead, lock, places, reference
from gates.failure import refuse, run
from gates.tree import ROOT, shell_scripts, with_suffix

PYTHON_TREES = ("operator/suanli", "hack/src", "hack/bootstrap.py", "tests")
CHART_CRDS = Path("charts/suanli/files/crds")
CRD_FOLDERS = (Path("crds"), CHART_CRDS)


@dataclass(frozen=True)
class Step:
    """One gate; `check` raises Failed with what it found."""

    name: str
    check: Callable[[], object]


def generated() -> None:
    """The CRDs as the models make them, and the tables of the docs."""
    from suanli.cli.crds import differences, manifests  # the whole command line, which no other step needs

    files = manifests()
    found = [line for folder in CRD_FOLDERS for line in differences(ROOT / folder, files)]
    refuse(found, "The CRDs are not what operator/suanli/api says.")
    reference.check()


def shell() -> None:
    """Shellcheck over everything that is shell."""
    run("shellcheck", "--external-sources", *map(str, shell_scripts()))


def yaml() -> None:
    """Yamllint over everything that is YAML; the chart's templates are not, before Helm renders them.

    The chart's CRDs are those of crds/ once more: the step `generated` sees to that.
    """
    paths = [
        str(p) for p in with_suffix(".yaml", ".yml") if p.parts[2:3] != ("templates",) and CHART_CRDS not in p.parents
    ]
    run("yamllint", "--strict", "--config-file", str(ROOT / ".yamllint.yaml"), *paths)


STEPS = (
    Step("format", lambda: run("ruff", "format", "--check", ".")),
    Step("lint", lambda: run("ruff", "check", ".")),
    Step("types", lambda: run("mypy", *PYTHON_TREES)),
    Step("layers", lambda: run("lint-imports", "--no-logo")),
    Step("audit alone", alone.check),
    Step("generated", generated),
    Step("dead code", dead.check),
    Step("lock", lock.check),
    Step("places", places.check),
    Step("shell", shell),
    Step("yaml", yaml),
    Step("chart", chart.lint),
    Step("values", chart.check_schema),
)
