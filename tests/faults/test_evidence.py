"""Every oracle says so when what it looks for is there."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import virtualtime
from apistore import Change, Json
from builders import a_job, an_object
from evidence import ORACLES, Evidence, violations
from memoryhub import MemoryServer, Request
from people import DATA, put_road
from simulation import Simulation
from suanli.base.names import LABEL_EPOCH, LABEL_HUB, LABEL_JOB_UID, member_namespace

JOB = "/apis/suanli.io/v1alpha1/namespaces/team-a/computejobs/train"


Carried = dict[tuple[str, int, str], int]


def found(
    folder: Path,
    spoil: Callable[[Simulation], object],
    most_settling_s: float = 60.0,
    spoil_carried: Callable[[Carried], Carried] = lambda carried: carried,
) -> set[str]:
    """The oracles that speak after one job ran to its end and the histories were spoiled."""

    async def whole() -> set[str]:
        sim = Simulation(folder)
        sim.start("operator-0", elect=True)
        put_road(sim)
        sim.put(a_job(template={"image": "busybox", "command": ["sleep", "3"]}, data=DATA))
        await sim.until(lambda: sim.state("train")[0] == "Succeeded" and not sim.member_objects())
        settled_s = asyncio.get_running_loop().time()
        await asyncio.sleep(30)
        spoil(sim)
        await sim.end()
        members = {name: cluster.server for name, cluster in sim.clusters.items()}
        times = 0.0, 0.0, settled_s, settled_s + 20
        evidence = Evidence(
            sim.hub, members, *times, sim.ledger(), 10.0, most_settling_s, carried=spoil_carried(sim.carried())
        )
        return {text.partition(":")[0] for text in violations(evidence)}

    return virtualtime.run(whole())


def _as_other(raw: Json | None) -> Json | None:
    if raw is None:
        return None
    metadata = raw["metadata"]
    other: Json = {"uid": f"other-{metadata['uid']}", "labels": {**metadata["labels"], LABEL_EPOCH: "2"}}
    return {**raw, "metadata": {**metadata, **other, "ownerReferences": [{"uid": "other"}]}}


def run_again(sim: Simulation, later_s: float = 0.0) -> None:
    """The same pods once more at the other site, as another epoch."""
    east, west = sim.clusters["east"].server, sim.clusters["west"].server
    for moment, change in zip(east.moments_s, east.store.history, strict=True):
        if change.resource == "pods":
            pair = (_as_other(change.before), _as_other(change.after))
            west.store.history.append(Change(change.version, change.api, "pods", *pair))
            west.moments_s.append(moment + later_s)


def run_again_though_not_given_up(sim: Simulation) -> None:
    """Two copies may run only from when on the hub has given up the older."""
    run_again(sim)
    sim.edit("train", failover="AtLeastOnce")


def put_a_stranger(sim: Simulation) -> None:
    """A Job on a member that the hub never spoke of."""
    namespace, server = member_namespace("hub", "team-a"), sim.clusters["west"].server
    server.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    labels = {LABEL_HUB: "hub", LABEL_JOB_UID: sim.job("train")["metadata"]["uid"], LABEL_EPOCH: "7"}
    metadata = {"name": "stranger", "namespace": namespace, "labels": labels}
    server.put({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"completions": 0}})


def forget(server: MemoryServer, unwanted: Callable[[Change], Any]) -> None:
    """Take changes out of a history."""
    kept = [(m, c) for m, c in zip(server.moments_s, server.store.history, strict=True) if not unwanted(c)]
    server.moments_s[:] = [m for m, _ in kept]
    server.store.history[:] = [c for _, c in kept]


def is_ended(change: Change) -> bool:
    """Whether a pod's change tells of its end."""
    return change.resource == "pods" and "terminated" in str((change.after or {}).get("status"))


def is_finished(change: Change) -> bool:
    """Whether a ComputeJob's change tells of its end."""
    status = (change.after or {}).get("status") or {}
    return change.resource == "computejobs" and bool(status.get("finishedAt"))


