"""Closes months that are over, decides claims, and keeps tariffs, vouchers and statements on the hub true.

What fails is told and tried again; placement goes on.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TypeVar

from pydantic import ValidationError

from suanli.api import Statement, Tariff, Voucher, VoucherProgram
from suanli.api.account import Payment
from suanli.api.common import Model
from suanli.api.kind import Resource, parse
from suanli.api.statement import Role
from suanli.base.clock import Clock, time_or_zero, time_text
from suanli.base.conditions import Condition, find, is_true, merged, readable
from suanli.base.errors import SuanliError
from suanli.base.names import API_VERSION, GROUP, VERSION, short_hash
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.base.untrusted import mapping
from suanli.billing import statements
from suanli.billing.agreement import provider_of
from suanli.billing.evidence import Dossier
from suanli.billing.facts import Facts, customers_of
from suanli.billing.period import Period, calendar, is_month, local, midnight_ms
from suanli.billing.pricebook import problems
from suanli.billing.statements import Bill
from suanli.billing.vouchers import Claim, Rejected
from suanli.kube.client import ApiClient, ApiError, Json, Unreachable
from suanli.reconcile.approvals import approval, approver, may_go_on, to_approve
from suanli.reconcile.attempts import is_final
from suanli.reconcile.books import Books
from suanli.reconcile.claims import claim_of, claim_told, program_told, scope_of
from suanli.reconcile.disputes import disputed
from suanli.reconcile.state import Mirror
from suanli.reconcile.status import patch_of
from suanli.reconcile.vouchers import Standing, is_paid_out
from suanli.telemetry.metrics import Metrics

LOG = logging.getLogger(__name__)
MOST_TOLD = 5  # problems of one tariff in its condition
MOST_CLAIMS = 500  # that are decided in one look; a flood of them is to keep no bill waiting
MOST_NAME = 50  # characters of a party in the name of its Statement
ORDER = ("Issued", "Settled", "Disputed", "InForce", "Approved", "Granted", "Redeemed", "Expired")
# The condition that says of a kind why an object of it cannot be read.
UNREADABLE = {"Tariff": "Consistent", "VoucherProgram": "InForce", "Voucher": "Granted", "Statement": "Issued"}
T = TypeVar("T")
R = TypeVar("R", bound=Resource)


class Biller:
    """Looks now and then at what is to be billed. All that it does with the books is done in one thread."""

    def __init__(
        self,
        *,
        hub: ApiClient,
        mirror: Mirror,
        open_books: Callable[[], Books],
        clock: Clock,
        settings: Settings,
        metrics: Metrics,
        thread: Executor | None = None,
    ) -> None:
        """`open_books` raises SuanliError while they cannot be used."""
        self._hub = hub
        self._mirror = mirror
        self._open_books = open_books
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._thread = thread or ThreadPoolExecutor(1, thread_name_prefix="books")
        self._books: Books | None = None
        self._issued: set[str] = set()  # periods whose statements are known to be on the hub

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                try:
                    await self._look()
                except (ApiError, Unreachable, SuanliError) as error:
                    LOG.warning("bills wait, will be tried again", extra={"error": str(error)[:500]})
                except Exception:
                    LOG.exception("billing failed unexpectedly, will be tried again")
                    self._metrics.surprises.inc()
                await asyncio.sleep(self._settings.bill_s)
        finally:
            if self._books is not None:
                await self._in_thread(self._books.leave)
                self._books = None
            self._thread.shutdown(wait=False)

    async def _look(self) -> None:
        tariffs, programs = await self._read(Tariff), await self._read(VoucherProgram)
        claims = await self._read(Voucher)
        if not tariffs and not programs and not claims:
            return  # nothing is sold here
        await self._judge([tariff for tariff, _ in tariffs], {t.metadata.name: raw for t, raw in tariffs})
        if self._books is None:
            self._books = await self._in_thread(self._open_books)
        books, facts = self._books, self._facts([tariff for tariff, _ in tariffs])
        whose, now_ms = {name: provider_of(site) for name, site in self._mirror.sites.items()}, self._clock.now_ms()
        await self._in_thread(partial(books.keep_providers, whose, now_ms))
        await self._finish(books, facts)
        await self._decide(books, programs, claims)
        await self._dispute(books)
        if not tariffs:
            return
        due = await self._in_thread(lambda: self._due(books))
        if due is not None:
            now_ms = self._clock.now_ms()
            closing = await self._in_thread(lambda: books.close(due, facts, now_ms))
            LOG.info("closed", extra={"period": due.name, "usage_records": closing.counted})
        await self._finish(books, facts)

    async def _finish(self, books: Books, facts: Facts) -> None:
        """Post what is closed and not posted yet, as after a crash, and give everybody the statements of it.

        A month whose statements are all on the hub is left as it is: to make them again, the whole ledger has to be read.
        What prepaid accounts used of it was counted until now, and is on their bills from now on.
        """
        closings = [c for c in await self._in_thread(books.closings) if c.period.name not in self._issued]
        told = await self._told() if closings else set()
        for closed in closings:
            name, now_ms = closed.period.name, self._clock.now_ms()
            await self._in_thread(partial(books.close, closed.period, facts, now_ms))
            before = await self._in_thread(partial(books.issued, name))
            if before is None or not told.issuperset(before):
                dossier = await self._in_thread(partial(books.dossier, name))
                if await self._issue(dossier):
                    await self._in_thread(partial(books.keep_issued, name, [name_of(bill) for bill in dossier.bills]))
            self._issued.add(name)
        prepaid = sorted(n for n, a in self._mirror.accounts.items() if a.spec.payment is Payment.PREPAID)
        if prepaid:
            zone, now_ms = self._settings.bill_timezone, self._clock.now_ms()
            await self._in_thread(partial(books.give_back, prepaid, zone, now_ms))

    def _facts(self, tariffs: Iterable[Tariff]) -> Facts:
        scope = scope_of(self._mirror.sites.values(), self._mirror.country)
        return Facts(tuple(tariffs), customers_of(self._mirror.accounts.values()), scope=scope)

    def _due(self, books: Books) -> Period | None:
        """The first month that is over, in which or before which something ran, and that is not closed, or what is left of it."""
        zone, now_ms = self._settings.bill_timezone, self._clock.now_ms()
        closed = {c.period.name: c.period for c in books.closings()}
        closed_ms = max((period.end_ms for period in closed.values()), default=None)
        first_ms = books.began_ms() if closed_ms is None else closed_ms
        if first_ms is None:
            return None
        period = calendar(first_ms, 1, zone)
        if (
            closed_ms is not None
        ):  # what was closed may end within a month, by clocks of another zone: this one begins there
            while period.name in closed:
                period = calendar(period.end_ms, 1, zone)
            period = replace(period, start_ms=closed_ms)
        is_over = now_ms >= period.end_ms + self._settings.close_after_s * 1000
        return period if is_over else None

    # --- tariffs

    async def _judge(self, tariffs: list[Tariff], raws: Mapping[str, Json]) -> None:
        """Say on every tariff what only all objects together can tell."""
        classes = {a.metadata.name: a.spec.customer_class or "" for a in self._mirror.accounts.values()}
        told = list(problems(tariffs, self._mirror.sites.values(), self._mirror.links.values(), classes))
        for tariff in tariffs:
            label = f"{tariff.label()}: "
            own = [problem.removeprefix(label) for problem in told if problem.startswith(label)]
            text = "; ".join(own[:MOST_TOLD]) or "it fits the provider's sites and links and other tariffs"
            said = Condition("Consistent", not own, Reason.DOES_NOT_FIT if own else Reason.CONSISTENT, text)
            await self._say("tariffs", raws[tariff.metadata.name], {}, [said])

    # --- vouchers

    async def _decide(
        self, books: Books, programs: list[tuple[VoucherProgram, Json]], claims: list[tuple[Voucher, Json]]
    ) -> None:
        """Grant or reject claims, the oldest first, pay out what is paid without a bill, and say what became of each."""
        known = {program.metadata.name: program for program, _ in programs}
        standings = await self._in_thread(books.standings)
        claims = sorted(claims, key=lambda c: (time_or_zero(c[0].metadata.creation_timestamp), c[0].metadata.uid))
        undecided = [
            (known[voucher.spec.program], self._claim(voucher, raw))
            for voucher, raw in claims
            if voucher.metadata.uid not in standings
            and voucher.spec.program in known
            and may_go_on(self._approval(voucher, raw, known, standings))
        ][:MOST_CLAIMS]
        for program, claim in undecided:
            await self._in_thread(partial(books.grant, program, claim))
        now_ms = self._clock.now_ms()
        waits = await self._in_thread(partial(books.reimburse, now_ms))
        if undecided:
            standings = await self._in_thread(books.standings)
        for voucher, raw in claims:
            standing, invoice = standings.get(voucher.metadata.uid), voucher.spec.invoice
            if standing is None or invoice is None or not is_paid_out(standing) or standing.bills:
                continue
            if may_go_on(self._approval(voucher, raw, known, standings)):
                paid, now_ms = int(invoice.paid), self._clock.now_ms()
                found = await self._in_thread(
                    partial(books.pay_out, voucher.metadata.uid, paid, now_ms, *approver(raw))
                )
                if isinstance(found, Rejected):
                    waits[voucher.metadata.uid] = found
        standings, now_ms = await self._in_thread(books.standings), self._clock.now_ms()
        for voucher, raw in claims:
            figures, said = claim_told(voucher, standings.get(voucher.metadata.uid), waits, known, now_ms)
            decided = self._approval(voucher, raw, known, standings)
            await self._say("vouchers", raw, figures, [*said, *([decided] if decided else [])], may_go="Approved")
        for program, raw in programs:
            await self._say("voucherprograms", raw, *program_told(program, standings, now_ms))

    def _claim(self, voucher: Voucher, raw: Json) -> Claim:
        by, why = approver(raw)
        claim = claim_of(voucher, self._mirror.tenants, self._clock.now_ms())
        return replace(claim, approved_by=by, approved_why=why)

    def _approval(
        self,
        voucher: Voucher,
        raw: Json,
        programs: Mapping[str, VoucherProgram],
        standings: Mapping[str, Standing],
    ) -> Condition | None:
        standing, program = standings.get(voucher.metadata.uid), programs.get(voucher.spec.program)
        return approval(voucher, raw, to_approve(voucher, program, standing, self._mirror.tenants))

    # --- statements

    async def _told(self) -> set[str]:
        """The names of the Statements on the hub that have their sums."""
        found = (await self._hub.list_all(f"/apis/{GROUP}/{VERSION}/statements"))["items"]
        return {
            str(mapping(raw.get("metadata")).get("name"))
            for raw in found
            if is_true(readable(mapping(raw.get("status")).get("conditions")), "Issued")
        }

    async def _issue(self, dossier: Dossier) -> bool:
        """Every party's Statement of a closed period, with its sums; whether the hub took all of them."""
        zones = [self._settings.bill_timezone, *sorted({tariff.spec.timezone for tariff in dossier.tariffs}), "UTC"]
        all_taken, (days, exactly) = True, days_of(dossier.period, zones)
        for bill in dossier.bills:
            name = name_of(bill)
            path = f"/apis/{GROUP}/{VERSION}/statements"
            spec = {
                "role": str(bill.party.role),
                "party": bill.party.name,
                "period": bill.period.name,
                **days,
            }
            made = {"apiVersion": API_VERSION, "kind": "Statement", "metadata": {"name": name}, "spec": spec}
            try:
                raw = await self._hub.post(path, made)
            except ApiError as error:
                if is_final(error):
                    LOG.warning("a statement is refused", extra={"object": name, "error": str(error)[:500]})
                    all_taken = False
                    continue  # the others' do not wait for it
                if error.status != 409:
                    raise
                raw = await self._hub.get(f"{path}/{name}")
            figures = {
                "lines": len(bill.lines),
                "totals": _wire(statements.totals(bill)),
                "items": [_wire(item) for item in statements.items(bill)],
                "evidence": _wire(statements.evidence(bill, dossier.tree_hash)),
            }
            text = (
                f"{len(bill.lines)} lines of {bill.period.name}; `suanli statement` shows them and writes the evidence"
            )
            text += exactly
            if unknown := bill.unknown_pods:
                text += f"; {unknown} more pods ran of which nobody knows for how long, see `suanli usage`"
            said = [Condition("Issued", True, Reason.ISSUED, text)]
            all_taken = await self._say("statements", raw, figures, said) and all_taken
        return all_taken

    async def _dispute(self, books: Books) -> None:
        """Say on statements which disputes are open."""
        for statement, raw in await self._read(Statement, _is_disputed):
            lines, awarded = await self._in_thread(partial(books.about, [d.line for d in statement.spec.disputes]))
            found = disputed(statement, lines, awarded)
            await self._say("statements", raw, {}, [found] if found else [], may_go="Disputed")

    # --- the hub

    async def _read(self, model: type[R], wanted: Callable[[Json], bool] = bool) -> list[tuple[R, Json]]:
        """The wanted objects of a kind that can be read; of the others the condition says why."""
        kind, found = model.kind_info, []
        for raw in (await self._hub.list_all(f"/apis/{GROUP}/{VERSION}/{kind.plural}"))["items"]:
            if not wanted(raw):
                continue
            whole = {**raw, "kind": kind.kind, "apiVersion": API_VERSION}
            try:
                found.append((parse(model, {key: value for key, value in whole.items() if key != "status"}), whole))
            except ValidationError as error:
                first = error.errors()[0]
                text = f"{'.'.join(map(str, first['loc']))}: {first['msg']}; correct the field"
                await self._say(
                    kind.plural, whole, {}, [Condition(UNREADABLE[kind.kind], False, Reason.INVALID_SPEC, text)]
                )
        return found

    async def _say(
        self, plural: str, raw: Json, figures: Json, conditions: list[Condition], *, may_go: str = ""
    ) -> bool:
        """Write a status where it differs, over the version that it was made from; whether it is on the hub now.

        `may_go` is the condition that goes where it is not said.
        """
        old, metadata = dict(mapping(raw.get("status"))), mapping(raw.get("metadata"))
        generation = metadata.get("generation")
        number, now = generation if isinstance(generation, int) else 0, time_text(self._clock.now_ms())
        kept = [each for each in readable(old.get("conditions")) if each["type"] != may_go or _says(may_go, conditions)]
        wanted = {**old, **figures, "conditions": merged(kept, conditions, number, now, ORDER)}
        patch = patch_of(old, wanted)
        if not patch:
            return True
        body = {"metadata": {"resourceVersion": metadata.get("resourceVersion")}, "status": patch}
        place = f"namespaces/{metadata['namespace']}/" if metadata.get("namespace") else ""
        try:
            await self._hub.patch(f"/apis/{GROUP}/{VERSION}/{place}{plural}/{metadata.get('name')}/status", body)
        except ApiError as error:
            if is_final(error):  # what somebody else wrote into it is in the way; others must not wait for that
                told = {"object": f"{place}{plural}/{metadata.get('name')}", "error": str(error)[:500]}
                LOG.warning("a status is refused", extra=told)
            elif error.status not in (404, 409):
                raise  # else somebody was faster: the next look sees what there is
            return False
        return True

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def name_of(bill: Bill) -> str:
    """The name of a party's Statement: readable, and of no other party, role or period."""
    party, role = bill.party.name, bill.party.role
    told = re.sub(r"[^a-z0-9]+", "-", party.lower()).strip("-")[:MOST_NAME].strip("-")
    mark = short_hash("statement", role, party, bill.period.name, length=8)
    words = [str(role).lower(), *([told] if told and role is not Role.OPERATOR else []), bill.period.name.lower(), mark]
    return "-".join(words)


