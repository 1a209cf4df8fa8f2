"""Who holds how much, by the descriptions of ComputeAccount: what an account may hold, what it borrows and who lends it."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from checker.wire import amount
from suanli.api import ComputeAccount
from suanli.api.job import ComputeJobSpec
from suanli.placement.accounts import Tenancy
from suanli.placement.snapshot import Plan, SiteView, WaitingJob

Holdings = dict[tuple[str, str], Fraction]  # by account and class
_NUMBERS = re.compile(
    r"account (?P<account>\S+) holds (?P<held>[0-9.]+) (?P<noun>card|core)s of (?P<what>\S+?)"
    r"(?: and jobs ahead take (?P<ahead>[0-9.]+))?, nominal is (?P<nominal>[0-9]+)"
    r"(?:, of which (?P<lent>[0-9.]+) are lent to accounts of (?P<parent>\S+) until their jobs end)?"
    r", it may borrow (?P<borrow>[0-9.]+); the job asks for (?P<asked>[0-9.]+)"
)


def asked(spec: ComputeJobSpec) -> Fraction:
    """Cards, or cores of a job without cards."""
    each = spec.resources.per_task
    return spec.tasks * (Fraction(each.cards) if each.cards else Fraction(amount(each.cpu)))


class Country:
    """The accounts of a country, asked one quota at a time."""

    def __init__(self, tenancy: Tenancy, sites: Sequence[SiteView]) -> None:
        self.accounts: Mapping[str, ComputeAccount] = tenancy.accounts.by_name
        self.held: Holdings = {key: Fraction(milli, 1000) for key, milli in tenancy.held_milli.items()}
        self._types: dict[str, set[str]] = defaultdict(set)
        for view in sites:
            for offer in view.site.spec.resources:
                self._types[offer.class_].add(offer.type.value)

    def is_below(self, account: str, above: str) -> bool:
        """Whether an account is another one, or a part of it; a circle of parents is no parent."""
        seen: list[str] = []
        while account != above:
            if account in seen or account not in self.accounts or self.parent(account) is None:
                return False
            seen.append(account)
            account = self.parent(account) or ""
        return True

    def parent(self, account: str) -> str | None:
        """Its parent, if it is there and no circle."""
        name = self.accounts[account].spec.parent
        if name is None or name not in self.accounts:
            return None
        at = name
        for _ in self.accounts:
            if at == account:
                return None
            at = (self.accounts[at].spec.parent or "") if at in self.accounts else ""
        return name

    def covers(self, what: str, class_: str) -> bool:
        """Whether a quota of a class or type is about the class; one that no site offers may be of any type."""
        types = self._types.get(class_)
        return what == class_ or (what[0].isupper() and (not types or what in types))

    def use(self, holdings: Holdings, account: str, what: str) -> Fraction:
        """What the account and all below it hold."""
        mine = (n for (name, c), n in holdings.items() if self.covers(what, c) and self.is_below(name, account))
        return sum(mine, Fraction(0))

    def quotas(self) -> Iterator[tuple[str, str, int, int]]:
        """Account, class or type, nominal, and how much may be borrowed at most."""
        for name, account in self.accounts.items():
            for quota in account.spec.quotas:
                limit = (quota.borrowing_limit or 0) if self.parent(name) is not None else 0
                yield name, quota.class_ or str(quota.type), quota.nominal, limit

    def excess(self, holdings: Holdings) -> dict[tuple[str, str], Fraction]:
        """What accounts hold above what they may, and parents' accounts above what they have together; nothing is missing."""
        found: dict[tuple[str, str], Fraction] = {}
        rows = list(self.quotas())
        for name, what, nominal, limit in rows:
            found[name, what] = max(Fraction(0), self.use(holdings, name, what) - nominal - limit)
        for parent in {self.parent(name) for name, *_ in rows} - {None}:
            for what in {what for name, what, *_ in rows if self.parent(name) == parent}:
                uses = [(self.use(holdings, n, w), m) for n, w, m, _ in rows if w == what and self.parent(n) == parent]
                borrowed = sum((max(Fraction(0), use - nominal) for use, nominal in uses), Fraction(0))
                unused = sum((max(Fraction(0), nominal - use) for use, nominal in uses), Fraction(0))
                found[f"below {parent}", what] = max(Fraction(0), borrowed - unused)
        return found


def exceeded(tenancy: Tenancy, sites: Sequence[SiteView], waiting: Sequence[WaitingJob], plan: Plan) -> list[str]:
    """Quotas that the plan exceeds, or exceeds further than before."""
    country = Country(tenancy, sites)
    after: Holdings = dict(country.held)
    for job in waiting:
        class_ = plan.decisions[job.uid].class_
        if class_ is not None:
            key = job.account, class_
            after[key] = after.get(key, Fraction(0)) + asked(job.job.spec)
    before, then = country.excess(country.held), country.excess(after)
    # Who is above it already, because it was lowered, gets nothing more of it: that makes the excess no larger.
    return [f"{key} is exceeded by {then[key]}, before by {before[key]}" for key in then if then[key] > before[key]]


def wrong_words(country: Country, job: WaitingJob, text: str) -> str | None:
    """What is not so about the sentence that denies the job a class; None if all of it is."""
    found = _NUMBERS.fullmatch(text)
    if found is None:
        return f"says {text}"
    told = {name: Fraction(found[name] or 0) for name in ("held", "ahead", "nominal", "lent", "borrow", "asked")}
    quota = {(n, w): (nominal, limit) for n, w, nominal, limit in country.quotas()}.get(
        (found["account"], found["what"])
    )
    if quota is None or not country.is_below(job.account, found["account"]):
        return f"names no quota of the job: {text}"
    nominal, limit = quota
    if told["nominal"] != nominal or told["borrow"] > limit or told["asked"] != asked(job.job.spec):
        return f"nominal {nominal}, at most {limit} borrowed, asked {asked(job.job.spec)}: {text}"
    if told["held"] != country.use(country.held, found["account"], found["what"]):
        return f"held is something else: {text}"
    if told["held"] + told["ahead"] + told["asked"] <= told["nominal"] - told["lent"] + told["borrow"]:
        return f"is no reason: {text}"
    return None
