"""The money commands on a folder of an operator: what was used, what it costs, closing a month, and evidence that another program checks."""

import csv
import io
import json
import re
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from pyarrow import parquet
from typer.testing import CliRunner, Result

from audit.__main__ import audit
from builders import a_region, a_site, a_tariff, an_agreement, an_object
from months import a_program
from shop import Shop
from suanli.base.units import MS_PER_HOUR
from suanli.billing.focusrules import COSTS, violations
from suanli.billing.period import month
from suanli.billing.usage import Gap, PodUsage
from suanli.billing.vouchers import Claim
from suanli.cli import app
from suanli.cli.market import Stores
from suanli.cli.parquet import QUANTITIES
from suanli.ledgerstore.usage import UsageStore

MARCH = month("2026-03", "Asia/Shanghai")
AFTER = "2026-04-01T00:00:00Z"
CLASS = "nvidia-a100-80g"
OBJECTS = [
    a_tariff(
        items=[
            {"name": "a100", "unit": "CardHour", "class": CLASS, "price": "5.50"},
            {"name": "memory", "unit": "MemoryGiBHour", "price": "0.01"},
        ]
    ),
    an_object("ComputeAccount", "lab", {"namespaces": ["team-a"], "customerClass": "university"}),
    a_region("shanghai", province="Shanghai"),
    a_site(
        "east",
        operator="East Compute",
        resources=[
            {
                "class": CLASS,
                "type": "Intelligent",
                "resourceName": "nvidia.com/gpu",
                "unit": "Card",
                "declaredUnits": 8,
                "labels": {"chip-family": "ampere"},
            }
        ],
    ),
]
Suanli = Callable[..., Result]


@pytest.fixture
def suanli(tmp_path: Path) -> Suanli:
    """Runs a command on a folder in which a pod of four cards ran for ten hours of March."""
    (tmp_path / "data").mkdir()
    with UsageStore(tmp_path / "data" / "usage.sqlite3") as store:
        store.agree([replace(an_agreement("u"), job="train"), replace(an_agreement("late"), job="late")])
        start = MARCH.start_ms
        store.record([PodUsage("p", "u", 1, "east", "x", start, start + 10 * MS_PER_HOUR, 2_000, 1 << 30, 4)])
    (tmp_path / "market.yaml").write_text(yaml.safe_dump_all(OBJECTS))

    def run(command: str, *arguments: str, code: int = 0) -> Result:
        files = ["-f", str(tmp_path / "market.yaml")] if command not in ("statement", "account", "award") else []
        usual = ["--data", str(tmp_path / "data"), "--period", "2026-03", "--now", AFTER]
        if command in ("account", "award"):
            asked = [command, arguments[0], "--data", str(tmp_path / "data"), *arguments[1:]]
        else:
            asked = [command, *files, *usual, *arguments]  # of an option that is given twice the last counts
        result = CliRunner().invoke(app, asked)
        assert result.exit_code == code, result.output
        return result

    return run


def test_usage_says_what_an_account_used(suanli: Suanli) -> None:
    rows = [line.split() for line in suanli("usage").stdout.splitlines()]
    assert ["lab", "card-time", "nvidia-a100-80g", "FP16", "40.0000", "card-hours"] in rows
    told = json.loads(suanli("usage", "lab", "-o", "json").stdout)
    amounts = {use["kind"]: use["amount"] for use in told["usage"]}
    assert amounts["card-time"] == str(40 * MS_PER_HOUR)
    assert amounts["energy"] == str(40 * 400 * 1_180)
    assert json.loads(suanli("usage", "nobody", "-o", "json").stdout)["usage"] == []


