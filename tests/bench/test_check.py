"""The command that re-checks random instances."""

import json

import pytest

from bench import check
from census import KINDS, Census, an_instance, census


def test_it_counts_and_replays_by_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["--instances", "12", "--seed", "7", "--processes", "1", "--output", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["instances"], told["seed"], told["violations"]) == (12, 7, 0)
    assert set(told["met"]) == set(KINDS)
    assert told["jobs"] == sum(len(an_instance(number).jobs) for number in range(7, 19))


def test_text_names_what_is_wrong_with_its_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(numbers: range) -> Census:
        found = census(numbers)
        found.wrong[numbers[0]] = ["job-1: is at site-0, which falls to PolicyForbids"]
        return found

    monkeypatch.setattr(check, "census", broken)
    assert check.main(["--instances", "3", "--processes", "1"]) == 1
    assert "seed 1: job-1: is at site-0, which falls to PolicyForbids" in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["--instances", "0"], ["--instances", "many"], ["--output", "yaml"]])
def test_wrong_arguments_are_refused(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        check.main(argv)
    assert exit_.value.code == 2
