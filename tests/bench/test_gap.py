"""The benchmark of generalised assignment on instances done by hand."""

import json
from pathlib import Path

import pytest

from bench.gap import main, read

# Two agents, three items: costs, weights, capacities. The best is 1 + 2 + 2.
SMALL = "2 3  1 9 2  9 2 9  5 5 5  5 5 5  10 5"


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="ascii")
    return path


def test_an_instance_is_solved_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "small", SMALL)
    put(tmp_path, "best_known.csv", "Path,Best known solution value\nhere/small,5\n")
    assert main([str(tmp_path), "--seconds", "0.5", "--output", "json"]) == 0
    (line,) = json.loads(capsys.readouterr().out)["instances"]
    assert (line["value"], line["bound"], line["unplaced"], line["best_known"], line["above_percent"]) == (
        5,
        5,
        0,
        5,
        0,
    )


def test_an_item_that_fits_nowhere_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "full", SMALL.replace("10 5", "5 5"))
    assert main([str(tmp_path), "--seconds", "0.5"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-3] == "1"


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("2 3 1", "need 16 numbers, it has 3"),
        ("2 3 x", '"x" is not a whole number'),
        ("", "need 2 numbers, it has 0"),
        (SMALL.replace("10 5", "-1 5"), "numbers are to lie between 0 and"),
    ],
)
def test_what_is_no_instance_says_why_and_stops_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, wrong: str
) -> None:
    with pytest.raises(ValueError, match=wrong):
        read(put(tmp_path, "odd", text))
    put(tmp_path, "small", SMALL)
    assert main([str(tmp_path), "--seconds", "0.3"]) == 0
    told = capsys.readouterr()
    assert wrong in told.err
    assert "small" in told.out


def test_a_folder_without_instances_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 2
    assert main([str(tmp_path / "nowhere")]) == 2
    assert "is not a folder" in capsys.readouterr().err
