"""`suanli crds`: the CustomResourceDefinitions, made from the models.

Exit codes: 0 done, 1 --check found a difference, 2 the options or the folder are wrong.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer
import yaml

from suanli.api import KINDS
from suanli.api.crd import crd
from suanli.base.names import GROUP

DIFFERENT = 1
BAD_INPUT = 2
HEADER = "# Made by ./hack/generate from operator/suanli/api; never edited by hand.\n"


def crds(
    folder: Annotated[
        Path | None,
        typer.Option("--dir", help="Write one file for each kind into this folder.", show_default="print all"),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; say which files of --dir are stale, missing or foreign.")
    ] = False,
) -> None:
    """Print the CustomResourceDefinitions, write them into a folder, or compare a folder with them.

    Exit codes: 0 done, 1 --check found a difference, 2 the options or the folder are wrong.
    """
    files = manifests()
    if folder is None:
        if check:
            _fail("--check compares a folder; name it with --dir")
        typer.echo("---\n".join(files.values()), nl=False)
    elif folder.exists() and not folder.is_dir():
        _fail(f"--dir {folder} is no folder; name one")
    elif check:
        found = list(differences(folder, files))
        typer.echo("".join(f"{line}\n" for line in found), err=True, nl=False)
        raise typer.Exit(DIFFERENT if found else 0)
    else:
        try:
            _write(folder, files)
        except OSError as error:
            _fail(f"{error.filename}: {error.strerror}; name a folder that can be written with --dir")


def manifests() -> dict[str, str]:
    """What each file says, by its name; the same every time."""
    return {f"{GROUP}_{model.kind_info.plural}.yaml": HEADER + _text(crd(model)) for model in KINDS}


def differences(folder: Path, files: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a folder: a line for each file, with what to do."""
    for name, text in files.items():
        there = _read(folder / name)
        if there != text:
            yield f"{folder / name} is {'missing' if there is None else 'stale'}; run ./hack/generate"
    for path in _foreign(folder, files):
        remedy = "run ./hack/generate" if _is_made(path) else "move it elsewhere"
        yield f"{path} is foreign, no kind makes it; {remedy}"


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """Put down what differs. A file of a kind that is no more goes, a file of somebody else stays."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        if _read(folder / name) != text:
            (folder / name).write_text(text, encoding="utf-8")
            typer.echo(f"wrote {folder / name}")
    for path in _foreign(folder, files):
        if _is_made(path):
            path.unlink()
            typer.echo(f"removed {path}")


def _foreign(folder: Path, files: Mapping[str, str]) -> list[Path]:
    return [path for path in sorted(folder.glob("*.y*ml")) if path.name not in files]


def _is_made(path: Path) -> bool:
    return (_read(path) or "").startswith(HEADER)


def _text(definition: Mapping[str, object]) -> str:
    apart = json.loads(json.dumps(definition))  # what is the same object twice would become an anchor
    return yaml.safe_dump(apart, sort_keys=False, allow_unicode=True, width=1_000_000)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def _fail(sentence: str) -> None:
    typer.echo(f"error: {sentence}", err=True)
    raise typer.Exit(BAD_INPUT)
