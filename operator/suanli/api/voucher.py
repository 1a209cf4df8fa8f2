"""VoucherProgram and Voucher: compute vouchers 算力券, transport vouchers 运力券, rent subsidies and deployment rewards.

Two ways of redemption exist and do not mix: the issuer pays the user back, or the bill is cut and the provider gets a
receivable. `billing.vouchers` decides what is granted; here is what a programme and a claim can say of themselves.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from suanli.api.common import Conditions, Date, Int, LabelValue, LongName, MicroYuan, Model, Name, Names, Text, Time
from suanli.api.kind import Kind, PrinterColumn, Resource
from suanli.api.lists import SET, keyed
from suanli.api.policy import Side
from suanli.api.rule import Rule, Shape, unchanging
from suanli.api.site import Timezone

Sum = Annotated[
    str,
    Field(min_length=1, max_length=15),
    Shape(
        r"^[1-9][0-9]{0,14}$",
        'is not a sum above zero; write whole micro-yuan as digits in quotes, at most 15, such as "2000000000000" for '
        "2,000,000 CNY",
    ),
]
Permille = Annotated[Int, Field(ge=1, le=1_000)]


class ProgramKind(StrEnum):
    """What is paid for."""

    COMPUTE = "Compute"
    TRANSPORT = "Transport"
    RENT = "Rent"
    DEPLOYMENT = "Deployment"


class Flow(StrEnum):
    """How a voucher becomes money."""

    REIMBURSE_USER = "ReimburseUser"
    DEDUCT_AT_CHECKOUT = "DeductAtCheckout"


class Choice(StrEnum):
    """Whether something may be."""

    FORBIDDEN = "Forbidden"
    ALLOWED = "Allowed"


class Term(Model):
    """What some applicants get."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.ratePermille) != has(self.rewardPerUnit)",
            lambda term: (term.rate_permille is None) != (term.reward_per_unit is None),
            'term "{name}" needs one of ratePermille and rewardPerUnit; give ratePermille, or rewardPerUnit in a programme '
            "of kind Deployment",
            field="ratePermille",
        ),
    )

    name: Annotated[Name, Field(description="The term's name.")]
    applicant_classes: Annotated[
        Names,
        Field(max_length=32, description="Classes of applicant that get it, such as start-up; empty: all."),
    ] = []
    chips: Annotated[
        list[LabelValue],
        SET,
        Field(max_length=32, description="Chips for which it holds, as sites label their classes; empty: all."),
    ] = []
    rate_permille: Annotated[
        Permille | None, Field(description="Part of the contract or bill that is paid, in thousandths: 200 is 20 %.")
    ] = None
    reward_per_unit: Annotated[
        Sum | None,
        Field(description="Paid per unit of capacity that went into service, in micro-yuan; of a deployment reward."),
    ] = None
    cap_per_entity_year: Annotated[
        Sum | None,
        Field(
            description="Most that one entity gets in a calendar year under this term, in micro-yuan; absent: the programme's."
        ),
    ] = None


class Eligible(Model):
    """What a programme pays for: all given lists must match; an absent one matches all."""

    sides: Annotated[list[Side], SET, Field(max_length=2, description="Sides of the hub that the site is in.")] = []
    sites: Annotated[Names, Field(max_length=256, description="ComputeSites whose use is paid.")] = []
    classes: Annotated[Names, Field(max_length=64, description="Classes of compute whose use is paid.")] = []
    chips: Annotated[
        list[LabelValue],
        SET,
        Field(max_length=32, description="Chips, as sites label their classes, whose use is paid."),
    ] = []


_OF_DEPLOYMENT = "self.kind == 'Deployment'"


