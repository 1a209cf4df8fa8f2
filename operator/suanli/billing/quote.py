"""What a run will be billed, before it runs: the sum of the lines that its use would make, by the tariffs in force. Pure.

What it sends over links is in it, by the tariffs of those who run them.

It is reckoned as for an account that uses nothing else and holds no package: in the first bracket of every item, and no unit is free.
Calendar, items, prices, reductions and rounding are those of rating. Whoever compares very many runs takes prices as arrays
(`Lineup.paid`), close to the micro-yuan; what one run comes to is exact (`Quotes.cost`).
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from suanli.api.job import ComputeJobSpec
from suanli.api.link import Leg
from suanli.api.site import ComputeSite, ComputeUnit, SiteResource
from suanli.api.tariff import Tariff
from suanli.base.clock import LAST_MS
from suanli.base.units import MS_PER_HOUR, cpu_milli, whole
from suanli.billing.agreement import Agreement, Carried, provider_of
from suanli.billing.event import ClassFacts, UsageKind, class_facts, rates
from suanli.billing.owned import facts_of, in_turn
from suanli.billing.pricebook import PriceBook, PricedItem, Version
from suanli.billing.rating import HUNDRED, Customer, owed_micro_yuan
from suanli.billing.usage import PodUsage

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MS_PER_DAY = 24 * MS_PER_HOUR
LONGEST_MS = 366 * MS_PER_DAY  # of what is reckoned to the micro-yuan
MOST_DAYS = 1_024  # of a calendar that is kept
LATEST_MS = LAST_MS - 20 * LONGEST_MS  # of what is reckoned at all: calendars end soon after
# What a pod may be billed for, in the order of arrays.
KINDS = (
    UsageKind.CORE_TIME,
    UsageKind.CARD_TIME,
    UsageKind.MEMORY_TIME,
    UsageKind.STORAGE_TIME,
    UsageKind.ENERGY,
    UsageKind.CARBON,
)
_Cell = tuple[Version | None, str]  # a tariff, if one holds, and a band


def plain(tariffs: Iterable[Tariff]) -> list[Tariff]:
    """The tariffs as for somebody who uses nothing else: without further brackets, free units and packages."""
    return [
        tariff.model_copy(
            update={
                "spec": tariff.spec.model_copy(
                    update={
                        "items": [
                            i.model_copy(update={"brackets": [], "free_per_period": None}) for i in tariff.spec.items
                        ],
                        "packages": [],
                    }
                )
            }
        )
        for tariff in tariffs
    ]


@dataclass(frozen=True)
class _Days:
    """Whole days of a provider in steps. Shapes: `edges_ms` (E + 1,), `cell_e` (E,) numbers in `cells`, `day_e` (E,) ordinals."""

    edges_ms: Sequence[int]
    cell_e: Sequence[int]
    day_e: Sequence[int]
    cells: Sequence[_Cell]

    @cached_property
    def edges(self) -> Ints:
        """The edges as an array."""
        return np.array(self.edges_ms, dtype=np.int64)

    @cached_property
    def local_days(self) -> tuple[Ints, Ints]:
        """When each local day begins, with the end of the last, and the last step of each. Shapes (D + 1,), (D,)."""
        day_e = np.array(self.day_e)
        last = np.flatnonzero(np.diff(day_e, append=day_e[-1] + 1))
        return np.append(self.edges[:1], self.edges[last + 1]), last

    def covers(self, since_ms: int, until_ms: int) -> bool:
        """Whether both moments are of these days."""
        return self.edges_ms[0] <= since_ms and until_ms <= self.edges_ms[-1]


class _Calendar:
    """When which tariff and band of a provider hold. The days that were asked for are kept."""

    def __init__(self, book: PriceBook, provider: str) -> None:
        self._book = book
        self._provider = provider
        self._days: _Days | None = None

    def days(self, since_ms: int, until_ms: int) -> _Days:
        """Days that hold both moments."""
        kept = self._days
        if kept is None or not kept.covers(since_ms, until_ms):
            first, days = since_ms // MS_PER_DAY, until_ms // MS_PER_DAY - since_ms // MS_PER_DAY + 1
            last = first + (1 << days.bit_length())
            if kept is not None:  # somebody asked for those a moment ago, and will again
                both = min(first, kept.edges_ms[0] // MS_PER_DAY), max(last, kept.edges_ms[-1] // MS_PER_DAY)
                first, last = both if both[1] - both[0] <= MOST_DAYS else (first, last)
            kept = self._days = self._walked(first * MS_PER_DAY, last * MS_PER_DAY)
        return kept

    def _walked(self, at_ms: int, until_ms: int) -> _Days:
        edges, numbers, days = [at_ms], [], []
        cells: dict[_Cell, int] = {}
        while at_ms < until_ms:
            version = self._book.at(self._provider, at_ms)
            if version is None:
                band, day, end_ms = "", 0, self._book.next_start_ms(self._provider, at_ms)
            else:
                cell = version.cell(at_ms)
                band, day, end_ms = cell.band, cell.day, min(cell.until_ms, version.end_ms)
            numbers.append(cells.setdefault((version, band), len(cells)))
            days.append(day)
            at_ms = min(until_ms, end_ms)
            edges.append(at_ms)
        return _Days(edges, numbers, days, tuple(cells))


@dataclass(frozen=True)
class _Table:
    """What each kind costs in the steps of some days. Shapes: `until_ke` (6, E + 1) what one unit has cost up to each edge."""

    days: _Days
    items_c: Sequence[Sequence[PricedItem | None]]  # of each cell, by kind
    price_kc: Floats
    until_ke: Floats

    @cached_property
    def priced(self) -> Sequence[tuple[int, bool]]:
        """The kinds that cost anything, and whether begun steps or least times add to them."""
        return [
            (k, any(item is not None and _rounds(item) for item in (items[k] for items in self.items_c)))
            for k in np.flatnonzero(self.price_kc.any(axis=1)).tolist()
        ]

    @cached_property
    def cell_e(self) -> Ints:
        """The cell of each step. Shape (E,)."""
        return np.array(self.days.cell_e, dtype=np.int64)


class Run(NamedTuple):
    """So many pods that run alike, and from when on they are billed. Units: bytes of one pod."""

    usage: PodUsage
    facts: ClassFacts
    scratch_bytes: int
    pods: int = 1
    since_ms: int = 0


class Move(NamedTuple):
    """What goes over one link, where the job runs that sends it, and when. Units: ms since the epoch."""

    site: str
    leg: Leg
    at_ms: int


class Lineup:
    """What one class of a provider costs on some terms, whatever the hour."""

    def __init__(
        self, book: PriceBook, calendar: _Calendar, provider: str, use: tuple[str, str, str, str], customer_class: str
    ) -> None:
        """`use`: class, precision, QOS and plan."""
        self._book = book
        self._calendar = calendar
        self._provider = provider
        self._use = use
        self._customer_class = customer_class
        self._made: _Table | None = None

    def covers(self, unit: ComputeUnit, at_ms: int) -> bool:
        """Whether a tariff holds then, and has a price for the units that the class is counted in."""
        kind = UsageKind.CARD_TIME if unit is ComputeUnit.CARD else UsageKind.CORE_TIME
        version = self._book.at(self._provider, at_ms)
        return version is not None and version.item(kind, *self._use, "") is not None

    def tariff_at(self, at_ms: int) -> str:
        """The Tariff that holds then."""
        version = self._book.at(self._provider, at_ms)
        return version.name if version else ""

    def edges_ms(self, since_ms: int, until_ms: int) -> Ints:
        """When prices change, strictly between two moments."""
        table = self._table(since_ms, until_ms)
        cell_e = table.cell_e
        inner = table.days.edges[1:-1][(table.price_kc[:, cell_e[1:]] != table.price_kc[:, cell_e[:-1]]).any(axis=0)]
        return np.asarray(inner[(inner > since_ms) & (inner < until_ms)])

    def paid(self, begin_ms: Ints, end_ms: Ints) -> Floats:
        """What a task pays for each unit of KINDS that it uses in every ms; as near to its bill as rounding lets it.

        Begun days are not exact on the day on which a tariff of another time zone begins. Shapes: (N,), (N,) -> (6, N). Units: micro-yuan.
        """
        found = np.zeros((len(KINDS), len(begin_ms)))
        if not len(begin_ms):
            return found
        table = self._table(int(begin_ms.min()), int(end_ms.max()))
        edges, first_ms = table.days.edges, table.days.edges_ms[0]
        at_ms, edges = np.concatenate([begin_ms, end_ms]) - first_ms, edges - first_ms
        for k, rounds in table.priced:
            until = np.interp(at_ms, edges, table.until_ke[k])
            found[k] = until[len(begin_ms) :] - until[: len(begin_ms)]
            if rounds:
                found[k] += _begun(table, k, begin_ms, end_ms)
        return found

    def cost(self, runs: Sequence[Run]) -> int | None:
        """What the lines of these runs at one site come to together; None where no tariff has a price for any of it. Units: micro-yuan."""
        table = self._table(min(run.usage.start_ms for run in runs), max(run.usage.end_ms for run in runs))
        amounts: dict[tuple[int, int], int] = defaultdict(int)  # by kind and cell: each makes a line
        for run in runs:
            begin_ms = run.usage.start_ms
            since_ms = max(begin_ms, run.since_ms)
            pieces = _pieces(table.days, since_ms, run.usage.end_ms)
            for kind, numerator, denominator in rates(run.usage, run.facts, run.scratch_bytes):
                k = KINDS.index(kind)
                if numerator and any(items[k] for items in table.items_c):
                    shares = _shared_out(pieces, begin_ms, since_ms, numerator, denominator)
                    for cell, amount in _counted(table, k, shares):
                        amounts[k, cell] += amount * run.pods
        if not amounts:
            return None
        total = 0
        for (k, cell), amount in amounts.items():
            (version, band), item = table.days.cells[cell], table.items_c[cell][k]
            assert version is not None, "an item is of a tariff"
            assert item is not None, "only what has an item has an amount"
            percent, up = _percent(version, self._customer_class), version.rounds_up
            total += owed_micro_yuan(amount, item.price(0, band), percent, item.divisor, up=up)
        return total

    def _table(self, since_ms: int, until_ms: int) -> _Table:
        days, made = self._calendar.days(since_ms, until_ms), self._made  # other threads may ask meanwhile
        if made is None or made.days is not days:
            items_c = [[v.item(kind, *self._use, "") if v else None for kind in KINDS] for v, _ in days.cells]
            price_kc = np.zeros((len(KINDS), len(days.cells)))
            for c, ((version, band), items) in enumerate(zip(days.cells, items_c, strict=True)):
                for k, item in enumerate(items):
                    if version is not None and item is not None:
                        price_kc[k, c] = (
                            item.price(0, band) * _percent(version, self._customer_class) / (HUNDRED * item.divisor)
                        )
            cost_ke = price_kc[:, days.cell_e] * np.diff(days.edges)
            until_ke = np.concatenate([np.zeros((len(KINDS), 1)), np.cumsum(cost_ke, axis=1)], axis=1)
            made = self._made = _Table(days, items_c, price_kc, until_ke)
        return made


class Prices:
    """Tariffs made ready, for whoever pays."""

    def __init__(self, tariffs: Iterable[Tariff]) -> None:
        self.tariffs = tuple(tariffs)
        self.book = PriceBook(plain(self.tariffs), {})
        self._calendars: dict[str, _Calendar] = {}
        self._lineups: dict[tuple[str, ...], Lineup] = {}

    def lineup(self, provider: str, class_: str, precision: str, terms: tuple[str, str, str]) -> Lineup:
        """What a class of a provider costs on some terms."""
        qos, plan, customer_class = terms
        key = (provider, class_, precision, *terms)
        if key not in self._lineups:
            if provider not in self._calendars:
                self._calendars[provider] = _Calendar(self.book, provider)
            use = (class_, precision, qos, plan)
            self._lineups[key] = Lineup(self.book, self._calendars[provider], provider, use, customer_class)
        return self._lineups[key]


@dataclass(frozen=True, eq=False)
class Quotes:
    """The tariffs in force, and who pays what by them; an account that is not among the customers pays list prices."""

    prices: Prices
    customers: Mapping[str, Customer]

    @classmethod
    def of(cls, tariffs: Iterable[Tariff], customers: Mapping[str, Customer], before: Self | None = None) -> Self:
        """With what was made ready of the very same tariffs before."""
        wanted = tuple(tariffs)
        known = before.prices if before is not None else None
        same = known is not None and list(map(id, known.tariffs)) == list(map(id, wanted))
        return cls(known if known is not None and same else Prices(wanted), customers)

    def terms(self, account: str, qos: str) -> tuple[str, str, str]:
        """QOS, plan and customer class of an account's jobs."""
        customer = self.customers.get(account)
        return (qos, customer.plan, customer.customer_class) if customer else (qos, "", "")

    def price(
        self, site: ComputeSite, resource: SiteResource, terms: tuple[str, str, str], at_ms: int
    ) -> Lineup | None:
        """What running there costs from a moment on; None where no tariff says it then."""
        provider = provider_of(site)
        if provider not in self.prices.book.versions:
            return None
        found = self.prices.lineup(provider, resource.class_, str(resource.precision), terms)
        return found if found.covers(resource.unit, at_ms) else None

    def carriage(self, link: str, operator: str, terms: tuple[str, str, str], at_ms: int) -> float | None:
        """What a byte over a link costs then by its operator's tariff; None where none says it. Units: micro-yuan."""
        found = self._carriage(link, operator, terms, at_ms)
        if found is None:
            return None
        version, item, band = found
        return item.price(0, band) * _percent(version, terms[2]) / (HUNDRED * item.divisor)

    def moved(self, moves: Iterable[Move], terms: tuple[str, str, str]) -> int | None:
        """What the lines of one job's moves come to; None where no tariff has a price for any. Units: micro-yuan."""
        amounts: dict[tuple[str, str, str, str, str], int] = defaultdict(int)  # each makes a line
        priced: dict[tuple[str, str, str, str, str], tuple[Version, PricedItem]] = {}
        for site, leg, at_ms in moves:
            if (found := self._carriage(leg.link, leg.operator, terms, at_ms)) is not None:
                version, item, band = found
                line = site, leg.link, version.name, item.name, band
                amounts[line] += leg.size
                priced[line] = version, item
        total = 0
        for line, amount in amounts.items():
            version, item = priced[line]
            percent, price = _percent(version, terms[2]), item.price(0, line[-1])
            total += owed_micro_yuan(amount, price, percent, item.divisor, up=version.rounds_up)
        return total if amounts else None

    def _carriage(
        self, link: str, operator: str, terms: tuple[str, str, str], at_ms: int
    ) -> tuple[Version, PricedItem, str] | None:
        """By what a link's operator bills what goes over it then: tariff, item and band."""
        version = self.prices.book.at(operator, at_ms) if operator and at_ms <= LATEST_MS else None
        item = version.item(UsageKind.TRANSFER, "", "", terms[0], terms[1], link) if version is not None else None
        return (version, item, version.cell(at_ms).band) if version is not None and item is not None else None

    def cost(
        self,
        site: ComputeSite,
        class_: str,
        spec: ComputeJobSpec,
        account: str,
        start_ms: int,
        duration_ms: int,
        moves: Sequence[tuple[Leg, int]] = (),
    ) -> int | None:
        """What the run of a job will be billed, with what it sends over links and when, to the micro-yuan.

        None where no tariff says it, or it is too long or late.
        """
        resource = next((r for r in site.spec.resources if r.class_ == class_), None)
        facts = class_facts(site, class_)
        if resource is None or facts is None or duration_ms > LONGEST_MS or start_ms > LATEST_MS:
            return None
        terms = self.terms(account, str(spec.qos))
        lineup = self.price(site, resource, terms, start_ms)
        if lineup is None:
            return None
        per_task, scratch = spec.resources.per_task, spec.template.scratch
        usage = PodUsage(
            pod_uid="",
            job_uid="",
            epoch=1,
            site=site.metadata.name,
            class_=class_,
            start_ms=start_ms,
            end_ms=start_ms + duration_ms,
            cpu_milli=cpu_milli(per_task.cpu),
            memory_bytes=whole(per_task.memory),
            cards=per_task.cards,
        )
        run = lineup.cost([Run(usage, facts, whole(scratch.size) if scratch else 0, spec.tasks)])
        moved = self.moved((Move(usage.site, leg, at_ms) for leg, at_ms in moves), terms) if moves else None
        return (run or 0) + (moved or 0)

    def used(
        self, pods: Iterable[PodUsage], agreements: Mapping[int, Agreement], carried: Iterable[Carried] = ()
    ) -> int | None:
        """What the use of a job is billed, with its attempts by epoch; None where no tariff has a price for any of it.

        Units: micro-yuan.
        """
        attempts: dict[int, list[PodUsage]] = defaultdict(list)
        for pod in pods:
            of = agreements.get(pod.epoch)
            if (
                of is not None
                and of.site == pod.site
                and pod.end_ms <= LATEST_MS
                and of.provider in self.prices.book.versions
            ):
                attempts[pod.epoch].append(pod)
        runs: dict[tuple[str, ...], list[Run]] = defaultdict(list)
        terms: dict[tuple[str, ...], Agreement] = {}
        for epoch, of_attempt in attempts.items():
            of = agreements[epoch]
            alike = (of.site, of.class_, of.precision, of.provider, of.account, of.qos)
            terms[alike] = of
            runs[alike] += [
                Run(pod, facts_of(of), of.scratch_bytes, since_ms=since_ms) for pod, since_ms in in_turn(of_attempt, of)
            ]
        found = [
            self.prices.lineup(one.provider, one.class_, one.precision, self.terms(one.account, one.qos)).cost(
                runs[alike]
            )
            for alike, one in terms.items()
        ]
        moves: dict[tuple[str, str], list[Move]] = defaultdict(list)
        for each in carried:
            if (of := agreements.get(each.epoch)) is not None:
                sent = (leg for leg in of.legs if leg.direction is each.direction)
                moves[of.account, of.qos] += [Move(of.site, leg, each.at_ms) for leg in sent]
        found += [self.moved(own, self.terms(*whose)) for whose, own in moves.items()]
        rated = [cost for cost in found if cost is not None]
        return sum(rated) if rated else None


