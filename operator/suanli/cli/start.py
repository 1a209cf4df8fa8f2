"""Where the planning commands begin: manifests or the hub, and the changes that are to be tried on them."""

from collections.abc import Sequence
from pathlib import Path

from suanli.cli.base import Base, of_manifests
from suanli.cli.change import changed
from suanli.cli.hub import read_hub
from suanli.cli.manifests import Manifests, Raw, read
from suanli.cli.options import Hub

Changes = Sequence[tuple[str, Raw]]


def begin(files: Sequence[Path] | None, hub: Hub, now_ms: int) -> tuple[Base, Changes]:
    """What the files hold, or, where they hold nothing but changes, what the hub holds; and the changes.

    Raises: typer.Exit when the hub cannot be read.
    """
    found = read(files) if files else Manifests()
    if found.places or (files and not found.changes):
        return of_manifests(found, now_ms), found.changes
    base = read_hub(hub, now_ms)
    base.found.problems = [*found.problems, *base.found.problems]
    return base, found.changes


def begin_changed(files: Sequence[Path] | None, hub: Hub, now_ms: int) -> Base:
    """The same with its changes made. Raises: typer.Exit when the hub cannot be read."""
    base, changes = begin(files, hub, now_ms)
    return changed(base, changes) if changes else base