def test_usage_says_what_is_not_in_it_and_why(suanli: Suanli, tmp_path: Path) -> None:
    with UsageStore(tmp_path / "data" / "usage.sqlite3") as store:
        pods = store.of_job("u")
        more = [replace(pods[0], pod_uid=f"q{n}") for n in range(4)]  # the attempt has two tasks
        store.record(more)
        mark_ms = MARCH.start_ms + 48 * MS_PER_HOUR
        so_far = [replace(pods[0], pod_uid=pod, job_uid="late", end_ms=mark_ms) for pod in ("r", "s")]
        store.record_so_far(so_far)
        store.record_gaps([Gap("east", "late", 1, "r", 1, mark_ms, mark_ms + 60_000, "its disks are gone")])
    text = suanli("usage").stdout
    assert "Not in it:" in text
    rows = [line.split(maxsplit=6) for line in text.splitlines()]
    span = ["2026-02-28T16:00:00Z", "2026-03-01T02:00:00Z"]
    why = "not billed: the attempt has 2 tasks, and as many other pods of it ran at that time"
    assert ["east", "u", "1", "3", *span, why] in rows
    gap = ["2026-03-02T16:00:00Z", "2026-03-02T16:01:00Z"]
    assert ["east", "late", "1", "1", *gap, "gap: its disks are gone"] in rows
    assert "1 pods have not told their end" in text
    assert "the oldest of 2026-03-02T16:00:00Z at east" in text
    assert "Not in it" not in suanli("usage", "lab").stdout
    told = json.loads(suanli("usage", "-o", "json").stdout)
    assert [(one["pod"], one["pods"], one["from"], one["until"]) for one in told["gaps"]] == [("r", 1, *gap)]
    assert [(one["pod"], one["countedUntil"]) for one in told["running"]] == [("s", gap[0])]
    assert {(one["pod"], one["from"], one["until"]) for one in told["unbilled"]} == {
        (f"q{n}", *span) for n in (1, 2, 3)
    }
    suanli("settle")


def test_a_bill_of_an_open_month_says_so_and_closing_changes_nothing_of_it(suanli: Suanli) -> None:
    open_ = json.loads(suanli("bill", "lab", "-o", "json").stdout)
    text = suanli("bill").stdout
    assert "2026-03 is open: it is not billed yet" in text
    assert "2 lines, 176.08 CNY" in text
    suanli("settle")
    closed = json.loads(suanli("bill", "-o", "json").stdout)
    assert (closed["state"], closed["lines"]) == ("closed", open_["lines"])


def test_settling_twice_posts_once_and_the_statements_add_up_to_nothing(suanli: Suanli) -> None:
    first = suanli("settle").stdout
    assert suanli("settle").stdout == first
    assert "All statements of the period add up to 0.00 CNY" in first
    told = json.loads(suanli("statement", "lab", "--role", "Consumer", "-o", "json").stdout)
    (one,) = told["statements"]
    assert int(one["net_micro_yuan"]) == -176_080_000
    assert "East Compute" in suanli("statement").stdout
    assert "is not closed" in suanli("statement", "--period", "2026-02", code=2).stderr


@pytest.mark.parametrize(("language", "word"), [("en", "Statement"), ("zh", "结算单")])
def test_a_statement_as_paper(suanli: Suanli, language: str, word: str) -> None:
    suanli("settle")
    one = ("lab", "--language", language)
    page = suanli("statement", *one, "-o", "html").stdout
    assert word in page
    assert "http" not in page.replace("http://www.w3.org", "")
    rows = list(csv.reader(io.StringIO(suanli("statement", *one, "-o", "csv").stdout)))
    assert len(rows) >= 3
    assert "-176.0" in suanli("statement", "-o", "table").stdout


def test_no_month_is_closed_by_what_cannot_be_read(suanli: Suanli, tmp_path: Path) -> None:
    good = (tmp_path / "market.yaml").read_text()
    (tmp_path / "market.yaml").write_text(good.replace("5.50", "five"))
    assert "five" in suanli("settle", code=2).stderr
    assert not (tmp_path / "data" / "books.sqlite3").exists()
    (tmp_path / "market.yaml").write_text(good)
    assert "lab" in suanli("settle").stdout


READING = (
    ["usage"],
    ["bill"],
    ["statement"],
    ["asset-report", "east", "--availability", "1"],
    ["account", "balance", "lab"],
)


