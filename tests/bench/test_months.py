import json
from pathlib import Path

import pytest

from audit.package import Finding
from bench import months


def test_random_months_are_all_right(capsys: pytest.CaptureFixture[str]) -> None:
    assert months.main(["--months", "3", "--jobs", "3", "--seed", "7", "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["months"], told["changed_bytes"], told["difference_micro_yuan"], told["wrong"]) == (3, 3, 0, [])
    assert min(told[name] for name in ("events", "lines", "entries", "statements", "focus_rows")) > 0


def test_what_the_audit_finds_is_counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def wrong(_folder: Path, _root: str = "") -> tuple[list[Finding], dict[str, int]]:
        return [Finding("lines.jsonl", "line 1", "is wrong", 3)], {}

    monkeypatch.setattr(months, "audit", wrong)
    assert months.main(["--months", "1", "--jobs", "1"]) == 1
    assert "3 micro-yuan difference" in capsys.readouterr().out
