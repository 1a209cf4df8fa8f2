"""Accounts: whose jobs a namespace's are, who is part of whom, and what their jobs hold."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from suanli.api.account import ComputeAccount
from suanli.api.job import ComputeJobSpec
from suanli.base.clock import time_or_zero
from suanli.base.reasons import Reason
from suanli.base.units import cpu_milli

MOST_NAMED = 5  # namespaces in a message
Trouble = tuple[Reason, str]


def asked_milli(spec: ComputeJobSpec) -> int:
    """What a job takes of a quota: its cards, or its cores where it asks for no cards. Units: thousandths.

    A class that is counted in cards takes jobs that ask for cards, one that is counted in cores takes the others
    (`filters.offered_class`): so it is the same in every class that the job may run on.
    """
    per_task = spec.resources.per_task
    return spec.tasks * (per_task.cards * 1_000 or cpu_milli(per_task.cpu))


@dataclass(frozen=True)
class Accounts:
    """The ComputeAccounts by name, and what follows from all of them together."""

    by_name: Mapping[str, ComputeAccount] = field(default_factory=dict)

    @cached_property
    def owners(self) -> Mapping[str, str]:
        """By namespace, the oldest account that names it; of equally old ones the first by name."""
        found: dict[str, str] = {}
        for account in sorted(self.by_name.values(), key=_age):
            for namespace in account.spec.namespaces:
                found.setdefault(namespace, account.metadata.name)
        return found

    def of(self, namespace: str) -> str:
        """The account of a namespace's jobs: the one that has the namespace, or one of the namespace's own name."""
        return self.owners.get(namespace, namespace)

    @cached_property
    def parents(self) -> Mapping[str, str]:
        """The parents that are there; an account of a circle has none."""
        named = ((name, account.spec.parent) for name, account in self.by_name.items())
        there = {name: parent for name, parent in named if parent is not None and parent in self.by_name}
        circles = _circles(there)
        return {name: parent for name, parent in there.items() if name not in circles}

    @cached_property
    def _lineages(self) -> dict[str, tuple[str, ...]]:
        return {}

    def lineage(self, name: str) -> tuple[str, ...]:
        """The account, its parent, and so on. One that is not declared is alone."""
        if name not in self._lineages:
            line = [name]
            while line[-1] in self.parents:
                line.append(self.parents[line[-1]])
            self._lineages[name] = tuple(line)
        return self._lineages[name]

    def weight(self, name: str) -> int:
        """Its weight; 1 where it is not declared."""
        return self.by_name[name].spec.weight if name in self.by_name else 1

    def trouble(self, name: str) -> Trouble | None:
        """What is wrong with one of the accounts beside the others, and what to do."""
        account = self.by_name[name]
        parent = account.spec.parent
        if parent is not None and parent not in self.by_name:
            text = f'spec.parent: "{parent}" is no ComputeAccount; create it or correct the name. Until then it has no parent'
            return Reason.UNKNOWN_PARENT, text
        if parent is not None and name not in self.parents:
            text = f'spec.parent: "{parent}" is part of {name} itself; break the circle. Until then it has no parent'
            return Reason.CIRCULAR_PARENTS, text
        lost = [namespace for namespace in account.spec.namespaces if self.owners[namespace] != name]
        if not lost:
            return None
        told = ", ".join(f'"{n}" belongs to the older account {self.owners[n]}' for n in lost[:MOST_NAMED])
        more = f" and {len(lost) - MOST_NAMED} more belong to others" if len(lost) > MOST_NAMED else ""
        return Reason.NAMESPACE_CLAIMED, f"spec.namespaces: {told}{more}; take it out of one of them"


@dataclass(frozen=True)
class Tenancy:
    """The accounts, and what their jobs hold: running and assigned ones, by account and class. Units: thousandths."""

    accounts: Accounts = field(default_factory=Accounts)
    held_milli: Mapping[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, accounts: Accounts, held: Iterable[tuple[str, str, int]]) -> "Tenancy":
        """From what is held in each namespace, of each class."""
        total: Counter[tuple[str, str]] = Counter()
        for namespace, class_, milli in held:
            total[accounts.of(namespace), class_] += milli
        return cls(accounts, total)


NOBODY = Tenancy()


def _age(account: ComputeAccount) -> tuple[int, str]:
    return time_or_zero(account.metadata.creation_timestamp), account.metadata.name


def _circles(parents: Mapping[str, str]) -> frozenset[str]:
    """Names on a circle of parents."""
    settled: set[str] = set()
    found: set[str] = set()
    for name in parents:
        way: dict[str, None] = {}
        while name in parents and name not in settled and name not in way:
            way[name] = None
            name = parents[name]
        if name in way:
            walked = list(way)
            found.update(walked[walked.index(name) :])
        settled.update(way)
    return frozenset(found)
