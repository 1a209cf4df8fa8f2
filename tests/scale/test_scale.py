"""The bench of a whole country, of a small one."""

import json

import pytest

from bench.scale.__main__ import main


def test_a_small_country_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--sites", "5", "--nodes", "50", "--jobs", "20", "--seconds", "3", "--output", "json"]) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert (found["sites"], found["nodes"], found["jobs"]) == (5, 50, 20)
    assert 50 < found["settled_mib"] <= found["peak_mib"] < 1_024
    assert 0 < found["floor_s"] < found["registration_worst_s"]
    assert "1 more sites have registered" in shown.err


def test_a_country_without_sites_is_refused() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--sites", "0"])
    assert ended.value.code == 2