class VoucherProgramSpec(Model):
    """Who pays what for whom, and how much at most."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"self.terms.all(t, has(t.rewardPerUnit) == ({_OF_DEPLOYMENT}))",
            lambda spec: all(
                (t.reward_per_unit is not None) == (spec.kind is ProgramKind.DEPLOYMENT) for t in spec.terms
            ),
            'a term does not fit kind "{kind}"; rewardPerUnit is for kind Deployment, ratePermille for all others',
            field="terms",
        ),
        Rule(
            "self.flow == 'ReimburseUser' || self.kind in ['Compute', 'Transport']",
            lambda spec: spec.flow is Flow.REIMBURSE_USER or spec.kind in (ProgramKind.COMPUTE, ProgramKind.TRANSPORT),
            'kind "{kind}" is on no bill that could be cut; set flow to ReimburseUser',
            field="flow",
        ),
        Rule(
            "!has(self.until) || self.from < self.until",
            lambda spec: spec.until is None or spec.from_ < spec.until,
            'until "{until}" is not after from "{from}"; give a later day, or leave it out',
            field="until",
        ),
        *(
            unchanging(field, "vouchers were granted by it; make another programme", shown=field != "terms")
            for field in ("issuer", "kind", "flow", "terms", "timezone")
        ),
    )

    display_name: Annotated[Text, Field(description='Name for people, such as "北京市算力券".')]
    issuer: Annotated[LongName, Field(description="Who pays. Cannot be changed.")]
    kind: Annotated[
        ProgramKind,
        Field(
            description="What is paid for: Compute (cores, cards, memory, nodes), Transport (network), Rent of capacity, or "
            "Deployment of capacity. Storage and energy are never paid for. Cannot be changed."
        ),
    ] = ProgramKind.COMPUTE
    flow: Annotated[
        Flow,
        Field(
            description="ReimburseUser: the user pays in full, shows the invoice, and the issuer pays back. DeductAtCheckout: "
            "the bill is cut, and the provider gets a receivable from the issuer. Cannot be changed."
        ),
    ]
    terms: Annotated[
        list[Term],
        keyed("name"),
        Field(
            min_length=1,
            max_length=32,
            description="What who gets; of several that match the one with the highest rate counts. Cannot be changed.",
        ),
    ]
    eligible: Annotated[Eligible | None, Field(description="What is paid for; absent: all of its kind.")] = None
    cap_per_entity_year: Annotated[
        Sum | None,
        Field(description="Most that one entity gets in a calendar year, in micro-yuan; absent: no cap but the pool."),
    ] = None
    pool_per_year: Annotated[
        Sum | None, Field(description="Most that all get in a calendar year, in micro-yuan; absent: no limit.")
    ] = None
    min_amount: Annotated[
        Sum | None, Field(description="Least that a voucher is granted for, in micro-yuan; absent: no minimum.")
    ] = None
    valid_days: Annotated[
        Int, Field(ge=1, le=3_660, description="Days from the grant after which a voucher expires.")
    ] = 365
    from_: Annotated[Date, Field(alias="from", description="First day on which vouchers are granted.")]
    until: Annotated[
        Date | None, Field(description="First day on which none is granted any more; absent: no end is known.")
    ] = None
    timezone: Annotated[
        Timezone, Field(description="IANA time zone of its days and calendar years. Cannot be changed.")
    ] = "Asia/Shanghai"
    max_contract_days: Annotated[
        Int | None, Field(ge=1, le=36_600, description="Longest contract that is paid for, in days; absent: any.")
    ] = None
    repeated_claims: Annotated[
        Choice, Field(description="Whether a contract may have a second voucher of this programme.")
    ] = Choice.FORBIDDEN
    stacking: Annotated[
        Choice, Field(description="Whether a contract or bill may have vouchers of other programmes as well.")
    ] = Choice.FORBIDDEN
    related_parties: Annotated[
        Choice, Field(description="Whether the supplier may belong to the applicant, or the other way round.")
    ] = Choice.FORBIDDEN
    settlement_months: Annotated[
        Int,
        Field(
            ge=1, le=12, description="Months after which what is redeemed is settled with the issuer: 3 is quarterly."
        ),
    ] = 3


class VoucherProgramStatus(Model):
    """What was granted and redeemed in the current calendar year."""

    conditions: Annotated[
        Conditions, Field(max_length=8, description="InForce: whether vouchers are granted now.")
    ] = []
    year: Annotated[int | None, Field(ge=0, description="The calendar year of these figures.")] = None
    vouchers: Annotated[int | None, Field(ge=0, description="Vouchers that were granted.")] = None
    rejected: Annotated[int | None, Field(ge=0, description="Claims that were rejected.")] = None
    issued: Annotated[
        MicroYuan | None, Field(description="Granted, in micro-yuan, less what expired or was taken back.")
    ] = None
    redeemed: Annotated[MicroYuan | None, Field(description="Redeemed, in micro-yuan, less what was taken back.")] = (
        None
    )
    remaining: Annotated[MicroYuan | None, Field(description="Left in the pool, in micro-yuan.")] = None


class VoucherProgram(Resource):
    """A programme that pays a part of what computing costs."""

    kind_info: ClassVar[Kind] = Kind(
        kind="VoucherProgram",
        plural="voucherprograms",
        short_names=("vprog",),
        namespaced=False,
        columns=(
            PrinterColumn("Issuer", ".spec.issuer", "Who pays."),
            PrinterColumn("Kind", ".spec.kind", "What is paid for."),
            PrinterColumn("Flow", ".spec.flow", "How a voucher becomes money."),
            PrinterColumn("Issued", ".status.issued", "Granted this year, in micro-yuan."),
            PrinterColumn("Redeemed", ".status.redeemed", "Redeemed this year, in micro-yuan."),
            PrinterColumn("Remaining", ".status.remaining", "Left in the pool, in micro-yuan."),
            PrinterColumn("Until", ".spec.until", "First day without grants.", priority=1),
            PrinterColumn("Age", ".metadata.creationTimestamp", "Since when.", type="date"),
        ),
    )
    spec: Annotated[
        VoucherProgramSpec,
        Field(
            description="Who pays what for whom. Pool, caps and days may be changed; vouchers that are granted stay."
        ),
    ]
    status: Annotated[
        VoucherProgramStatus | None,
        Field(description="What the operator observes of the programme; nobody else writes it."),
    ] = None


class Invoice(Model):
    """What shows that the user has paid and was served."""

    number: Annotated[Text, Field(description="Number of the invoice.")]
    paid: Annotated[Sum, Field(description="Paid of it, in micro-yuan.")]
    paid_on: Annotated[Date, Field(description="Day of the payment.")]
    delivery: Annotated[
        Text | None, Field(description="Evidence of delivery, such as the root hash of a Statement.")
    ] = None


_KEPT = "a claim stays as it was made; delete the voucher and apply another one"


class VoucherSpec(Model):
    """A claim under a programme."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.contract) != has(self.job)",
            lambda spec: (spec.contract is None) != (spec.job is None),
            "a claim is for one contract or one job; name one of contract and job",
            field="contract",
        ),
        unchanging("program", _KEPT),
        unchanging("contract", _KEPT, optional=True, shown=False),
        unchanging("job", _KEPT, optional=True, shown=False),
        unchanging("amount", _KEPT),
        unchanging("applicantClass", _KEPT, optional=True, shown=False),
        unchanging("provider", _KEPT, optional=True, shown=False),
        unchanging("units", _KEPT, optional=True, shown=False),
    )

    program: Annotated[Name, Field(description="VoucherProgram that it is a claim under. Cannot be changed.")]
    contract: Annotated[
        LongName | None, Field(description="Contract that it is for. One of contract and job. Cannot be changed.")
    ] = None
    job: Annotated[
        Name | None,
        Field(
            description="ComputeJob of the same namespace that it is for. One of contract and job. Cannot be changed."
        ),
    ] = None
    amount: Annotated[
        Sum, Field(description="What the contract or job costs, in micro-yuan, before the voucher. Cannot be changed.")
    ]
    applicant_class: Annotated[
        Name | None,
        Field(
            description="Class of applicant, such as start-up; absent: the account's customer class. Cannot be changed."
        ),
    ] = None
    provider: Annotated[
        Text | None,
        Field(description="Who supplies, as sites name it in operator; absent: any. Cannot be changed."),
    ] = None
    contract_days: Annotated[Int, Field(ge=1, le=36_600, description="How long the contract is, in days.")] = 1
    units: Annotated[
        Int | None,
        Field(
            ge=1, le=100_000_000, description="Units that went into service, of a deployment reward. Cannot be changed."
        ),
    ] = None
    invoice: Annotated[
        Invoice | None, Field(description="What shows that it was paid; a programme that reimburses asks for it.")
    ] = None