def bound(sim: Simulation, name: str, begins_s: float = -100.0, parent: str = "", **quota: int) -> None:
    """As if an account had had that quota of cores from that moment on."""
    spec = {"namespaces": ["team-a"] if name == "bank" else [], "quotas": [{"class": "cpu", **quota}]}
    raw = an_object("ComputeAccount", name, {**spec, **({"parent": parent} if parent else {})})
    sim.hub.store.history.insert(0, Change(0, raw["apiVersion"], "computeaccounts", None, raw))
    sim.hub.moments_s.insert(0, begins_s)


def bound_the_parent(sim: Simulation) -> None:
    """Its own quota is enough, its parent's is not."""
    bound(sim, "trust", nominal=0)
    bound(sim, "bank", parent="trust", nominal=1)


def try_again(sim: Simulation, times: int) -> None:
    """As if the hub had put the job on record anew so often."""
    for number in range(times):
        sim.edit_status("train", {"assignment": {"site": "west", "epoch": 2 + number}})
    sim.edit_status("train", {"assignment": {"site": "east", "epoch": 1}})


def write(sim: Simulation, who: str, sent_s: float) -> None:
    sim.hub.requests.append(Request("PATCH", JOB, {}, range(0), who, sent_s, sent_s))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda sim: None, set()),
        (lambda sim: try_again(sim, 1), set()),
        (lambda sim: try_again(sim, 2), {"turned_in_circles"}),
        (run_again, {"copies_at_once", "doubled", "miscounted", "miscarried"}),
        (lambda sim: run_again(sim, 100.0), {"doubled", "miscounted", "miscarried"}),
        (put_a_stranger, {"made_without_a_word", "orphans"}),
        (lambda sim: sim.edit_status("train", {"assignment": {"site": "west"}}), {"epochs_twice"}),
        (lambda sim: sim.edit_status("train", {"conditions": None}), {"lost"}),
        (lambda sim: sim.edit_status("train", {"usage": {"pods": 9}}), {"miscounted"}),
        (lambda sim: sim.edit_status("train", {"lost": [{"epoch": 1, "site": "east"}]}), {"miscounted"}),
        (run_again_though_not_given_up, {"copies_at_once", "miscounted", "miscarried"}),
        (lambda sim: forget(sim.clusters["east"].server, is_ended), {"let_go_early", "lost", "miscounted"}),
        (lambda sim: forget(sim.hub, is_finished), {"lost", "miscounted", "stood_still", "stopped_without_cause"}),
        (lambda sim: bound(sim, "bank", nominal=0), {"quota_exceeded"}),
        (lambda sim: bound(sim, "bank", nominal=1), set()),
        (lambda sim: bound(sim, "bank", parent="trust", nominal=0, borrowingLimit=1), {"quota_exceeded"}),
        (bound_the_parent, {"quota_exceeded"}),
        (lambda sim: bound(sim, "bank", 0.0, nominal=0), set()),
        (lambda sim: write(sim, "operator-0", asyncio.get_running_loop().time()), {"wrote_when_idle"}),
        (lambda sim: write(sim, "operator-9", 1.0), {"wrote_without_lease"}),
    ],
)
def test_each_oracle_speaks_of_what_it_looks_for(
    tmp_path: Path, spoil: Callable[[Simulation], object], told: set[str]
) -> None:
    assert found(tmp_path, spoil) == told


@pytest.mark.parametrize(
    "spoil",
    [
        lambda carried: {},
        lambda carried: {key: size for key, size in carried.items() if key[2] == "in"},
        lambda carried: {key: size + 1 for key, size in carried.items()},
        lambda carried: {**carried, **{(job, 2, way): size for (job, _, way), size in carried.items()}},
    ],
    ids=["nothing", "no-outputs", "more", "an-attempt-that-never-was"],
)
def test_what_went_over_links_and_is_not_on_record_or_was_not_is_told(
    tmp_path: Path, spoil: Callable[[Carried], Carried]
) -> None:
    assert found(tmp_path, lambda sim: None, spoil_carried=spoil) == {"miscarried"}


def test_settling_late_is_told(tmp_path: Path) -> None:
    assert found(tmp_path, lambda sim: None, most_settling_s=1.0) == {"settled_late"}


def test_all_oracles_are_asked() -> None:
    assert len({oracle.__name__ for oracle in ORACLES}) == len(ORACLES) == 16
