"""The benchmark of generalised assignment on instances done by hand."""

import json
from pathlib import Path

import numpy as np
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


def test_kinds_are_drawn_from_a_seed_and_what_is_there_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path, "c0312", "of somebody else")
    for folder in (tmp_path, tmp_path / "again"):
        folder.mkdir(exist_ok=True)
        assert main([str(folder), "--seed", "7", "--draw", *(f"{t}3x12" for t in "abcde"), "c03x12"]) == 0
    assert "c0312 is there and stays" in capsys.readouterr().out
    assert (tmp_path / "c0312").read_text(encoding="ascii") == "of somebody else"
    for type_ in "abcde":
        market = read(tmp_path / "again" / f"{type_}0312")
        assert market.cost_rp.shape == (12, 3)
        assert (
            type_ == "c"
            or (tmp_path / f"{type_}0312").read_bytes() == (tmp_path / "again" / f"{type_}0312").read_bytes()
        )


def test_room_is_what_the_types_say(tmp_path: Path) -> None:
    main([str(tmp_path), "--draw", "a4x40", "b4x40", "c4x40", "d4x40", "e4x40"])
    share = {}
    for type_ in "abcde":
        market = read(tmp_path / f"{type_}0440")
        share[type_] = market.capacity_pk[:, 0].sum() / (market.demand_rpk[:, :, 0].sum() / 4)
        against = np.corrcoef(market.cost_rp.ravel(), market.demand_rpk[:, :, 0].ravel())[0, 1]
        assert (against < -0.3) == (type_ in "de")
    assert share["a"] > share["b"]
    assert all(0.75 < share[type_] <= 0.8 for type_ in "cde")


def test_all_kinds_that_are_compared_are_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--draw"]) == 0
    assert len(list(tmp_path.iterdir())) == 12
    with pytest.raises(SystemExit):
        main([str(tmp_path), "--draw", "f10x20"])
    assert '"f10x20" is no kind; write a type from a to e' in capsys.readouterr().err
