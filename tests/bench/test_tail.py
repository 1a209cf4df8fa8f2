import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.dispatch.tail import Tail, Write, moment_us, said, writes

Build = Callable[..., dict[str, Any]]


def test_tail_begins_at_the_end_and_waits_for_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old\n")
    tail = Tail(path)
    assert list(tail.new()) == []
    with path.open("a") as file:
        file.write("one\ntwo\nthr")
        file.flush()
        assert list(tail.new()) == [b"one", b"two"]
        file.write("ee\n")
        file.flush()
    assert list(tail.new()) == [b"three"]
    assert list(tail.new()) == []


def test_tail_of_a_file_that_comes_later_begins_at_its_start(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "log")
    assert list(tail.new()) == []
    (tmp_path / "log").write_text("first\n")
    assert list(tail.new()) == [b"first"]


def test_a_write_is_known_by_the_moment_it_was_answered(an_event: Build) -> None:
    event = an_event("patch", subresource="status", at="2026-01-01T00:00:01.234567Z", code=409, user="someone")
    (found,) = writes([lines(event)], ["computejobs"])
    at_us = moment_us("2026-01-01T00:00:00Z") + 1_234_567
    assert found == Write(at_us, "someone", "patch", "computejobs/status", "bench-queue", "work-00000", 409)


def test_writes_to_other_resources_are_left_out(an_event: Build) -> None:
    events = [an_event(resource=resource) for resource in ("jobs", "computejobs", "leases", "pods")]
    assert [w.resource for w in writes(map(lines, events), ["jobs", "pods"])] == ["jobs", "pods"]


def test_moments_are_exact_to_the_microsecond() -> None:
    assert moment_us("1970-01-01T00:00:00.000001Z") == 1
    assert moment_us("2026-01-01T08:00:00.000+08:00") == moment_us("2026-01-01T00:00:00Z")


def test_what_the_operator_said_skips_traces() -> None:
    log = [b'{"time": "1970-01-01T00:00:00.002+00:00", "message": "leading", "jobs": 3}', b"Traceback:", b"  in f"]
    assert [(s.at_us, s.message) for s in said(log)] == [(2000, "leading")]


def lines(event: dict[str, Any]) -> bytes:
    """An event as the audit log holds it."""
    return json.dumps(event, separators=(",", ":")).encode()
