"""Log lines: one thing, one line, for programs and for people, whatever stands in it."""

import json
import logging
import sys
from collections.abc import Iterator

import pytest

from suanli.telemetry import logs
from suanli.telemetry.logs import JsonLines, TextLines


def a_record(message: str = "placed", *, raised: BaseException | None = None, **extra: object) -> logging.LogRecord:
    trace = (type(raised), raised, None) if raised else None
    record = logging.LogRecord("suanli.x", logging.INFO, "file.py", 1, message, (), trace)
    record.created = 1_772_352_000.25
    for name, value in extra.items():
        setattr(record, name, value)
    return record


@pytest.fixture
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = before, level
    logging.getLogger("kopf").setLevel(logging.NOTSET)
    logging.getLogger("aiohttp.access").setLevel(logging.NOTSET)


def test_a_json_line_holds_what_was_said_and_what_goes_with_it() -> None:
    line = json.loads(JsonLines().format(a_record(job="team-a/train", site="上海", usage={"pods": 1})))
    assert line == {
        "time": "2026-03-01T08:00:00.250+00:00",
        "level": "INFO",
        "logger": "suanli.x",
        "message": "placed",
        "job": "team-a/train",
        "site": "上海",
        "usage": {"pods": 1},
    }


def test_a_trace_stands_beside_an_error_and_not_in_its_place() -> None:
    line = json.loads(JsonLines().format(a_record(raised=ValueError("no"), error="409 Conflict")))
    assert line["error"] == "409 Conflict"
    assert "ValueError: no" in line["trace"]


def test_what_json_does_not_know_is_shown_as_text() -> None:
    line = JsonLines().format(a_record(thing={1, 2}, path=sys))
    assert json.loads(line)["thing"] == "{1, 2}"
    assert "\n" not in line


@pytest.mark.parametrize("hostile", ["a\nb", "a\r\nERROR forged", "a\x1b[2Jb", "a\u2028b", "a\x00b"])
def test_nobodys_words_make_a_line_of_their_own(hostile: str) -> None:
    for formatter in (JsonLines(), TextLines()):
        line = formatter.format(a_record(hostile, why=hostile))
        assert line.isprintable() or isinstance(formatter, JsonLines)
        assert "\n" not in line
        assert "\x1b" not in line


def test_a_text_line_for_people() -> None:
    assert TextLines().format(a_record(port=8080)) == "08:00:00 INFO    placed port=8080"
    assert "\nValueError: no" in TextLines().format(a_record(raised=ValueError("no")))


@pytest.mark.usefixtures("_restored")
@pytest.mark.parametrize("style", ["json", "text"])
def test_all_lines_go_to_standard_error_in_one_form(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("WARNING", style)
    logging.getLogger("kopf.activities").info("noise")
    logging.getLogger("suanli.any").info("not so severe")
    logging.getLogger("suanli.any").warning("severe", extra={"site": "east"})
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert "severe" in line
    assert "east" in line
    assert line.startswith("{") == (style == "json")