def days_of(period: Period, zones: Sequence[str]) -> tuple[Json, str]:
    """How a Statement's spec names the days of a period, by the first of the time zones in which it is a month, or else whole days.

    And what is to be said of a period that is neither: it was closed by the clocks of two zones.
    """
    for zone in zones:
        if is_month(period, zone):
            return {"timezone": zone}, ""
    for zone in zones:
        first, until = (local(at_ms, zone).date() for at_ms in (period.start_ms, period.end_ms))
        if [midnight_ms(day.toordinal(), zone) for day in (first, until)] == [period.start_ms, period.end_ms]:
            return {"timezone": zone, "from": first.isoformat(), "until": until.isoformat()}, ""
    first, last = (local(at_ms, "UTC").date() for at_ms in (period.start_ms, period.end_ms - 1))
    days = {"timezone": "UTC", "from": first.isoformat(), "until": (last + timedelta(days=1)).isoformat()}
    return days, f"; of these days from {time_text(period.start_ms)} to {time_text(period.end_ms)}"


def _is_disputed(raw: Json) -> bool:
    """Whether a Statement has disputes, or says that it has."""
    stated = find(readable(mapping(raw.get("status")).get("conditions")), "Disputed")
    return stated is not None or bool(mapping(raw.get("spec")).get("disputes"))


def _says(type_: str, conditions: Iterable[Condition]) -> bool:
    return any(each.type == type_ for each in conditions)


def _wire(model: Model) -> Json:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)
