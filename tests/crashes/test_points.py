"""What writes are called, and who is killed at which."""

import json
import signal
import subprocess
import sys

import pytest

from crashes.points import Moment, Point, Trap, drawn, named

UID = "6b1f0a52-0c1e-4d3a-9e57-5f0d2c8b7a11"
JOBS = "/apis/batch/v1/namespaces/suanli-t-crashes-1-ab12cd/jobs"
PODS = "/api/v1/namespaces/suanli-t-crashes-1-ab12cd/pods"
STATUS = "/apis/suanli.io/v1alpha1/namespaces/crashes-1/computejobs/gang/status"


def body(name: str) -> bytes:
    return json.dumps({"metadata": {"name": name}}).encode()


def of_gang(uid: str) -> str:
    return "gang" if uid == UID else uid


@pytest.mark.parametrize(
    ("method", "path", "sent", "name"),
    [
        ("PATCH", STATUS, b"{}", "PATCH computejobs/gang/status"),
        ("POST", JOBS, body(f"j-{UID}-2"), "POST jobs/j-gang-2"),
        ("DELETE", f"{JOBS}/j-{UID}-1", b"{}", "DELETE jobs/j-gang-1"),
        ("PATCH", f"{PODS}/j-{UID}-1-0-x7k2p", b"[]", "PATCH pods/j-gang-1-0"),
        ("POST", "/api/v1/namespaces", body("suanli-t-crashes-1-ab12cd"), "POST namespaces/tenant"),
        ("PATCH", "/api/v1/namespaces/suanli-t-crashes-1-ab12cd", b"[]", "PATCH namespaces/tenant"),
        ("PATCH", "/apis/suanli.io/v1alpha1/computesites/east/status", b"{}", "PATCH computesites/east/status"),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/suanli-system/leases/suanli-operator", b"{}", ""),
        ("POST", "/apis/events.k8s.io/v1/namespaces/crashes-1/events", body("gang.1"), ""),
        ("GET", STATUS, b"", ""),
    ],
)
def test_a_write_is_called_the_same_in_every_run(method: str, path: str, sent: bytes, name: str) -> None:
    assert named("east", method, path, sent, of_gang) == (f"east {name}" if name else "")


def test_all_points_are_drawn_in_the_seeds_order() -> None:
    writes = ["hub PATCH a #1", "hub PATCH a #2", "east POST b #1"]
    points = drawn({"work": writes, "lost": writes[:1]}, 3)
    assert {(p.moment, p.write) for p in points if p.routine == "work"} == {(m, w) for m in Moment for w in writes}
    assert {(p.moment, p.write) for p in points if p.routine == "lost"} == {(m, writes[0]) for m in Moment}
    assert points == drawn({"work": reversed([*writes, writes[0]]), "lost": writes[:1]}, 3)
    assert points != drawn({"work": writes, "lost": writes[:1]}, 4)
    assert drawn({"work": writes, "lost": writes[:1]}, 3, 2) == points[:2]
    assert Point.of(str(points[0])) == points[0]
    with pytest.raises(ValueError, match="during"):
        Point.of("work during hub PATCH a #1")


def test_a_trap_that_rests_kills_nobody() -> None:
    trap = Trap(of_gang)
    trap.set(Point("work", Moment.BEFORE, "hub PATCH computejobs/gang/status #1"), lambda: 0)
    trap.rest()
    assert trap.comes("hub", "PATCH", STATUS, b"{}").kill is None


def test_the_operator_is_killed_at_that_write_and_at_no_other() -> None:
    trap = Trap(of_gang)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        trap.set(Point("work", Moment.AFTER, "hub PATCH computejobs/gang/status #2"), lambda: process.pid)
        first = trap.comes("hub", "PATCH", STATUS, b"{}")
        trap.answered(first, 200)
        refused = trap.comes("hub", "PATCH", STATUS, b"{}")
        assert (first.kill, refused.kill, trap.sprung_s) == (None, Moment.AFTER, None)
        trap.answered(refused, 409)
        trap.spring()
        assert process.wait(120) == -signal.SIGKILL
    third = trap.comes("hub", "PATCH", STATUS, b"{}")
    trap.answered(third, 201)
    assert third.kill is None
    assert trap.sprung_s is not None
    assert trap.writes == ["hub PATCH computejobs/gang/status #1", "hub PATCH computejobs/gang/status #3"]
