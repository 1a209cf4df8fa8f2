"""ComputeAccount: a tenant, its namespaces, and how much of the country it may hold."""

from typing import Annotated, ClassVar

from pydantic import Field

from suanli.api.common import Conditions, Date, FractionText, Int, Model, Name, Names, Text
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
        Field(max_length=8, description="Consistent: whether its parent exists and its namespaces are its own."),
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
