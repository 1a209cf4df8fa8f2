"""From use to money: events, tariffs and customers make lines, each rounded once; the sum of lines is the total. Pure.

Events are taken in the order of their begin, whatever order they come in, and one that comes twice counts once. Every account is
rated by itself: its volumes decide brackets, free units and packages.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import NamedTuple

from suanli.billing.event import UsageEvent, UsageKind
from suanli.billing.line import KEY, RatedLine, line_id, same
from suanli.billing.period import Period, local, midnight_ms
from suanli.billing.posting import half_even
from suanli.billing.pricebook import Cell, PriceBook, PricedItem, PricedPackage, Version

HUNDRED = 100
OVERAGE = 1  # bracket of a package's line for what went beyond it; 0 is its fee


@dataclass(frozen=True, slots=True)
class Subscription:
    """A package that an account has, from one day up to another, exclusive; "" is open. Days are of the tariff's time zone."""

    provider: str
    package: str
    since: str
    until: str = ""


@dataclass(frozen=True, slots=True)
class Customer:
    """What prices go by beside use: class, plan (spot, a contract) and packages of an account."""

    account: str
    customer_class: str = ""
    plan: str = ""
    subscriptions: tuple[Subscription, ...] = ()


@dataclass(frozen=True, slots=True)
class Unrated:
    """Use that no line is for, and why. Such use is not forgotten: mend the reason, and rate again."""

    account: str
    site: str
    kind: str  # "" of a package's fee
    why: str
    events: int
    quantity: int
    example: str  # id of the first of them


@dataclass(slots=True)
class Volumes:
    """How much an account has used so far in a period, by provider and item, and of its packages, by their day or month."""

    used: dict[tuple[str, str], int] = field(default_factory=dict)
    covered: dict[tuple[str, str, int], int] = field(default_factory=dict)

    def copy(self) -> "Volumes":
        """Another one that starts from here."""
        return Volumes(dict(self.used), dict(self.covered))


@dataclass(frozen=True, slots=True)
class Rating:
    """The lines of a period, in the order of accounts, jobs and items; what could not be rated; what each account has used."""

    lines: tuple[RatedLine, ...]
    unrated: tuple[Unrated, ...]
    volumes: Mapping[str, Volumes]

    @property
    def net_micro_yuan(self) -> int:
        """The total."""
        return sum(line.net_micro_yuan for line in self.lines)


class _Use(NamedTuple):
    """An event with what prices it."""

    event: UsageEvent
    amount: int
    provider: str
    version: Version
    item: PricedItem
    cell: Cell


@dataclass(slots=True)
class _Sum:
    """A line in the making. Units: the kind's unit, micro-yuan, percent."""

    version: Version
    provider: str
    kind: UsageKind
    divisor: int
    price: int
    percent: int
    customer_class: str
    quantity: int = 0
    charged: int = 0
    events: int = 0

    def add(self, quantity: int, charged: int) -> None:
        """What an event brings."""
        self.quantity += quantity
        self.charged += charged
        self.events += 1


_Key = tuple[
    str, str, str, str, str, str, str, int, str, str, str, str
]  # namespace .. precision, link: KEY without period, account, adjusts
_Held = tuple[Subscription, int, int]  # with its first day and the day after its last


def rate(
    events: Iterable[UsageEvent],
    book: PriceBook,
    customers: Mapping[str, Customer],
    period: Period,
    so_far: Mapping[str, Volumes] | None = None,
) -> Rating:
    """The lines of a period.

    `so_far`: what accounts had used before the first of these events; nothing when all of the period's events are there.
    """
    by_account: dict[str, list[UsageEvent]] = defaultdict(list)
    for event in events:
        by_account[event.account].append(event)
    for account, customer in customers.items():
        if customer.subscriptions:
            by_account.setdefault(account, [])
    lines: list[RatedLine] = []
    unrated: list[Unrated] = []
    volumes: dict[str, Volumes] = {}
    for account in sorted(by_account):
        customer = customers.get(account) or Customer(account)
        before = (so_far or {}).get(account) or Volumes()
        one = _Account(customer, book, period, before.copy())
        lines += one.rated(by_account.pop(account))
        unrated += one.unrated()
        volumes[account] = one.volumes
    return Rating(tuple(lines), tuple(unrated), volumes)


def together(ratings: Iterable[Rating]) -> Rating:
    """The rating of accounts that were rated in several parts, no account in two of them."""
    every = list(ratings)
    lines = sorted((line for one in every for line in one.lines), key=lambda line: line.account)
    unrated = sorted((one for each in every for one in each.unrated), key=lambda one: one.account)
    volumes = {name: each.volumes[name] for each in every for name in each.volumes}
    return Rating(tuple(lines), tuple(unrated), volumes)


