"""One line of a bill: what it was for, which rule of which tariff priced it, and what comes of it. Pure."""

from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from suanli.base.names import short_hash
from suanli.billing.event import UsageKind, as_record

ID_LENGTH = 32  # hexadecimal digits: 128 bits


@dataclass(frozen=True, slots=True)
class RatedLine:
    """What one job owes for one item of a tariff in one period. The sum of lines is the total.

    Units: `quantity` in the kind's unit; money in micro-yuan, prices for the item's unit (an hour of a core, a GiB ...).
    """

    id: str
    period: str
    account: str
    namespace: str
    job: str
    job_uid: str
    site: str
    provider: str
    tariff: str
    item: str
    band: str
    bracket: int
    qos: str
    customer_class: str
    kind: UsageKind
    class_: str
    precision: str
    quantity: int
    price_micro_yuan: int
    list_micro_yuan: int
    discount_micro_yuan: int  # customer class, free allowance, package
    net_micro_yuan: int  # list - discount: what the consumer owes before vouchers; tax is in it
    commission_permille: int
    tax_permille: int
    events: int
    adjusts: str = ""  # the closed period that it corrects
    link: str = ""  # over which a transfer went


# What tells one line of a period from another; the rest of a line follows from these and from what was used.
KEY = (
    "period",
    "account",
    "namespace",
    "job",
    "job_uid",
    "site",
    "tariff",
    "item",
    "band",
    "bracket",
    "qos",
    "class_",
    "precision",
    "adjusts",
    "link",
)


def line_id(**key: str | int) -> str:
    """The id of the line with this key: a hash of the names and values of KEY, in that order.

    Where there is no link it is the id that lines had before they told one.
    """
    told = (name for name in KEY if name != "link" or key[name])
    return short_hash("line", *(f"{name.rstrip('_')}={key[name]}" for name in told), length=ID_LENGTH)


def same(line: RatedLine) -> tuple[object, ...]:
    """What a line has in common with the one that corrects it."""
    return tuple(getattr(line, name) for name in KEY if name not in ("period", "adjusts"))


def line_record(line: RatedLine) -> dict[str, Any]:
    """A line as canonical JSON has it: amounts as digits, names without the underscore."""
    return as_record(line, _names())


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(RatedLine))
