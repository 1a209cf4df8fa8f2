"""Random months: tariffs, customers, use, late use, disputes, vouchers, a ledger and the statements of all of it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import builders
from builders import an_object
from rates import identified
from suanli.api.policy import Side
from suanli.api.site import ComputeUnit
from suanli.api.tariff import Tariff
from suanli.api.voucher import Flow, VoucherProgram
from suanli.billing.book import Book
from suanli.billing.clawback import Paid, clawbacks, corrections
from suanli.billing.event import ClassFacts, Owner, UsageEvent, UsageKind, pod_events
from suanli.billing.evidence import Award, Closed, Dossier, Redeemed, Reimbursed, Subsidised, write
from suanli.billing.inclusion import tree_root
from suanli.billing.ledger import Entry, LedgerAccount, Outcome, Transfer
from suanli.billing.line import RatedLine
from suanli.billing.period import Period, month
from suanli.billing.posting import (
    accounts,
    award_id,
    awarded,
    cash_account,
    consumer,
    given_back,
    grant_hold,
    paid_out,
    payment,
    post,
    redeemed,
    voucher_accounts,
)
from suanli.billing.pricebook import PriceBook
from suanli.billing.rating import Customer, Subscription, adjustments, rate
from suanli.billing.statements import Bill, bills
from suanli.billing.usage import PodUsage
from suanli.billing.vouchers import Claim, Given, Holding, Part, Redemption, Rejected, Scope, grant, payout, redeem

ZONE = "Asia/Shanghai"
NOVEMBER, OCTOBER = month("2026-11", ZONE), month("2026-10", ZONE)
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
WUHU, GUIAN = "wuhu-compute", "贵安 数据: 中心"  # the second one has what no account's name may hold
ROADS = "国家 骨干网: roads"
PROVIDERS = {"wuhu-dc1": WUHU, "guian-dc1": GUIAN}
CARRIERS = {"backbone": ROADS, "metro": ROADS, "spur": "", "private": "a carrier without a tariff", "own": WUHU}
CLASSES = {"wuhu-dc1": ("a100", "cpu"), "guian-dc1": ("ascend", "cpu")}
ACCOUNTS = ("bureau", "lab", "startup", "university")
SCOPE = Scope(
    {"wuhu-dc1": Side.EAST, "guian-dc1": Side.WEST},
    {("guian-dc1", "ascend"): "ascend", ("wuhu-dc1", "a100"): "nvidia"},
)


def a_tariff(name: str, provider: str, **spec: Any) -> Tariff:
    whole = {"provider": provider, "effectiveFrom": "2026-01-01", "timezone": ZONE, **spec}
    return Tariff.model_validate(an_object("Tariff", name, whole))


def a_program(name: str, **spec: Any) -> VoucherProgram:
    return VoucherProgram.model_validate(builders.a_program(name, **spec))


def tariffs(dice: Random) -> list[Tariff]:
    def price(most: int) -> str:
        return f"{dice.randint(0, most)}.{dice.randint(0, 999_999):06}"

    bands = [
        {"from": "00:00", "to": "08:00", "band": "valley"},
        {"from": "08:00", "to": "22:00", "band": "peak"},
        {"from": "22:00", "to": "24:00", "band": "valley"},
    ]
    schedules = [
        {"name": "workdays", "days": ["Workday"], "bands": bands},
        {
            "name": "others",
            "days": ["Weekend", "Holiday"],
            "bands": [{"from": "00:00", "to": "24:00", "band": "valley"}],
        },
    ]
    cards = {
        "name": "a100",
        "unit": "CardHour",
        "class": "a100",
        "price": price(8),
        "bandPrices": [{"band": "peak", "price": price(9)}],
        "brackets": [
            {"above": 40, "price": price(6)},
            {"above": 200, "price": price(4), "bandPrices": [{"band": "valley", "price": price(2)}]},
        ],
        "freePerPeriod": 5,
    }
    cores = {"name": "cores", "unit": "CoreHour", "class": "cpu", "price": price(1), "step": "Minute", "atLeast": "10m"}
    first = a_tariff(
        "wuhu-1",
        WUHU,
        schedules=schedules,
        holidays=["2026-10-01", "2026-10-02"],
        workdays=["2026-10-10"],
        items=[
            cards,
            {"name": "a100-spot", "unit": "CardHour", "class": "a100", "plan": "spot", "price": price(2)},
            cores,
            {"name": "moved", "unit": "TransferGiB", "price": price(1)},
        ],
        packages=[
            {"name": "cores-daily", "item": "cores", "period": "Day", "included": 3, "fee": price(9)},
            {
                "name": "cores-monthly",
                "item": "cores",
                "period": "Month",
                "included": 30,
                "fee": price(90),
                "overagePrice": price(1),
            },
        ],
        customerClasses=[{"name": "public", "percent": 60}, {"name": "research", "percent": 83}],
        commissionPermille=dice.choice([0, 30, 77]),
        taxPermille=dice.choice([0, 60, 130]),
    )
    second = first.model_copy(
        update={
            "metadata": first.metadata.model_copy(update={"name": "wuhu-2"}),
            "spec": first.spec.model_copy(update={"effective_from": "2026-11-16", "commission_permille": 50}),
        }
    )
    other = a_tariff(
        "guian-1",
        GUIAN,
        rounding="Up",
        items=[
            {"name": "ascend", "unit": "CardDay", "class": "ascend", "price": price(99), "step": "Day"},
            {"name": "cores", "unit": "CoreHour", "price": price(1)},
            {"name": "memory", "unit": "MemoryGiBHour", "price": "0.003"},
            {"name": "scratch", "unit": "StorageTBDay", "price": "0.5", "freePerPeriod": 1},
        ],
        customerClasses=[{"name": "research", "percent": 80}],
        commissionPermille=25,
        taxPermille=60,
    )
    roads = a_tariff(
        "roads-1",
        ROADS,
        schedules=schedules,
        items=[
            {
                "name": "backbone",
                "unit": "TransferGiB",
                "link": "backbone",
                "price": price(1),
                "bandPrices": [{"band": "peak", "price": price(2)}],
                "brackets": [{"above": 500, "price": price(1)}],
            },
            {"name": "others", "unit": "TransferGiB", "link": "metro", "price": price(1), "freePerPeriod": 3},
        ],
        customerClasses=[{"name": "public", "percent": 71}],
        commissionPermille=dice.choice([0, 15]),
        taxPermille=90,
    )
    return [first, second, other, roads]


def programs(dice: Random) -> list[VoucherProgram]:
    return [
        a_program(
            "hangzhou",
            terms=[
                {"name": "any", "ratePermille": 200},
                {"name": "domestic", "chips": ["ascend"], "ratePermille": 300},
                {"name": "start-ups", "applicantClasses": ["start-up"], "ratePermille": 600, "capPerEntityYear": str(dice.randint(1, 90_000_000))},
            ],
            capPerEntityYear=str(dice.randint(1, 60_000_000)),
            poolPerYear=str(dice.randint(1, 90_000_000)),
        ),
        a_program(
            "beijing", flow="ReimburseUser", eligible={"sides": ["East"]}, maxContractDays=366, poolPerYear="100000000000000"
        ),
        a_program("roads", kind="Transport", terms=[{"name": "all", "ratePermille": 333}]),
        a_program("rent", kind="Rent", flow="ReimburseUser", terms=[{"name": "all", "ratePermille": 100}]),
        a_program(
            "built", kind="Deployment", flow="ReimburseUser", terms=[{"name": "all", "rewardPerUnit": "1234567"}],
            relatedParties="Allowed",
        ),
    ]  # fmt: skip


@dataclass
class Year:
    """A ledger, and what was decided while it was written."""

    book: Book = field(default_factory=Book)
    holdings: list[tuple[Holding, Given]] = field(default_factory=list)
    redemptions: list[Redeemed] = field(default_factory=list)

    def open(self, some: Iterable[LedgerAccount]) -> None:
        for account in some:
            self.book.open(account)

    def commit(self, some: Sequence[Transfer]) -> None:
        outcomes = self.book.commit(some)
        assert set(outcomes) <= {Outcome.CREATED}, dict(zip(some, outcomes, strict=True))

    def post(self, lines: Iterable[RatedLine], time_ms: int) -> None:
        for line in lines:
            self.open(a for a in accounts(line) if a.name not in self.book.standings)
            self.commit(post(line, time_ms))


def use(dice: Random, book: PriceBook, period: Period, jobs: int) -> list[UsageEvent]:
    """Pods and transfers, cut at all borders."""
    made: list[UsageEvent] = []
    for number in range(jobs):
        site = dice.choice(sorted(PROVIDERS))
        class_ = dice.choice(CLASSES[site])
        job = f"{period.name}-{dice.randrange(1 << 30)}-{number}"
        owner = Owner("hub", dice.choice(ACCOUNTS), dice.choice(["team-a", "team-b"]), f"job-{number}", "Normal")
        start = dice.randrange(period.start_ms, period.end_ms - 3 * DAY_MS)
        run_ms = dice.choice([dice.randint(1, 60_000), dice.randint(1, 8 * HOUR_MS), dice.randint(1, 60 * HOUR_MS)])
        pod = PodUsage(
            f"pod-{job}", job, 1, site, class_, start, start + run_ms,
            dice.choice([500, 2_000, 16_001]), dice.randint(1, 1 << 36), 0 if class_ == "cpu" else dice.randint(1, 8),
        )  # fmt: skip
        facts = ClassFacts(class_, "FP16", ComputeUnit.CARD if pod.cards else ComputeUnit.CORE, 300, 1_200_000, 500, 0)
        made += pod_events(pod, owner, facts, book.borders(site), scratch_bytes=dice.choice([0, 5 * 10**11]))
        if dice.random() < 0.6:
            made += sent(dice, owner, pod)
    return made


def sent(dice: Random, owner: Owner, pod: PodUsage) -> Iterator[UsageEvent]:
    """What a job sends over links: inputs when it is sent, outputs when it has ended."""
    for at_ms in (pod.start_ms - dice.randrange(pod.start_ms - _begin_of_month(pod.start_ms) + 1), pod.end_ms):
        for link in dice.sample(sorted(CARRIERS), dice.randint(0, len(CARRIERS))):
            leg = UsageEvent(
                "", UsageKind.TRANSFER, pod.site, owner.account, owner.namespace, owner.job, pod.job_uid, 1, "", "", "",
                at_ms, at_ms, dice.randint(1, 1 << 41), link=link,
            )  # fmt: skip
            yield identified("hub", leg)


def _begin_of_month(at_ms: int) -> int:
    return next(period.start_ms for period in (NOVEMBER, OCTOBER) if period.holds(at_ms))


def customers(dice: Random) -> dict[str, Customer]:
    held = (
        Subscription(WUHU, "cores-daily", "2026-10-28", "2026-11-07"),
        Subscription(WUHU, "cores-monthly", "2026-11-03"),
    )
    return {
        "bureau": Customer("bureau", "public"),
        "lab": Customer("lab", "research", plan=dice.choice(["", "spot"])),
        "university": Customer("university", "", subscriptions=held[: dice.randint(0, 2)]),
    }


def random_month(seed: int, jobs: int = 12) -> Dossier:
    """A month of a seed, with everything that can be in it: also what vouchers paid of the month before, and get back of it."""
    dice = Random(seed)
    priced = tariffs(dice)
    book = PriceBook(priced, PROVIDERS, carriers=CARRIERS)
    by_link = seed % 2 == 0  # of the month before; it may be older than lines by link
    earlier = PriceBook(priced, PROVIDERS, carriers=CARRIERS, by_link=by_link)
    people = customers(dice)
    before, events = use(dice, book, OCTOBER, jobs // 2 + 1), use(dice, book, NOVEMBER, jobs)
    in_time = [event for event in before if dice.random() < 0.8]
    billed = rate(in_time, earlier, people, OCTOBER).lines
    lines = [*rate(events, book, people, NOVEMBER).lines]
    lines += adjustments(NOVEMBER, OCTOBER, billed, rate(before, earlier, people, OCTOBER).lines)
    awards = [
        Award(line, f"d-{i}", dice.randint(1, line.net_micro_yuan))
        for i, line in enumerate(dice.sample(billed, min(2, len(billed))))
        if line.net_micro_yuan
    ]
    lines += [awarded(a.line, NOVEMBER.name, a.dispute, a.amount_micro_yuan) for a in awards]
    year, issued = Year(), programs(dice)
    known = {p.metadata.name: p for p in issued}
    early = claims(dice, year, issued[:3], OCTOBER) + claims(dice, year, issued[:2], OCTOBER, "more")
    year.post(billed, NOVEMBER.start_ms + HOUR_MS)
    held = spend(dice, year, known, early, billed, NOVEMBER.start_ms + 2 * HOUR_MS, OCTOBER.name)
    pay(dice, year, "o")
    held = reimburse(year, known, held, billed)
    held += claims(dice, year, issued, NOVEMBER)
    year.post(lines, NOVEMBER.end_ms + HOUR_MS)
    subsidised = take_back(year, known, billed, lines, awards)
    spend(dice, year, known, held, lines, NOVEMBER.end_ms + 2 * HOUR_MS, NOVEMBER.name)
    pay(dice, year, "n")
    entries: list[Entry] = list(year.book.entries)
    by_id = {line.id: line for line in lines}
    root = (year.book.sequence, year.book.hash)
    made: list[Bill] = bills(NOVEMBER, entries, by_id, root)
    redeemed = [each for each in year.redemptions if each.bill != OCTOBER.name or each.paid_micro_yuan]
    of_october = {line.id: line for line in billed}
    return Dossier(
        period=NOVEMBER,
        events=[*before, *events],
        tariffs=priced,
        providers=PROVIDERS,
        customers=people,
        lines=lines,
        entries=entries,
        bills=made,
        root=root,
        rated_by=[tariff.metadata.name for tariff in priced],
        carriers=CARRIERS,
        closed=[
            Closed(
                OCTOBER,
                [tariff.metadata.name for tariff in priced],
                PROVIDERS,
                people,
                carriers=CARRIERS,
                by_link=by_link,
            )
        ],
        billed=billed,
        awards=awards,
        programs=issued,
        holdings=year.holdings,
        redeemed=redeemed,
        reimbursed=[
            Reimbursed(
                line,
                str(SCOPE.side_of_site.get(line.site, "none")),
                SCOPE.chip_of_class.get((line.site, line.class_), ""),
            )
            for id_ in dict.fromkeys(id_ for each in redeemed for id_ in each.lines if id_ in of_october)
            for line in [of_october[id_]]
        ],
        subsidised=subsidised,
        scope=SCOPE,
        tree_hash=tree_root(entry.hash for entry in entries),
    )


Held = list[tuple[Holding, Transfer]]  # vouchers as they stand, each with its newest hold


def claims(dice: Random, year: Year, issued: Sequence[VoucherProgram], period: Period, mark: str = "") -> Held:
    """Claims of all sorts; those that are granted, with their holds."""
    made = []
    for number in range(dice.randint(2, 9)):
        program = dice.choice(issued)
        account = dice.choice(ACCOUNTS)
        claim = Claim(
            voucher=f"v{number}{mark}-{period.name}",
            entity=account,
            family=frozenset({account, dice.choice(["nobody", WUHU])}),
            applicant_class=dice.choice(["", "start-up"]),
            contract=f"c-{number}{mark}-{period.name}",
            provider=GUIAN if program.spec.kind == "Deployment" else dice.choice(["", WUHU]),
            amount_micro_yuan=dice.randint(1, 200_000_000),
            contract_days=30,
            time_ms=period.start_ms + (5 + number) * HOUR_MS,
            units=dice.randint(1, 9),
            own_class="",
        )
        if claim.applicant_class:
            claim = replace(claim, approved_by="Li, city office", approved_why="papers 2026/117")
        pool = f"voucher:{program.metadata.name}:2026"
        cap = f"cap:{program.metadata.name}:{account}:2026"
        given = Given(_granted(year.book, cap, debits=True), _granted(year.book, pool, debits=False))
        found = grant(program, claim, given)
        if isinstance(found, Rejected):
            continue
        holding = Holding(claim, found, found.amount_micro_yuan)
        year.open(a for a in voucher_accounts(program, holding, [*sorted(PROVIDERS.values()), ROADS]))
        hold = grant_hold(program, holding)
        if year.book.commit([hold]) == [Outcome.CREATED]:
            year.holdings.append((holding, given))
            made.append((holding, hold))
    return made


def _granted(book: Book, account: str, *, debits: bool) -> int:
    standing = book.standings.get(account)
    if standing is None:
        return 0
    balance = standing.balance
    return -balance.least_micro_yuan if debits else balance.most_micro_yuan


def spend(
    dice: Random,
    year: Year,
    issued: Mapping[str, VoucherProgram],
    held: Held,
    lines: Sequence[RatedLine],
    now_ms: int,
    bill: str,
) -> Held:
    """Redemptions on the bills of a month; what is left of the vouchers."""
    subsidised: dict[str, str] = {}
    others: Counter[str] = Counter()
    left: Held = []
    for holding, hold in held:
        program = issued[holding.grant.program]
        if program.spec.kind in ("Rent", "Deployment"):
            amount = payout(program, holding, now_ms=now_ms, paid_micro_yuan=holding.claim.amount_micro_yuan)
            assert isinstance(amount, int)
            year.commit(paid_out(program, holding, hold, "payout", amount, now_ms))
            _note(year, holding, (), {}, now_ms, Redemption((Part("payout", 0, amount),), ()), "payout", 0)
            continue
        if program.spec.flow is Flow.REIMBURSE_USER:
            left.append((holding, hold))
            continue
        own = tuple(line for line in lines if line.account == holding.claim.entity or dice.random() < 0.1)
        found = redeem(
            program, holding, own, SCOPE, now_ms=now_ms, subsidised=dict(subsidised), others=dict(others)
        )  # fmt: skip
        if isinstance(found, Rejected) or not found.parts:
            left.append((holding, hold))
            continue
        left += _spent(year, program, holding, hold, own, found, subsidised, now_ms, bill, 0)
        subsidised |= {p.line: program.metadata.name for p in found.parts}
        others.update({p.line: p.amount_micro_yuan for p in found.parts})
    return left


def reimburse(year: Year, issued: Mapping[str, VoucherProgram], held: Held, billed: Sequence[RatedLine]) -> Held:
    """What users who paid all of October get back of it in November; what is left of the vouchers."""
    now_ms, left = NOVEMBER.start_ms + 4 * HOUR_MS, []
    by_id = {line.id: line for line in billed}
    for holding, hold in held:
        program = issued[holding.grant.program]
        own = tuple(line for line in billed if line.account == holding.claim.entity)
        account = consumer(holding.claim.entity)
        owed = -year.book.standings[account].balance.posted_micro_yuan
        total = sum(line.net_micro_yuan for line in own)
        if program.spec.flow is not Flow.REIMBURSE_USER or owed > 0 or not own:
            left.append((holding, hold))
            continue
        subsidised: dict[str, str] = {}
        others: Counter[str] = Counter()
        for each in year.redemptions:
            subsidised |= {p.line: _program(year, each.voucher) for p in each.redemption.parts if p.line in by_id}
            others.update({p.line: p.amount_micro_yuan for p in each.redemption.parts})
        found = redeem(
            program, holding, own, SCOPE, now_ms=now_ms, paid_micro_yuan=total, subsidised=subsidised, others=others
        )
        if isinstance(found, Rejected) or not found.parts:
            left.append((holding, hold))
            continue
        left += _spent(year, program, holding, hold, own, found, subsidised, now_ms, OCTOBER.name, total)
    return left


def take_back(
    year: Year,
    issued: Mapping[str, VoucherProgram],
    billed: Sequence[RatedLine],
    lines: Sequence[RatedLine],
    awards: Sequence[Award],
) -> list[Subsidised]:
    """What vouchers get back of October by corrections in November; what evidence says of what they had paid."""
    ended = {award_id(a.line.id, a.dispute): a.line.id for a in awards}
    found = corrections([*billed, *(line for line in lines if line.adjusts)], ended)
    flows = {h.claim.voucher: issued[h.grant.program].spec.flow for h, _ in year.holdings}
    parts = [(each, part) for each in year.redemptions for part in each.redemption.parts]
    paid = [Paid(e.voucher, p.line, flows[e.voucher], p.rate_permille, p.amount_micro_yuan) for e, p in parts]
    by_id = {line.id: line for line in lines}
    left = {line.id: line.net_micro_yuan for line in [*billed, *lines]}
    backs = clawbacks(found, left, paid)
    for holding, _ in year.holdings:
        own = [(back, by_id[back.by].provider) for back in backs if back.voucher == holding.claim.voucher]
        if own:
            program = issued[holding.grant.program]
            year.commit(given_back(program, holding, NOVEMBER.name, own, NOVEMBER.end_ms + HOUR_MS))
    corrected = {each.of for each in found}
    return [Subsidised(p.line, e.voucher, e.bill, p.rate_permille) for e, p in parts if p.line in corrected]


def _program(year: Year, voucher: str) -> str:
    return next(h.grant.program for h, _ in year.holdings if h.claim.voucher == voucher)


def _spent(
    year: Year,
    program: VoucherProgram,
    holding: Holding,
    hold: Transfer,
    own: Sequence[RatedLine],
    found: Redemption,
    subsidised: Mapping[str, str],
    now_ms: int,
    bill: str,
    paid: int,
) -> Held:
    by_id = {line.id: line for line in own}
    made = redeemed(program, holding, hold, bill, [(p, by_id[p.line]) for p in found.parts], now_ms)
    year.commit(made)
    _note(year, holding, own, subsidised, now_ms, found, bill, paid)
    rest = holding.remaining_micro_yuan - found.amount_micro_yuan
    return [(replace(holding, remaining_micro_yuan=rest), made[-1])] if rest else []


def _note(
    year: Year,
    holding: Holding,
    lines: Sequence[RatedLine],
    subsidised: Mapping[str, str],
    now_ms: int,
    found: Redemption,
    bill: str,
    paid: int,
) -> None:
    year.redemptions.append(
        Redeemed(
            voucher=holding.claim.voucher,
            bill=bill,
            time_ms=now_ms,
            remaining_micro_yuan=holding.remaining_micro_yuan,
            paid_micro_yuan=paid,
            lines=tuple(line.id for line in lines),
            subsidised=dict(subsidised),
            redemption=found,
            approved_by="Wang, city office" if bill == "payout" else "",
        )
    )


def pay(dice: Random, year: Year, prefix: str) -> None:
    """Some pay something, some all that they owe."""
    for number, account in enumerate(ACCOUNTS):
        name = consumer(account)
        if name in year.book.standings and dice.random() < 0.7:
            owed = -year.book.standings[name].balance.posted_micro_yuan
            year.open([cash_account(name)])
            paid = owed if owed > 0 and dice.random() < 0.7 else dice.randint(1, 10**9)
            year.commit([payment(name, paid, f"{prefix}{number}", year.book.time_ms)])


def packed(dossier: Dossier, folder: Path) -> Path:
    """The package of a month on disk."""
    folder.mkdir(parents=True, exist_ok=True)
    texts: dict[str, list[str]] = {}
    write(dossier, lambda name, text: texts.setdefault(name, []).append(text))
    for name, pieces in texts.items():
        (folder / name).write_text("".join(pieces), encoding="utf-8")
    return folder
