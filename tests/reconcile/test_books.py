"""The books: a period is closed once, posted once, and what comes too late is in the next; whoever is killed is followed by one who goes on."""

import json
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from audit.__main__ import audit
from builders import a_tariff, an_agreement
from shop import CARD_HOUR, FACTS, Shop
from suanli.api import Tariff
from suanli.api.link import Direction, Leg
from suanli.base.errors import SuanliError
from suanli.base.names import short_hash
from suanli.base.units import MS_PER_HOUR
from suanli.billing.event import Owner, pod_events
from suanli.billing.evidence import Dossier, write
from suanli.billing.facts import read_facts
from suanli.billing.line import KEY, line_id
from suanli.billing.own import of_party
from suanli.billing.owned import facts_of
from suanli.billing.pages import html
from suanli.billing.period import Period, month
from suanli.billing.posting import COMMISSION, TAX
from suanli.billing.rating import Customer, Subscription
from suanli.billing.statements import unbalanced
from suanli.billing.usage import MAX_SKEW_MS, Gap, PodUsage
from suanli.billing.words import Language
from suanli.ledgerstore.books import KeptAward
from suanli.ledgerstore.ledger import SqliteLedger
from suanli.reconcile.books import Books

ZONE = "Asia/Shanghai"
MARCH, APRIL, MAY = MONTHS = [month(f"2026-0{n}", ZONE) for n in (3, 4, 5)]
DAY_MS = 24 * MS_PER_HOUR


def test_what_ran_in_a_month_is_billed_and_posted_once(shop: Shop) -> None:
    shop.ran("p", MARCH.start_ms, 10)
    preview = shop.books.preview(MARCH, FACTS)
    closing = shop.books.close(MARCH, FACTS, MARCH.end_ms)
    assert shop.books.lines("2026-03") == list(preview.rating.lines)
    owed = 10 * 4 * CARD_HOUR * 80 // 100
    assert shop.owes("consumer:lab") == owed
    assert sum(shop.ledger.balance(a).posted_micro_yuan for a in (TAX, COMMISSION, "provider:East%20Compute")) == owed
    root = shop.ledger.root()
    shop.ran("late", MARCH.start_ms, 1)
    assert shop.books.close(MARCH, replace(FACTS, tariffs=()), MARCH.end_ms + 5) == closing
    assert shop.ledger.root() == root
    dossier = shop.books.dossier("2026-03")
    assert unbalanced(dossier.bills) == []
    assert [(bill.party.role, bill.net_micro_yuan) for bill in dossier.bills if bill.party.name == "lab"] == [
        ("Consumer", -owed)
    ]
    assert {event.pod_uid for event in dossier.events} == {"p"}


def test_a_closed_month_keeps_the_ids_of_its_events_whoever_asks(shop: Shop) -> None:
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    other = Books(shop.usage, shop.store, shop.ledger, "local")
    assert list(other.dossier("2026-03").events) == list(shop.books.dossier("2026-03").events) != []
    assert other.preview(APRIL, FACTS).used_by == {}


def test_a_provider_that_can_have_no_account_stops_nobody_else(shop: Shop, tmp_path: Path) -> None:
    name = "E" * 256
    shop.ran("p", MARCH.start_ms, 10)
    shop.usage.agree([an_agreement("u-q", provider=name, site="north", made_ms=MARCH.start_ms)])
    shop.ran("q", MARCH.start_ms, 10, site="north")
    facts = replace(FACTS, tariffs=(*FACTS.tariffs, Tariff.model_validate(a_tariff("long", provider=name))))
    assert {one.site for one in shop.books.preview(MARCH, facts).rating.unrated} == {"north"}
    shop.books.close(MARCH, facts, MARCH.end_ms)
    assert shop.owes("consumer:lab") == 10 * 4 * CARD_HOUR * 80 // 100
    assert found_by_the_audit(shop.books.dossier("2026-03"), tmp_path / "package") == []


def found_by_the_audit(dossier: Dossier, folder: Path) -> list[str]:
    texts: defaultdict[str, list[str]] = defaultdict(list)
    write(dossier, lambda name, text: texts[name].append(text))
    folder.mkdir()
    for name, parts in texts.items():
        (folder / name).write_text("".join(parts), encoding="utf-8", newline="")
    return [str(finding) for finding in audit(folder)[0]]


