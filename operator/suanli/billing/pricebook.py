"""Tariffs made ready for rating: which version, band and item a moment, a site or link and a use have. Pure."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from suanli.api.link import ComputeLink
from suanli.api.site import ComputeSite
from suanli.api.tariff import DayKind, Item, Package, PackagePeriod, Rounding, Step, Tariff, Unit
from suanli.base.units import MS_PER_HOUR, duration_ms, micro
from suanli.billing.event import Borders, UsageEvent, UsageKind, full_hours
from suanli.billing.period import local, midnight_ms
from suanli.billing.posting import no_account

MS_PER_MINUTE = 60_000
MS_PER_DAY = 24 * MS_PER_HOUR
SATURDAY = 5
NEVER_MS = 1 << 62
GIB, TB = 1 << 30, 10**12

# Which use a price is for, and how much of it makes one unit.
UNITS: Mapping[Unit, tuple[UsageKind, int]] = {
    Unit.CORE_HOUR: (UsageKind.CORE_TIME, 1_000 * MS_PER_HOUR),
    Unit.CORE_DAY: (UsageKind.CORE_TIME, 1_000 * MS_PER_DAY),
    Unit.CARD_HOUR: (UsageKind.CARD_TIME, MS_PER_HOUR),
    Unit.CARD_DAY: (UsageKind.CARD_TIME, MS_PER_DAY),
    Unit.NODE_HOUR: (UsageKind.NODE_TIME, MS_PER_HOUR),
    Unit.NODE_DAY: (UsageKind.NODE_TIME, MS_PER_DAY),
    Unit.MEMORY_GIB_HOUR: (UsageKind.MEMORY_TIME, GIB * MS_PER_HOUR),
    Unit.STORAGE_GIB_HOUR: (UsageKind.STORAGE_TIME, GIB * MS_PER_HOUR),
    Unit.STORAGE_TB_DAY: (UsageKind.STORAGE_TIME, TB * MS_PER_DAY),
    Unit.TRANSFER_GIB: (UsageKind.TRANSFER, GIB),
    Unit.ENERGY_KWH: (UsageKind.ENERGY, 10**6),
    Unit.CARBON_TONNE: (UsageKind.CARBON, 10**9),
}
STEP_MS: Mapping[Step, int] = {
    Step.SECOND: 1_000,
    Step.MINUTE: MS_PER_MINUTE,
    Step.HOUR: MS_PER_HOUR,
    Step.DAY: MS_PER_DAY,
}


class Cell(NamedTuple):
    """A stretch of one band on one local day. `day` is the date's ordinal; `month` counts months."""

    band: str
    day: int
    month: int
    until_ms: int


@dataclass(frozen=True, slots=True)
class PricedItem:
    """An item in integers. Units: the kind's unit for volumes, micro-yuan for prices, ms for times."""

    name: str
    kind: UsageKind
    divisor: int  # of the kind's unit in one priced unit
    free: int
    step_ms: int  # 1: to the ms
    least_ms: int
    edges: tuple[int, ...]  # volumes at which the next bracket begins
    prices: tuple[tuple[int, Mapping[str, int]], ...]  # by bracket: the price, and those of bands

    def price(self, bracket: int, band: str) -> int:
        """What one unit costs there."""
        usual, of_bands = self.prices[bracket]
        return of_bands.get(band, usual)


@dataclass(frozen=True, slots=True)
class PricedPackage:
    """A package in integers. Units: the kind's unit, micro-yuan."""

    name: str
    item: str
    by_day: bool
    included: int
    fee: int
    overage: int | None


