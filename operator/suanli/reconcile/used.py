"""What ran in a period, with what was agreed of it: read once, and made into events account by account.

A month has millions of events. Every account is rated by itself, so no more than one account's are there at a time.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from suanli.billing.agreement import Carried
from suanli.billing.event import UsageEvent
from suanli.billing.facts import Facts
from suanli.billing.owned import Unbilled, carried_events, owned_events
from suanli.billing.period import Period
from suanli.billing.pricebook import Change, PriceBook
from suanli.billing.rating import Rating, rate, together
from suanli.billing.usage import PodUsage
from suanli.ledgerstore.usage import UsageStore

Look = Callable[[list[UsageEvent], list[Unbilled]], None]


class Used:
    """The use of a period, as far as the records up to a number tell."""

    def __init__(self, store: UsageStore, period: Period, counted: int, hub_id: str) -> None:
        """Raises: SuanliError."""
        self._period = period
        self._hub_id = hub_id
        self._pods = store.run_within(period.start_ms, period.end_ms, counted)
        self._carried = store.carried_within(period.start_ms, period.end_ms, counted)
        jobs = {pod.job_uid for pod in self._pods} | {one.job_uid for one in self._carried}
        self._agreements = store.agreements_of(jobs)
        given_up: dict[str, set[int]] = defaultdict(set)
        for job_uid, epoch in store.given_up_of(jobs, counted):
            given_up[job_uid].add(epoch)
        self._given_up = {job_uid: frozenset(epochs) for job_uid, epochs in given_up.items()}

    def whose(self, kept: Iterable[tuple[str, str, int]]) -> tuple[dict[str, str], tuple[Change, ...]]:
        """Whose the sites of the period's attempts were at its begin, and what changed in it.

        By what was `kept` of that (site, provider, since when, in ms, in order), and of earlier times as attempts that were sent say. The first
        word about a site is of all time before, too.
        """
        sites = {one.site for one in self._agreements.values()}
        known = [(since_ms, site, provider) for site, provider, since_ms in kept if site in sites]
        began = {site: since_ms for since_ms, site, _ in reversed(known)}
        sent = ((one.made_ms, one.site, one.provider) for one in self._agreements.values())
        known += [each for each in sent if each[0] < began.get(each[1], each[0] + 1)]
        now: dict[str, str] = {}
        first: dict[str, str] = {}
        changes: list[Change] = []
        for at_ms, site, provider in sorted(known):
            if site not in now or at_ms <= self._period.start_ms:
                first[site] = provider
            elif now[site] != provider and at_ms < self._period.end_ms:
                changes.append(Change(site, at_ms, provider))
            now[site] = provider
        return first, tuple(changes)

    def carriers(self) -> dict[str, str]:
        """Whose the links were when the last of the period's attempts that names them was sent."""
        sent = sorted(self._agreements.values(), key=lambda one: one.made_ms)
        return {leg.link: leg.operator for one in sent for leg in one.legs}

    def by_account(self, book: PriceBook, hub: str) -> Iterator[tuple[str, list[UsageEvent], list[Unbilled]]]:
        """Each account with its events, and with the pods that nobody is billed for; "" has those of no account.

        `hub`: whose events they were when the period was closed, "" while it is open.
        """
        pods: dict[str, list[PodUsage]] = defaultdict(list)
        carried: dict[str, list[Carried]] = defaultdict(list)
        for pod in self._pods:
            pods[self._account(pod)].append(pod)
        for one in self._carried:
            carried[self._account(one)].append(one)
        told = self._agreements, lambda job_uid: self._given_up.get(job_uid, frozenset()), self._period
        for account in sorted({*pods, *carried}):
            ran = owned_events(pods.get(account, ()), *told, hub or self._hub_id, book.borders)
            moved = carried_events(carried.get(account, ()), *told, hub or self._hub_id)
            yield account, [*ran[0], *moved], ran[1]

    def rated(self, facts: Facts, look: Look | None = None) -> Rating:
        """The lines of the period; each account's events and unbilled pods are shown to `look` on the way."""
        book = facts.book()
        made = {}
        for account, events, unbilled in self.by_account(book, facts.hub):
            if look:
                look(events, unbilled)
            customers = {account: facts.customers[account]} if account in facts.customers else {}
            made[account] = rate(events, book, customers, self._period)
        idle = {name: customer for name, customer in facts.customers.items() if name not in made}
        return together([*made.values(), rate([], book, idle, self._period)])

    def _account(self, what: PodUsage | Carried) -> str:
        agreement = self._agreements.get((what.job_uid, what.epoch))
        return agreement.account if agreement else ""
