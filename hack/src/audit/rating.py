"""Lines from usage and tariffs, once more: written from the description of rating, in fractions, without looking at its code."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from fractions import Fraction
from zoneinfo import ZoneInfo

from audit.events import Event, Events
from audit.package import Finding, Package, Record, sha256
from audit.posting import quoted

FILE = "lines.jsonl"
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
GIB = 2**30
MOST_OF_AN_ACCOUNT = 200  # characters
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - any Python 3 runs this
UNITS: Mapping[str, tuple[str, int]] = {
    "CoreHour": ("core-time", 1_000 * HOUR),
    "CoreDay": ("core-time", 1_000 * DAY),
    "CardHour": ("card-time", HOUR),
    "CardDay": ("card-time", DAY),
    "NodeHour": ("node-time", HOUR),
    "NodeDay": ("node-time", DAY),
    "MemoryGiBHour": ("memory-time", GIB * HOUR),
    "StorageGiBHour": ("storage-time", GIB * HOUR),
    "StorageTBDay": ("storage-time", 10**12 * DAY),
    "TransferGiB": ("transfer", GIB),
    "EnergyKWh": ("energy", 10**6),
    "CarbonTonne": ("carbon", 10**9),
}
STEPS = {"Second": 1_000, "Minute": MINUTE, "Hour": HOUR, "Day": DAY}
SPANS = {"h": HOUR * 1_000, "m": 60_000_000, "s": 1_000_000, "ms": 1_000, "us": 1, "µs": 1}
KEY = (
    "period", "account", "namespace", "job", "job_uid", "site", "tariff", "item", "band", "bracket", "qos", "class",
    "precision", "adjusts", "link",
)  # fmt: skip
AMOUNTS = ("quantity", "list_micro_yuan", "net_micro_yuan")


def check(package: Package, expected: Mapping[str, Record]) -> Iterator[Finding]:
    """Every line is what rating makes of the events, and none is missing."""
    seen: set[str] = set()
    for have in package.each(FILE):
        id_ = have["id"]
        if id_ in seen:
            yield Finding(FILE, f"line {id_}", "is there twice")
        seen.add(id_)
        want = expected.get(id_)
        if want is None:
            yield Finding(FILE, f"line {id_}", "follows from no usage", abs(int(have["net_micro_yuan"])))
            continue
        wrong = [name for name in sorted(want.keys() | have.keys()) if want.get(name) != have.get(name)]
        if wrong:
            told = ", ".join(f"{name} is {have.get(name)} and not {want.get(name)}" for name in wrong)
            over = int(have["net_micro_yuan"]) - int(want["net_micro_yuan"])
            yield Finding(FILE, f"line {id_}", told, abs(over))
    for id_ in sorted(expected.keys() - seen):
        lost = abs(int(expected[id_]["net_micro_yuan"]))
        yield Finding(FILE, f"line {id_}", "follows from the usage and is missing", lost)


def lines(package: Package, events: Events) -> dict[str, Record]:
    """All lines of the period by id: its use, corrections of closed periods, and awards."""
    period = package.period
    books = [Book(package, period, package.of("customers.json"))]
    books += [Book(package, closed, closed["customers"]) for closed in period["closed"]]
    rated: list[dict[str, Record]] = [{} for _ in books]
    for account in sorted({*events.accounts, *(name for book in books for name in book.subscribed)}):
        used = events.of(account)
        for book, found in zip(books, rated, strict=True):
            found |= book.rated(account, used)
    made = rated[0]
    for book, now in zip(books[1:], rated[1:], strict=True):
        made |= corrections(period, book.period, package.of("billed.jsonl"), now.values())
    for award in period["awards"]:
        line, amount = award["line"], -int(award["amount_micro_yuan"])
        id_ = sha256("\x00".join(("dispute", line["id"], award["dispute"])))[:32]
        made[id_] = line | {
            "id": id_,
            "period": period["name"],
            "adjusts": line["period"],
            "quantity": "0",
            "list_micro_yuan": str(amount),
            "discount_micro_yuan": "0",
            "net_micro_yuan": str(amount),
            "events": 0,
        }
    return made


def corrections(period: Record, closed: Record, billed: Iterable[Record], now: Iterable[Record]) -> dict[str, Record]:
    """What a closed period should have come to, less what was billed for it in its own and later bills."""
    sums: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    first: dict[tuple[str, ...], Record] = {}
    earlier = (b for b in billed if closed["name"] == (b["adjusts"] or b["period"]))
    for sign, some in ((-1, earlier), (1, now)):
        for line in some:
            key = tuple(str(line[name]) for name in KEY if name not in ("period", "adjusts"))
            first.setdefault(key, line)
            for i, name in enumerate((*AMOUNTS, "events")):
                sums[key][i] += sign * int(line[name])
    made = {}
    for key, (quantity, listed, net, events) in sums.items():
        if quantity or listed or net:
            line = first[key] | {"period": period["name"], "adjusts": closed["name"], "events": events}
            line |= _money(quantity, listed, net)
            line["id"] = _id(line)
            made[line["id"]] = line
    return made


class Tariff:
    """One version of a provider's prices."""

    def __init__(self, record: Record) -> None:
        self.name: str = record["name"]
        self.spec: Record = record["spec"]
        self.zone = ZoneInfo(self.spec["timezone"])
        self.start = midnight(date.fromisoformat(self.spec["effectiveFrom"]), self.zone)
        self.kinds = {UNITS[item["unit"]][0] for item in self.spec["items"]}
        self.classes = {c["name"]: c["percent"] for c in self.spec.get("customerClasses", [])}
        self.items = {item["name"]: item for item in self.spec["items"]}
        self._found: dict[tuple[str, ...], Record | None] = {}
        self._slots: dict[int, tuple[date, str, str]] = {}  # by minute

    def item_for(self, event: Event, plan: str) -> Record | None:
        """The item that prices an event: one of the plan before one without."""
        asked = (event.kind, event.class_, event.precision, event.qos, event.link, plan)
        if asked not in self._found:
            self._found[asked] = self._item_for(event, plan)
        return self._found[asked]

    def _item_for(self, event: Event, plan: str) -> Record | None:
        found: dict[str, Record] = {}
        about = {"class": event.class_, "precision": event.precision, "qos": event.qos, "link": event.link}
        for item in self.spec["items"]:
            fits = all(item.get(name) in (None, value) for name, value in about.items())
            if UNITS[item["unit"]][0] == event.kind and fits:
                found[item.get("plan") or ""] = item
        return found.get(plan) or found.get("")

    def slot(self, at_ms: int) -> tuple[date, str, str]:
        """Local day, which stretch of it, and its band."""
        minute = at_ms // MINUTE
        if minute not in self._slots:
            self._slots[minute] = self._slot(minute * MINUTE)
        return self._slots[minute]

    def _slot(self, at_ms: int) -> tuple[date, str, str]:
        moment = local(at_ms, self.zone)
        day, minute = moment.date(), moment.strftime("%H:%M")
        for schedule in self.spec.get("schedules", []):
            if self._is_for(schedule, day):
                begin, name = "", ""
                for band in sorted(schedule["bands"], key=lambda b: str(b["from"])):
                    if band["from"] <= minute and band["band"] != name:  # hours of one band in a row are one stretch
                        begin, name = band["from"], band["band"]
                return day, begin, name
        return day, "", ""

    def _is_for(self, schedule: Record, day: date) -> bool:
        kind = "Weekend" if day.weekday() > 4 else "Workday"  # Saturday is 5
        if str(day) in self.spec.get("workdays", []):
            kind = "Workday"
        if str(day) in self.spec.get("holidays", []):
            kind = "Holiday"
        months, days = schedule.get("months", []), schedule.get("days", [])
        return (not months or day.month in months) and (not days or kind in days)