class Version:
    """One tariff, from its first day on until the provider's next."""

    def __init__(self, tariff: Tariff) -> None:
        spec = tariff.spec
        self.name = tariff.metadata.name
        self.spec = spec
        self.rounds_up = spec.rounding is Rounding.UP
        self.start_ms = midnight_ms(date.fromisoformat(spec.effective_from).toordinal(), spec.timezone)
        self.end_ms = NEVER_MS  # set by the book
        self.percent = {c.name: c.percent for c in spec.customer_classes}
        self.items = {item.name: _priced(item) for item in spec.items}
        self.packages = {p.name: _package(p, self.items[p.item]) for p in spec.packages}
        self._kinds = {item.kind for item in self.items.values()}
        self._found: dict[tuple[str, ...], PricedItem | None] = {}
        self._holidays = {date.fromisoformat(d).toordinal() for d in spec.holidays}
        self._workdays = {date.fromisoformat(d).toordinal() for d in spec.workdays}
        self._cells: dict[int, Cell] = {}  # by minute
        self._days: dict[int, tuple[list[int], list[str]]] = {}

    def bills(self, kind: UsageKind) -> bool:
        """Whether any item is about this kind of use; what no item is about is not billed."""
        return kind in self._kinds

    def item(self, kind: UsageKind, class_: str, precision: str, qos: str, plan: str, link: str) -> PricedItem | None:
        """The item that prices a use; None: a hole in the tariff."""
        key = (kind, class_, precision, qos, plan, link)
        if key not in self._found:
            self._found[key] = self._find(kind, class_, precision, qos, plan, link)
        return self._found[key]

    def cell(self, at_ms: int) -> Cell:
        """Band and local day of a moment."""
        minute = at_ms // MS_PER_MINUTE
        found = self._cells.get(minute)
        if found is None:
            found = self._cells[minute] = self._cell(minute * MS_PER_MINUTE)
        return found

    def borders(self, start_ms: int, end_ms: int) -> Iterator[int]:
        """Where a band or a local day ends, strictly between two moments."""
        at_ms = self.cell(start_ms).until_ms
        while at_ms < end_ms:
            yield at_ms
            at_ms = self.cell(at_ms).until_ms

    def _find(self, kind: UsageKind, class_: str, precision: str, qos: str, plan: str, link: str) -> PricedItem | None:
        fits: dict[str, str] = {}
        for item in self.spec.items:
            wanted = ((item.class_, class_), (item.precision, precision), (item.qos, qos), (item.link, link))
            if UNITS[item.unit][0] is kind and all(want is None or want == is_ for want, is_ in wanted):
                fits[item.plan or ""] = item.name
        name = fits.get(plan) or fits.get("")
        return self.items[name] if name else None

    def _cell(self, at_ms: int) -> Cell:
        shown = local(at_ms, self.spec.timezone)
        day = shown.date().toordinal()
        if day not in self._days:
            self._days[day] = self._steps(day)
        edges, bands = self._days[day]
        i = bisect_right(edges, at_ms) - 1
        return Cell(bands[i], day, shown.year * 12 + shown.month - 1, edges[i + 1])

    def _steps(self, day: int) -> tuple[list[int], list[str]]:
        """When the bands of a local day begin, with its end, and which they are."""
        zone = self.spec.timezone
        begin, end = midnight_ms(day, zone), midnight_ms(day + 1, zone)
        minutes, bands = self._bands(day)
        if end - begin == MS_PER_DAY:
            return [*(begin + minute * MS_PER_MINUTE for minute in minutes), end], bands
        edges: list[int] = []
        found: list[str] = []
        for at_ms in range(begin, end, MS_PER_MINUTE):  # the clocks change on this day
            shown = local(at_ms, zone)
            band = bands[bisect_right(minutes, shown.hour * 60 + shown.minute) - 1]
            if not found or found[-1] != band:
                edges.append(at_ms)
                found.append(band)
        return [*edges, end], found

    def _bands(self, day: int) -> tuple[list[int], list[str]]:
        """First minutes and names of the bands by the clock."""
        month, kind = date.fromordinal(day).month, self._day_kind(day)
        for schedule in self.spec.schedules:
            if (not schedule.months or month in schedule.months) and (not schedule.days or kind in schedule.days):
                hours = sorted(schedule.bands, key=lambda band: band.from_)
                hours = [h for i, h in enumerate(hours) if i == 0 or h.band != hours[i - 1].band]
                return [int(h.from_[:2]) * 60 + int(h.from_[3:]) for h in hours], [h.band for h in hours]
        return [0], [""]

    def _day_kind(self, day: int) -> DayKind:
        if day in self._holidays:
            return DayKind.HOLIDAY
        is_weekend = date.fromordinal(day).weekday() >= SATURDAY and day not in self._workdays
        return DayKind.WEEKEND if is_weekend else DayKind.WORKDAY


class Change(NamedTuple):
    """From a moment on a site is another provider's. Units: ms since the epoch, by the hub's clock."""

    site: str
    since_ms: int
    provider: str


