"""`suanli voucher`: the claims of a hub and what became of them, and the word of a person on what only the tenant says.

The operator grants and redeems; nobody does by hand. Who approves needs the right to patch vouchers/status, which tenants do not have.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from suanli.api.voucher import Verdict
from suanli.base.conditions import find, readable
from suanli.base.money import yuan_text
from suanli.base.names import GROUP, VERSION
from suanli.base.untrusted import mapping, text
from suanli.cli.options import Hub, grouped
from suanli.cli.printing import Format, Output, dump, fail, plain_errors, table
from suanli.cli.site import administered
from suanli.kube.client import Json, Target

MOST_SAID = 1_024  # characters of a condition's message
MOST_DIGITS = 19  # as an API server lets in
Generation = Annotated[
    int | None,
    typer.Option(help="metadata.generation that was looked at; if the claim was changed since, nothing is decided."),
]
voucher_app = typer.Typer(no_args_is_help=True, help="Look at vouchers, and approve what only the tenant says.")


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


Voucher = Annotated[str, typer.Argument(metavar="VOUCHER", help="Name of the claim.")]
Namespace = Annotated[str, typer.Option("-n", "--namespace", help="Its namespace.", show_default=False)]
By = Annotated[str, typer.Option(help="Who decides.", show_default=False)]


@voucher_app.command()
@grouped
def approve(
    voucher: Voucher,
    namespace: Namespace,
    by: By,
    *,
    hub: Hub,
    reason: Annotated[str | None, typer.Option(help="Why, such as the file of the papers.")] = None,
    generation: Generation = None,
) -> None:
    """Approve a claim as it is now: its applicant class, its contract, its invoice. A claim that is changed later has to be approved again.

    Exit codes: 0 done, 2 there is no such claim, or it was changed since it was looked at; 4 the hub cannot be used.
    """
    _decide(hub, Verdict.APPROVED, voucher, namespace, by, reason, generation)


@voucher_app.command()
@grouped
def reject(
    voucher: Voucher,
    namespace: Namespace,
    by: By,
    reason: Annotated[str, typer.Option(help="Why; the tenant reads it.", show_default=False)],
    *,
    hub: Hub,
    generation: Generation = None,
) -> None:
    """Do not approve a claim as it is now: nothing is granted or paid of it until it is approved. What was paid stays paid.

    Exit codes: 0 done, 2 there is no such claim, or it was changed since it was looked at; 4 the hub cannot be used.
    """
    _decide(hub, Verdict.REJECTED, voucher, namespace, by, reason, generation)


def _decide(
    hub: Hub, verdict: Verdict, name: str, namespace: str, by: str, reason: str | None, generation: int | None
) -> None:
    with plain_errors():
        asyncio.run(_write(hub.target(), verdict, name, namespace, by, reason, generation))


async def _write(
    target: Target, verdict: Verdict, name: str, namespace: str, by: str, reason: str | None, generation: int | None
) -> None:
    async with administered("hub", target) as hub:
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{quote(namespace, '')}/vouchers/{quote(name, '')}"
        raw = await hub.get(path)
        if raw is None:
            raise fail(f"{namespace}: there is no voucher {name}; see `suanli voucher list -n {namespace}`")
        metadata, spec = mapping(raw.get("metadata")), mapping(raw.get("spec"))
        now = metadata.get("generation")
        if generation not in (None, now):
            raise fail(
                f"{namespace}/{name}: its generation is {now}, not {generation}: it was changed; look at it again"
            )
        given = {"decision": str(verdict), "generation": now, "by": by, "reason": reason}
        body = {"metadata": {"resourceVersion": metadata.get("resourceVersion")}, "status": {"approval": given}}
        await hub.merge_at(f"{path}/status", body)
    invoice = mapping(spec.get("invoice"))
    paid = f", invoice {text(invoice.get('number'))} of {_yuan(text(invoice.get('paid')))} CNY" if invoice else ""
    about = text(spec.get("contract")) or text(spec.get("job"))
    class_ = f", applicant class {text(spec.get('applicantClass'))}" if spec.get("applicantClass") else ""
    typer.echo(
        f"{namespace}/{name}: {verdict}: {text(spec.get('program'))} for {about}, {_yuan(text(spec.get('amount')))} CNY{class_}{paid}"
    )


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
    ("Approved", "False", "Unapproved"),
    ("Granted", "False", "Rejected"),
    ("Expired", "True", "Expired"),
    ("Redeemed", "True", "Redeemed"),
    ("Granted", "True", "Granted"),
)


def _yuan(digits: str) -> str:
    """Micro-yuan of a status in CNY; empty for what is no sum."""
    return yuan_text(int(digits)) if digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS else ""