def test_what_came_too_late_is_an_adjustment_of_the_next_month_once(shop: Shop, tmp_path: Path) -> None:
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    shop.ran("late", MARCH.start_ms + MS_PER_HOUR, 2)
    shop.ran("q", APRIL.start_ms, 1)
    # It is priced as it would have been in March, whatever holds now.
    shop.books.close(APRIL, replace(FACTS, customers={}), APRIL.end_ms)
    adjusted = [line for line in shop.books.lines("2026-04") if line.adjusts]
    assert [(line.job, line.adjusts, line.net_micro_yuan) for line in adjusted] == [
        ("late", "2026-03", 2 * 4 * CARD_HOUR * 80 // 100)
    ]
    assert (
        shop.owes("consumer:lab")
        == (12 * 80 // 100 * 4 * CARD_HOUR + 12 * 80 % 100 * 4 * CARD_HOUR // 100) + 4 * CARD_HOUR
    )
    dossier = shop.books.dossier("2026-04")
    assert [closed.period.name for closed in dossier.closed] == ["2026-03"]
    assert found_by_the_audit(dossier, tmp_path / "evidence") == []
    assert [line.job for line in dossier.billed] == ["p"]
    may = month("2026-05", ZONE)
    shop.books.close(may, FACTS, may.end_ms)
    assert shop.books.lines("2026-05") == []


def test_a_dispute_ends_with_an_adjustment_of_the_next_month_once_and_late_use_does_not_undo_it(
    shop: Shop, tmp_path: Path
) -> None:
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    (line,) = shop.books.lines("2026-03")
    owed = shop.owes("consumer:lab")
    for _ in range(2):
        shop.books.award(line.id, "d-1", 5_000_000)
    shop.ran("late", MARCH.start_ms, 1)
    shop.books.close(APRIL, FACTS, APRIL.end_ms)
    late = 4 * CARD_HOUR * 80 // 100
    assert sorted(each.net_micro_yuan for each in shop.books.lines("2026-04")) == [-5_000_000, late]
    assert shop.owes("consumer:lab") == owed - 5_000_000 + late
    dossier = shop.books.dossier("2026-04")
    assert [award.dispute for award in dossier.awards] == ["d-1"]
    assert unbalanced(dossier.bills) == []
    assert found_by_the_audit(dossier, tmp_path / "evidence") == []
    may = month("2026-05", ZONE)
    shop.ran("later", MARCH.start_ms, 1)
    shop.books.close(may, FACTS, may.end_ms)
    assert [each.net_micro_yuan for each in shop.books.lines("2026-05")] == [late]
    assert found_by_the_audit(shop.books.dossier("2026-05"), tmp_path / "more") == []


@pytest.mark.parametrize(
    ("line", "amount", "why"),
    [("nothing", 1, "no line nothing was billed"), ("", 0, "more than 0"), ("", 10**12, "176.00 CNY left")],
)
def test_an_award_that_cannot_be_says_why(shop: Shop, line: str, amount: int, why: str) -> None:
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    with pytest.raises(SuanliError, match=why):
        shop.books.award(line or shop.books.lines("2026-03")[0].id, "d-1", amount)
    shop.books.award(shop.books.lines("2026-03")[0].id, "d-1", 1)
    with pytest.raises(SuanliError, match="ended with 0"):
        shop.books.award(shop.books.lines("2026-03")[0].id, "d-1", 2)


def test_a_run_over_the_end_of_a_month_is_billed_in_both(shop: Shop) -> None:
    shop.ran("p", MARCH.end_ms - 3 * MS_PER_HOUR, 5)
    for period in (MARCH, APRIL):
        shop.books.close(period, FACTS, period.end_ms)
    hours = {
        name: sum(line.quantity for line in shop.books.lines(name)) // MS_PER_HOUR // 4
        for name in ("2026-03", "2026-04")
    }
    assert hours == {"2026-03": 3, "2026-04": 2}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"job_uid": "nobody"}, "no attempt"),
        ({"epoch": 2}, "no attempt"),
        ({"site": "west"}, "was sent to site east"),
    ],
)
def test_what_nobody_sent_is_told_and_billed_to_nobody(shop: Shop, fields: dict[str, Any], why: str) -> None:
    shop.ran("p", MARCH.start_ms, 1, **fields)
    preview = shop.books.preview(MARCH, FACTS)
    assert (preview.used_by, preview.rating.lines) == ({}, ())
    assert why in preview.unbilled[0].why