def bytes_of(folder: Path) -> dict[str, bytes]:
    """What the files hold; SQLite's own log and index beside them hold nothing of their own when nobody writes."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".sqlite3"}


@pytest.mark.parametrize("command", READING, ids=lambda command: command[0])
def test_reading_makes_no_file_and_says_which_one_is_not_there(
    suanli: Suanli, tmp_path: Path, command: list[str]
) -> None:
    (tmp_path / "data" / "usage.sqlite3").unlink()
    said = suanli(*command, code=4).stderr
    assert re.search(r"the (usage ledger|books|ledger) .*sqlite3 cannot be used: there is no such file; name the", said)
    assert bytes_of(tmp_path / "data") == {}


@pytest.mark.parametrize("command", READING, ids=lambda command: command[0])
@pytest.mark.parametrize("file", ["usage", "books", "ledger"])
def test_reading_brings_no_file_forward_and_says_what_does(
    suanli: Suanli, tmp_path: Path, command: list[str], file: str
) -> None:
    suanli("settle")
    with closing(sqlite3.connect(tmp_path / "data" / f"{file}.sqlite3")) as db:
        db.execute("PRAGMA user_version = 0")
    before = bytes_of(tmp_path / "data")
    if command[0] == "account" and file != "ledger":
        suanli(*command)
    else:
        assert f"{file}.sqlite3 cannot be used" in suanli(*command, code=4).stderr
    assert bytes_of(tmp_path / "data") == before


@pytest.mark.parametrize("command", READING, ids=lambda command: command[0])
def test_reading_changes_nothing_also_of_a_grant_that_is_not_held_for_yet(
    suanli: Suanli, tmp_path: Path, command: list[str]
) -> None:
    suanli("settle")
    claim = Claim("v1", "lab", frozenset({"lab"}), "", "team-a/train", "", 100_000_000, 1, MARCH.start_ms)
    shop = Shop(tmp_path / "data")
    shop.ledger.left = 0
    with pytest.raises(KeyboardInterrupt):
        shop.books.grant(a_program("city"), claim)
    shop.books.leave()
    before = bytes_of(tmp_path / "data")
    suanli(*command)
    assert bytes_of(tmp_path / "data") == before


@pytest.mark.parametrize("command", ["usage", "bill"])
def test_what_can_be_read_is_shown_and_the_exit_code_tells_of_the_rest(
    suanli: Suanli, tmp_path: Path, command: str
) -> None:
    with (tmp_path / "market.yaml").open("a") as file:
        file.write("---\n" + yaml.safe_dump(a_tariff("broken", timezone="Mars/Olympus")))
    for output in ("table", "json"):
        found = suanli(command, "-o", output, code=2)
        assert "Mars/Olympus" in found.stderr
        assert "lab" in found.stdout


def test_focus_keeps_the_rules_of_focus(suanli: Suanli) -> None:
    suanli("settle")
    rows = list(csv.DictReader(io.StringIO(suanli("statement", "lab", "-o", "focus").stdout)))
    assert list(violations(list(rows[0]), rows, {"lab-2026-03": 176_080_000})) == []
    assert "name its party" in suanli("statement", "-o", "focus", code=2).stderr
    assert "is of what a consumer is billed" in suanli("statement", "East Compute", "-o", "focus", code=2).stderr


def test_focus_as_parquet_says_what_the_csv_says(suanli: Suanli, monkeypatch: pytest.MonkeyPatch) -> None:
    suanli("settle")
    rows = list(csv.DictReader(io.StringIO(suanli("statement", "lab", "-o", "focus").stdout)))
    table = parquet.read_table(io.BytesIO(suanli("statement", "lab", "-o", "focus-parquet").stdout_bytes))
    read = [{name: _as_text(value) for name, value in row.items()} for row in table.to_pylist()]
    assert list(violations(table.column_names, read, {"lab-2026-03": 176_080_000})) == []
    numbers = {*COSTS, *QUANTITIES}
    meant = [{k: _as_text(Decimal(v)) if k in numbers and v else v for k, v in row.items()} for row in rows]
    assert meant == read != []
    kinds = {name: str(table.schema.field(name).type) for name in ("BilledCost", "ChargePeriodStart", "x_Site")}
    assert kinds == {
        "BilledCost": "decimal128(38, 9)",
        "ChargePeriodStart": "timestamp[ms, tz=UTC]",
        "x_Site": "string",
    }
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'suanli[parquet]'" in suanli("statement", "lab", "-o", "focus-parquet", code=2).stderr


def _as_text(value: Decimal | datetime | str | None) -> str:
    """As CSV has it."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return value or ""


