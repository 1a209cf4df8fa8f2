import json

import pytest

from bench import ledger
from harness import postgres


def test_both_stores_are_measured_beside_their_floor(capsys: pytest.CaptureFixture[str]) -> None:
    if postgres.programs() is None:
        pytest.skip(postgres.REMEDY)
    assert ledger.main(["--transfers", "60", "--batch", "30", "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [line["store"] for line in told["stores"]] == ["SQLite", "PostgreSQL"]
    for line in told["stores"]:
        assert line["transfers_per_s"] > 0
        assert line["of_floor_percent"] == pytest.approx(100 * line["transfers_per_s"] / line["floor_per_s"], rel=0.05)


def test_without_postgres_it_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "programs", lambda: None)
    assert ledger.main(["--transfers", "30", "--batch", "30"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[2].startswith("SQLite ")
    assert postgres.REMEDY in out


def test_a_transfer_is_not_refused_for_the_benchmarks_own_reasons() -> None:
    batches = list(ledger._batches(7, 3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    hold, end = batches[0][1:]
    assert (end.hold, end.debit, end.credit) == (hold.id, hold.debit, hold.credit)
    assert end.amount_micro_yuan < hold.amount_micro_yuan