def test_an_attempt_that_was_given_up_is_not_billed(shop: Shop) -> None:
    shop.ran("p", MARCH.start_ms, 1)
    shop.usage.give_up("u-p", [1])
    preview = shop.books.preview(MARCH, FACTS)
    assert preview.rating.lines == ()
    assert "given up" in preview.unbilled[0].why


def test_a_member_cannot_have_more_billed_than_a_task_was_to_get(shop: Shop) -> None:
    shop.ran("p", MARCH.start_ms, 1, cards=1_000, cpu_milli=10**9)
    (line,) = shop.books.preview(MARCH, FACTS).rating.lines
    assert line.quantity == 4 * MS_PER_HOUR


def test_a_member_cannot_have_time_billed_from_before_the_attempt_was_sent(shop: Shop) -> None:
    shop.ran("p", MARCH.start_ms + 24 * MS_PER_HOUR, 2)
    told = PodUsage("q", "u-p", 1, "east", "x", MARCH.start_ms, MARCH.start_ms + 25 * MS_PER_HOUR, 2_000, 1 << 30, 4)
    early = PodUsage("r", "u-p", 1, "east", "x", MARCH.start_ms, MARCH.start_ms + MS_PER_HOUR, 2_000, 1 << 30, 4)
    shop.usage.record([told, early])
    (line,) = shop.books.preview(MARCH, FACTS).rating.lines
    assert line.quantity == 4 * (2 * MS_PER_HOUR + MS_PER_HOUR + MAX_SKEW_MS)


