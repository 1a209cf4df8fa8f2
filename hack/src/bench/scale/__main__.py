"""`./hack/bench/scale`."""

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from apiserver import FakeApiServer
from bench.scale.country import NAMESPACE, Amounts, a_hub, job, serve_members, site_objects
from commandline import number, whole
from harness.operator import OperatorProcess
from suanli.kube.client import ApiClient, Target
from suanli.main import look_for_circles_rarely

MOST_MIB, MOST_CORE_PERCENT, MOST_REGISTRATION_S = 1_024, 100.0, 2.0  # promise F8
LATER = 20  # sites that register one after the other, once the others are ready
MOST_S = 1_800.0
SETTINGS = {"SUANLI_LEASE_S": "60"}  # the simulated hub answers nothing while it makes a large list


@dataclass(frozen=True)
class Result:
    """What was measured. Units: MiB, seconds, percent of one core.

    A site registers from the moment before its Secret and its ComputeSite are put on the hub until the hub's ComputeSite says Ready, looked
    at 20 times a second; one site after the other, each with all its nodes, when the sites before it are ready. Both servers'
    time is in it: a bare client that only reads the nodes is the floor.
    """

    sites: int
    nodes: int
    jobs: int
    peak_mib: int
    settled_mib: int
    filled_cpu_s: float  # until all sites were ready and nothing was written any more
    idle_core_percent: float  # with every node's heartbeat every five minutes
    registration_p50_s: float
    registration_worst_s: float
    floor_s: float  # a bare client reads the nodes of one site, and nothing else

    @property
    def kept(self) -> bool:
        """Whether the promise is."""
        return (
            self.peak_mib <= MOST_MIB
            and self.idle_core_percent <= MOST_CORE_PERCENT
            and self.registration_worst_s <= MOST_REGISTRATION_S
        )