def _percent(version: Version, customer_class: str) -> int:
    """Percent of the list price that a class pays by a tariff."""
    return version.percent.get(customer_class, HUNDRED) if customer_class else HUNDRED


def _pieces(days: _Days, begin_ms: int, end_ms: int) -> list[tuple[int, int, int]]:
    """A run cut where tariff, band or local day change: cell, day and end of each piece."""
    found = []
    e = bisect_right(days.edges_ms, begin_ms) - 1
    while begin_ms < end_ms:
        begin_ms = min(end_ms, days.edges_ms[e + 1])
        found.append((days.cell_e[e], days.day_e[e], begin_ms))
        e += 1
    return found


def _shared_out(
    pieces: Sequence[tuple[int, int, int]], begin_ms: int, since_ms: int, numerator: int, denominator: int
) -> list[tuple[int, int, int, int]]:
    """An amount of numerator/denominator for each ms, as events have it: rounded from the begin up to each end."""

    def up_to(at_ms: int) -> int:
        return (2 * numerator * (at_ms - begin_ms) + denominator) // (2 * denominator)

    found, told = [], up_to(since_ms)
    for cell, day, until_ms in pieces:
        up_to_here = up_to(until_ms)
        found.append((cell, day, until_ms - since_ms, up_to_here - told))
        since_ms, told = until_ms, up_to_here
    return found