def test_whoever_comes_after_a_crash_posts_the_rest_and_nothing_twice(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("suanli.reconcile.books.MOST_AT_ONCE", 1)
    for n in range(4):
        shop.ran(f"p{n}", MARCH.start_ms, 1)
    for commits in range(4):  # of those before nothing is written twice, so each goes as far as it may
        shop.ledger.left = commits
        with pytest.raises(KeyboardInterrupt):
            shop.books.close(MARCH, FACTS, MARCH.end_ms)
    shop.ledger.left = 1 << 30
    shop.books.close(MARCH, FACTS, MARCH.end_ms + 9)
    assert shop.owes("consumer:lab") == 4 * 4 * CARD_HOUR * 80 // 100
    assert unbalanced(shop.books.dossier("2026-03").bills) == []


def test_what_was_posted_is_not_sent_again_unless_the_ledger_lost_it(shop: Shop, tmp_path: Path) -> None:
    shop.ran("p", MARCH.start_ms, 1)
    (tmp_path / "other").mkdir()
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    shop.ledger.left = 0  # it would die at the next commit
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    with SqliteLedger(tmp_path / "other" / "ledger.sqlite3") as empty:
        Books(shop.usage, shop.store, empty, "hub").close(MARCH, FACTS, MARCH.end_ms)
        assert [entry.transfer for entry in empty.entries()] == [entry.transfer for entry in shop.ledger.entries()]


def test_tariffs_of_two_time_zones_and_a_package_in_one_month_are_what_the_audit_finds(
    shop: Shop, tmp_path: Path
) -> None:
    items = [{"name": "a100", "unit": "CardHour", "class": "nvidia-a100-80g", "price": "5.50"}]
    hours = [{"name": "all", "bands": [{"from": "00:00", "to": "12:00", "band": "am"}, {"from": "12:00", "to": "24:00", "band": "pm"}]}]  # fmt: skip
    pack = [{"name": "pack", "item": "a100", "period": "Day", "included": 3, "fee": "9"}]
    tariffs = [
        Tariff.model_validate({**a_tariff(name, items=items, schedules=hours, packages=pack, timezone=zone, effectiveFrom=day), "metadata": {"name": name}})
        for name, zone, day in (("old", "America/New_York", "2025-01-01"), ("mid", ZONE, "2026-01-01"), ("new", "UTC", "2026-03-10"))
    ]  # fmt: skip
    customer = Customer("lab", "university", "", (Subscription("East Compute", "pack", "2026-03-01", "2026-03-21"),))
    shop.ran("p", MARCH.start_ms + 8 * DAY_MS, 60)
    shop.books.close(MARCH, replace(FACTS, tariffs=tuple(tariffs), customers={"lab": customer}), MARCH.end_ms)
    fees = {line.tariff: line.net_micro_yuan for line in shop.books.lines("2026-03") if line.item == "pack"}
    assert fees == {"mid": 10 * 9_000_000, "new": 10 * 9_000_000}  # the 10th has begun in Shanghai
    assert found_by_the_audit(shop.books.dossier("2026-03"), tmp_path / "package") == []


def test_an_award_that_another_process_makes_meanwhile_counts(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.ran("p", MARCH.start_ms, 10)
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    (line,) = shop.books.lines("2026-03")
    other = Books(shop.usage, shop.store, shop.ledger, "hub")
    keep = shop.store.keep_award

    def meanwhile(*asked: Any) -> KeptAward:
        with monkeypatch.context() as patch:
            patch.setattr(shop.store, "keep_award", keep)
            other.award(line.id, "d-2", 100_000_000)
        return keep(*asked)

    monkeypatch.setattr(shop.store, "keep_award", meanwhile)
    with pytest.raises(SuanliError, match=r"has 76[.]00 CNY left"):
        shop.books.award(line.id, "d-1", 100_000_000)
    assert [award.dispute for award in shop.store.awards().values()] == ["d-2"]


def test_a_month_that_was_not_wholly_posted_is_sent_again(shop: Shop) -> None:
    shop.ran("p", MARCH.start_ms, 1)
    shop.ledger.left = 0
    with pytest.raises(KeyboardInterrupt):
        shop.books.close(MARCH, FACTS, MARCH.end_ms)
    assert shop.store.posted("2026-03") is None
    shop.ledger.left = 1 << 30
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    assert shop.store.posted("2026-03") == shop.ledger.root()


@pytest.mark.parametrize(
    ("period", "now_ms", "why"),
    [
        (APRIL, APRIL.end_ms - 1, "can be closed after that"),
        (Period("march", MARCH.start_ms + 1, MARCH.end_ms), APRIL.end_ms, "overlaps 2026-03"),
        (Period("2026-03", APRIL.start_ms, APRIL.end_ms), APRIL.end_ms, "closed with other days"),
    ],
)
def test_a_period_that_cannot_be_closed_says_why(shop: Shop, period: Period, now_ms: int, why: str) -> None:
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    root = shop.ledger.root()
    with pytest.raises(SuanliError, match=why):
        shop.books.close(period, FACTS, now_ms)
    assert shop.ledger.root() == root
    assert [c.period.name for c in shop.books.closings()] == ["2026-03"]


def test_a_period_that_is_open_has_no_statements(shop: Shop) -> None:
    with pytest.raises(SuanliError, match="is not closed"):
        shop.books.dossier("2026-03")


def roads() -> Tariff:
    """One item for all links of a carrier, with an odd price, so that one line more is one rounding more."""
    items = [{"name": "moved", "unit": "TransferGiB", "price": "0.000003"}]
    return Tariff.model_validate(a_tariff("roads", provider="Roads", items=items, customerClasses=[]))


def sends(shop: Shop, job: str, at_ms: int, **sizes: int) -> None:
    """An attempt that has sent its inputs over links."""
    legs = tuple(Leg(Direction.IN, link, "Roads", size) for link, size in sizes.items())
    agreed = replace(an_agreement(f"u-{job}"), job=job, made_ms=at_ms, legs=legs)
    shop.usage.agree([agreed])
    shop.usage.record([PodUsage(job, f"u-{job}", 1, "east", "x", at_ms, at_ms + 1, 0, 0, 0)])


def moved(shop: Shop, period: str) -> list[tuple[str, str, int, int]]:
    lines = [line for line in shop.books.lines(period) if line.item == "moved"]
    return [(line.link, line.adjusts, line.quantity, line.net_micro_yuan) for line in lines]


def test_what_goes_over_two_links_is_a_line_for_each_from_bill_to_evidence(shop: Shop, tmp_path: Path) -> None:
    facts = replace(FACTS, tariffs=(*FACTS.tariffs, roads()))
    sends(shop, "p", MARCH.start_ms, north=1 << 30, south=2 << 30)
    shop.books.close(MARCH, facts, MARCH.end_ms)
    assert moved(shop, "2026-03") == [("north", "", 1 << 30, 3), ("south", "", 2 << 30, 6)]
    dossier = shop.books.dossier("2026-03")
    assert found_by_the_audit(dossier, tmp_path / "whole") == []
    (carrier,) = (bill for bill in dossier.bills if bill.party.name == "Roads")
    assert [line.line.link for line in carrier.lines if line.line] == ["north", "south"]
    assert all(">south<" in html(carrier, language) for language in Language)
    assert found_by_the_audit(of_party(dossier, carrier.party), tmp_path / "carrier") == []


def test_a_month_that_was_closed_before_lines_had_links_is_corrected_without_them(shop: Shop, tmp_path: Path) -> None:
    facts = replace(FACTS, tariffs=(*FACTS.tariffs, roads()))
    half = (1 << 29) + 1
    sends(shop, "p", MARCH.start_ms, north=half, south=half)
    shop.books.close(MARCH, replace(facts, by_link=False), MARCH.end_ms)
    assert moved(shop, "2026-03") == [("", "", 2 * half, 3)], "rounded once, not for each link"
    assert found_by_the_audit(shop.books.dossier("2026-03"), tmp_path / "march") == []
    sends(shop, "late", MARCH.start_ms, north=1 << 30)
    sends(shop, "q", APRIL.start_ms, north=1 << 30)
    shop.books.close(APRIL, facts, APRIL.end_ms)
    assert sorted(moved(shop, "2026-04")) == [("", "2026-03", 1 << 30, 3), ("north", "", 1 << 30, 3)]
    assert found_by_the_audit(shop.books.dossier("2026-04"), tmp_path / "april") == []


def test_what_was_kept_before_lines_had_links_is_read_as_it_was() -> None:
    facts = json.loads(FACTS.text())
    del facts["by_link"]
    assert read_facts(json.dumps(facts)) == replace(FACTS, by_link=False)
    key = dict.fromkeys(KEY, "")
    assert line_id(**key) == short_hash("line", *(f"{n.rstrip('_')}=" for n in KEY[:-1]), length=32)
    assert line_id(**key) != line_id(**{**key, "link": "north"})


def test_facts_are_read_as_they_were_written() -> None:
    facts = replace(FACTS, providers={"east": "East Compute"})
    assert read_facts(facts.text()) == facts


@pytest.mark.parametrize("seed", range(3))
def test_use_is_exact_with_records_doubled_reordered_and_late_clocks_off_and_the_operator_killed(
    tmp_path: Path, seed: int
) -> None:
    """M1: equal to the generator's sum, to the unit; runs of months, told mark by mark and cut off from their ends too."""
    random = Random(seed)
    pods, sums = [], Counter[str]()
    for n in range(150):
        start = MARCH.start_ms + random.randrange(30 * 24 * MS_PER_HOUR) + random.randint(-300_000, 300_000)
        cards = random.randint(1, 4)
        end = start + random.randrange(1, (40 if n % 15 else 70 * 24) * MS_PER_HOUR)
        pods.append(PodUsage(f"p{n}", f"u{n // 3}", 1, "east", "x", start, end, 2_000, 1 << 30, cards))
        sums[f"job-{n // 3}"] += cards * (end - max(start, MARCH.start_ms))
    late = random.sample(pods, 2)
    sent = [(pod.end_ms, pod) for pod in pods if pod not in late]
    for pod in pods:
        marks = range((pod.start_ms // DAY_MS + 1) * DAY_MS, pod.end_ms, DAY_MS)
        sent += [(mark_ms, replace(pod, end_ms=mark_ms)) for mark_ms in marks if random.random() < 0.9]
    sent.sort(key=lambda each: (each[0], each[1].pod_uid))
    sent += random.sample(sent, len(sent) // 10)
    for _ in range(len(sent) // 20):
        i = random.randrange(len(sent))
        j = min(len(sent) - 1, i + random.randrange(20))
        sent[i], sent[j] = sent[j], sent[i]
    shop = Shop(tmp_path)
    shop.usage.agree([replace(an_agreement(f"u{n}", tasks=3), job=f"job-{n}") for n in range(50)])
    kills = set(random.sample(range(len(sent)), 50))
    ends = {pod.pod_uid: pod.end_ms for pod in pods}
    months = [MARCH, APRIL, month("2026-05", ZONE), month("2026-06", ZONE)]
    open_months = list(months)
    for n, (at_ms, pod) in enumerate(sent):
        while at_ms >= open_months[0].end_ms + 3 * DAY_MS:
            closed = open_months.pop(0)
            shop.books.close(closed, FACTS, closed.end_ms)
        (shop.usage.record if pod.end_ms == ends[pod.pod_uid] else shop.usage.record_so_far)([pod])
        if n in kills:
            shop.books.leave()
            shop = Shop(tmp_path)
    shop.usage.record(late)
    for period in open_months:
        shop.books.close(period, FACTS, period.end_ms)
    found = Counter[str]()
    adjusted = set()
    for period in months:
        for line in shop.books.lines(period.name):
            found[line.job] += line.quantity
            adjusted |= {line.job} if line.adjusts else set()
    assert unbalanced(shop.books.dossier("2026-06").bills) == []
    assert found == sums
    assert adjusted <= {f"job-{int(pod.job_uid[1:])}" for pod in late}
    shop.books.leave()


def cards_billed(shop: Shop, period: Period, *, adjusts: str = "") -> int:
    """Milliseconds of four cards on a bill."""
    return sum(line.quantity for line in shop.books.lines(period.name) if line.adjusts == adjusts) // 4


def test_a_month_is_complete_while_its_jobs_run_on_and_their_ends_change_nothing_of_it(
    shop: Shop, tmp_path: Path
) -> None:
    start_ms, end_ms = MARCH.start_ms + 5 * DAY_MS + 7, MAY.start_ms + 3 * DAY_MS + 11
    so_far = shop.runs("p", start_ms)
    for mark_ms in range(start_ms // DAY_MS * DAY_MS + DAY_MS, APRIL.end_ms + 2 * DAY_MS, DAY_MS):
        shop.usage.record_so_far([replace(so_far, end_ms=mark_ms)])
        if mark_ms // DAY_MS == MARCH.end_ms // DAY_MS + 1:
            assert [pod.pod_uid for pod in shop.books.preview(APRIL, FACTS).running] == ["p"]
            shop.books.close(MARCH, FACTS, MARCH.end_ms)
    shop.books.close(APRIL, FACTS, APRIL.end_ms)
    assert cards_billed(shop, MARCH) == MARCH.end_ms - start_ms
    assert cards_billed(shop, APRIL) == APRIL.end_ms - APRIL.start_ms
    assert shop.books.preview(APRIL, FACTS).running == ()
    parts = {event.id: event for period in (MARCH, APRIL) for event in shop.books.dossier(period.name).events}
    shop.usage.record([replace(so_far, end_ms=end_ms)])
    shop.books.close(MAY, FACTS, MAY.end_ms)
    assert cards_billed(shop, MAY) == sum(line.quantity for line in shop.books.lines("2026-05")) // 4
    assert cards_billed(shop, MAY) == end_ms - MAY.start_ms
    parts |= {event.id: event for event in shop.books.dossier("2026-05").events}
    owner, site = (
        Owner("hub", "lab", "team-a", "p"),
        replace(FACTS, providers={"east": "East Compute"}).book().borders("east"),
    )
    whole = pod_events(replace(so_far, end_ms=end_ms), owner, facts_of(an_agreement()), site)
    assert parts == {event.id: event for event in whole}
    for n, period in enumerate(MONTHS):
        assert found_by_the_audit(shop.books.dossier(period.name), tmp_path / f"evidence-{n}") == []


def test_a_run_that_ended_before_its_last_mark_is_given_back_with_the_next_month(shop: Shop, tmp_path: Path) -> None:
    so_far = shop.runs("p", MARCH.end_ms - 3 * DAY_MS)
    shop.usage.record_so_far([replace(so_far, end_ms=MARCH.end_ms + DAY_MS)])
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    shop.usage.record([replace(so_far, end_ms=MARCH.end_ms - DAY_MS, estimated=True, note="lost")])
    shop.books.close(APRIL, FACTS, APRIL.end_ms)
    assert cards_billed(shop, APRIL, adjusts="2026-03") == -DAY_MS
    assert cards_billed(shop, MARCH) == 3 * DAY_MS
    for n, period in enumerate((MARCH, APRIL)):
        assert found_by_the_audit(shop.books.dossier(period.name), tmp_path / f"evidence-{n}") == []


def test_what_was_billed_of_an_attempt_that_is_given_up_later_is_given_back(shop: Shop, tmp_path: Path) -> None:
    so_far = shop.runs("p", MARCH.end_ms - DAY_MS)
    shop.usage.record_so_far([replace(so_far, end_ms=MARCH.end_ms + DAY_MS)])
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    shop.usage.give_up("u-p", [1])
    shop.books.close(APRIL, FACTS, APRIL.end_ms)
    assert cards_billed(shop, APRIL, adjusts="2026-03") == -DAY_MS
    assert shop.owes("consumer:lab") == 0
    for n, period in enumerate((MARCH, APRIL)):
        assert found_by_the_audit(shop.books.dossier(period.name), tmp_path / f"evidence-{n}") == []


def test_what_nobody_knows_is_told_with_its_month_and_not_guessed(shop: Shop, tmp_path: Path) -> None:
    so_far = shop.runs("p", MARCH.end_ms - 3 * DAY_MS)
    mark_ms = MARCH.end_ms - DAY_MS
    shop.usage.record_so_far([replace(so_far, end_ms=mark_ms)])
    gap = Gap("east", "u-p", 1, "p", 1, mark_ms, MARCH.end_ms + DAY_MS, "gone")
    assert [(pod.pod_uid, pod.end_ms) for pod in shop.books.preview(MARCH, FACTS).running] == [("p", mark_ms)]
    shop.usage.record_gaps([gap])
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    assert cards_billed(shop, MARCH) == 2 * DAY_MS
    dossier = shop.books.dossier("2026-03")
    assert {b.party.name: b.unknown_pods for b in dossier.bills} == {"lab": 1, "East Compute": 1, "operator": 0}
    assert "nobody knows for how long they ran" in html(dossier.bills[0], Language.ENGLISH)
    assert found_by_the_audit(dossier, tmp_path / "package") == []
    for bill in (bill for bill in dossier.bills if bill.unknown_pods):
        assert found_by_the_audit(of_party(dossier, bill.party), tmp_path / bill.party.name) == []
    hidden = [replace(bill, unknown_pods=0) for bill in dossier.bills]
    told = found_by_the_audit(replace(dossier, bills=hidden), tmp_path / "hidden")
    assert sum("unknown_pods is 0 and not 1" in text for text in told) == 2
    (known,) = dossier.gaps
    guessed = replace(known, gap=replace(gap, start_ms=mark_ms - 1))
    told = found_by_the_audit(replace(dossier, gaps=[guessed]), tmp_path / "guessed")
    assert any("nobody knows whether the pod ran" in text for text in told)
    for period, gaps in ((month("2026-02", ZONE), ()), (MARCH, (gap,)), (APRIL, (gap,)), (MAY, ())):
        assert (shop.books.preview(period, FACTS).gaps, shop.books.preview(period, FACTS).running) == (gaps, ())
    shop.runs("q", MARCH.start_ms)
    shop.usage.record_gaps([replace(gap, job_uid="u-q", pod_uid="", start_ms=MARCH.start_ms)])
    assert len(shop.books.preview(MARCH, FACTS).gaps) == 2
    assert shop.books.dossier("2026-03").gaps == [known], "what was told of a closed month stays"


def test_each_hour_goes_to_the_provider_that_the_site_had_then(shop: Shop, tmp_path: Path) -> None:
    other = Tariff.model_validate(a_tariff("west-2026", provider="West Compute"))
    facts, change_ms = replace(FACTS, tariffs=(*FACTS.tariffs, other)), MARCH.start_ms + 10 * DAY_MS + 1_234_567
    shop.books.keep_providers({"east": "East Compute", "idle": "East Compute"}, MARCH.start_ms)
    shop.ran("p", change_ms - 5 * MS_PER_HOUR, 12)
    for _ in range(2):
        shop.books.keep_providers({"east": "West Compute", "idle": "East Compute"}, change_ms)
    shop.ran(
        "q", MARCH.end_ms - MS_PER_HOUR, 2
    )  # its attempt says the first provider, as one that was sent by a stale word
    shop.books.close(MARCH, facts, MARCH.end_ms)
    shop.books.keep_providers({"east": "East Compute"}, MARCH.end_ms + DAY_MS)
    hours = Counter[str]()
    for line in shop.books.lines("2026-03"):
        assert (line.provider, line.tariff) in (("East Compute", "east-2026"), ("West Compute", "west-2026"))
        hours[f"{line.provider} {line.job}"] += line.quantity // 4 // 1_000
    assert hours == {"East Compute p": 5 * 3_600, "West Compute p": 7 * 3_600, "West Compute q": 3_600}
    assert shop.owes("consumer:lab") == 13 * 4 * CARD_HOUR * 80 // 100
    dossier = shop.books.dossier("2026-03")
    assert unbalanced(dossier.bills) == []
    assert {b.party.name for b in dossier.bills} == {"lab", "operator", "East Compute", "West Compute"}
    assert found_by_the_audit(dossier, tmp_path / "whole") == []
    assert change_ms in {event.start_ms for event in dossier.events}
    for bill in dossier.bills:
        if bill.party.name != "operator":
            assert found_by_the_audit(of_party(dossier, bill.party), tmp_path / bill.party.name) == []
    kept = [change._replace(provider="East Compute") for change in dossier.changes]
    assert found_by_the_audit(replace(dossier, changes=kept), tmp_path / "forged") != []
    # What comes too late for March goes by whose the site was in March.
    shop.ran("late", change_ms - MS_PER_HOUR, 3)
    shop.books.close(APRIL, facts, APRIL.end_ms)
    late = {line.provider: line.quantity // 4 for line in shop.books.lines("2026-04") if line.adjusts}
    assert late == {"East Compute": MS_PER_HOUR, "West Compute": 2 * MS_PER_HOUR}
    april = shop.books.dossier("2026-04")
    assert {line.provider: line.quantity // 4 for line in april.lines if not line.adjusts} == {
        "West Compute": MS_PER_HOUR
    }
    assert found_by_the_audit(april, tmp_path / "april") == []
    assert shop.store.providers() == [
        ("east", "East Compute", MARCH.start_ms),
        ("idle", "East Compute", MARCH.start_ms),
        ("east", "West Compute", change_ms),
        ("east", "East Compute", MARCH.end_ms + DAY_MS),
    ]


def test_before_anybody_kept_whose_a_site_is_its_attempts_say_it(shop: Shop, tmp_path: Path) -> None:
    other = Tariff.model_validate(a_tariff("west-2026", provider="West Compute"))
    facts, change_ms = replace(FACTS, tariffs=(*FACTS.tariffs, other)), MARCH.start_ms + 10 * DAY_MS
    shop.ran("p", change_ms - 5 * MS_PER_HOUR, 12)
    later = an_agreement("u-q", provider="West Compute", made_ms=change_ms)
    shop.usage.agree([replace(later, job="q")])
    shop.ran("q", change_ms, 1)
    shop.books.keep_providers({"east": "West Compute"}, change_ms + DAY_MS)
    shop.books.close(MARCH, facts, MARCH.end_ms)
    hours = {(line.provider, line.job): line.quantity // 4 // MS_PER_HOUR for line in shop.books.lines("2026-03")}
    assert hours == {("East Compute", "p"): 5, ("West Compute", "p"): 7, ("West Compute", "q"): 1}
    assert found_by_the_audit(shop.books.dossier("2026-03"), tmp_path / "whole") == []


def test_no_more_pods_are_billed_at_a_time_than_the_attempt_has_tasks(shop: Shop, tmp_path: Path) -> None:
    first = shop.ran("p", MARCH.start_ms + 1, 10)  # the agreement is about two tasks
    shop.usage.record([replace(first, pod_uid=f"q{n}") for n in range(5)])
    after = replace(first, pod_uid="r", start_ms=first.end_ms, end_ms=first.end_ms + MS_PER_HOUR)
    shop.usage.record([after])
    seen = shop.books.preview(MARCH, FACTS)
    assert {one.pod.pod_uid for one in seen.unbilled} == {"q1", "q2", "q3", "q4"}
    assert {one.why for one in seen.unbilled} == {
        "the attempt has 2 tasks, and as many other pods of it ran at that time"
    }
    shop.books.close(MARCH, FACTS, MARCH.end_ms)
    assert cards_billed(shop, MARCH) == 21 * MS_PER_HOUR
    assert {event.pod_uid for event in shop.books.dossier("2026-03").events} == {"p", "q0", "r"}
    assert found_by_the_audit(shop.books.dossier("2026-03"), tmp_path / "evidence") == []