class NotMeasured(Exception):
    """The operator died, or never came to rest."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 0 measured, also when a goal was missed, 1 could not measure, 2 wrong arguments."""
    args = _arguments(argv)
    per_state = args.jobs // 10
    names = tuple(f"site-{n:03d}" for n in range(args.sites))
    later = max(1, min(LATER, args.sites // 5))
    amounts = Amounts(
        first_sites=names[:-later],
        later_sites=names[-later:],
        nodes_of_site=args.nodes // args.sites,
        running=5 * per_state,
        finished=args.jobs - 6 * per_state,
        waiting=per_state,
    )
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"scale {time.monotonic() - began:5.0f} s: {text}", file=sys.stderr, flush=True)

    here, there = multiprocessing.Pipe()
    members = multiprocessing.get_context("spawn").Process(target=serve_members, args=(amounts, there), daemon=True)
    members.start()
    there.close()
    try:
        result = asyncio.run(_measured(amounts, here, args.seconds, say))
    except NotMeasured as error:
        say(f"not measured: {error}")
        return 1
    finally:
        here.close()
        members.join(10)
        members.kill()
    print(json.dumps({**asdict(result), "kept": result.kept}) if args.output == "json" else _text(result))
    return 0


async def _measured(amounts: Amounts, pipe: Connection, quiet_s: float, say: Callable[[str], None]) -> Result:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="suanli-bench-")))
        hub = await a_hub(stack)
        for n in range(amounts.jobs):
            hub.put(job(amounts, n))
        look_for_circles_rarely()  # looking through all those jobs takes many seconds, in which the hub answers nobody
        say(f"the hub has {amounts.jobs} jobs")
        ways: dict[str, tuple[str, str]] = await asyncio.to_thread(pipe.recv)
        targets = {name: Target(server, ca_pem, token="t") for name, (server, ca_pem) in ways.items()}  # noqa: S106
        for name in amounts.first_sites:
            for raw in site_objects(name, targets[name]):
                hub.put(raw)
        say(f"{len(targets)} members with {amounts.nodes_of_site} nodes each are served")
        operator = stack.enter_context(
            OperatorProcess(
                kubeconfig=hub.kubeconfig(folder), namespace=NAMESPACE, folder=folder / "operator", settings=SETTINGS
            )
        )
        operator.start()
        await _rests(hub, operator, amounts.first_sites, quiet_s / 6, say)
        filled_cpu_s, took_s = _cpu_s(operator.pid), []
        floor_s = await _floor_s(targets[amounts.first_sites[0]])
        for name in amounts.later_sites:
            begun_s = time.monotonic()
            for raw in site_objects(name, targets[name]):
                hub.put(raw)
            while not _is_ready(hub, name):
                await asyncio.sleep(0.05)
                _check(operator, begun_s)
            took_s.append(time.monotonic() - begun_s)
        say(f"{len(took_s)} more sites have registered")
        await _rests(hub, operator, amounts.sites, quiet_s / 6, say)
        begun_s, cpu_s = time.monotonic(), _cpu_s(operator.pid)
        await asyncio.sleep(quiet_s)
        share = (_cpu_s(operator.pid) - cpu_s) / (time.monotonic() - begun_s)
        resident, peak = _memory_mib(operator.pid)
        took_s.sort()
        return Result(
            sites=len(amounts.sites),
            nodes=len(amounts.sites) * amounts.nodes_of_site,
            jobs=amounts.jobs,
            peak_mib=peak,
            settled_mib=resident,
            filled_cpu_s=filled_cpu_s,
            idle_core_percent=100 * share,
            registration_p50_s=took_s[len(took_s) // 2],
            registration_worst_s=took_s[-1],
            floor_s=floor_s,
        )


async def _rests(
    hub: FakeApiServer, operator: OperatorProcess, sites: Sequence[str], every_s: float, say: Callable[[str], None]
) -> None:
    """Until all sites are ready, and hardly anything is written any more. Raises: NotMeasured."""
    begun_s, before = time.monotonic(), -1
    while True:
        await asyncio.sleep(every_s)
        _check(operator, begun_s)
        writes, ready = len(hub.writes), sum(_is_ready(hub, name) for name in sites)
        resident, peak = _memory_mib(operator.pid)
        say(f"{ready} of {len(sites)} sites ready, {writes} writes to the hub, {resident} MiB, {peak} at most")
        if ready == len(sites) and writes - before < len(sites):
            return
        before = writes


def _check(operator: OperatorProcess, begun_s: float) -> None:
    """Raises: NotMeasured."""
    if not operator.running:
        raise NotMeasured(f"the operator ended: {operator.words()[-2000:]}")
    if time.monotonic() - begun_s > MOST_S:
        raise NotMeasured(f"it did not come to rest within {MOST_S:.0f} s: {operator.words()[-2000:]}")


async def _floor_s(target: Target) -> float:
    """How long a bare client takes to read a member's nodes."""
    begun_s = time.monotonic()
    async with ApiClient(target, name="floor") as client:
        async for _ in client.pages("/api/v1/nodes"):
            pass
    return time.monotonic() - begun_s


def _is_ready(hub: FakeApiServer, name: str) -> bool:
    conditions = (hub.get(f"/apis/suanli.io/v1alpha1/computesites/{name}").get("status") or {}).get("conditions") or []
    return any((c["type"], c["status"]) == ("Ready", "True") for c in conditions)


def _memory_mib(pid: int) -> tuple[int, int]:
    """What a process holds now, and held at most."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    figures = {name: line for name, _, line in (line.partition(":") for line in lines)}
    return int(figures["VmRSS"].split()[0]) // 1024, int(figures["VmHWM"].split()[0]) // 1024


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _text(result: Result) -> str:
    rows = [
        ("memory at most", f"{result.peak_mib} MiB", f"{result.peak_mib / MOST_MIB:.2f} of {MOST_MIB} MiB"),
        ("memory at rest", f"{result.settled_mib} MiB", ""),
        ("processor until at rest", f"{result.filled_cpu_s:.0f} s", ""),
        ("processor at rest", f"{result.idle_core_percent:.0f} % of a core", f"at most {MOST_CORE_PERCENT:.0f} %"),
        ("a site registers, worst", f"{result.registration_worst_s:.2f} s", f"at most {MOST_REGISTRATION_S:.0f} s"),
        (
            "a site registers, p50",
            f"{result.registration_p50_s:.2f} s",
            f"{result.registration_p50_s / result.floor_s:.1f} times a bare client that reads its nodes",
        ),
    ]
    head = f"F8: {result.sites} sites, {result.nodes} nodes, {result.jobs} jobs: {'kept' if result.kept else 'MISSED'}"
    return "\n".join([head, *(f"  {name:<24}{figure:>16}  {goal}" for name, figure, goal in rows)])


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="hack/bench/scale",
        description="What the real operator takes of memory and processor time for a whole country of simulated members.",
        epilog="Exit code: 0 measured, also when a goal was missed; 1 could not measure; 2 wrong arguments.",
    )
    parser.add_argument("--sites", type=whole(5, 1_000), default=100, help="member clusters (100)")
    parser.add_argument("--nodes", type=whole(5, 5_000_000), default=500_000, help="nodes in sum (500000)")
    parser.add_argument(
        "--jobs", type=whole(10, 1_000_000), default=100_000, help="jobs: half run, a tenth wait (100000)"
    )
    parser.add_argument(
        "--seconds", type=number(1, 3_600), default=60.0, help="for which the processor is looked at at rest (60)"
    )
    parser.add_argument("--output", choices=("table", "json"), default="table", help="table or json (table)")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