class Book:
    """What a period is rated by: `terms` has its begin and end, providers, carriers and the names of its tariffs."""

    def __init__(self, package: Package, terms: Record, customers: Iterable[Record]) -> None:
        self.period = terms
        self.providers: Mapping[str, str] = terms["providers"]
        self.changes: list[tuple[str, int, str]] = [(site, since, name) for site, since, name in terms["changes"]]
        self.carriers: Mapping[str, str] = terms.get("carriers", {})
        self.by_link: bool = terms["by_link"]
        self.customers = {c["account"]: c for c in customers}
        self.tariffs: dict[str, list[Tariff]] = defaultdict(list)
        known = (Tariff(record) for record in package.of("tariffs.json") if record["name"] in terms["tariffs"])
        for tariff in sorted(known, key=lambda t: (t.start, t.name)):
            if len(f"cash:provider:{quoted(tariff.spec['provider'])}") <= MOST_OF_AN_ACCOUNT:
                self.tariffs[tariff.spec["provider"]].append(tariff)

    def whose(self, site: str, at_ms: int) -> str | None:
        """The provider that a site had; None of one that is not known."""
        later = [(since, name) for changed, since, name in self.changes if changed == site and since <= at_ms]
        return max(later)[1] if later else self.providers.get(site)

    @property
    def subscribed(self) -> Iterator[str]:
        """The accounts that have packages."""
        return (account for account, customer in self.customers.items() if customer["subscriptions"])

    def seller(self, event: Event, at_ms: int) -> str | None:
        """Whose the link of a transfer is, and of any other use the site."""
        return self.carriers.get(event.link) if event.kind == "transfer" else self.whose(event.site, at_ms)

    def at(self, provider: str, at_ms: int) -> Tariff | None:
        """The tariff that holds; None before the first, or where two begin at once."""
        begun = [t for t in self.tariffs[provider] if t.start <= at_ms]
        if not begun or sum(t.start == begun[-1].start for t in begun) > 1:
            return None
        return begun[-1]

    def rated(self, account: str, events: Sequence[Event]) -> dict[str, Record]:
        """The lines of an account's own use in the period."""
        customer = self.customers.get(
            account, {"account": account, "customer_class": "", "plan": "", "subscriptions": []}
        )
        return Account(self, customer).lines(events)


