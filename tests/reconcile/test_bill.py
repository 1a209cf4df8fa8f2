"""The biller: months are closed when they are over, every party gets its Statement once, tariffs are judged, and trouble waits."""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import virtualtime
from builders import a_program, a_site, a_tariff, an_object
from memoryhub import Meeting, MemoryClient, MemoryServer
from shop import CARD_HOUR, FACTS, Shop
from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.base.settings import Settings
from suanli.billing import limits
from suanli.billing.evidence import Dossier
from suanli.billing.ledger import LedgerAccount, Outcome, Transfer, TransferKind
from suanli.billing.period import Period, month
from suanli.billing.usage import Gap
from suanli.kube.client import ApiError, Json
from suanli.reconcile import bill
from suanli.reconcile.attempts import FINAL_REFUSALS
from suanli.reconcile.bill import Biller
from suanli.reconcile.books import Books
from suanli.reconcile.state import Mirror
from suanli.telemetry.metrics import Metrics

MAP = "/apis/suanli.io/v1alpha1"
MARCH = month("2026-03", "Asia/Shanghai")
APRIL = month("2026-04", "Asia/Shanghai")
DAY_MS = 24 * 3_600_000


class Clock:
    """One that is set."""

    def __init__(self, now_ms: int) -> None:
        self.at_ms = now_ms

    def now_ms(self) -> int:
        return self.at_ms


