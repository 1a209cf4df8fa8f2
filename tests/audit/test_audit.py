"""The audit of random months: 0 micro-yuan difference, and every changed byte and every changed figure is found and named."""

import hashlib
import json
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.__main__ import audit, main
from audit.package import MANIFEST, canonical
from months import packed, random_month
from suanli.api.statement import Role
from suanli.billing.own import of_party
from suanli.billing.statements import Party

Record = dict[str, Any]
FILES = (
    "period.json", "usage.jsonl", "tariffs.json", "customers.json", "programmes.json", "vouchers.jsonl", "redemptions.jsonl",
    "reimbursed.jsonl", "subsidised.jsonl", "billed.jsonl", "lines.jsonl", "ledger.jsonl", "statement.json", MANIFEST,
)  # fmt: skip
OWN = Party(Role.CONSUMER, "startup")
PARTIES = ("Consumer", "Provider", "Network")
RICH = 36  # a seed with vouchers, redemptions, what was paid back and taken back, awards and packages


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed(random_month(RICH), tmp_path_factory.mktemp("package"))


@pytest.fixture
def copied(package: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(package, tmp_path / "copy"))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1 << 32))
def test_a_month_is_recomputed_without_a_difference(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    month = random_month(seed, jobs=5)
    findings, counts = audit(packed(month, tmp_path_factory.mktemp("month")), month.root[1])
    assert [str(finding) for finding in findings] == []
    assert counts["lines"] == len(month.lines) > 0
    assert counts["ledger"] == month.root[0] > counts["lines"]
    for bill in month.bills:
        if bill.party.role not in PARTIES:
            continue
        folder = packed(of_party(month, bill.party), tmp_path_factory.mktemp("party"))
        findings, counts = audit(folder, month.root[1], month.tree_hash)
        assert [str(finding) for finding in findings] == [], bill.party
        assert counts["statement"] == 1
        assert counts["ledger"] < month.root[0]


def test_the_sample_has_everything_that_is_audited(package: Path) -> None:
    assert sorted(path.name for path in package.iterdir()) == sorted(
        [*FILES, "corrected.jsonl", "gaps.jsonl", "proof.jsonl"]
    )
    assert all((package / name).stat().st_size for name in FILES)
    period = json.loads((package / "period.json").read_text())
    assert period["awards"]
    lines = [json.loads(line) for line in (package / "lines.jsonl").read_text().splitlines()]
    assert any(line["adjusts"] for line in lines)
    assert any(not line["job"] for line in lines), "no fee of a package"
    assert any(int(line["net_micro_yuan"]) < 0 for line in lines)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_byte_is_found_and_its_place_named(copied: Path, name: str) -> None:
    dice, path = Random(name), copied / name
    whole = path.read_bytes()
    places = {0, len(whole) - 1, *(dice.randrange(len(whole)) for _ in range(12))}
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1 << dice.randrange(8)
        path.write_bytes(bytes(changed))
        findings, _ = audit(copied)
        assert name in {finding.file for finding in findings}, place
        if name == MANIFEST:
            continue
        assert {finding.file for finding in findings} == {name}
        block = place // 4_096 * 4_096
        line = whole.count(b"\n", 0, block) + 1
        assert any(f.place.startswith(f"bytes {block} to ") and f"lines {line} to" in f.place for f in findings)


@pytest.mark.parametrize("name", FILES)
def test_a_cut_missing_or_added_file_is_named(copied: Path, name: str) -> None:
    whole = (copied / name).read_bytes()
    (copied / name).write_bytes(whole[: len(whole) // 2])
    assert name in {finding.file for finding in audit(copied)[0]}
    (copied / name).unlink()
    assert name in {finding.file for finding in audit(copied)[0]}
    (copied / name).write_bytes(whole)
    assert audit(copied)[0] == []
    (copied / "more.txt").write_text("x")
    assert [finding.file for finding in audit(copied)[0]] == ["more.txt"]


def sealed_anew(folder: Path, name: str, change: Callable[[list[Record]], object]) -> list[str]:
    """The findings after somebody changed a record and sealed the package again."""
    path = folder / name
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    change(records)
    path.write_text("".join(canonical(record) + "\n" for record in records), encoding="utf-8")
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    data = path.read_bytes()
    blocks = [hashlib.sha256(data[i : i + 4_096]).hexdigest()[:16] for i in range(0, len(data), 4_096)]
    manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "blocks": blocks}
    body = {key: value for key, value in manifest.items() if key != "seal"}
    body["seal"] = hashlib.sha256(canonical(body).encode()).hexdigest()
    (folder / MANIFEST).write_text(canonical(body) + "\n", encoding="utf-8")
    return [str(finding) for finding in audit(folder)[0]]


def more(record: Record, name: str, by: int = 1) -> None:
    record[name] = str(int(record[name]) + by) if isinstance(record[name], str) else record[name] + by


def last_charge(records: list[Record]) -> Record:
    """A line of a consumer's statement that has a charge."""
    lines = (line for s in records if s["role"] == "Consumer" for line in s["lines"])
    return next(line for line in lines if int(line["charge_micro_yuan"]))


def billed_event(records: list[Record]) -> Record:
    return next(
        r for r in reversed(records) if r["kind"] == "card-time" and r["class"] == "ascend" and int(r["amount"]) > 10**6
    )


def left_out(records: list[Record], number: int) -> None:
    del records[number]


def cut_rates(records: list[Record]) -> None:
    for record in records:
        for term in record["spec"]["terms"]:
            if "ratePermille" in term:
                term["ratePermille"] = 1


def another_side(records: list[Record]) -> None:
    for record in records:
        record["side"] = "West"


def pay_less(records: list[Record]) -> None:
    more(next(r for r in records if int(r["paid_micro_yuan"])), "paid_micro_yuan", -1)


FORGERIES: dict[str, tuple[str, Callable[[list[Record]], object], str]] = {
    "usage": ("usage.jsonl", lambda rs: more(billed_event(rs), "amount", 10**9), "lines.jsonl"),
    "a price": ("tariffs.json", lambda rs: rs[2]["spec"]["items"][0].update(price="0.01"), "lines.jsonl"),
    "a commission": ("tariffs.json", lambda rs: more(rs[2]["spec"], "commissionPermille"), "lines.jsonl"),
    "a customer's class": ("customers.json", lambda rs: rs[0].update(customer_class=""), "lines.jsonl"),
    "a line": ("lines.jsonl", lambda rs: more(rs[0], "net_micro_yuan"), "net_micro_yuan is"),
    "a line's link": ("lines.jsonl", lambda rs: next(r for r in rs if r["link"]).update(link="another"), "link is another and not"),
    "the link of use": ("usage.jsonl", lambda rs: [r.update(link="metro") for r in rs if r["link"] == "backbone"], "lines.jsonl"),
    "whether lines have links": ("period.json", lambda rs: rs[0].update(by_link=False), "follows from no usage"),
    "a line left out": ("lines.jsonl", lambda rs: left_out(rs, 0), "follows from the usage and is missing"),
    "an award": ("period.json", lambda rs: more(rs[0]["awards"][0], "amount_micro_yuan"), "lines.jsonl"),
    "what was billed": ("billed.jsonl", lambda rs: more(rs[0], "net_micro_yuan", -1), "lines.jsonl"),
    "an entry": ("ledger.jsonl", lambda rs: more(rs[-1], "amount_micro_yuan"), "the chain ends in"),
    "an entry within": ("ledger.jsonl", lambda rs: more(next(r for r in rs[9:] if "time_ms" in r), "time_ms"), "does not follow the entry before it"),
    "an entry left out": ("ledger.jsonl", lambda rs: left_out(rs, 5), "does not follow the entry before it"),
    "a grant": ("vouchers.jsonl", lambda rs: more(rs[0], "granted_micro_yuan"), "were granted"),
    "who approved a class": ("vouchers.jsonl", lambda rs: [r.update(approved_by="", applicant_class="start-up") for r in rs], "nobody approved that"),
    "who approved a payout": ("redemptions.jsonl", lambda rs: [r.update(approved_by="") for r in rs], "pays for what the tenant alone says"),
    "a programme's rate": ("programmes.json", cut_rates, "vouchers.jsonl"),
    "a redemption": ("redemptions.jsonl", lambda rs: more(rs[-1]["parts"][0], "amount_micro_yuan"), "are due"),
    "what was paid back": ("reimbursed.jsonl", lambda rs: more(rs[0]["line"], "net_micro_yuan", 50), "ledger.jsonl"),
    "the site of what was paid back": ("reimbursed.jsonl", another_side, "redemptions.jsonl"),
    "what was paid of a corrected line": ("subsidised.jsonl", lambda rs: more(rs[0], "rate_permille"), "are no rate of"),
    "what was paid of a line left out": ("subsidised.jsonl", lambda rs: rs.clear(), "paid of it, and is missing"),
    "a payment": ("redemptions.jsonl", pay_less, "were not paid yet"),
    "a statement": ("statement.json", lambda rs: more(last_charge(rs), "charge_micro_yuan"), "statement.json"),
    "a statement's sum": ("statement.json", lambda rs: more(rs[0], "net_micro_yuan"), "net_micro_yuan is"),
    "a statement left out": ("statement.json", lambda rs: left_out(rs, 0), "has no statement"),
    "a statement's root": ("statement.json", lambda rs: rs[0].update(root_hash="0" * 64), "root_hash is"),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGERIES)
def test_who_changes_a_figure_and_seals_again_is_found_out(copied: Path, what: str) -> None:
    name, change, says = FORGERIES[what]
    findings = sealed_anew(copied, name, change)
    assert any(says in finding for finding in findings), findings[:5]


# What a party that has nothing but its own package finds of it; the hub shows it the hash of the tree.
def use_more(records: list[Record]) -> None:
    for record in records:
        more(record, "amount", 10**12)


def all_cheaper(records: list[Record]) -> None:
    for item in (item for record in records for item in record["spec"]["items"]):
        item["price"] = "0.01"


OWN_FORGERIES: dict[str, tuple[str, Callable[[list[Record]], object], str]] = {
    "usage": ("usage.jsonl", use_more, "lines.jsonl"),
    "usage left out": ("usage.jsonl", lambda rs: rs.clear(), "follows from no usage"),
    "a price": ("tariffs.json", all_cheaper, "lines.jsonl"),
    "a line": ("lines.jsonl", lambda rs: more(rs[0], "net_micro_yuan"), "net_micro_yuan is"),
    "an entry": ("ledger.jsonl", lambda rs: more(rs[-1], "amount_micro_yuan"), "its entries are not in the ledger"),
    "an entry left out": ("ledger.jsonl", lambda rs: left_out(rs, 9), "too few hashes"),
    "an entry's place": ("ledger.jsonl", lambda rs: more(rs[9], "sequence"), "too few hashes"),
    "the proof": ("proof.jsonl", lambda rs: rs[0].update(hash="0" * 64), "its entries are not in the ledger"),
    "a proof that is too long": ("proof.jsonl", lambda rs: rs.append(rs[0]), "more hashes than are needed"),
    "a grant": ("vouchers.jsonl", lambda rs: more(rs[0], "granted_micro_yuan"), "were granted"),
    "a redemption": ("redemptions.jsonl", lambda rs: more(rs[-1]["parts"][0], "amount_micro_yuan"), "are due"),
    "the statement": ("statement.json", lambda rs: more(last_charge(rs), "charge_micro_yuan"), "charge is"),
    "the statement left out": ("statement.json", lambda rs: rs.clear(), "has no statement"),
}  # fmt: skip


@pytest.fixture(scope="module")
def own_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packed(of_party(random_month(RICH), OWN), tmp_path_factory.mktemp("own"))


@pytest.mark.parametrize("what", OWN_FORGERIES)
def test_a_party_alone_finds_out_who_changed_a_figure_and_sealed_again(
    own_package: Path, tmp_path: Path, what: str
) -> None:
    name, change, says = OWN_FORGERIES[what]
    findings = sealed_anew(Path(shutil.copytree(own_package, tmp_path / "own")), name, change)
    assert any(says in finding for finding in findings), findings[:5]


def test_a_party_alone_finds_every_changed_byte(own_package: Path, tmp_path: Path) -> None:
    folder, dice = Path(shutil.copytree(own_package, tmp_path / "own")), Random(1)
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        for place in (dice.randrange(len(whole)) for _ in range(4 if whole else 0)):
            changed = bytearray(whole)
            changed[place] ^= 1 << dice.randrange(8)
            path.write_bytes(bytes(changed))
            assert path.name in {finding.file for finding in audit(folder)[0]}, place
        path.write_bytes(whole)
    assert audit(folder)[0] == []


def test_a_party_is_told_of_another_ledger_by_the_tree_that_the_hub_shows(own_package: Path) -> None:
    findings, _ = audit(own_package, tree="f" * 64)
    assert ["tree_hash: is" in str(finding) for finding in findings] == [True]


def test_the_order_of_events_is_of_no_account(copied: Path) -> None:
    assert sealed_anew(copied, "usage.jsonl", lambda rs: Random(0).shuffle(rs)) == []


def test_an_event_that_comes_twice_counts_once_and_one_that_says_otherwise_is_not_billed(copied: Path) -> None:
    assert sealed_anew(copied, "usage.jsonl", lambda rs: rs.extend(rs[::7])) == []

    def contradicted(records: list[Record]) -> None:
        records.append(dict(billed_event(records)))
        more(records[-1], "amount")

    assert any("lines.jsonl" in finding for finding in sealed_anew(copied, "usage.jsonl", contradicted))


def test_a_line_or_a_statement_that_is_there_twice_is_told(copied: Path) -> None:
    assert any("is there twice" in each for each in sealed_anew(copied, "lines.jsonl", lambda rs: rs.append(rs[0])))
    doubled = sealed_anew(copied, "statement.json", lambda rs: rs.append(rs[0]))
    assert any("has two statements" in each for each in doubled)


def test_memory_is_that_of_one_accounts_events(copied: Path) -> None:
    """A month of a million events would take 3.7 GiB if all were there at a time, 4 KiB each."""
    accounts, events = 50, 200

    def busy(records: list[Record]) -> None:
        event = {**records[0], "site": "nobody's", "link": "", "kind": "energy", "adjusts": ""}
        records += [
            {**event, "account": f"a{n // events}", "id": f"{n:032}", "pod_uid": f"p{n}", "job": f"j{n}"}
            for n in range(accounts * events)
        ]

    def peak() -> int:
        tracemalloc.start()
        assert [str(finding) for finding in audit(copied)[0]] == []
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    before = peak()
    assert sealed_anew(copied, "usage.jsonl", busy) == []
    assert peak() - before < accounts * events * 150


def test_sealing_again_alone_changes_nothing(copied: Path) -> None:
    assert sealed_anew(copied, "lines.jsonl", lambda records: None) == []


def test_another_ledger_is_told_by_the_root_that_the_hub_shows(package: Path) -> None:
    findings, _ = audit(package, "f" * 64)
    assert ["the Statement says ffff" in str(finding) for finding in findings] == [True]


def test_the_command_prints_its_figure_and_answers_by_its_code(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(copied)]) == 0
    assert "0 findings, 0 micro-yuan difference" in capsys.readouterr().out
    sealed_anew(copied, "lines.jsonl", lambda records: more(records[0], "net_micro_yuan", 7))
    assert main([str(copied), "--output", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["difference_micro_yuan"] == "7"
    (copied / "lines.jsonl").write_text("[]")
    assert main([str(copied)]) == 1
    assert "lines.jsonl: bytes 0 to" in capsys.readouterr().out


def test_records_of_another_shape_are_told(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AttributeError):
        sealed_anew(copied, "tariffs.json", lambda records: records[0]["spec"].update(schedules=["none"]))
    assert main([str(copied)]) == 2
    assert "it cannot be read as an evidence package" in capsys.readouterr().err


def test_brackets_that_do_not_ascend_are_told(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def change(records: list[Record]) -> None:
        for item in (item for record in records for item in record["spec"]["items"]):
            item["brackets"] = [{"above": 1_000_000_000, "price": "1"}, {"above": 0, "price": "1"}]

    with pytest.raises(ValueError, match="do not ascend"):
        sealed_anew(copied, "tariffs.json", change)
    assert main([str(copied)]) == 2
    assert "its brackets do not ascend" in capsys.readouterr().err


@pytest.mark.parametrize("version", [3, 5])
def test_a_package_of_another_version_is_refused(
    copied: Path, version: int, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((copied / MANIFEST).read_text())
    body = {**manifest, "version": version}
    del body["seal"]
    seal = hashlib.sha256(canonical(body).encode()).hexdigest()
    (copied / MANIFEST).write_text(canonical({**body, "seal": seal}) + "\n")
    assert main([str(copied)]) == 2
    assert f"version {version} of the package is not 4; take the audit of that version" in capsys.readouterr().err


def test_what_is_no_package_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert "manifest.json: cannot be read" in capsys.readouterr().out
    body = {"version": 99, "files": {}}
    seal = hashlib.sha256(canonical(body).encode()).hexdigest()
    (tmp_path / MANIFEST).write_text(canonical(body | {"seal": seal}) + "\n")
    assert main([str(tmp_path)]) == 2
    assert "version 99" in capsys.readouterr().err
