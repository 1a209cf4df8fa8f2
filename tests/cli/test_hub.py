"""The planning commands on a hub as it is: what waits, what holds room, what its sites have; and a hub that is no help."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import planned
from apiserver import FakeApiServer
from builders import T0, a_condition
from joinable import a_hub
from planned import BAD_INPUT, DONE, HERE, NOW, REFUSED, SOME_WAIT
from serving import serving
from suanli.base.clock import parse_time_ms
from suanli.cli.hub import base_of
from suanli.reconcile.state import Mirror
from worlds import NOW_MS, Raw, raw

GIB = 1 << 30
LATER = "2026-03-03T08:00:00Z"
NEWER = "2026-03-02T08:00:00Z"
READY = a_condition("Ready", message="2 nodes are ready")


class Explained(planned.Ran):
    command = "explain"


class Tried(planned.Ran):
    command = "what-if"


class Priced(planned.Ran):
    command = "price"


def a_site(name: str, price: str = "1", units: int = 16, *, ready: bool = True, **status: Any) -> Raw:
    site = planned.a_site(name, price)
    del site["spec"]["resources"][0]["declaredUnits"]
    condition = READY if ready else a_condition("Ready", "False", "Unreachable", "it did not answer in time")
    classes = [{"class": "gpu", "capacity": units, "allocatable": units, "allocated": 0}]
    figures = {"classes": classes, "cpuMilli": 64_000, "memoryBytes": 512 * GIB, "nodes": 2}
    return {**site, "status": {"conditions": [condition], **figures, **status}}


def a_job(name: str, at: str = "", *, cards: int = 8, status: Raw | None = None, **spec: Any) -> Raw:
    job = planned.a_job(name, cards, "team", **spec)
    job["metadata"] |= {"creationTimestamp": T0 if at else NEWER, "uid": f"uid-{name}"}
    if at:
        assignment = {"site": at, "epoch": 1, "class": "gpu", "time": T0}
        status = {"assignment": assignment, "startedAt": T0, "estimate": {"cost": "8000000"}}
        status["conditions"] = [a_condition("Placed", message=f"{at}: 8.00 CNY then")]
    return {**job, "status": status} if status is not None else job


@pytest.fixture
def hub() -> Iterator[FakeApiServer]:
    server = a_hub()
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    server.put(HERE)
    with serving(server):
        yield server


def fill(hub: FakeApiServer, *objects: Raw) -> None:
    for one in objects:
        hub.put(one)


def at(hub: FakeApiServer, folder: Path) -> tuple[str | Path, ...]:
    return "--now", LATER, "--kubeconfig", hub.kubeconfig(folder)


# --- explain


def test_a_job_that_waits_on_the_hub_is_explained_with_what_is_free_there(hub: FakeApiServer, tmp_path: Path) -> None:
    fill(hub, a_site("one"), a_site("two", "3", ready=False), a_job("ran", "one"), a_job("big", cards=16))
    ran = Explained("big", *at(hub, tmp_path))
    assert (ran.code, ran.err) == (SOME_WAIT, "")
    assert ran.lines[0] == "team/big: WaitingForCapacity"
    assert "one 14 WaitingForCapacity has 8 cards of gpu free now, the job needs 16" in ran.lines
    assert "two 12 SiteNotReady it did not answer in time" in ran.lines
    assert hub.writes == []


def test_a_job_that_has_its_place_is_planned_anew_beside_it(hub: FakeApiServer, tmp_path: Path) -> None:
    fill(hub, a_site("one", units=8), a_site("two", "3"), a_job("ran", "one"))
    ran = Explained("ran", *at(hub, tmp_path))
    assert (ran.code, ran.err) == (DONE, "")
    assert ran.lines[:4] == [
        "team/ran has its place: one (gpu)",
        "one: 8.00 CNY then",
        "Planned anew now, beside the others:",
        "team/ran: one (gpu)",
    ]
    told = Explained("ran", *at(hub, tmp_path), "-o", "json").json
    assert (told["stands"], told["decided"], told["site"]) == ("one (gpu)", "one: 8.00 CNY then", "one")


def test_a_job_that_would_wait_if_it_were_planned_anew_has_its_place_all_the_same(
    hub: FakeApiServer, tmp_path: Path
) -> None:
    fill(hub, a_site("one", ready=False), a_job("ran", "one"))
    ran = Explained("ran", *at(hub, tmp_path))
    assert (ran.code, ran.err) == (DONE, "")
    assert (ran.lines[0], ran.lines[3]) == ("team/ran has its place: one (gpu)", "team/ran: SiteNotReady")


def test_a_job_that_is_over_says_how_it_ended(hub: FakeApiServer, tmp_path: Path) -> None:
    finished = a_condition("Finished", reason="Succeeded", message="all 2 tasks succeeded")
    status = {"conditions": [finished], "state": "Succeeded", "reason": "Succeeded"}
    fill(hub, a_site("one"), a_job("over", status=status))
    ran = Explained("over", *at(hub, tmp_path))
    assert (ran.code, ran.out) == (DONE, "team/over: Succeeded: all 2 tasks succeeded\n")
    told = Explained("over", *at(hub, tmp_path), "-o", "json").json
    assert told == {"namespace": "team", "name": "over", "ended": "Succeeded: all 2 tasks succeeded"}


def test_suspended_jobs_and_unknown_names(hub: FakeApiServer, tmp_path: Path) -> None:
    fill(hub, a_site("one"), a_job("halted", desiredState="Suspended"))
    ran = Explained("halted", *at(hub, tmp_path))
    assert (ran.code, ran.lines[0]) == (SOME_WAIT, "team/halted: Suspended")
    ran = Explained("haltde", *at(hub, tmp_path))
    assert (ran.code, ran.out) == (BAD_INPUT, "")
    assert "did you mean team/halted?" in ran.err


def test_what_cannot_be_read_is_left_out_with_a_warning(hub: FakeApiServer, tmp_path: Path) -> None:
    broken = a_job("broken")
    broken["spec"]["tasks"] = 0
    odd = a_site("odd")
    odd["spec"]["region"] = "No Region"
    fill(hub, a_site("one"), a_job("good"), broken, odd)
    ran = Explained("good", *at(hub, tmp_path))
    assert ran.code == DONE
    assert sorted(line.partition(": spec")[0] for line in ran.err.splitlines()) == [
        "warning: the hub: ComputeJob team/broken",
        "warning: the hub: ComputeSite odd",
    ]


# --- what-if


def written(folder: Path, **spec: Any) -> Path:
    file = folder / "change.yaml"
    file.write_text(yaml.safe_dump({"apiVersion": "suanli.io/v1alpha1", "kind": "WhatIf", "spec": spec}))
    return file


def test_jobs_of_a_lost_site_are_placed_anew_and_the_others_stay(hub: FakeApiServer, tmp_path: Path) -> None:
    fill(hub, a_site("one"), a_site("two", "3"), a_job("first", "one"), a_job("second", "two"), a_job("third"))
    change = written(tmp_path, remove=[{"kind": "ComputeSite", "name": "one"}])
    ran = Tried("-f", change, *at(hub, tmp_path), "-o", "json")
    assert (ran.code, ran.err) == (SOME_WAIT, "")
    told = ran.json
    assert told["moved"] == [
        {"from": {"site": "one", "class": "gpu"}, "to": {"site": "two", "class": "gpu"}, "jobs": 1}
    ]
    assert [w["job"] for w in told["newlyWaiting"]] == ["team/third"]
    assert told["unchanged"] == {"samePlace": 1, "stillWait": 0}
    assert told["figures"][2] == {"name": "to be paid, CNY", "before": "24.00", "after": "32.00"}
    assert hub.writes == []


def test_what_was_wrong_on_the_hub_before_is_not_the_changes_fault(hub: FakeApiServer, tmp_path: Path) -> None:
    limit = {"maxRacksOutsideHubs": 10, "enforcement": "Deny"}
    large = a_site("large")
    large["spec"]["standardRacks"] = 11
    lost = raw("ComputeLink", "lost", {"endpoints": ["here", "gone"], "oneWay": "1ms"})
    fill(hub, raw("HubPolicy", "national", {"newBuild": limit}), large, lost, a_job("first", "large"))
    ran = Tried("-f", written(tmp_path, demand=[{"factor": "2"}]), *at(hub, tmp_path), "-o", "json")
    assert (ran.code, ran.err) == (DONE, "")
    assert [(job["job"], job["site"]) for job in ran.json["new"]] == [("team/first+2", "large")]
    grown = planned.a_site("large", standardRacks=12)
    ran = Tried("-f", written(tmp_path, apply=[grown]), *at(hub, tmp_path))
    assert ran.code == BAD_INPUT
    assert "12 standard racks outside all hubs" in ran.err


def test_a_site_grows_by_what_is_declared(hub: FakeApiServer, tmp_path: Path) -> None:
    fill(hub, a_site("one"), a_job("first", "one"), a_job("second"), a_job("third"))
    bigger = planned.a_site("one", units=24)
    ran = Tried("-f", written(tmp_path, apply=[bigger]), *at(hub, tmp_path), "-o", "json")
    assert (ran.code, ran.err) == (DONE, "")
    assert [job["job"] for job in ran.json["newlyPlaced"]] == ["team/third"]
    assert ran.json["use"][0]["after"] == {"unit": "Card", "held": "24", "of": "24", "jobs": 3}
    same = planned.a_site("one", "5")
    del same["spec"]["resources"][0]["declaredUnits"]
    ran = Tried("-f", written(tmp_path, apply=[same]), *at(hub, tmp_path), "-o", "json")
    assert ran.json["use"][0]["after"]["of"] == "16"


def test_no_demand_frees_what_is_held(hub: FakeApiServer, tmp_path: Path) -> None:
    fill(hub, a_site("one"), a_job("first", "one"), a_job("second"))
    ran = Tried("-f", written(tmp_path, demand=[{"factor": "0"}]), *at(hub, tmp_path), "-o", "json")
    assert ran.code == DONE
    assert [job["job"] for job in ran.json["gone"]] == ["team/second", "team/first"]
    assert ran.json["use"][0]["after"]["held"] == "0"


# --- price


def test_held_and_waiting_jobs_make_the_price(hub: FakeApiServer, tmp_path: Path) -> None:
    jobs = [a_job(f"ran-{i}", "one") for i in range(2)]
    more = [a_job(f"new-{i}", cards=1) for i in range(20)]
    fill(hub, a_site("one"), a_site("two", "3", units=64), *jobs, *more)
    ran = Priced("--hours", "1", *at(hub, tmp_path), "-o", "json")
    assert (ran.code, ran.err) == (DONE, "")
    (hour,) = ran.json["hours"]
    assert (hour["running"], hour["waiting"]) == (22, 0)
    assert float(hour["worth"][0]["perUnit"]) == pytest.approx(2, rel=0.05)


# --- a hub that is no help


@pytest.mark.parametrize("command", [Explained, Priced])
def test_a_hub_that_refuses_or_is_not_there(hub: FakeApiServer, tmp_path: Path, command: type[planned.Ran]) -> None:
    words = ["x"] if command is Explained else []
    kubeconfig = "--kubeconfig", hub.kubeconfig(tmp_path)
    hub.refuse("GET *computejobs*", 403, "Forbidden", "\x1b[2Jnot you")
    ran = command(*words, *kubeconfig)
    assert (ran.code, ran.out) == (REFUSED, "")
    assert ran.err.startswith("error: the hub (https://127.0.0.1:")
    assert ran.err.strip().isprintable()
    config = yaml.safe_load(kubeconfig[1].read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    kubeconfig[1].write_text(yaml.safe_dump(config))
    ran = command(*words, *kubeconfig)
    assert (ran.code, ran.err.startswith("error: the hub cannot be reached: ")) == (REFUSED, True)


def test_an_empty_hub_and_one_without_our_kinds(hub: FakeApiServer, tmp_path: Path) -> None:
    ran = Priced(*at(hub, tmp_path))
    assert (ran.code, ran.err) == (DONE, "")
    hub.apis.discard("suanli.io/v1alpha1")
    assert Explained("a", *at(hub, tmp_path)).code == BAD_INPUT


@pytest.mark.parametrize(
    "status",
    [
        None,
        {"conditions": "x", "classes": 3},
        {"conditions": [READY], "classes": [{"class": "gpu", "allocatable": -5}]},
        {"conditions": [READY], "cpuMilli": "much"},
        {"conditions": [READY], "classes": [{"class": "gpu", "allocatable": 1 << 80}], "memoryBytes": 1 << 90},
    ],
)
def test_a_status_that_somebody_edited_is_no_trouble(status: Any) -> None:
    mirror = Mirror(on_job=lambda uid, changed: None, on_map=lambda kind, name, changed: None)
    site = {**a_site("one"), "status": status}
    for i, one in enumerate([HERE, site, a_job("a", "one"), a_job("b"), a_job("c", status={"assignment": 7})]):
        metadata = {"uid": f"uid-{i}", "generation": 1, "resourceVersion": str(i + 1), "creationTimestamp": NOW}
        mirror.apply(None, {**one, "metadata": {**one["metadata"], **metadata}})
    base = base_of(mirror, NOW_MS)
    assert set(base.held) == {"team/a"}
    assert set(base.waiting) == {"team/b"}
    assert "status.assignment" in base.ended["team/c"]
    assert base.held["team/a"].until_ms == parse_time_ms(T0) + 3_600_000
    assert base.question().plan().decisions["uid-3"] is not None