class Office:
    """A hub, the stores, and a biller that looks every second."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shop = Shop(folder)
        self.clock = Clock(APRIL.start_ms + DAY_MS)
        self.hub = MemoryServer(self.clock)
        self.hub.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team-a"}})
        self.metrics = Metrics()
        self.mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
        self.mirror.apply("ADDED", a_site("east", operator="East Compute"))
        self.account = an_object("ComputeAccount", "lab", {"namespaces": ["team-a"], "customerClass": "university"})
        self.mirror.apply("ADDED", self.account)
        self.failing = ""

    def open_books(self) -> Books:
        if self.failing:
            raise SuanliError(Reason.LEDGER_UNUSABLE, self.failing)
        return self.shop.books

    def biller(self) -> Biller:
        return Biller(
            hub=MemoryClient(self.hub, "hub"),
            mirror=self.mirror,
            open_books=self.open_books,
            clock=self.clock,
            settings=Settings(bill_s=1, close_after_s=2 * 86_400),
            metrics=self.metrics,
            thread=virtualtime.InlinePool(),
        )

    def put_tariff(self) -> None:
        self.hub.put(a_tariff())

    def statements(self) -> dict[tuple[str, str, str], Json]:
        found = self.hub.items(f"{MAP}/statements")
        return {(s["spec"]["role"], s["spec"]["party"], s["spec"]["period"]): s for s in found}

    def writes(self) -> int:
        return len(self.hub.writes())


Play = Callable[[Callable[[Office], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """An office whose biller runs in virtual time."""

    def run(scene: Callable[[Office], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            office = Office(tmp_path)
            task = asyncio.create_task(office.biller().run())
            try:
                await scene(office)
            finally:
                task.cancel()
                await asyncio.wait([task])
                office.shop.books.leave()

        virtualtime.run(whole())

    return run


def test_a_statement_says_that_pods_ran_of_which_nobody_knows_for_how_long(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.shop.ran("p", MARCH.start_ms + DAY_MS, 10)
        end_ms = MARCH.start_ms + 5 * DAY_MS
        office.shop.usage.record_gaps([Gap("east", "u-p", 1, "", 2, MARCH.start_ms + DAY_MS, end_ms, "gone")])
        office.put_tariff()
        office.clock.at_ms = APRIL.start_ms + 2 * DAY_MS
        await asyncio.sleep(5)
        told = {key[0]: found["status"]["conditions"][0]["message"] for key, found in office.statements().items()}
        note = "; 2 more pods ran of which nobody knows for how long, see `suanli usage`"
        assert {role: text.endswith(note) for role, text in told.items()} == {
            "Consumer": True,
            "Provider": True,
            "Operator": False,
        }

    play(scene)


@pytest.mark.parametrize("status", FINAL_REFUSALS)
@pytest.mark.parametrize("refused", ["POST", "PATCH"])
def test_a_statement_that_the_hub_does_not_take_keeps_nobody_elses_waiting(
    play: Play, status: int, refused: str
) -> None:
    left = [ApiError(status, "Refused", "no")]

    def meet(verb: str, path: str) -> Meeting:
        return Meeting(error=left.pop() if left and verb == refused and "/statements" in path else None)

    async def scene(office: Office) -> None:
        office.shop.ran("p", MARCH.start_ms + DAY_MS, 10)
        office.put_tariff()
        office.hub.meet = meet
        office.clock.at_ms = APRIL.start_ms + 2 * DAY_MS
        await asyncio.sleep(5)
        issued = [key for key, found in office.statements().items() if found.get("status", {}).get("conditions")]
        assert (len(left), len(issued)) == (0, 2)

    play(scene)


def test_a_month_is_closed_when_it_is_over_and_everybody_gets_a_statement_once(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.shop.ran("p", MARCH.start_ms + DAY_MS, 10)
        office.put_tariff()
        await asyncio.sleep(5)
        assert office.statements() == {}
        office.clock.at_ms = APRIL.start_ms + 2 * DAY_MS
        await asyncio.sleep(5)
        owed = 10 * 4 * CARD_HOUR * 80 // 100
        found = office.statements()
        assert {key[:2] for key in found} == {
            ("Consumer", "lab"),
            ("Provider", "East Compute"),
            ("Operator", "operator"),
        }
        lab = found["Consumer", "lab", "2026-03"]["status"]
        assert (lab["totals"]["net"], lab["lines"]) == (str(-owed), 1)
        assert [(c["type"], c["status"]) for c in lab["conditions"]] == [("Issued", "True")]
        assert lab["evidence"]["rootHash"] == office.shop.ledger.root()[1]
        assert sum(int(s["status"]["totals"]["net"]) for s in found.values()) == 0
        writes = office.writes()
        await asyncio.sleep(30)
        assert office.writes() == writes

    play(scene)


def test_a_start_leaves_months_alone_whose_statements_are_all_on_the_hub(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    dossier = Books.dossier

    def counted(books: Books, name: str) -> Dossier:
        made.append(name)
        return dossier(books, name)

    monkeypatch.setattr(Books, "dossier", counted)

    async def scene(office: Office) -> None:
        async def restart() -> list[str]:
            made.clear()
            office.shop = Shop(office.folder)
            task = asyncio.create_task(office.biller().run())
            await asyncio.sleep(3)
            task.cancel()
            await asyncio.wait([task])
            return list(made)

        office.shop.ran("p", MARCH.start_ms + DAY_MS, 10)
        office.put_tariff()
        office.clock.at_ms = APRIL.start_ms + 2 * DAY_MS
        await asyncio.sleep(5)
        assert made == ["2026-03"]
        assert await restart() == []
        whole = office.statements()
        lost = whole["Consumer", "lab", "2026-03"]
        office.hub.delete(f"{MAP}/statements/{lost['metadata']['name']}")
        assert await restart() == ["2026-03"]
        again = office.statements()["Consumer", "lab", "2026-03"]
        assert again["status"]["totals"] == lost["status"]["totals"]
        assert await restart() == []

    play(scene)


def test_months_in_which_nothing_ran_are_closed_too_one_by_one(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.shop.ran("p", month("2026-01", "Asia/Shanghai").start_ms + DAY_MS, 1)
        office.put_tariff()
        office.clock.at_ms = APRIL.start_ms + 2 * DAY_MS
        await asyncio.sleep(5)
        assert [c.period.name for c in office.shop.books.closings()] == ["2026-01", "2026-02", "2026-03"]

    play(scene)


@pytest.mark.parametrize(
    ("closed", "days"),
    [
        (month("2026-03", "UTC"), {"timezone": "UTC"}),  # not that of the setting
        (month("2026-03", "Pacific/Kiritimati"), {"timezone": "UTC", "from": "2026-02-28", "until": "2026-04-01"}),
        (Period("q1", month("2026-01", "Asia/Shanghai").start_ms, MARCH.end_ms), {"from": "2026-01-01", "until": "2026-04-01"}),
        (Period("ten", MARCH.start_ms, MARCH.start_ms + 10 * DAY_MS), {"from": "2026-03-01", "until": "2026-03-11"}),
    ],
)  # fmt: skip
def test_a_statement_says_by_whose_clocks_its_period_is_and_the_next_one_begins_where_it_ends(
    play: Play, closed: Period, days: Json
) -> None:
    async def scene(office: Office) -> None:
        office.shop.ran("p", MARCH.start_ms + DAY_MS, 10)
        office.shop.books.fix(closed, FACTS, closed.end_ms)
        office.put_tariff()
        office.clock.at_ms = month("2026-05", "Asia/Shanghai").start_ms + 3 * DAY_MS
        await asyncio.sleep(5)
        told = office.statements()["Consumer", "lab", closed.name]
        assert {"timezone": "Asia/Shanghai"} | days == {
            key: told["spec"][key] for key in ("timezone", "from", "until") if key in told["spec"]
        }
        periods = [closing.period for closing in office.shop.books.closings()]
        assert [later.start_ms for later in periods[1:]] == [earlier.end_ms for earlier in periods[:-1]]
        assert periods[-1].end_ms == month("2026-04", "Asia/Shanghai").end_ms

    play(scene)


def test_days_of_a_period_between_two_zones_are_told_with_the_moments() -> None:
    between = Period("2026-03", month("2026-03", "UTC").start_ms, MARCH.end_ms)
    days, said = bill.days_of(between, ["Asia/Shanghai", "UTC"])
    assert days == {"timezone": "UTC", "from": "2026-03-01", "until": "2026-04-01"}
    assert said == "; of these days from 2026-03-01T00:00:00Z to 2026-03-31T16:00:00Z"


def test_without_a_tariff_nothing_is_billed(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.shop.ran("p", MARCH.start_ms, 1)
        office.clock.at_ms = APRIL.end_ms
        await asyncio.sleep(5)
        assert office.shop.books.closings() == []
        assert office.writes() == 0

    play(scene)


def test_a_tariff_that_does_not_fit_says_so_until_it_does(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.put_tariff()
        await asyncio.sleep(3)

        def said() -> tuple[str, str]:
            status = office.hub.get(f"{MAP}/tariffs/east-2026")["status"]
            return status["conditions"][0]["status"], status["conditions"][0]["message"]

        assert said()[0] == "False"
        assert "no site of provider" in said()[1] or "has a price" in said()[1]

    play(scene)


def test_while_the_ledger_cannot_be_used_bills_wait_and_say_so(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(office: Office) -> None:
        office.failing = "the disk is full"
        office.shop.ran("p", MARCH.start_ms, 1)
        office.put_tariff()
        office.clock.at_ms = APRIL.start_ms + 2 * DAY_MS
        with caplog.at_level(logging.WARNING):
            await asyncio.sleep(5)
        assert "bills wait" in caplog.text
        assert office.statements() == {}
        office.failing = ""
        await asyncio.sleep(5)
        assert len(office.statements()) == 3
        assert office.metrics.surprises._value.get() == 0

    play(scene)


YUAN = 1_000_000


def a_voucher(name: str, program: str = "city", *, generation: int = 1, **spec: Any) -> Json:
    whole = {"program": program, "contract": f"c-{name}", "amount": str(200 * YUAN), **spec}
    created = "2026-03-10T00:00:00Z"
    return an_object("Voucher", name, whole, namespace="team-a", creationTimestamp=created, generation=generation)


def voucher_status(office: Office, name: str) -> tuple[dict[str, str], dict[str, tuple[str, str]]]:
    """What a voucher's status says: its figures, and status and reason of each condition."""
    status = office.hub.get(f"{MAP}/namespaces/team-a/vouchers/{name}").get("status", {})
    figures = {key: value for key, value in status.items() if key != "conditions"}
    return figures, {c["type"]: (c["status"], c["reason"]) for c in status.get("conditions", [])}


