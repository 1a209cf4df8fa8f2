"""`suanli voucher list`: the claims of a hub, and what became of them. The operator grants and redeems; nobody does by hand."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from suanli.base.conditions import find, readable
from suanli.base.money import yuan_text
from suanli.base.names import GROUP, VERSION
from suanli.base.untrusted import mapping, text
from suanli.cli.options import Hub, grouped
from suanli.cli.printing import Format, Output, dump, plain_errors, table
from suanli.cli.site import administered
from suanli.kube.client import Json, Target

MOST_SAID = 1_024  # characters of a condition's message
MOST_DIGITS = 19  # as an API server lets in
voucher_app = typer.Typer(no_args_is_help=True, help="Look at vouchers: grants and redemptions are the operator's.")


@voucher_app.command("list")
@grouped
def list_vouchers(
    namespace: Annotated[
        str | None, typer.Option("-n", "--namespace", help="Only this namespace; a tenant can ask for its own.")
    ] = None,
    program: Annotated[str | None, typer.Option(help="Only claims under this VoucherProgram.")] = None,
    *,
    hub: Hub,
    output: Format = Output.TABLE,
) -> None:
    """Say what became of each claim: what was granted and what is left of it, or the rule that rejected it.

    Exit codes: 0 done, 2 the input is wrong, 4 the hub cannot be used.
    """
    with plain_errors():
        raws = asyncio.run(_read(hub.target(), namespace))
    told = [_told(raw) for raw in raws if program in (None, mapping(raw.get("spec")).get("program"))]
    if output is not Output.TABLE:
        dump({"vouchers": told}, output)
        return
    rows: list[Sequence[str]] = [
        ("NAMESPACE", "NAME", "PROGRAM", "STATE", "GRANTED CNY", "REDEEMED CNY", "LEFT CNY", "EXPIRES", "WHY")
    ]
    for each in told:
        names = (each["namespace"], each["name"], each["program"], each["state"])
        sums = map(_yuan, (each["granted"], each["redeemed"], each["remaining"]))
        rows.append((*names, *sums, each["expires"], each["why"]))
    if len(rows) > 1:
        table(rows, right=[4, 5, 6])
    else:
        typer.echo("there are no vouchers")


async def _read(target: Target, namespace: str | None) -> list[Json]:
    place = f"namespaces/{namespace}/" if namespace else ""
    async with administered("hub", target) as hub:
        return await hub.list_all(f"/apis/{GROUP}/{VERSION}/{place}vouchers")


def _told(raw: Json) -> dict[str, Any]:
    """A voucher for people and programs. Units: micro-yuan, as digits; empty where nothing was granted."""
    metadata, spec, status = (mapping(raw.get(part)) for part in ("metadata", "spec", "status"))
    conditions = readable(status.get("conditions"))
    state, why = _state(conditions)
    figures = {name: text(status.get(name)) for name in ("granted", "redeemed", "remaining", "expires")}
    return {
        "namespace": text(metadata.get("namespace")),
        "name": text(metadata.get("name")),
        "program": text(spec.get("program")),
        "entity": text(status.get("entity")),
        "state": state,
        **figures,
        "why": why,
    }


def _state(conditions: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """One word for what the conditions say, and the message of the one that counts."""
    for type_, status, word in _STATES:
        found = find(conditions, type_)
        if found is not None and found.get("status") == status:
            return word, text(found.get("message"), MOST_SAID)
    return "Waiting", "the operator has not looked at it yet"


_STATES = (
    ("Granted", "False", "Rejected"),
    ("Expired", "True", "Expired"),
    ("Redeemed", "True", "Redeemed"),
    ("Granted", "True", "Granted"),
)


def _yuan(digits: str) -> str:
    """Micro-yuan of a status in CNY; empty for what is no sum."""
    return yuan_text(int(digits)) if digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS else ""
