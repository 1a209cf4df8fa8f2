"""What servers and operator wrote into their logs since one last looked."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Tail:
    """The whole lines that a file gains; begins at its present end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = path.stat().st_size if path.exists() else 0

    def new(self) -> Iterator[bytes]:
        """Lines since the last call; a line that is not finished waits."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            text = file.read()
        whole = text.rfind(b"\n") + 1
        self._at += whole
        yield from text[:whole].splitlines()


@dataclass(frozen=True)
class Write:
    """One write that an API server has answered."""

    at_us: int
    user: str
    verb: str
    resource: str  # with its subresource: "computejobs/status"
    namespace: str
    name: str
    code: int


def writes(lines: Iterable[bytes], resources: Iterable[str]) -> Iterator[Write]:
    """The writes of an audit log to these resources, their subresources included."""
    marks = [f'"resource":"{resource}"'.encode() for resource in resources]
    for line in lines:
        if any(mark in line for mark in marks):
            yield write(json.loads(line))


def write(event: dict[str, Any]) -> Write:
    """An audit event of stage ResponseComplete."""
    about = event["objectRef"]
    return Write(
        at_us=moment_us(event["stageTimestamp"]),
        user=event["user"]["username"],
        verb=event["verb"],
        resource="/".join(filter(None, (about["resource"], about.get("subresource")))),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        code=event["responseStatus"]["code"],
    )


def moment_us(text: str) -> int:
    """An RFC 3339 time in microseconds since the Unix epoch."""
    return (datetime.fromisoformat(text) - EPOCH) // MICROSECOND


@dataclass(frozen=True)
class Said:
    """One line of the operator's log."""

    at_us: int
    message: str


def said(lines: Iterable[bytes]) -> Iterator[Said]:
    """The operator's log lines; what is no JSON, such as a trace, is left out."""
    for line in lines:
        if line.startswith(b"{"):
            record = json.loads(line)
            yield Said(moment_us(record["time"]), record["message"])
