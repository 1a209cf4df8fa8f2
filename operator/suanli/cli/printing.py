"""How commands print: as a table for people, as JSON or YAML for programs. And the moment that they look at."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml

from suanli.base.clock import parse_time_ms
from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason

BAD_INPUT = 2
SOME_WAIT = 3
UNUSABLE = 4
# What the input is to blame for; all else is the fault of a cluster or a store.
EXITS: Mapping[Reason, int] = dict.fromkeys(
    (Reason.INVALID_SPEC, Reason.CREDENTIALS_MALFORMED, Reason.BOOKS_REFUSED), BAD_INPUT
)
LAST_MOMENT_MS = 32_503_680_000_000  # the year 3000
# libyaml's dumper is several times faster; it is there in every usual build of PyYAML.
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class Output(StrEnum):
    """How a command prints."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Format = Annotated[Output, typer.Option("-o", "--output", help="How to print.")]
Now = Annotated[
    str | None, typer.Option(help='Look at this moment, such as "2026-01-31T08:00:00Z".', show_default="now")
]


def moment_ms(text: str | None) -> int:
    """The moment of --now; the present one without it. Raises: typer.Exit when it is none."""
    if text is None:
        return time.time_ns() // 1_000_000
    try:
        at_ms = parse_time_ms(text)
    except ValueError:
        at_ms = -1
    if 0 <= at_ms < LAST_MOMENT_MS:
        return at_ms
    raise fail(f'--now: "{text}" is no time since 1970 with a zone; write it as "2026-01-31T08:00:00Z"')


def fail(sentence: str) -> typer.Exit:
    """Say what is wrong with the input; the exit to be raised."""
    typer.echo(f"error: {sentence}", err=True)
    return typer.Exit(BAD_INPUT)


@contextmanager
def plain_errors(exits: Mapping[Reason, int] = EXITS) -> Iterator[None]:
    """One sentence and an exit code: that of the error's reason, or that what was asked cannot be used."""
    try:
        yield
    except SuanliError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(exits.get(error.reason, UNUSABLE)) from error


def tell(problems: Sequence[str], warnings: Sequence[str]) -> None:
    """What is wrong and what is odd, to standard error."""
    for problem in problems:
        typer.echo(f"error: {problem}", err=True)
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = (), indent: str = "") -> None:
    """Rows of equal length, the first of them the head; the columns named in `right` stand to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        typer.echo(f"{indent}{'  '.join(cells)}".rstrip())


def dump(value: Mapping[str, Any], output: Output) -> None:
    """All of it, for programs."""
    typer.echo(DUMPS[output](value).rstrip())


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _yaml(value: Mapping[str, Any]) -> str:
    text: str = yaml.dump(dict(value), Dumper=DUMPER, sort_keys=False, allow_unicode=True)
    return text


DUMPS: Mapping[Output, Callable[[Mapping[str, Any]], str]] = {Output.JSON: _json, Output.YAML: _yaml}