class Verdict(StrEnum):
    """What a person decided of a claim."""

    APPROVED = "Approved"
    REJECTED = "Rejected"


class Approval(Model):
    """What a person who may write the status, and so is no tenant, decided of the claim."""

    decision: Annotated[Verdict, Field(description="What was decided.")]
    generation: Annotated[
        Int,
        Field(
            ge=1,
            description="The generation of the claim that was looked at; a claim that was changed has to be approved again.",
        ),
    ]
    by: Annotated[Text, Field(description="Who decided.")]
    reason: Annotated[Text | None, Field(description="Why it was decided so; the tenant reads it.")] = None


class VoucherStatus(Model):
    """What became of the claim."""

    conditions: Annotated[
        Conditions,
        Field(
            max_length=8,
            description="Approved, Granted, Redeemed, Expired: each with the rule that decided, and its number; Granted is False when "
            "the claim was rejected, Approved while a person has to approve what only the tenant says.",
        ),
    ] = []
    approval: Annotated[
        Approval | None, Field(description="What a person decided; `suanli voucher approve` and `reject` write it.")
    ] = None
    entity: Annotated[Name | None, Field(description="ComputeAccount that it was granted to.")] = None
    granted: Annotated[MicroYuan | None, Field(description="Granted, in micro-yuan.")] = None
    redeemed: Annotated[MicroYuan | None, Field(description="Redeemed of it, in micro-yuan.")] = None
    taken_back: Annotated[
        MicroYuan | None,
        Field(
            description="Taken back of what was redeemed, because lines that were paid of were corrected, in micro-yuan; it is not "
            "redeemed again."
        ),
    ] = None
    remaining: Annotated[MicroYuan | None, Field(description="Left of it, in micro-yuan.")] = None
    expires: Annotated[Time | None, Field(description="When what is left expires.")] = None