class Sum:
    """A line while it is summed."""

    def __init__(self, tariff: Tariff, provider: str, kind: str, unit: int, price: int, customer_class: str) -> None:
        self.tariff, self.provider, self.kind = tariff, provider, kind
        self.unit, self.price, self.customer_class = unit, price, customer_class
        self.quantity = self.paid = self.events = 0

    def add(self, quantity: int, paid: int) -> None:
        """A part of one event."""
        self.quantity += quantity
        self.paid += paid
        self.events += 1


Use = tuple[Event, int, str, Tariff, Record]  # an event, its amount, provider, tariff and item


class Account:
    """One account in one period."""

    def __init__(self, book: Book, customer: Record) -> None:
        self.book, self.customer, self.period = book, customer, book.period
        self.volume: dict[tuple[str, str], int] = defaultdict(int)
        self.covered: dict[tuple[object, ...], int] = defaultdict(int)
        self.sums: dict[tuple[object, ...], Sum] = {}

    def lines(self, events: Sequence[Event]) -> dict[str, Record]:
        """The account's lines by id."""
        uses = [use for event, amount in netted(events) if (use := self._use(event, amount)) is not None]
        extra = self._steps(uses)
        for i, (event, amount, provider, tariff, item) in enumerate(uses):
            self._pour(event, amount + extra.get(i, 0), provider, tariff, item)
        self._fees()
        made = [self._line(key, sum_) for key, sum_ in self.sums.items()]
        return {line["id"]: line for line in made}

    def _use(self, event: Event, amount: int) -> Use | None:
        """What prices an event; None for one that is not billed in this period."""
        provider = self.book.seller(event, event.start_ms)
        tariff = None if provider is None else self.book.at(provider, event.start_ms)
        if provider is None or tariff is None or event.kind not in tariff.kinds:
            return None
        if not self.period["start_ms"] <= event.start_ms < self.period["end_ms"]:
            return None
        item = tariff.item_for(event, self.customer["plan"])
        last = max(event.start_ms, event.end_ms - 1)
        whole = (
            self.book.seller(event, last) == provider
            and tariff.slot(event.start_ms) == tariff.slot(last)
            and self.book.at(provider, last) is tariff
        )
        return (event, amount, provider, tariff, item) if item is not None and whole else None

    def _steps(self, uses: Sequence[Use]) -> dict[int, int]:
        """What whole steps and least times add to the last use of a pod's day."""
        days: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for i, (event, _, provider, tariff, item) in enumerate(uses):
            if "step" in item or "atLeast" in item:
                day = tariff.slot(event.start_ms)[0]
                days[event.pod_uid, event.epoch, provider, item["name"], day].append(i)
        added = {}
        for some in days.values():
            item = uses[some[-1]][4]
            spent = sum(uses[i][0].end_ms - uses[i][0].start_ms for i in some)
            amount = sum(uses[i][1] for i in some)
            step = STEPS[item["step"]] if "step" in item else 1
            counted = max(ceil(Fraction(spent, step)) * step, span_ms(item["atLeast"]) if "atLeast" in item else 0)
            if spent:
                added[some[-1]] = ceil(Fraction(amount * (counted - spent), spent))
        return added

    def _pour(self, event: Event, amount: int, provider: str, tariff: Tariff, item: Record) -> None:
        day, _, band = tariff.slot(event.start_ms)
        unit = UNITS[item["unit"]][1]
        prices = [item, *item.get("brackets", [])]
        free = item.get("freePerPeriod", 0) * unit
        while amount:
            used = self.volume[provider, item["name"]]
            bracket = sum(used >= b["above"] * unit for b in item.get("brackets", []))
            room = prices[bracket + 1]["above"] * unit - used if bracket + 1 < len(prices) else amount
            if bracket + 1 < len(prices) and room <= 0:
                raise ValueError(f"item {item['name']} of {provider}: its brackets do not ascend")
            part = min(amount, room)
            rest = part - min(part, max(0, free - used))
            rest, over = self._packages(provider, tariff, item, day, rest) if rest else (0, None)
            price = next(
                (b["price"] for b in prices[bracket].get("bandPrices", []) if b["band"] == band),
                prices[bracket]["price"],
            )
            within, paid = (part, rest) if over is None else (part - rest, 0)
            if within:
                about = (event, tariff, provider, item, item["name"])
                self._sum(*about, band, bracket, micro(price), self._class(tariff)).add(within, paid)
            if over is not None and rest:
                about = (event, tariff, provider, item, over["name"])
                self._sum(*about, "", 1, micro(over["overagePrice"]), "").add(rest, rest)
            self.volume[provider, item["name"]] += part
            amount -= part

    def _packages(
        self, provider: str, tariff: Tariff, item: Record, day: date, amount: int
    ) -> tuple[int, Record | None]:
        """What packages leave of an amount, and the one that prices the rest."""
        over = None
        for package in tariff.spec.get("packages", []):
            held = self._held(provider, package["name"], day) if package["item"] == item["name"] else 0
            if not held:
                continue
            when = str(day) if package["period"] == "Day" else str(day)[:7]
            place = (provider, package["name"], when)
            part = min(amount, max(0, held * package["included"] * UNITS[item["unit"]][1] - self.covered[place]))
            self.covered[place] += part
            amount -= part
            if over is None and "overagePrice" in package:
                over = package
        return amount, over

    def _held(self, provider: str, package: str, day: date) -> int:
        """How many of a package the account has on a day."""
        return sum(
            s["since"] <= str(day) and (not s["until"] or str(day) < s["until"])
            for s in self.customer["subscriptions"]
            if (s["provider"], s["package"]) == (provider, package)
        )

    def _class(self, tariff: Tariff) -> str:
        name: str = self.customer["customer_class"]
        return name if name in tariff.classes else ""

    def _sum(
        self,
        event: Event,
        tariff: Tariff,
        provider: str,
        item: Record,
        name: str,
        band: str,
        bracket: int,
        price: int,
        class_: str,
    ) -> Sum:
        key = (
            event.namespace, event.job, event.job_uid, event.site, tariff.name, name, band, bracket, event.qos, event.class_,
            event.precision, event.link if self.book.by_link else "",
        )  # fmt: skip
        if key not in self.sums:
            kind, unit = UNITS[item["unit"]]
            self.sums[key] = Sum(tariff, provider, kind, unit, price, class_)
        return self.sums[key]

    def _fees(self) -> None:
        for subscription in self.customer["subscriptions"]:
            provider = subscription["provider"]
            first, until = date.fromisoformat(subscription["since"]), subscription["until"] or str(date.max)
            begun: set[date] = set()  # a day begins once, by the clocks of the tariff that holds then
            for tariff in self.book.tariffs[provider]:
                day = max(first, local(self.period["start_ms"], tariff.zone).date() - timedelta(days=2))
                while midnight(day, tariff.zone) < self.period["end_ms"] and str(day) < until:
                    begin = midnight(day, tariff.zone)
                    if self.book.at(provider, begin) is tariff and day not in begun:
                        begun.add(day)
                        if begin >= self.period["start_ms"]:
                            self._fee(subscription, tariff, is_first=day == first or day.day == 1)
                    day += timedelta(days=1)

    def _fee(self, subscription: Record, tariff: Tariff | None, *, is_first: bool) -> None:
        packages = tariff.spec.get("packages", []) if tariff else []
        package = next((p for p in packages if p["name"] == subscription["package"]), None)
        if tariff is None or package is None or (package["period"] == "Month" and not is_first):
            return
        kind, unit = UNITS[tariff.items[package["item"]]["unit"]]
        included = package["included"] * unit
        key = ("", "", "", "", tariff.name, package["name"], "", 0, "", "", "", "")
        line = self.sums.setdefault(
            key, Sum(tariff, subscription["provider"], kind, included, micro(package["fee"]), "")
        )
        line.quantity += included
        line.paid += included

    def _line(self, key: tuple[object, ...], found: Sum) -> Record:
        spec = found.tariff.spec
        percent = found.tariff.classes.get(found.customer_class, 100) if found.customer_class else 100
        listed = rounded(Fraction(found.quantity * found.price, found.unit), spec["rounding"])
        net = rounded(Fraction(found.paid * found.price * percent, found.unit * 100), spec["rounding"])
        line = dict(zip((*KEY[2:13], "link"), key, strict=True)) | {
            "period": self.period["name"],
            "account": self.customer["account"],
            "provider": found.provider,
            "customer_class": found.customer_class,
            "kind": found.kind,
            "price_micro_yuan": str(found.price),
            "commission_permille": spec["commissionPermille"],
            "tax_permille": spec["taxPermille"],
            "events": found.events,
            "adjusts": "",
            **_money(found.quantity, listed, net),
        }
        return line | {"id": _id(line)}