def adjustments(
    period: Period, closed: Period, before: Iterable[RatedLine], now: Iterable[RatedLine]
) -> list[RatedLine]:
    """Lines that bring a closed period's bill to what it would be had all events come in time; they are of the open `period`.

    `before`: all that was billed of the closed period, earlier adjustments too. `now`: the closed period rated again with all events.
    """
    rows: dict[tuple[object, ...], tuple[RatedLine, list[int]]] = {}
    for sign, lines in ((-1, before), (1, now)):
        for line in lines:
            key = same(line)
            _, amounts = rows.setdefault(key, (line, [0, 0, 0, 0]))
            for i, amount in enumerate((line.quantity, line.list_micro_yuan, line.net_micro_yuan, line.events)):
                amounts[i] += sign * amount
    made = []
    for key in sorted(rows, key=str):
        line, (quantity, listed, net, events) = rows[key]
        if quantity or listed or net:
            moved = replace(
                line,
                period=period.name,
                adjusts=closed.name,
                quantity=quantity,
                list_micro_yuan=listed,
                discount_micro_yuan=listed - net,
                net_micro_yuan=net,
                events=events,
            )
            made.append(replace(moved, id=_id(moved)))
    return made


class _Account:
    """The rating of one account."""

    def __init__(self, customer: Customer, book: PriceBook, period: Period, volumes: Volumes) -> None:
        self.volumes = volumes
        self._customer = customer
        self._book = book
        self._period = period
        self._sums: dict[_Key, _Sum] = {}
        self._wrong: dict[tuple[str, str, str], list[UsageEvent]] = defaultdict(list)
        self._held: dict[tuple[str, str], list[_Held]] = defaultdict(list)
        for subscription in customer.subscriptions:
            first = date.fromisoformat(subscription.since).toordinal()
            last = date.fromisoformat(subscription.until).toordinal() if subscription.until else date.max.toordinal()
            self._held[subscription.provider, subscription.package].append((subscription, first, last))

    def rated(self, events: Iterable[UsageEvent]) -> list[RatedLine]:
        """The account's lines."""
        uses = [use for event, amount in self._netted(events) if (use := self._use(event, amount))]
        for use, amount in _rounded_up(uses):
            self._take(use, amount)
        self._fees()
        return [self._line(key, self._sums[key]) for key in sorted(self._sums)]

    def unrated(self) -> Iterator[Unrated]:
        """What no line is for."""
        for (site, kind, why), events in sorted(self._wrong.items()):
            quantity = sum(event.amount for event in events)
            first = min((event.id for event in events), default="")
            yield Unrated(self._customer.account, site, kind, why, len(events), quantity, first)

    def _netted(self, events: Iterable[UsageEvent]) -> Iterator[tuple[UsageEvent, int]]:
        """Each event once, in the order of begin, with its adjustments in its amount."""
        known: dict[str, UsageEvent] = {}
        twice: dict[str, set[UsageEvent]] = defaultdict(set)
        for event in events:
            first = known.setdefault(event.id, event)
            if first is not event and first != event:
                twice[event.id] |= {first, event}
        for id_, told in twice.items():
            del known[id_]
            for event in told:
                self._refuse(
                    event, "another event has the same id and says otherwise; let the site say which one is true"
                )
        extra: dict[str, int] = defaultdict(int)
        for event in known.values():
            if event.adjusts:
                root = _root(known, event)
                if root is None:
                    self._refuse(
                        event, "the event that it adjusts is not among those of the period; rate both together"
                    )
                else:
                    extra[root] += event.amount
        for event in sorted((e for e in known.values() if not e.adjusts), key=lambda e: (e.start_ms, e.id)):
            amount = event.amount + extra.get(event.id, 0)
            if amount < 0:
                self._refuse(event, "its adjustments take away more than it was; correct the last of them")
            elif amount:
                yield event, amount

    def _use(self, event: UsageEvent, amount: int) -> _Use | None:
        """The event with what prices it; None when it is not billed, or refused because it cannot be rated."""
        found = self._priced(event)
        if isinstance(found, str):
            self._refuse(event, found)
            return None
        return _Use(event, amount, *found) if found else None

    def _priced(self, event: UsageEvent) -> tuple[str, Version, PricedItem, Cell] | str | None:
        """Provider, tariff, item and band of an event; None when it is not billed; a sentence when it cannot be rated."""
        provider = self._book.seller(event, event.start_ms)
        if event.kind is UsageKind.TRANSFER and not (provider and self._book.at(provider, event.start_ms)):
            return None  # nobody asks money for it
        if not provider:
            return "the site has no operator; set spec.operator of ComputeSite to the tariff's provider"
        version = self._book.at(provider, event.start_ms)
        if version is None:
            return f'provider "{provider}" has not exactly one tariff for that time; apply one with an earlier effectiveFrom'
        if not version.bills(event.kind):
            return None
        if not self._period.holds(event.start_ms):
            return f"it did not begin in period {self._period.name}; rate it with its own period"
        item = version.item(event.kind, event.class_, event.precision, event.qos, self._customer.plan, event.link)
        if item is None:
            told = (("class", event.class_), ("precision", event.precision), ("qos", event.qos), ("link", event.link))
            what = ", ".join(f"{name} {value}" for name, value in told if value)
            return f"Tariff {version.name} has no item for {event.kind} of {what}; add one to the next tariff, with price 0 if free"
        cell = version.cell(event.start_ms)
        if event.end_ms > min(cell.until_ms, version.end_ms):
            return f"it spans a border of Tariff {version.name}; cut it where bands, days and tariffs change"
        if self._book.seller(event, max(event.start_ms, event.end_ms - 1)) != provider:
            return f"site {event.site} went from {provider} to another provider meanwhile; cut it there"
        return provider, version, item, cell

    def _take(self, use: _Use, amount: int) -> None:
        """Put an amount into lines, bracket by bracket: free units first, then packages, then what is paid for."""
        provider, item, cell = use.provider, use.item, use.cell
        place = (provider, item.name)
        used = self.volumes.used.get(place, 0)
        self.volumes.used[place] = used + amount
        while amount:
            bracket = sum(used >= edge for edge in item.edges)
            part = min(amount, item.edges[bracket] - used) if bracket < len(item.edges) else amount
            paid = part - min(part, max(0, item.free - used))
            paid, over = self._packages(use, paid) if paid and self._held else (paid, None)
            beyond = paid if over else 0
            if over and beyond:
                self._sum(use, over.name, "", OVERAGE, over.overage or 0, reduced=False).add(beyond, beyond)
            if part > beyond:
                price = item.price(bracket, cell.band)
                self._sum(use, item.name, cell.band, bracket, price).add(part - beyond, paid - beyond)
            used += part
            amount -= part

    def _packages(self, use: _Use, amount: int) -> tuple[int, PricedPackage | None]:
        """What the account's packages leave of an amount, and the package that prices the rest."""
        over = None
        for package in use.version.packages.values():
            count = self._count(use.provider, package.name, use.cell.day) if package.item == use.item.name else 0
            if not count:
                continue
            place = (use.provider, package.name, use.cell.day if package.by_day else use.cell.month)
            covered = self.volumes.covered.get(place, 0)
            part = min(amount, max(0, count * package.included - covered))
            self.volumes.covered[place] = covered + part
            amount -= part
            over = over or (package if package.overage is not None else None)
        return amount, over

    def _count(self, provider: str, package: str, day: int) -> int:
        """How many of a package the account has on a day."""
        return sum(first <= day < last for _, first, last in self._held.get((provider, package), ()))

    def _sum(self, use: _Use, item: str, band: str, bracket: int, price: int, *, reduced: bool = True) -> _Sum:
        event, version = use.event, use.version
        key = (
            event.namespace, event.job, event.job_uid, event.site, version.name, item, band, bracket, event.qos, event.class_,
            event.precision, event.link if self._book.by_link else "",
        )  # fmt: skip
        found = self._sums.get(key)
        if found is None:
            found = self._sums[key] = self._new(version, use.provider, use.item, price, reduced=reduced)
        return found

    def _new(self, version: Version, provider: str, item: PricedItem, price: int, *, reduced: bool) -> _Sum:
        class_ = self._customer.customer_class if reduced and self._customer.customer_class in version.percent else ""
        percent = version.percent[class_] if class_ else HUNDRED
        return _Sum(version, provider, item.kind, item.divisor, price, percent, class_)

    def _fees(self) -> None:
        """A fee for every day or month of a package that falls due in the period, whether used or not."""
        for (provider, package), held in self._held.items():
            for subscription, first, last in held:
                for day, begin_ms in self._days(provider, first, last):
                    self._fee(provider, package, subscription, first, day, begin_ms)

    def _days(self, provider: str, first: int, last: int) -> Iterator[tuple[int, int]]:
        """Local days of the subscription that begin in the period, and when they do, by the clocks of the tariff that holds then.

        Where the next tariff has another time zone, a day that has begun by the clocks of the one before does not begin again.
        """
        before_ms, before = 0, ""  # when the tariff before began, and its zone; none holds before the first one
        for since_ms, until_ms, zone in self._book.zones(provider):
            start_ms, end_ms = max(since_ms, self._period.start_ms), min(until_ms, self._period.end_ms)
            day = max(first, local(start_ms, zone).date().toordinal()) if start_ms < end_ms else last
            while day < last and (begin_ms := midnight_ms(day, zone)) < end_ms:
                has_begun = before and before_ms <= midnight_ms(day, before) < since_ms
                if begin_ms >= start_ms and not has_begun:
                    yield day, begin_ms
                day += 1
            before_ms, before = since_ms, zone

    def _fee(self, provider: str, name: str, subscription: Subscription, first: int, day: int, begin_ms: int) -> None:
        version = self._book.at(provider, begin_ms)
        package = version.packages.get(name) if version else None
        if version is None or package is None:
            why = f'provider "{provider}" has no package "{subscription.package}" on {date.fromordinal(day)}; end the subscription'
            self._wrong["", "", why] = []
            return
        if not package.by_day and day != first and date.fromordinal(day).day != 1:
            return
        item = version.items[package.item]
        key = ("", "", "", "", version.name, name, "", 0, "", "", "", "")
        found = self._sums.get(key)
        if found is None:
            found = self._sums[key] = self._new(version, provider, item, package.fee, reduced=False)
            found.divisor = package.included
        found.quantity += package.included
        found.charged += package.included

    def _line(self, key: _Key, made: _Sum) -> RatedLine:
        namespace, job, job_uid, site, tariff, item, band, bracket, qos, class_, precision, link = key
        up = made.version.rounds_up
        listed = _divided(made.quantity * made.price, made.divisor, up=up)
        net = owed_micro_yuan(made.charged, made.price, made.percent, made.divisor, up=up)
        spec = made.version.spec
        line = RatedLine(
            id="",
            period=self._period.name,
            account=self._customer.account,
            namespace=namespace,
            job=job,
            job_uid=job_uid,
            site=site,
            provider=made.provider,
            tariff=tariff,
            item=item,
            band=band,
            bracket=bracket,
            qos=qos,
            customer_class=made.customer_class,
            kind=made.kind,
            class_=class_,
            precision=precision,
            quantity=made.quantity,
            price_micro_yuan=made.price,
            list_micro_yuan=listed,
            discount_micro_yuan=listed - net,
            net_micro_yuan=net,
            commission_permille=spec.commission_permille,
            tax_permille=spec.tax_permille,
            events=made.events,
            link=link,
        )
        return replace(line, id=_id(line))

    def _refuse(self, event: UsageEvent, why: str) -> None:
        self._wrong[event.site, event.kind, why].append(event)


