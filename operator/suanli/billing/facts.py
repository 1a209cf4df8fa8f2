"""What a period is rated by beside its events, as text that is kept with the period. Pure.

Tariffs are immutable, but they can be deleted; accounts change. Whoever rates the period again gets what held when it was closed.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from suanli.api.account import ComputeAccount
from suanli.api.kind import Resource
from suanli.api.policy import Side
from suanli.api.tariff import Tariff
from suanli.billing.event import UsageKind
from suanli.billing.evidence import canonical
from suanli.billing.line import RatedLine
from suanli.billing.pricebook import Change, PriceBook
from suanli.billing.rating import Customer, Subscription
from suanli.billing.vouchers import Scope


@dataclass(frozen=True)
class Facts:
    """Tariffs, whose the sites and links are, and what prices of accounts go by."""

    tariffs: tuple[Tariff, ...]
    customers: Mapping[str, Customer]  # by account
    providers: Mapping[str, str] = field(default_factory=dict)  # by site
    scope: Scope = field(default_factory=lambda: Scope({}, {}))  # what vouchers ask of a site
    changes: tuple[Change, ...] = ()  # of providers, within what is rated
    carriers: Mapping[str, str] = field(default_factory=dict)  # by link
    hub: str = ""  # that ids of events name; "": of whoever asks
    by_link: bool = (
        True  # whether each link has lines of its own; periods that were closed before there were such have none
    )

    def book(self) -> PriceBook:
        """The tariffs made ready."""
        return PriceBook(self.tariffs, self.providers, self.changes, self.carriers, by_link=self.by_link)

    def text(self) -> str:
        """As JSON."""
        body = {
            "tariffs": [_object(tariff) for tariff in self.tariffs],
            "providers": dict(self.providers),
            "changes": [list(change) for change in self.changes],
            "carriers": dict(self.carriers),
            "hub": self.hub,
            "by_link": self.by_link,
            "sides": dict(self.scope.side_of_site),
            "chips": [[site, class_, chip] for (site, class_), chip in sorted(self.scope.chip_of_class.items())],
            "customers": [
                {
                    "account": c.account,
                    "class": c.customer_class,
                    "plan": c.plan,
                    "subscriptions": [[s.provider, s.package, s.since, s.until] for s in c.subscriptions],
                }
                for _, c in sorted(self.customers.items())
            ],
        }
        return canonical(body)


def customers_of(accounts: Iterable[ComputeAccount]) -> dict[str, Customer]:
    """What prices go by, of the accounts that are declared; another one pays list prices."""
    found = {}
    for account in accounts:
        spec = account.spec
        found[account.metadata.name] = Customer(
            account=account.metadata.name,
            customer_class=spec.customer_class or "",
            plan=spec.plan or "",
            subscriptions=tuple(Subscription(p.provider, p.package, p.since, p.until or "") for p in spec.packages),
        )
    return found


def read_facts(text: str) -> Facts:
    """The facts of what `Facts.text` gave."""
    body = json.loads(text)
    customers = {
        c["account"]: Customer(c["account"], c["class"], c["plan"], tuple(Subscription(*s) for s in c["subscriptions"]))
        for c in body["customers"]
    }
    scope = Scope(
        {site: Side(side) for site, side in body["sides"].items()},
        {(site, class_): chip for site, class_, chip in body["chips"]},
    )
    tariffs = tuple(Tariff.model_validate(t) for t in body["tariffs"])
    changes = tuple(Change(*each) for each in body.get("changes", ()))
    return Facts(
        tariffs,
        customers,
        body["providers"],
        scope,
        changes=changes,
        carriers=body.get("carriers", {}),
        hub=body.get("hub", ""),
        by_link=body.get("by_link", False),
    )


def read_line(text: str) -> RatedLine:
    """The line of what `line_record` gave, as JSON."""
    record = {
        "link": "",
        **json.loads(text),
    }  # lines of periods that were closed before there were lines by link have none
    values = {name: record[name.rstrip("_")] for name in (each.name for each in fields(RatedLine))}
    values |= {name: int(value) for name, value in values.items() if name == "quantity" or name.endswith("_yuan")}
    return RatedLine(**{**values, "kind": UsageKind(values["kind"])})


def _object(resource: Resource) -> dict[str, Any]:
    kept = {"status"}
    body: dict[str, Any] = resource.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=kept)
    return {**body, "metadata": {"name": resource.metadata.name}}