def netted(events: Sequence[Event]) -> Iterator[tuple[Event, int]]:
    """Each event once, in the order of begin and id, with its adjustments."""
    known: dict[str, Event] = {}
    twins = set()  # what says two things is not billed
    for event in events:
        if known.setdefault(event.id, event) != event:
            twins.add(event.id)
    for id_ in twins:
        del known[id_]
    extra: dict[str, int] = defaultdict(int)
    for event in known.values():
        root: Event | None = event
        steps = 0
        while root is not None and root.adjusts and steps <= len(known):
            root, steps = known.get(root.adjusts), steps + 1
        if event.adjusts and root is not None and not root.adjusts:
            extra[root.id] += event.amount
    for event in sorted(known.values(), key=lambda e: (e.start_ms, e.id)):
        amount = event.amount + extra.get(event.id, 0)
        if not event.adjusts and amount > 0:
            yield event, amount


def midnight(day: date, zone: ZoneInfo) -> int:
    """When a local day begins, in ms since the epoch."""
    return (datetime(day.year, day.month, day.day, tzinfo=zone) - EPOCH) // timedelta(milliseconds=1)


def local(at_ms: int, zone: ZoneInfo) -> datetime:
    """What clocks show."""
    return (EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone)


def micro(text: str) -> int:
    """A decimal text in millionths."""
    return int(Fraction(text) * 1_000_000)


def span_ms(text: str) -> int:
    """A duration such as "1h30m", rounded up."""
    total, number = Fraction(0), ""
    unit = ""
    for char in text + " ":
        if (char.isdigit() or char in ". ") and unit:
            total += Fraction(number) * SPANS[unit]
            number, unit = "", ""
        if char.isdigit() or char == ".":
            number += char
        elif char != " ":
            unit += char
    return ceil(total / 1_000)


def ceil(value: Fraction) -> int:
    """The next whole number."""
    return -(-value.numerator // value.denominator)


def rounded(value: Fraction, rule: str) -> int:
    """Up, or half to even."""
    return ceil(value) if rule == "Up" else round(value)


def _money(quantity: int, listed: int, net: int) -> Record:
    return {
        "quantity": str(quantity),
        "list_micro_yuan": str(listed),
        "discount_micro_yuan": str(listed - net),
        "net_micro_yuan": str(net),
    }


def _id(line: Record) -> str:
    return sha256("\x00".join(["line", *(f"{name}={line[name]}" for name in KEY if name != "link" or line[name])]))[:32]