def owed_micro_yuan(charged: int, price: int, percent: int, divisor: int, *, up: bool) -> int:
    """What a line comes to, rounded once. Units: `charged` in the kind's unit, `divisor` of which cost `price` micro-yuan."""
    return _divided(charged * price * percent, divisor * HUNDRED, up=up)


def _root(known: Mapping[str, UsageEvent], event: UsageEvent) -> str | None:
    """The id of the event that a chain of adjustments begins with; None when it is not there, or the chain is a ring."""
    for _ in range(len(known)):
        found = known.get(event.adjusts)
        if found is None or not found.adjusts:
            return found.id if found else None
        event = found
    return None


def _rounded_up(uses: Sequence[_Use]) -> Iterator[tuple[_Use, int]]:
    """Each use with its amount; the last of a pod's day has what steps and least times of its item add to the day."""
    groups: dict[tuple[str, int, str, str, int], list[int]] = {}
    for i, use in enumerate(uses):
        if use.item.step_ms > 1 or use.item.least_ms:
            event = use.event
            group = groups.setdefault(
                (event.pod_uid, event.epoch, use.provider, use.item.name, use.cell.day), [0, 0, 0]
            )
            group[0] += event.end_ms - event.start_ms
            group[1] += use.amount
            group[2] = i
    added: dict[int, int] = {}
    for spent_ms, amount, last in groups.values():
        item = uses[last].item
        counted_ms = max(item.least_ms, -(-spent_ms // item.step_ms) * item.step_ms)
        if spent_ms:
            added[last] = -(-amount * (counted_ms - spent_ms) // spent_ms)
    for i, use in enumerate(uses):
        yield use, use.amount + added.get(i, 0)


def _divided(numerator: int, denominator: int, *, up: bool) -> int:
    """A whole number, rounded up or half to even."""
    return -(-numerator // denominator) if up else half_even(numerator, denominator)


def _id(line: RatedLine) -> str:
    return line_id(**{name: getattr(line, name) for name in KEY})