def test_a_voucher_is_granted_pays_of_the_bill_and_expires(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.shop.ran("p", MARCH.start_ms + DAY_MS, 10)
        office.put_tariff()
        office.hub.put(a_program(poolPerYear=str(100 * YUAN)))
        office.hub.put(a_voucher("mine"))
        await asyncio.sleep(3)
        figures, said = voucher_status(office, "mine")
        assert figures == {
            "entity": "lab",
            "granted": str(40 * YUAN),
            "redeemed": "0",
            "remaining": str(40 * YUAN),
            "expires": "2027-03-10T00:00:00Z",
        }
        assert said == {
            "Granted": ("True", "Granted"),
            "Redeemed": ("False", "NotRedeemed"),
            "Expired": ("False", "Valid"),
        }
        office.clock.at_ms = APRIL.start_ms + 2 * DAY_MS
        await asyncio.sleep(3)
        owed = 10 * 4 * CARD_HOUR * 80 // 100
        figures, said = voucher_status(office, "mine")
        assert (figures["redeemed"], said["Redeemed"]) == (str(owed // 5), ("True", "Redeemed"))
        found = office.statements()
        assert found["Issuer", "city-bureau", "2026-03"]["status"]["totals"]["net"] == str(-(owed // 5))
        assert found["Consumer", "lab", "2026-03"]["status"]["totals"]["net"] == str(owed // 5 - owed)
        writes = office.writes()
        await asyncio.sleep(30)
        assert office.writes() == writes
        office.clock.at_ms = month("2027-03", "Asia/Shanghai").start_ms + 20 * DAY_MS
        await asyncio.sleep(30)
        figures, said = voucher_status(office, "mine")
        assert (figures["remaining"], said["Expired"]) == ("0", ("True", "VoucherExpired"))

    play(scene)


def test_a_voucher_that_expired_between_its_bill_and_the_posting_of_it_says_so(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.shop.ran("p", MARCH.start_ms + DAY_MS, 10)
        office.put_tariff()
        office.hub.put(a_program(validDays=24))
        office.hub.put(a_voucher("mine"))
        await asyncio.sleep(3)
        office.shop.books.fix(MARCH, FACTS, office.clock.at_ms)
        office.shop.books.pay("consumer:lab", YUAN, "p-1", APRIL.start_ms + 4 * DAY_MS)
        office.clock.at_ms = APRIL.start_ms + 5 * DAY_MS
        await asyncio.sleep(3)
        assert len(office.statements()) == 4
        status = office.hub.items(f"{MAP}/vouchers")[0]["status"]
        told = {condition["type"]: condition["message"] for condition in status["conditions"]}
        assert status["redeemed"] == str(10 * 4 * CARD_HOUR * 80 // 100 // 5)
        assert "it expired before 2026-03 could be posted, which was paid all the same" in told["Redeemed"]

    play(scene)


def test_a_flood_of_claims_is_decided_in_parts(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bill, "MOST_CLAIMS", 2)
    decided: list[int] = []

    async def scene(office: Office) -> None:
        office.hub.put(a_program())
        for number in range(5):
            office.hub.put(a_voucher(f"v{number}"))
        for _ in range(4):
            await asyncio.sleep(1)
            decided.append(len(office.shop.store.grants()))

    play(scene)
    assert decided[-1] == 5
    assert {later - earlier for earlier, later in pairwise([0, *decided])} <= {0, 1, 2}


def test_a_rejected_claim_is_final_and_stops_no_other(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.hub.put(a_program(maxContractDays=30, poolPerYear=str(70 * YUAN)))
        office.hub.put(a_program("broken", terms="all of it"))
        office.hub.put(a_voucher("a-long", contractDays=31))
        office.hub.put(a_voucher("b-broken", amount=-5))
        office.hub.put(a_voucher("c-unknown", program="nowhere"))
        office.hub.put(a_voucher("d-unread", program="broken"))
        office.hub.put(a_voucher("e-mine"))
        office.hub.put(a_voucher("f-cut"))
        office.hub.put(a_voucher("g-late"))
        await asyncio.sleep(3)
        said = {n: voucher_status(office, n)[1]["Granted"] for n in ("a-long", "b-broken", "c-unknown", "d-unread")}
        assert said == {
            "a-long": ("False", "ContractTooLong"),
            "b-broken": ("False", "InvalidSpec"),
            "c-unknown": ("False", "UnknownProgram"),
            "d-unread": ("False", "UnknownProgram"),
        }
        granted = {n: voucher_status(office, n)[0].get("granted") for n in ("e-mine", "f-cut", "g-late")}
        assert granted == {"e-mine": str(40 * YUAN), "f-cut": str(30 * YUAN), "g-late": None}
        assert voucher_status(office, "g-late")[1] == {"Granted": ("False", "PoolExhausted")}
        status = office.hub.get(f"{MAP}/voucherprograms/city")["status"]
        assert {key: status[key] for key in ("year", "vouchers", "rejected", "issued", "redeemed", "remaining")} == {
            "year": 2026,
            "vouchers": 2,
            "rejected": 2,
            "issued": str(70 * YUAN),
            "redeemed": "0",
            "remaining": "0",
        }
        assert [(c["type"], c["status"]) for c in status["conditions"]] == [("InForce", "True")]
        office.hub.put(a_program("nowhere"))  # who asked for it need not ask again
        office.hub.put(a_program())  # more generous now, and without a pool
        await asyncio.sleep(3)
        assert voucher_status(office, "c-unknown")[1]["Granted"] == ("True", "Granted")
        assert voucher_status(office, "a-long")[1]["Granted"] == ("False", "ContractTooLong")
        assert voucher_status(office, "g-late")[1]["Granted"] == ("False", "PoolExhausted")
        writes = office.writes()
        await asyncio.sleep(30)
        assert office.writes() == writes
        assert office.metrics.surprises._value.get() == 0

    play(scene)


def test_a_claim_is_of_the_account_and_its_family(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.mirror.apply("ADDED", an_object("ComputeAccount", "school", {"namespaces": ["office"]}))
        office.mirror.apply("ADDED", an_object("ComputeAccount", "group", {"namespaces": ["g"], "parent": "lab"}))
        member = {"namespaces": ["team-a"], "customerClass": "university", "parent": "school"}
        office.mirror.apply("MODIFIED", an_object("ComputeAccount", "lab", member, generation=2))
        office.hub.put(a_program(terms=[{"name": "schools", "applicantClasses": ["university"], "ratePermille": 500}]))
        for name in ("school", "group", "lab", "other"):
            office.hub.put(a_voucher(name, provider=name))
        office.hub.put(a_voucher("class", applicantClass="start-up"))
        await asyncio.sleep(3)
        said = {n: voucher_status(office, n)[1]["Granted"][1] for n in ("school", "group", "lab", "other", "class")}
        assert said == {
            **dict.fromkeys(("school", "group", "lab"), "RelatedParties"),
            "other": "Granted",
            "class": "ApplicantNotEligible",
        }
        assert voucher_status(office, "other")[0]["granted"] == str(100 * YUAN)

    play(scene)


def approve(office: Office, name: str, decision: str = "Approved", **fields: Any) -> None:
    """What `suanli voucher approve` writes."""
    voucher = office.hub.get(f"{MAP}/namespaces/team-a/vouchers/{name}")
    given = {"decision": decision, "generation": voucher["metadata"]["generation"], "by": "the desk", **fields}
    voucher["status"] = {**voucher.get("status", {}), "approval": given}
    office.hub.put(voucher)


def invoice(paid: int) -> Json:
    return {"number": "7", "paid": str(paid), "paidOn": "2026-03-11"}


def told(office: Office, name: str, type_: str) -> str:
    conditions = office.hub.get(f"{MAP}/namespaces/team-a/vouchers/{name}")["status"]["conditions"]
    return str(next(c["message"] for c in conditions if c["type"] == type_))


def test_a_rent_subsidy_is_paid_out_when_somebody_approved_the_invoice_that_shows_that_all_was_paid(play: Play) -> None:
    async def scene(office: Office) -> None:
        rent: Json = {"kind": "Rent", "flow": "ReimburseUser", "terms": [{"name": "all", "ratePermille": 100}]}
        office.hub.put(a_program(**rent))
        office.hub.put(a_voucher("rent"))
        await asyncio.sleep(3)
        said = voucher_status(office, "rent")[1]
        assert (said["Redeemed"], "Approved" in said) == (("False", "NotRedeemed"), False)
        office.hub.put(a_voucher("rent", invoice=invoice(200 * YUAN)))
        await asyncio.sleep(3)
        assert voucher_status(office, "rent")[1]["Approved"] == ("False", "WaitsForApproval")
        assert "invoice 7, 200.00 CNY paid on 2026-03-11, for c-rent" in told(office, "rent", "Approved")
        assert office.shop.owes("subsidy:city-bureau") == 0
        approve(office, "rent", "Rejected", reason="no such invoice")
        await asyncio.sleep(3)
        assert voucher_status(office, "rent")[1]["Approved"] == ("False", "ApprovalRefused")
        assert "the desk: no such invoice" in told(office, "rent", "Approved")
        assert office.shop.owes("subsidy:city-bureau") == 0
        office.hub.put(a_voucher("rent", invoice=invoice(199 * YUAN), generation=2))
        approve(office, "rent")
        await asyncio.sleep(3)
        assert voucher_status(office, "rent")[1]["Redeemed"] == ("False", "NotPaid")
        status = office.hub.get(f"{MAP}/namespaces/team-a/vouchers/rent")["status"]
        office.hub.put({**a_voucher("rent", invoice=invoice(200 * YUAN), generation=3), "status": status})
        await asyncio.sleep(3)
        assert voucher_status(office, "rent")[1]["Approved"] == ("False", "WaitsForApproval")
        assert "the claim was changed since the desk decided" in told(office, "rent", "Approved")
        assert office.shop.owes("subsidy:city-bureau") == 0
        approve(office, "rent")
        await asyncio.sleep(3)
        figures, said = voucher_status(office, "rent")
        assert (figures["redeemed"], figures["remaining"], said["Redeemed"][0]) == (str(20 * YUAN), "0", "True")
        assert said["Approved"] == ("True", "Approved")
        assert office.shop.owes("subsidy:city-bureau") == 20 * YUAN
        (kept,) = office.shop.store.redemptions()
        assert json.loads(kept[2])["approved_by"] == "the desk"
        writes = office.writes()
        await asyncio.sleep(30)
        assert office.writes() == writes

    play(scene)


def test_a_class_that_only_the_tenant_says_has_to_be_approved_where_it_gives_more(play: Play) -> None:
    async def scene(office: Office) -> None:
        terms = [
            {"name": "all", "ratePermille": 100},
            {"name": "small", "applicantClasses": ["start-up"], "ratePermille": 600},
        ]
        office.hub.put(a_program(terms=terms))
        for name, class_ in (("own", "university"), ("more", "start-up"), ("same", "hospital"), ("odd", "start-up")):
            office.hub.put(a_voucher(name, applicantClass=class_))
        await asyncio.sleep(3)
        granted = {n: voucher_status(office, n)[0].get("granted") for n in ("own", "same", "more", "odd")}
        assert granted == {"own": str(20 * YUAN), "same": str(20 * YUAN), "more": None, "odd": None}
        assert voucher_status(office, "more")[1] == {"Approved": ("False", "WaitsForApproval")}
        assert 'applicant class "start-up", not "university", for term small' in told(office, "more", "Approved")
        approve(office, "odd", decision="Perhaps")  # nothing that anybody can have decided
        approve(office, "more")
        await asyncio.sleep(3)
        figures, said = voucher_status(office, "more")
        assert (figures["granted"], said["Approved"], said["Granted"][0]) == (
            str(120 * YUAN),
            ("True", "Approved"),
            "True",
        )
        assert "granted" not in voucher_status(office, "odd")[0]
        kept = [json.loads(record)["claim"] for _, _, record in office.shop.store.grants()]
        assert [(c["own_class"], c["approved_by"]) for c in kept] == [("university", "")] * 2 + [
            ("university", "the desk")
        ]
        assert office.metrics.surprises._value.get() == 0

    play(scene)


def test_whose_a_site_is_is_kept_from_the_moment_on_at_which_it_changed(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.put_tariff()
        await asyncio.sleep(3)
        first_ms = office.clock.now_ms()
        office.mirror.apply("MODIFIED", a_site("east", metadata={"generation": 2}, operator="West Compute"))
        await asyncio.sleep(3)
        kept = office.shop.store.providers()
        assert [(site, provider) for site, provider, _ in kept] == [("east", "East Compute"), ("east", "West Compute")]
        assert kept[0][2] <= first_ms <= kept[1][2] <= office.clock.now_ms()

    play(scene)


def test_a_user_who_paid_a_closed_month_is_paid_back_and_says_so(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.shop.ran("p", MARCH.start_ms + DAY_MS, 10)
        office.put_tariff()
        office.hub.put(a_program(flow="ReimburseUser"))
        office.hub.put(a_voucher("mine"))
        await asyncio.sleep(3)
        office.clock.at_ms = APRIL.start_ms + 2 * DAY_MS
        await asyncio.sleep(5)
        owed = 10 * 4 * CARD_HOUR * 80 // 100
        assert voucher_status(office, "mine")[1]["Redeemed"] == ("False", "NotPaid")
        assert "bill of 2026-03: 0.00 CNY of 176.00 were paid" in told(office, "mine", "Redeemed")
        office.shop.books.pay("consumer:lab", owed, "p1", office.clock.at_ms)
        await asyncio.sleep(3)
        figures, said = voucher_status(office, "mine")
        assert (figures["redeemed"], said["Redeemed"]) == (str(owed // 5), ("True", "Redeemed"))
        (line,) = office.shop.books.lines("2026-03")
        office.shop.books.award(line.id, "d", owed // 2)
        office.clock.at_ms = APRIL.end_ms + 2 * DAY_MS
        await asyncio.sleep(5)
        figures, _ = voucher_status(office, "mine")
        assert (figures["redeemed"], figures["takenBack"]) == (str(owed // 5), str(owed // 10))
        assert f"{owed // 10 / YUAN:.2f} CNY were taken back" in told(office, "mine", "Redeemed")
        programme = office.hub.get(f"{MAP}/voucherprograms/city")["status"]
        assert programme["redeemed"] == str(owed // 10)
        april = {key[0]: s["status"]["totals"] for key, s in office.statements().items() if key[2] == "2026-04"}
        net = owed // 5 - owed // 10
        assert (april["Consumer"]["subsidies"], april["Issuer"]["subsidies"]) == (str(net), str(-net))
        assert sum(int(totals["net"]) for totals in april.values()) == 0

    play(scene)


def test_a_statement_says_which_disputes_are_open_until_all_are_decided(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.shop.ran("p", MARCH.start_ms + DAY_MS, 10)
        office.shop.ran("q", MARCH.start_ms + DAY_MS, 5)
        office.put_tariff()
        office.clock.at_ms = APRIL.start_ms + 2 * DAY_MS
        await asyncio.sleep(5)
        first, second = office.shop.books.lines("2026-03")
        name = office.statements()["Consumer", "lab", "2026-03"]["metadata"]["name"]

        def disputes(*lines: str) -> None:
            statement = office.hub.get(f"{MAP}/statements/{name}")
            statement["spec"]["disputes"] = [{"line": line, "reason": "it did not run"} for line in lines]
            statement["status"]["evidence"]["manifest"] = "0" * 64  # a field of an earlier version
            office.hub.put(statement)

        def said() -> tuple[str, ...]:
            conditions = office.hub.get(f"{MAP}/statements/{name}")["status"]["conditions"]
            return tuple(c["message"] for c in conditions if c["type"] == "Disputed")

        disputes(first.id, second.id, "f" * 32)
        await asyncio.sleep(3)
        assert said() == (
            "3 of 3 disputed lines, 264.00 CNY, wait for an award; no line of 2026-03: 1, copy ids from the statement",
        )
        disputes(first.id, second.id)
        office.shop.books.award(first.id, "d-1", 7 * YUAN)
        await asyncio.sleep(3)
        left = "176.00" if second.net_micro_yuan == 176 * YUAN else "88.00"
        assert said() == (f"1 of 2 disputed lines, {left} CNY, wait for an award; decided: 1, with 7.00 CNY",)
        writes = office.writes()
        await asyncio.sleep(30)
        assert office.writes() == writes
        office.shop.books.award(second.id, "d-2", 1)
        await asyncio.sleep(3)
        assert said() == ()
        conditions = office.hub.get(f"{MAP}/statements/{name}")["status"]["conditions"]
        assert [(c["type"], c["status"]) for c in conditions] == [("Issued", "True")]

    play(scene)


def test_what_was_closed_by_one_who_died_is_posted_before_statements_are_issued(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.shop.ran("p", MARCH.start_ms + DAY_MS, 10)
        office.shop.ledger.left = 0
        with pytest.raises(KeyboardInterrupt):
            office.shop.books.close(MARCH, FACTS, MARCH.end_ms)
        office.shop.ledger.left = 1 << 30
        office.put_tariff()
        await asyncio.sleep(3)
        assert len(office.statements()) == 3
        assert office.shop.owes("consumer:lab") == 10 * 4 * CARD_HOUR * 80 // 100

    play(scene)


def test_what_a_prepaid_account_used_counts_until_its_bill_is_posted_and_then_the_bill_does(play: Play) -> None:
    async def scene(office: Office) -> None:
        office.mirror.apply(
            "MODIFIED",
            an_object("ComputeAccount", "lab", {**office.account["spec"], "payment": "Prepaid"}, generation=2),
        )
        books, ledger, owed = office.shop.books, office.shop.ledger, 10 * 4 * CARD_HOUR * 80 // 100
        counted = owed - 1_000  # what was held for was an estimate
        books.pay("consumer:lab", 2 * owed, "p1", MARCH.start_ms)
        used = limits.unbilled("lab", "2026-03")
        ledger.open([LedgerAccount(limits.prepaid("lab"), -2 * owed), LedgerAccount(used, 0)])
        moved = Transfer("u", limits.prepaid("lab"), used, counted, TransferKind.POST, MARCH.start_ms)
        assert ledger.commit([moved]) == [Outcome.CREATED]
        office.shop.ran("p", MARCH.start_ms + DAY_MS, 10)
        office.put_tariff()
        await asyncio.sleep(5)
        assert ledger.balance(limits.prepaid("lab")).posted_micro_yuan == -counted
        office.clock.at_ms = APRIL.start_ms + 2 * DAY_MS
        await asyncio.sleep(5)
        assert books.balance_micro_yuan("consumer:lab") == owed
        assert ledger.balance(limits.prepaid("lab")).posted_micro_yuan == ledger.balance(used).posted_micro_yuan == 0
        (prepaid,) = [s.account for s in ledger.standings() if s.account.name == limits.prepaid("lab")]
        assert prepaid.min_micro_yuan == -owed
        root = ledger.root()
        await asyncio.sleep(30)
        assert ledger.root() == root
        assert sum(int(s["status"]["totals"]["net"]) for s in office.statements().values()) == 0

    play(scene)
