import json
from dataclasses import replace

import pytest

from bench import close
from suanli.billing import focus


def test_a_month_is_closed_stated_exported_and_proven(capsys: pytest.CaptureFixture[str]) -> None:
    assert close.main(["--events", "3000", "--audit", "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["wrong"] == []
    assert 2_500 < told["events"] < 3_500
    counted = ("lines", "entries", "statements", "focus_rows", "late_lines", "times_the_floor", "peak_mib")
    assert min(told[name] for name in counted) > 0
    names = [phase["name"] for phase in told["phases"]]
    assert (names[:3], names[-1]) == (["use is written", "rated and kept", "posted"], "audited")


def test_what_the_validator_finds_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    made = focus.rows
    monkeypatch.setattr(
        focus, "rows", lambda bill, **more: made(replace(bill, party=replace(bill.party, name="")), **more)
    )
    assert close.main(["--events", "1000"]) == 1
    assert "BillingAccountId" in capsys.readouterr().out