def test_a_payment_is_entered_once(suanli: Suanli) -> None:
    suanli("settle")
    pay = ("top-up", "lab", "176.08", "--id", "2026-0815", "--paid-on", "2026-04-02", "--now", "2026-04-02T12:00:00Z")
    assert "176.08 CNY entered, balance 0.00 CNY" in suanli("account", *pay).stdout
    assert "was there already, balance 0.00 CNY" in suanli("account", *pay).stdout
    assert "another payment" in suanli("account", *pay[:2], "1", *pay[3:], code=2).stderr
    assert suanli("account", "balance", "lab").stdout == "lab: 0.00 CNY\n"
    told = json.loads(suanli("statement", "lab", "-o", "json").stdout)
    assert told["statements"][0]["net_micro_yuan"] == "-176080000"


def test_a_payment_of_a_later_day_does_not_move_the_time_of_the_ledger(suanli: Suanli) -> None:
    pay = ("top-up", "lab", "5", "--id", "x", "--paid-on", "2026-04-02", "--now", "2026-04-01T15:59:59Z")
    assert "has not begun in Asia/Shanghai" in suanli("account", *pay, code=2).stderr
    assert "there is no such file" in suanli("account", "balance", "lab", code=4).stderr
    assert "5.00 CNY entered" in suanli("account", *pay[:-1], "2026-04-01T16:00:00Z").stdout


@pytest.mark.parametrize(
    ("amount", "why"), [("-5", "not above zero"), ("0", "not above zero"), ("much", "decimal number")]
)
def test_a_payment_that_is_none(suanli: Suanli, amount: str, why: str) -> None:
    assert (
        why in suanli("account", "top-up", "lab", "--id", "x", "--paid-on", "2026-04-02", "--", amount, code=2).stderr
    )


def test_a_dispute_is_ended_by_an_award(suanli: Suanli) -> None:
    suanli("settle")
    lines = json.loads(suanli("bill", "-o", "json").stdout)["lines"]
    card = next(line["id"] for line in lines if line["item"] == "a100")
    told = "lab for a100 in 2026-03: 12.50 CNY less, with the next month that is closed\n"
    for _ in range(2):
        assert suanli("award", card, "12.50", "--dispute", "d-1").stdout == told
    assert "another one its own name" in suanli("award", card, "1", "--dispute", "d-1", code=2).stderr
    suanli("settle", "--period", "2026-04", "--now", "2026-05-01T00:00:00Z")
    april = json.loads(suanli("bill", "--period", "2026-04", "-o", "json").stdout)
    assert [(line["adjusts"], line["net_micro_yuan"]) for line in april["lines"]] == [("2026-03", "-12500000")]


def test_the_report_on_a_site(suanli: Suanli) -> None:
    suanli("settle")
    asked = ("east", "--availability", "0.995")
    told = json.loads(suanli("asset-report", *asked).stdout)
    assert (told["billed_micro_yuan"], told["availability"], told["customers"]) == ("176080000", "99.50 %", 1)
    assert "<svg" in suanli("asset-report", *asked, "-o", "html", "--language", "zh").stdout
    assert "is no ComputeSite" in suanli("asset-report", "south", *asked[1:], code=2).stderr
    assert "is not from 0 to 1" in suanli("asset-report", "east", "--availability", "99.5", code=2).stderr


