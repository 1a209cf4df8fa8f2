import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from ledgers import a_hold, a_transfer, opened
from suanli.cli import app
from suanli.ledgerstore.ledger import SqliteLedger


def suanli(*words: object) -> Result:
    return CliRunner().invoke(app, ["ledger", *map(str, words)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite3"
    with SqliteLedger(path) as ledger:
        opened(ledger, 2_500_000)
        ledger.commit([a_transfer("t1", 1_500), a_hold("h1", 7)])
    return path


def root(path: Path) -> str:
    with SqliteLedger(path) as ledger:
        return ":".join(map(str, ledger.root()))


def test_verify_says_the_root(path: Path) -> None:
    done = suanli("verify", "--ledger", path)
    assert done.exit_code == 0
    assert done.stdout == f"{path}: every hash, rule and sum fits\nroot {root(path)}\n"
    assert suanli("verify", "--ledger", path, "--expect", root(path)).exit_code == 0
    told = json.loads(suanli("verify", "--ledger", path, "-o", "json").stdout)
    assert told == {"ledger": str(path), "entries": 7, "hash": root(path).split(":")[1]}


def test_verify_names_what_was_changed(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE standing SET debits = '7' WHERE account = 'cash:bank'")
    done = suanli("verify", "--ledger", path)
    assert done.exit_code == 1
    assert 'account "cash:bank" stands as' in done.stderr


def test_verify_finds_entries_that_were_cut_off(path: Path) -> None:
    done = suanli("verify", "--ledger", path, "--expect", f"8:{'0' * 64}")
    assert done.exit_code == 1
    assert "cut off" in done.stderr
    done = suanli("verify", "--ledger", path, "--expect", "8:x")
    assert done.exit_code == 2
    assert '--expect: "8:x" is not' in done.stderr


def test_the_ledger_is_the_one_that_the_operator_is_set_to(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUANLI_DATA_DIR", str(path.parent / "elsewhere"))
    monkeypatch.setenv("SUANLI_LEDGER", str(path))
    assert suanli("verify").stdout == f"{path}: every hash, rule and sum fits\nroot {root(path)}\n"
    assert "there is no such file" in suanli("verify", "--ledger", path.parent / "none").stderr


def test_the_ledger_is_the_operators_own_by_default(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUANLI_DATA_DIR", raising=False)
    monkeypatch.delenv("SUANLI_LEDGER", raising=False)
    assert suanli("verify").exit_code == 2
    monkeypatch.setenv("SUANLI_DATA_DIR", str(path.parent))
    assert suanli("verify").exit_code == 0


def test_a_ledger_that_is_not_there(tmp_path: Path) -> None:
    for words in (("verify",), ("balances",), ("backup", tmp_path / "copy")):
        done = suanli(*words, "--ledger", tmp_path / "none")
        assert done.exit_code == 4
        assert "there is no such file" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_backup_and_restore(path: Path, tmp_path: Path) -> None:
    copy, again = tmp_path / "copy", tmp_path / "again"
    done = suanli("backup", copy, "--ledger", path)
    assert (done.exit_code, done.stdout) == (0, f"{copy}: copied\nroot {root(path)}\n")
    assert suanli("backup", copy, "--ledger", path).exit_code == 4
    done = suanli("restore", copy, "--ledger", again)
    assert (done.exit_code, done.stdout) == (0, f"{again}: restored\nroot {root(path)}\n")
    done = suanli("restore", copy, "--ledger", again)
    assert done.exit_code == 4
    assert "it has 7 entries" in done.stderr


def test_balances(path: Path) -> None:
    done = suanli("balances", "--ledger", path)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "ACCOUNT             BALANCE  HELD DEBITS  HELD CREDITS      LEAST      MOST",
        "cash:bank         -2.500000     0.000000      0.000000",
        "consumer:physics   2.498500     0.000007      0.000000   0.000000",
        "consumer:数学        0.000000     0.000000      0.000000  -0.000500",
        "provider:east      0.001500     0.000000      0.000007             0.010000",
    ]
    told = json.loads(suanli("balances", "consumer:p", "--ledger", path, "-o", "json").stdout)
    assert told == {
        "accounts": [
            {
                "account": "consumer:physics",
                "balance": "2498500",
                "debits": "1500",
                "credits": "2500000",
                "heldDebits": "7",
                "heldCredits": "0",
                "least": "0",
                "most": None,
            }
        ]
    }