def _counted(table: _Table, k: int, shares: Sequence[tuple[int, int, int, int]]) -> Iterator[tuple[int, int]]:
    """Cells and amounts of one kind and one pod, as far as there are prices, with what steps and least times add to its days."""
    begun: dict[tuple[str, int], tuple[int, int, int]] = {}  # by item and day: ms, amount, last cell
    for cell, day, spent_ms, amount in shares:
        item = table.items_c[cell][k]
        if item is not None and amount:
            yield cell, amount
            if _rounds(item):
                before_ms, before, _ = begun.get((item.name, day), (0, 0, 0))
                begun[item.name, day] = before_ms + spent_ms, before + amount, cell
    for spent_ms, amount, cell in begun.values():
        item = table.items_c[cell][k]
        assert item is not None, "only what has an item is begun"
        yield cell, -(-amount * (_counted_ms(item, spent_ms) - spent_ms) // spent_ms)


def _rounds(item: PricedItem) -> bool:
    return item.step_ms > 1 or item.least_ms > 0


def _counted_ms(item: PricedItem, spent_ms: int) -> int:
    return max(item.least_ms, -(-spent_ms // item.step_ms) * item.step_ms)


def _begun(table: _Table, k: int, begin_ms: Ints, end_ms: Ints) -> Floats:
    """What steps and least times of local days add, at the price of the day's last piece. Shape (N,). Units: micro-yuan."""
    added = np.zeros(len(begin_ms))
    edges, days, cell_e = table.days.edges, table.days.local_days[0], table.cell_e
    since, until = int(begin_ms.min()), int(end_ms.max())
    first, behind = np.searchsorted(days, since, side="right") - 1, np.searchsorted(days, until, side="left")
    for d in range(max(0, int(first)), min(len(days) - 1, int(behind))):
        ends = np.minimum(end_ms, days[d + 1])
        spent = np.maximum(0, ends - np.maximum(begin_ms, days[d]))
        last = cell_e[np.clip(np.searchsorted(edges, ends, side="left") - 1, 0, len(cell_e) - 1)]
        for cell in set(last[spent > 0].tolist()):
            item = table.items_c[cell][k]
            if item is not None and _rounds(item):
                here = (last == cell) & (spent > 0)
                counted = np.maximum(item.least_ms, -(-spent[here] // item.step_ms) * item.step_ms)
                added[here] += (counted - spent[here]) * table.price_kc[k, cell]
    return added