class Voucher(Resource):
    """A claim under a VoucherProgram, and what was granted. It cannot be handed on: it is of its namespace's account."""

    kind_info: ClassVar[Kind] = Kind(
        kind="Voucher",
        plural="vouchers",
        short_names=("vouch",),
        namespaced=True,
        columns=(
            PrinterColumn("Program", ".spec.program", "VoucherProgram that it is of."),
            PrinterColumn(
                "Granted", '.status.conditions[?(@.type=="Granted")].status', "Whether the claim was granted."
            ),
            PrinterColumn("Amount", ".status.granted", "Granted, in micro-yuan."),
            PrinterColumn("Remaining", ".status.remaining", "Left of it, in micro-yuan."),
            PrinterColumn("Expires", ".status.expires", "When what is left expires."),
            PrinterColumn(
                "Reason", '.status.conditions[?(@.type=="Granted")].reason', "Rule that decided.", priority=1
            ),
            PrinterColumn("Age", ".metadata.creationTimestamp", "Since when.", type="date"),
        ),
    )
    spec: Annotated[
        VoucherSpec, Field(description="The claim. All but invoice and contractDays stay as they were made.")
    ]
    status: Annotated[
        VoucherStatus | None,
        Field(description="What the operator decided; of it only the approval is written by others."),
    ] = None
