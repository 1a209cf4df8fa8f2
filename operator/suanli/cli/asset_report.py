"""`suanli asset-report`: what a site earned, used and emitted in a closed month, as the prospectus of a fund asks."""

from enum import StrEnum
from typing import Annotated

import typer

from suanli.api.site import ComputeUnit
from suanli.base.units import MICRO, micro
from suanli.billing.assets import SiteFacts, asset_html, asset_record, asset_report
from suanli.billing.words import Language
from suanli.cli.base import Files
from suanli.cli.market import LOCAL, HubId, Month, Stores
from suanli.cli.options import Hub, grouped
from suanli.cli.printing import Now, Output, dump, fail, moment_ms
from suanli.cli.start import begin


class Form(StrEnum):
    """How the report is printed."""

    JSON = "json"
    HTML = "html"


@grouped
def report(
    site: Annotated[str, typer.Argument(metavar="SITE", help="The ComputeSite.")],
    availability: Annotated[
        str, typer.Option(help='Part of the month in which it could be used, as you monitored it, such as "0.9995".')
    ],
    received: Annotated[str, typer.Option(help="CNY of the month's revenue that have been received.")] = "0",
    *,
    month: Month,
    files: Files = None,
    stores: Stores,
    hub_id: HubId = LOCAL,
    hub: Hub,
    form: Annotated[Form, typer.Option("-o", "--output", help="How to print.")] = Form.JSON,
    language: Annotated[Language, typer.Option(help="Language of html.")] = Language.ENGLISH,
    now: Now = None,
) -> None:
    """Report on a site for a closed month: revenue by kind, utilisation, energy, PUE, green share, customers, cash.

    Units are those that the hub counts now, or with -f the declaredUnits of the manifest. suanli keeps no record of outages.

    Exit codes: 0 done, 2 the input is wrong, 4 the hub or the ledger cannot be used.
    """
    at_ms = moment_ms(now)
    asked = month.at(at_ms)
    part, cash = _number("--availability", availability), _number("--received", received)
    if not 0 <= part <= MICRO:
        raise fail(f'--availability: "{availability}" is not from 0 to 1')
    base, _ = begin(files, hub, at_ms)
    found = base.found.sites.get(site)
    if found is None:
        raise fail(f'"{site}" is no ComputeSite; there are {", ".join(sorted(base.found.sites)) or "none"}')
    seen = base.seen.get(site)
    resources = found.spec.resources
    facts = SiteFacts(
        site=site,
        provider=found.spec.operator or site,
        period=asked,
        units_of_class={r.class_: seen.units.get(r.class_, 0) if seen else r.declared_units or 0 for r in resources},
        core_classes=frozenset(r.class_ for r in resources if r.unit is ComputeUnit.CORE),
        available_ms=(asked.end_ms - asked.start_ms) * part // MICRO,
        pue_micro=micro(found.spec.energy.pue),
        green_share_micro=micro(found.spec.energy.green_share),
        received_micro_yuan=cash,
    )
    with stores.read(hub_id) as books:
        dossier = books.dossier(asked.name)
        made = asset_report(facts, dossier.lines, dossier.events)
    if form is Form.HTML:
        typer.echo(asset_html(made, language))
    else:
        dump(asset_record(made), Output.JSON)


def _number(option: str, text: str) -> int:
    try:
        return micro(text)
    except ValueError as error:
        raise fail(f"{option}: {error}") from error
