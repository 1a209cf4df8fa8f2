"""Small countries as files for the planning commands, and a run of such a command."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from typer.testing import CliRunner

from suanli.cli import app
from worlds import Raw, raw

NOW = "2026-01-31T08:00:00Z"
DONE, BAD_INPUT, SOME_WAIT, REFUSED = 0, 2, 3, 4
HERE = raw("ComputeRegion", "here", {"displayName": "here", "latitude": "30", "longitude": "110"})
Put = Callable[..., Path]


class Ran:
    """What a run of a command printed."""

    command: ClassVar[str]

    def __init__(self, *arguments: str | Path, stdin: str | None = None) -> None:
        told = CliRunner().invoke(app, [self.command, "--now", NOW, *map(str, arguments)], input=stdin)
        self.code, self.out, self.err = told.exit_code, told.stdout, told.stderr

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """What it printed, with runs of spaces as one."""
        return [" ".join(line.split()) for line in self.out.splitlines()]


def a_site(name: str, price: str = "1", units: int = 8, class_: str = "gpu", **spec: Any) -> Raw:
    gpu = {
        "class": class_,
        "type": "Intelligent",
        "resourceName": "example.com/card",
        "unit": "Card",
        "listPrice": price,
    }
    return raw("ComputeSite", name, {"region": "here", "resources": [{**gpu, "declaredUnits": units}], **spec})


def a_job(name: str, cards: int = 8, namespace: str | None = None, **spec: Any) -> Raw:
    wants = {"class": ["gpu"], "perTask": {"cpu": "1", "memory": "1Gi", "cards": cards}}
    whole = {"origin": "here", "resources": wants, "template": {"image": "image"}, **spec}
    return raw("ComputeJob", name, whole, **({"namespace": namespace} if namespace else {}))


class Planned(Ran):
    """A run of `suanli plan`."""

    command = "plan"


class Explained(Ran):
    """A run of `suanli explain`."""

    command = "explain"


class Tried(Ran):
    """A run of `suanli what-if`."""

    command = "what-if"