def test_the_evidence_is_checked_by_a_program_of_its_own(suanli: Suanli, tmp_path: Path) -> None:
    suanli("settle", "--evidence", str(tmp_path / "package"))
    findings, counts = audit(tmp_path / "package")
    assert (findings, counts["lines"], counts["usage"]) == ([], 2, 50)
    lines = tmp_path / "package" / "lines.jsonl"
    lines.write_bytes(lines.read_bytes().replace(b'"176000000"', b'"176000001"'))
    findings, _ = audit(tmp_path / "package")
    assert any(finding.file == "lines.jsonl" for finding in findings)
    assert "is not empty" in suanli("settle", "--evidence", str(tmp_path / "package"), code=2).stderr


def test_a_party_is_given_evidence_that_it_can_check_alone(suanli: Suanli, tmp_path: Path) -> None:
    suanli("settle", "--evidence", str(tmp_path / "whole"))
    whole = json.loads((tmp_path / "whole" / "manifest.json").read_text())
    pay = ("top-up", "lab", "5", "--id", "x", "--paid-on", "2026-03-30", "--now", "2026-04-02T12:00:00Z")
    suanli("account", *pay)
    for number, party in enumerate(("lab", "East Compute")):
        suanli("statement", party, "--evidence", str(tmp_path / f"own-{number}"))
        findings, counts = audit(tmp_path / f"own-{number}", whole["root_hash"], whole["tree_hash"])
        assert (findings, counts["lines"], counts["statement"]) == ([], 2, 1)
    assert "leave PARTY out" in suanli("statement", "operator", "--evidence", str(tmp_path / "no"), code=2).stderr
    # What came too late for a month that is closed is in the next one's statement.
    suanli("settle", "--period", "2026-04", "--now", "2026-05-01T00:00:00Z", "--evidence", str(tmp_path / "april"))
    april = json.loads(suanli("statement", "lab", "--period", "2026-04", "-o", "json").stdout)["statements"]
    assert [statement["paid_micro_yuan"] for statement in april] == ["5000000"]
    assert audit(tmp_path / "april")[0] == []


def test_vouchers_cut_the_bill_by_what_sites_are_and_the_audit_finds_the_same(suanli: Suanli, tmp_path: Path) -> None:
    hub = {"name": "yangtze", "side": "East", "regions": ["shanghai"]}
    policy = an_object("HubPolicy", "national", {"hubs": [hub]})
    with (tmp_path / "market.yaml").open("a") as file:
        file.write("---\n" + yaml.safe_dump(policy))
    program = a_program(
        "city", eligible={"sides": ["East"]}, terms=[{"name": "a", "chips": ["ampere"], "ratePermille": 300}]
    )
    claim = Claim("v1", "lab", frozenset({"lab"}), "", "team-a/train", "", 100_000_000, 1, MARCH.start_ms)
    with Stores(tmp_path / "data").opened() as books:
        books.grant(program, claim)
    assert suanli("settle", "--evidence", str(tmp_path / "package")).stderr == ""
    findings, counts = audit(tmp_path / "package")
    assert ([str(finding) for finding in findings], counts["redemptions"]) == ([], 1)
    (issuer,) = json.loads(suanli("statement", "city-bureau", "-o", "json").stdout)["statements"]
    assert issuer["net_micro_yuan"] == "-30000000"


@pytest.mark.parametrize(
    ("command", "arguments", "why"),
    [
        ("settle", ["--now", "2026-03-15T00:00:00Z"], "can be closed after that"),
        ("settle", ["--period", "March"], "is not a month"),
        ("bill", ["--timezone", "Mars/Olympus"], '--timezone: "Mars/Olympus" is no time zone'),
        ("bill", ["--timezone", "America/Argentina"], "is no time zone"),
        ("usage", ["--data", "/nowhere"], "is no folder"),
    ],
)
def test_what_cannot_be_done_says_why(suanli: Suanli, command: str, arguments: list[str], why: str) -> None:
    assert why in suanli(command, *arguments, code=2).stderr