class PriceBook:
    """All tariffs, and whose the sites and links are."""

    def __init__(
        self,
        tariffs: Iterable[Tariff],
        providers: Mapping[str, str],
        changes: Sequence[Change] = (),
        carriers: Mapping[str, str] | None = None,
        *,
        by_link: bool = True,
    ) -> None:
        """`providers`: the operator of each site at first; `changes`: who it was later, in order; `carriers`: the operator of
        each link; `by_link`: whether each link has lines of its own. A tariff of one that can have no account counts as none.
        """
        self.by_link = by_link
        self.providers = dict(providers)
        self.carriers = dict(carriers or {})
        self.changes: dict[str, list[Change]] = defaultdict(list)
        for change in changes:
            self.changes[change.site].append(change)
        self.versions: dict[str, list[Version]] = defaultdict(list)
        for tariff in sorted(tariffs, key=lambda t: t.metadata.name):
            if not no_account(tariff.spec.provider):
                self.versions[tariff.spec.provider].append(Version(tariff))
        self._starts: dict[str, list[int]] = {}
        for provider, versions in self.versions.items():
            versions.sort(key=lambda version: version.start_ms)
            for version, following in pairwise(versions):
                version.end_ms = following.start_ms
            self._starts[provider] = [version.start_ms for version in versions]

    def provider(self, site: str, at_ms: int) -> str:
        """Whose a site was then; empty of one that is not known."""
        found = self.providers.get(site, "")
        for change in self.changes.get(site, ()):
            if change.since_ms <= at_ms:
                found = change.provider
        return found

    def seller(self, event: UsageEvent, at_ms: int) -> str:
        """Whose the link of a transfer is, and of any other use whose the site was then; empty of one that is not known."""
        return (
            self.carriers.get(event.link, "") if event.kind is UsageKind.TRANSFER else self.provider(event.site, at_ms)
        )

    def at(self, provider: str, at_ms: int) -> Version | None:
        """The provider's tariff that holds then; None before the first, and when two begin at once."""
        starts = self._starts.get(provider, [])
        i = bisect_right(starts, at_ms) - 1
        if i < 0 or (i > 0 and starts[i - 1] == starts[i]):
            return None
        return self.versions[provider][i]

    def zones(self, provider: str) -> Iterator[tuple[int, int, str]]:
        """From when until when days are those of which time zone; before the first tariff those of its zone, without any UTC's."""
        versions = self.versions.get(provider, [])
        for i, version in enumerate(versions):
            yield (version.start_ms if i else 0), version.end_ms, version.spec.timezone
        if not versions:
            yield 0, NEVER_MS, "UTC"

    def next_start_ms(self, provider: str, at_ms: int) -> int:
        """When the next tariff of the provider begins after a moment; beyond all times if none does."""
        starts = self._starts.get(provider, [])
        i = bisect_right(starts, at_ms)
        return starts[i] if i < len(starts) else NEVER_MS

    def borders(self, site: str) -> Borders:
        """Full hours, and where the site's provider and that one's bands, local days and tariffs change."""
        changes = self.changes.get(site, ())

        @lru_cache(maxsize=1)  # a pod asks the same for each kind of use
        def between(start_ms: int, end_ms: int) -> Sequence[int]:
            found = {*full_hours(start_ms, end_ms)}
            found |= {change.since_ms for change in changes if start_ms < change.since_ms < end_ms}
            for provider in {self.provider(site, at) for at in (start_ms, *found)}:
                found |= {at for at in self._starts.get(provider, []) if start_ms < at < end_ms}
            for since, until in pairwise([start_ms, *sorted(found), end_ms]):
                version = self.at(self.provider(site, since), since)
                found |= {*version.borders(since, until)} if version else set()
            return tuple(sorted(found))

        return between


