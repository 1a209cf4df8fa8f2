"""One run of a federation whose objects are edited at random and set back, and what came of it."""

import asyncio
import logging
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import virtualtime
from apistore import Json
from edits import Edit, Editors, declared, draw, is_taken
from evidence import timeline, violations
from faultrun import REST_S, SITES, Outcome, at_rest, evidence_of
from simulation import Simulation
from suanli.base.conditions import readable
from suanli.base.untrusted import mapping
from suanli.placement.solve import place

FOUND_S = 25.0  # a comparison, and all figures computed once more
QUIET_S = 25.0
SETTINGS = {"retry_backoff_s": 0, "kpi_s": 5, "probe_s": 4, "unreachable_after_s": 12}
# Of a status, what time or finished work changes even when all else is the same.
PASSING = ("kpis", "lastHeardFrom", "fence", "spent")


def outcome(seed: int) -> Outcome:
    """Run the edits of a seed, in virtual time; what the operator or the run itself raises is a violation too."""
    edits = draw(seed)
    plan = {"seed": seed, "edits": [edit.label for edit in edits]}
    said = _Said()
    try:
        with tempfile.TemporaryDirectory() as folder:
            return virtualtime.run(_whole(seed, plan, Path(folder), edits, said))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told with its seed
        return Outcome(seed, [f"defect: {''.join(traceback.format_exception(error)[-2:])}"], plan)
    finally:
        said.close()


class _Said(logging.Handler):
    """What the operator's loops said of errors that nobody expected."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[str] = []
        self._logger = logging.getLogger("suanli")
        self._before = (self._logger.propagate, self._logger.level)
        self._logger.propagate = False
        self._logger.setLevel(logging.ERROR)
        self._logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        why = "".join(traceback.format_exception(record.exc_info[1])[-3:]) if record.exc_info else ""
        self.records.append(f"{record.getMessage()} {why}")

    def close(self) -> None:
        self._logger.removeHandler(self)
        self._logger.propagate, _ = self._before
        self._logger.setLevel(self._before[1])
        super().close()


async def _whole(seed: int, plan: dict[str, Any], folder: Path, edits: list[Edit], said: _Said) -> Outcome:
    sim, loop = Simulation(folder, SITES, **SETTINGS), asyncio.get_running_loop()
    sim.place_all = place
    for raw in declared():
        if raw["kind"] != "ComputeJob":
            sim.put(raw)
    process = sim.start("operator-0", elect=True)
    await asyncio.sleep(FOUND_S)
    before = _found(sim)
    for raw in declared():
        sim.put(raw)
    editors = Editors(sim, edits)
    await editors.act()
    calm_s = loop.time()
    await _until_settled(sim)
    settled_s = loop.time()
    await asyncio.sleep(FOUND_S)
    quiet_s = loop.time()
    for raw in declared():
        sim.put(raw)  # once more: nothing is to be written for it
    await asyncio.sleep(QUIET_S)
    ended = [task for task in process.tasks if task.done()]
    await sim.end()
    evidence = evidence_of(sim, calm_s, settled_s, quiet_s)
    found = (
        violations(evidence, keeps_links=False)
        + _crashes(said, len(ended))
        + _not_as_declared(sim)
        + _changed(before, _found(sim))
    )
    requests = [r for server in (sim.hub, *evidence.members.values()) for r in server.requests]
    met: Counter[str] = Counter()
    met.update(edit.field.label for edit in editors.done)
    return Outcome(
        seed=seed,
        violations=found,
        plan=plan,
        settled_s=round(settled_s - calm_s, 1),
        stood_s=round(max([one.lasts_s for one in evidence.standing], default=0.0), 1),
        met=dict(met),
        jobs=len(evidence.jobs),
        containers=len(evidence.containers),
        writes=sum(r.verb != "GET" for r in requests),
        timeline=[
            line for uid in evidence.jobs if any(uid in text for text in found) for line in timeline(evidence, uid)
        ],
    )


async def _until_settled(sim: Simulation) -> None:
    end_s = asyncio.get_running_loop().time() + REST_S
    while asyncio.get_running_loop().time() < end_s:
        if at_rest(sim):
            return
        await asyncio.sleep(1.0)


def _crashes(said: _Said, ended: int) -> list[str]:
    return [f"crash: {text}" for text in said.records] + ["crash: a loop of the operator ended"] * ended


def _not_as_declared(sim: Simulation) -> list[str]:
    """What is on the hub is what is declared."""
    found = []
    for raw in declared():
        name, kind = raw["metadata"]["name"], raw["kind"]
        if sim.of_kind(kind)[name].get("spec") != raw["spec"] or not is_taken(sim.of_kind(kind)[name]):
            found.append(f"declared: {kind} {name} is not as it is declared")
    return found


def _found(sim: Simulation) -> dict[str, Json]:
    """By object of the map, what its status says, but for what passes."""
    found = {}
    for raw in declared():
        if raw["kind"] == "ComputeJob":
            continue
        name, kind = raw["metadata"]["name"], raw["kind"]
        status = dict(mapping(sim.of_kind(kind)[name].get("status")))
        stated = [
            {k: c.get(k) for k in ("type", "status", "reason", "message")}
            for c in readable(status.pop("conditions", []))
        ]
        left = {key: value for key, value in status.items() if key not in PASSING}
        found[f"{kind} {name}"] = {**left, "conditions": sorted(stated, key=lambda c: str(c["type"]))}
    return found


def _changed(before: dict[str, Json], after: dict[str, Json]) -> list[str]:
    """The same declaration has the same status: nothing of an edit stays."""
    return [
        f"status: {name} said {key} {str(before[name].get(key))[:400]} and says {str(told.get(key))[:400]}, though it is declared as before"
        for name, told in after.items()
        for key in sorted({*told, *before[name]})
        if told.get(key) != before[name].get(key)
    ]
