"""ComputeAccount: a tenant, its namespaces, how much of the country it may hold, and how much money it may spend."""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from suanli.api.common import (
    Amount,
    Conditions,
    Date,
    Digits,
    FractionText,
    Int,
    MicroYuan,
    Model,
    Name,
    Names,
    Span,
    Text,
)
from suanli.api.kind import Kind, PrinterColumn, Resource
from suanli.api.lists import ATOMIC, keyed
from suanli.api.rule import Rule
from suanli.api.site import ComputeType


class Quota(Model):
    """How much the jobs of an account may hold at a time, of one class or of all classes of one type."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.class) || !has(self.type)",
            lambda quota: quota.class_ is None or quota.type is None,
            'type "{type}" stands beside class "{class}"; leave one of them out',
            field="type",
            reason="FieldValueForbidden",
        ),
        Rule(
            "has(self.class) || has(self.type)",
            lambda quota: quota.class_ is not None or quota.type is not None,
            "nothing is named that nominal {nominal} is of; name a class or a type",
            field="class",
            reason="FieldValueRequired",
        ),
    )

    class_: Annotated[
        Name | None,
        Field(
            alias="class",
            description="Class of compute, as sites name it in resources[].class. Exactly one of class and type.",
        ),
    ] = None
    type: Annotated[
        ComputeType | None,
        Field(
            description="All classes that some site offers as this type, added up in their units: cards, or cores. Exactly one "
            "of class and type."
        ),
    ] = None
    nominal: Annotated[
        Int,
        Field(
            ge=0,
            le=100_000_000,
            description="Cards or cores, as the class is counted, that jobs of the account and of all accounts below it may hold.",
        ),
    ]
    borrowing_limit: Annotated[
        Int | None,
        Field(
            ge=0,
            le=100_000_000,
            description="How many more it may hold while accounts of the same parent leave as much of their nominal for the same "
            "class or type unused. What is lent comes back when the jobs end that hold it; none is stopped for it. Absent: none.",
        ),
    ] = None


_SAME = "has(q.class) == has(r.class) && (!has(q.class) || q.class == r.class) && has(q.type) == has(r.type) && (!has(q.type) || q.type == r.type)"


class Subscription(Model):
    """A package of a price list that an account has."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.until) || self.since < self.until",
            lambda one: one.until is None or one.since < one.until,
            'package "{package}" is until "{until}", which is not later than since "{since}"; give the first day without it',
            field="until",
        ),
    )

    provider: Annotated[Text, Field(description="Provider whose price list has the package.")]
    package: Annotated[Name, Field(description="The package's name there.")]
    since: Annotated[Date, Field(description='First day, such as "2026-11-01", in the time zone of the price list.')]
    until: Annotated[Date | None, Field(description="First day without it; absent: until further notice.")] = None


class BudgetPeriod(StrEnum):
    """How long a budget is for, by the calendar of the operator's time zone of bills."""

    MONTH = "Month"
    QUARTER = "Quarter"
    YEAR = "Year"


class Payment(StrEnum):
    """When an account pays."""

    PREPAID = "Prepaid"
    POSTPAID = "Postpaid"


class SpentAction(StrEnum):
    """What becomes of a running job for which no more money is there."""

    FINISH = "Finish"
    SUSPEND = "Suspend"


class Budget(Model):
    """How much may be spent in a period."""

    amount: Annotated[
        Amount,
        Field(
            description="Micro-yuan that jobs of the account and of all accounts below it may cost in a period, by what they "
            "are estimated to cost while they run, and by what they ran when they have ended."
        ),
    ]
    period: Annotated[
        BudgetPeriod, Field(description="Calendar month, quarter or year; nothing that is left goes to the next one.")
    ]