def problems(
    tariffs: Sequence[Tariff],
    sites: Iterable[ComputeSite],
    links: Iterable[ComputeLink],
    customer_classes: Mapping[str, str],
) -> Iterator[str]:
    """What is wrong with tariffs that only several objects can tell. `customer_classes`: by account.

    Two tariffs of a provider from one day on, a provider whose name is too long for an account, a class that no site offers, an offered class without a price, a link that the
    provider does not run, one that it runs without a price, an account's class that no tariff knows.
    """
    carriers = {link.metadata.name: link.spec.operator or "" for link in links}
    offered: dict[str, dict[str, tuple[Unit, ...]]] = defaultdict(dict)
    for site in sites:
        for resource in site.spec.resources:
            of_unit = (Unit.CARD_HOUR, Unit.CARD_DAY) if resource.unit == "Card" else (Unit.CORE_HOUR, Unit.CORE_DAY)
            offered[site.spec.operator or ""][resource.class_] = of_unit
    seen: dict[tuple[str, str], str] = {}
    for tariff in sorted(tariffs, key=lambda t: t.metadata.name):
        spec, first = (
            tariff.spec,
            seen.setdefault((tariff.spec.provider, tariff.spec.effective_from), tariff.metadata.name),
        )
        if first != tariff.metadata.name:
            yield (
                f'{tariff.label()}: spec.effectiveFrom: "{spec.effective_from}": Tariff {first} of provider "{spec.provider}" '
                "holds from the same day on; delete one of them or let one begin on another day"
            )
        if why := no_account(spec.provider):
            yield (
                f"{tariff.label()}: spec.provider: {why}, so nothing is billed by this tariff; shorten the name, here and as "
                "spec.operator of the provider's sites"
            )
        yield from _classes(tariff, offered.get(spec.provider, {}))
        yield from _links(tariff, carriers)
    known = {c.name for tariff in tariffs for c in tariff.spec.customer_classes}
    for account, class_ in sorted(customer_classes.items()):
        if class_ and class_ not in known:
            yield (
                f'ComputeAccount {account}: spec.customerClass: "{class_}": no Tariff has it in customerClasses, so the account '
                "pays list prices; correct the name or add the class to the next tariff"
            )


def _classes(tariff: Tariff, offered: Mapping[str, tuple[Unit, ...]]) -> Iterator[str]:
    items = tariff.spec.items
    for i, item in enumerate(items):
        if item.class_ is not None and item.class_ not in offered:
            yield (
                f'{tariff.label()}: spec.items[{i}].class: "{item.class_}": no site of provider "{tariff.spec.provider}" offers '
                f"it; correct the name, sites offer {', '.join(sorted(offered)) or 'nothing'}"
            )
    for class_, units in sorted(offered.items()):
        if not any(item.unit in units and item.class_ in (None, class_) and item.plan is None for item in items):
            yield (
                f'{tariff.label()}: spec.items: sites of provider "{tariff.spec.provider}" offer class {class_}, and no item has '
                f"a price for a {units[0]} of it; add one, with price 0 if it is free"
            )


def _links(tariff: Tariff, carriers: Mapping[str, str]) -> Iterator[str]:
    """Links that items name and the provider does not run, and, where it has prices for links, those of its own that have none."""
    provider, items = tariff.spec.provider, tariff.spec.items
    own = sorted(link for link, carrier in carriers.items() if carrier == provider)
    for i, item in enumerate(items):
        if item.link is not None and item.link not in own:
            whose = f'is of operator "{carriers[item.link]}"' if carriers.get(item.link) else "is of no operator"
            why = f"ComputeLink {item.link} {whose}" if item.link in carriers else "there is no such ComputeLink"
            yield (
                f'{tariff.label()}: spec.items[{i}].link: "{item.link}": {why}, so nothing is billed by this item; correct the '
                f'name or spec.operator of the link, links of provider "{provider}" are {", ".join(own) or "none"}'
            )
    prices = [item for item in items if UNITS[item.unit][0] is UsageKind.TRANSFER and item.plan is None]
    for link in own if prices else ():
        if not any(item.link in (None, link) for item in prices):
            yield (
                f'{tariff.label()}: spec.items: ComputeLink {link} is of provider "{provider}", and no item has a price for a '
                f"{Unit.TRANSFER_GIB} over it; add one, with price 0 if it is free"
            )


def _priced(item: Item) -> PricedItem:
    kind, divisor = UNITS[item.unit]
    prices = [(item.price, item.band_prices), *((b.price, b.band_prices) for b in item.brackets)]
    return PricedItem(
        name=item.name,
        kind=kind,
        divisor=divisor,
        free=(item.free_per_period or 0) * divisor,
        step_ms=1 if item.step is None else STEP_MS[item.step],
        least_ms=0 if item.at_least is None else duration_ms(item.at_least),
        edges=tuple(bracket.above * divisor for bracket in item.brackets),
        prices=tuple((micro(price), {b.band: micro(b.price) for b in bands}) for price, bands in prices),
    )


def _package(package: Package, item: PricedItem) -> PricedPackage:
    return PricedPackage(
        name=package.name,
        item=package.item,
        by_day=package.period is PackagePeriod.DAY,
        included=package.included * item.divisor,
        fee=micro(package.fee),
        overage=None if package.overage_price is None else micro(package.overage_price),
    )
