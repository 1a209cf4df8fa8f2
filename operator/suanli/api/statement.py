"""Statement: what one party owes or gets for one period, and the evidence for it."""

import re
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from suanli.api.common import Conditions, Date, MicroYuan, Model, Name, Text
from suanli.api.kind import Kind, PrinterColumn, Resource
from suanli.api.lists import keyed
from suanli.api.rule import Rule, Shape, unchanging
from suanli.api.site import Timezone

MONTH = Shape(r"^[12][0-9]{3}-(0[1-9]|1[0-2])$", 'is not a month; write it as "2026-11"')
Hash = Annotated[str, Field(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]
LineId = Annotated[
    str,
    Field(min_length=1, max_length=64),
    Shape(r"^[0-9a-zA-Z][-0-9a-zA-Z]{0,63}$", 'is not the id of a line; copy it from the statement, such as "6f0c1d…"'),
]


class Role(StrEnum):
    """What a party is in the trade."""

    CONSUMER = "Consumer"
    PROVIDER = "Provider"
    OPERATOR = "Operator"
    ISSUER = "Issuer"
    NETWORK = "Network"


class Dispute(Model):
    """A line that the party does not accept."""

    line: Annotated[LineId, Field(description="Id of the line, as the statement shows it.")]
    reason: Annotated[Text, Field(description="Why it is not accepted.")]


_KEPT = "a statement is of one party and period; make another one"


class StatementSpec(Model):
    """Of whom, and when."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.from) == has(self.until)",
            lambda spec: (spec.from_ is None) == (spec.until is None),
            "one of from and until stands alone; give both, or neither for a month",
            field="from",
        ),
        Rule(
            f"has(self.from) || {MONTH.cel('self.period')}",
            lambda spec: spec.from_ is not None or re.fullmatch(MONTH.pattern, spec.period) is not None,
            'period "{period}" is no month; name a month such as 2026-11, or give from and until',
            field="period",
        ),
        Rule(
            "!has(self.from) || !has(self.until) || self.from < self.until",
            lambda spec: spec.from_ is None or spec.until is None or spec.from_ < spec.until,
            'until "{until}" is not later than from "{from}"; give the first day that is not part of the period',
            field="until",
        ),
        *(unchanging(field, _KEPT) for field in ("role", "party", "period", "timezone")),
        *(unchanging(field, _KEPT, optional=True, shown=False) for field in ("from", "until")),
    )

    role: Annotated[Role, Field(description="What the party is in the trade. Cannot be changed.")]
    party: Annotated[
        Text,
        Field(description="ComputeAccount, provider, issuer or network operator that it is of. Cannot be changed."),
    ]
    period: Annotated[
        Name, Field(description='Name of the period: a month such as "2026-11", or any. Cannot be changed.')
    ]
    from_: Annotated[
        Date | None, Field(alias="from", description="First day, of a period that is no month. Cannot be changed.")
    ] = None
    until: Annotated[
        Date | None,
        Field(description="First day that is not part of it, of a period that is no month. Cannot be changed."),
    ] = None
    timezone: Annotated[
        Timezone, Field(description="IANA time zone in which the period begins and ends. Cannot be changed.")
    ] = "Asia/Shanghai"
    disputes: Annotated[
        list[Dispute],
        keyed("line"),
        Field(
            max_length=64,
            description="Lines that the party does not accept. What is agreed comes as adjustment into a later period; "
            "nothing that was posted is edited.",
        ),
    ] = []


class StatementTotals(Model):
    """Sums of the lines. Above zero: the party gets it; below: it owes it."""

    charges: Annotated[MicroYuan, Field(description="Use of the period, in micro-yuan, tax and commission apart.")]
    adjustments: Annotated[MicroYuan, Field(description="Corrections of closed periods, in micro-yuan.")]
    subsidies: Annotated[MicroYuan, Field(description="Vouchers, in micro-yuan.")]
    commission: Annotated[MicroYuan, Field(description="Commission of the operator, in micro-yuan.")]
    tax: Annotated[MicroYuan, Field(description="Tax that the operator collects, in micro-yuan.")]
    net: Annotated[
        MicroYuan, Field(description="All of it: what the party gets, or owes if below zero, in micro-yuan.")
    ]
    paid: Annotated[
        MicroYuan, Field(description="Paid by the party or, below zero, to it in the period, in micro-yuan.")
    ]


class StatementItem(Model):
    """What one item of the price list came to."""

    name: Annotated[str, Field(max_length=253, description="Item of the tariff, or voucher programme.")]
    lines: Annotated[int, Field(ge=0, description="Lines that it sums.")]
    net: Annotated[MicroYuan, Field(description="What the party gets, or owes if below zero, in micro-yuan.")]


class Evidence(Model):
    """What somebody else recomputes the statement from."""

    root_hash: Annotated[Hash, Field(description="Hash of the ledger's last entry that it knows.")]
    entries: Annotated[int, Field(ge=0, description="Entries of the ledger up to there.")]
    tree_hash: Annotated[
        Hash | None,
        Field(description="Root of the tree of hashes over those entries, the same in all statements of a period."),
    ] = None
    events: Annotated[int, Field(ge=0, description="Usage events that its lines sum.")]


class StatementStatus(Model):
    """What the operator made of the period."""

    conditions: Annotated[
        Conditions, Field(max_length=8, description="Issued, Settled and Disputed: where the statement stands.")
    ] = []
    lines: Annotated[int | None, Field(ge=0, description="Lines of the statement; the package has them.")] = None
    totals: Annotated[StatementTotals | None, Field(description="Sums of the lines.")] = None
    items: Annotated[
        list[StatementItem],
        keyed("name"),
        Field(max_length=128, description="Sums by item and programme; what is beyond 128 is in the package."),
    ] = []
    evidence: Annotated[Evidence | None, Field(description="What it can be recomputed from.")] = None


class Statement(Resource):
    """One period of one party."""

    kind_info: ClassVar[Kind] = Kind(
        kind="Statement",
        plural="statements",
        short_names=("stmt",),
        namespaced=False,
        columns=(
            PrinterColumn("Role", ".spec.role", "What the party is."),
            PrinterColumn("Party", ".spec.party", "Of whom it is."),
            PrinterColumn("Period", ".spec.period", "When."),
            PrinterColumn("Net", ".status.totals.net", "What the party gets, or owes if below zero, in micro-yuan."),
            PrinterColumn("Lines", ".status.lines", "Lines of the statement.", type="integer"),
            PrinterColumn("Issued", '.status.conditions[?(@.type=="Issued")].status', "Whether it is final."),
            PrinterColumn("Root", ".status.evidence.rootHash", "Hash of the ledger.", priority=1),
            PrinterColumn("Age", ".metadata.creationTimestamp", "Since when.", type="date"),
        ),
    )
    spec: Annotated[StatementSpec, Field(description="Of whom, and when; and what the party does not accept.")]
    status: Annotated[
        StatementStatus | None, Field(description="What the operator made of it; nobody else writes it.")
    ] = None