class WhenSpent(Model):
    """What becomes of a running job that lasts longer than there is money for."""

    action: Annotated[
        SpentAction,
        Field(
            description="Finish: it may run on for grace after the time that money was held for. Suspend: it is stopped before "
            "that time is over. A stopped job waits, and is placed again once there is money for all of it."
        ),
    ] = SpentAction.FINISH
    grace: Annotated[Span, Field(description="How much longer Finish lets a job run; whatever it costs is billed.")] = (
        "10m"
    )


class ComputeAccountSpec(Model):
    """Whose jobs they are, and how much these may hold."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!has(self.quotas) || self.quotas.all(q, self.quotas.exists_one(r, {_SAME}))",
            lambda spec: len({(q.class_, q.type) for q in spec.quotas}) == len(spec.quotas),
            "a class or type is there twice in quotas; keep one quota of each",
            field="quotas",
        ),
        Rule(
            "has(self.parent) || !has(self.quotas) || self.quotas.all(q, !has(q.borrowingLimit) || q.borrowingLimit == 0)",
            lambda spec: spec.parent is not None or not any(q.borrowing_limit for q in spec.quotas),
            "borrowingLimit is set, but an account without a parent has nobody to borrow from; name a parent, or leave "
            "borrowingLimit out",
            field="parent",
            reason="FieldValueRequired",
        ),
    )

    namespaces: Annotated[
        Names,
        Field(
            max_length=256,
            description="Namespaces whose jobs are the account's. A namespace belongs to one account at most: of several that "
            "name it the oldest has it. Jobs of a namespace that no account names are of an account of the namespace's name.",
        ),
    ] = []
    parent: Annotated[
        Name | None,
        Field(
            description="ComputeAccount that it is a part of: the parent's quotas bound what all accounts below it hold together, "
            "and accounts of one parent may borrow from one another."
        ),
    ] = None
    customer_class: Annotated[
        Name | None, Field(description="Class of customer that it is, such as university; price lists may go by it.")
    ] = None
    plan: Annotated[
        Name | None,
        Field(
            description="Plan that it is on, such as spot or the name of a contract; price lists may have prices for it."
        ),
    ] = None
    packages: Annotated[
        list[Subscription],
        keyed("provider", "package", "since"),
        Field(
            max_length=64, description="Packages of price lists that it has: paid for by the day or month, used or not."
        ),
    ] = []
    weight: Annotated[
        Int,
        Field(
            ge=1,
            le=1_000_000,
            description="Its part among accounts that compete: of jobs of one priority those go first whose account holds the "
            "least for its weight. Twice the weight, twice the part.",
        ),
    ] = 1
    quotas: Annotated[
        list[Quota],
        ATOMIC,
        Field(max_length=64, description="What its jobs may hold at a time; a class without a quota is not limited."),
    ] = []
    payment: Annotated[
        Payment,
        Field(
            description="Prepaid: its jobs are placed only as long as what was paid in (`suanli account top-up`) covers what it "
            "was billed, what it used since, and what its running jobs are estimated to cost. Postpaid: it gets a bill."
        ),
    ] = Payment.POSTPAID
    budget: Annotated[
        Budget | None,
        Field(description="What its jobs and those of all accounts below it may cost in a period; absent: any amount."),
    ] = None
    margin_permille: Annotated[
        Int,
        Field(
            ge=0,
            le=1_000,
            description="How much more than its estimate is held for a job, in thousandths of it. It pays for the time in which "
            "a job that lasts longer than expected is found out.",
        ),
    ] = 100
    warn_at_percent: Annotated[
        Int,
        Field(
            ge=1,
            le=100,
            description="Part of budget or prepayment, spent and held together, from which on condition BudgetLow is True.",
        ),
    ] = 80
    when_spent: Annotated[
        WhenSpent | None,
        Field(description="What becomes of running jobs when no more money is there; absent: they finish within 10m."),
    ] = None


class QuotaUse(Model):
    """What is used of one quota."""

    class_: Annotated[Name | None, Field(alias="class", description="The class, of a quota of a class.")] = None
    type: Annotated[ComputeType | None, Field(description="The type, of a quota of a type.")] = None
    used: Annotated[
        str, Field(max_length=20, pattern=r"^[0-9]+(\.[0-9]{1,3})?$", description="Cards or cores that jobs hold.")
    ]
    borrowed: Annotated[
        str, Field(max_length=20, pattern=r"^[0-9]+(\.[0-9]{1,3})?$", description="What of it is above nominal.")
    ]
    nominal: Annotated[int, Field(ge=0, description="Cards or cores of its own.")]


class ComputeAccountStatus(Model):
    """What the operator observes of the account."""

    conditions: Annotated[
        Conditions,
        Field(
            max_length=8,
            description="Consistent: whether its parent exists and its namespaces are its own. BudgetLow, BudgetExceeded, of an "
            "account with a budget or prepayment: whether what is spent and held reaches warnAtPercent, or all.",
        ),
    ] = []
    quotas: Annotated[
        list[QuotaUse], ATOMIC, Field(max_length=64, description="The use of each quota, in the order of the spec.")
    ] = []
    share: Annotated[
        FractionText | None,
        Field(
            description="The largest part of any class of the country that its jobs hold, with all accounts below it."
        ),
    ] = None
    balance: Annotated[
        MicroYuan | None,
        Field(
            description="Micro-yuan that were paid in and not billed; below zero it owes. This and the next three only of an "
            "account with a budget or prepayment."
        ),
    ] = None
    held: Annotated[Digits | None, Field(description="Micro-yuan that are held for jobs that run.")] = None
    spent: Annotated[
        Digits | None,
        Field(
            description="Micro-yuan of jobs that have ended: of a budget in its period, else what is used and not billed yet."
        ),
    ] = None
    period: Annotated[
        str | None,
        Field(max_length=16, description='The period of the budget, such as "2026-11", "2026-Q4" or "2026".'),
    ] = None


class ComputeAccount(Resource):
    """A tenant: namespaces, and how much their jobs may hold."""

    kind_info: ClassVar[Kind] = Kind(
        kind="ComputeAccount",
        plural="computeaccounts",
        short_names=("cacct",),
        namespaced=False,
        columns=(
            PrinterColumn("Parent", ".spec.parent", "Account that it is a part of."),
            PrinterColumn("Weight", ".spec.weight", "Its part among accounts that compete.", type="integer"),
            PrinterColumn("Share", ".status.share", "Largest part of any class that it holds."),
            PrinterColumn(
                "Consistent",
                '.status.conditions[?(@.type=="Consistent")].status',
                "Whether its parent exists and its namespaces are its own.",
            ),
            PrinterColumn("Balance", ".status.balance", "What was paid in and not billed, in micro-yuan."),
            PrinterColumn("Held", ".status.held", "What is held for jobs that run, in micro-yuan."),
            PrinterColumn("Spent", ".status.spent", "What ended jobs cost, in micro-yuan."),
            PrinterColumn(
                "Exceeded",
                '.status.conditions[?(@.type=="BudgetExceeded")].status',
                "Whether all of it is spent or held.",
            ),
            PrinterColumn("Payment", ".spec.payment", "When it pays.", priority=1),
            PrinterColumn("Customer", ".spec.customerClass", "Class of customer.", priority=1),
            PrinterColumn("Namespaces", ".spec.namespaces", "Whose jobs are its own.", priority=1),
            PrinterColumn("Age", ".metadata.creationTimestamp", "Since when.", type="date"),
        ),
    )
    spec: Annotated[
        ComputeAccountSpec,
        Field(
            description="Whose jobs they are, and how much these may hold at a time. Lowered quotas stop no job: until enough "
            "have ended, none is started."
        ),
    ]
    status: Annotated[
        ComputeAccountStatus | None,
        Field(description="What the operator observes of the account; nobody else writes it."),
    ] = None
