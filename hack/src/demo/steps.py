"""The demo's stages on real control planes, one after the other."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from queue import SimpleQueue

from demo import cases, figures, jobs, money, slices, trace
from demo.board import Board
from demo.cases import Case, End
from demo.country import POLICY, Country, Rooms
from demo.pods import PodRun, pod_run
from demo.report import Seen, settled, state_of
from demo.screen import Screen
from harness import Amount, Federation, OperatorProcess, Site, wait_for
from harness.watch import Raw, Watch
from localfed import Provider
from suanli.api.policy import Kpi
from suanli.base.names import API_VERSION, LABEL_MANAGED, MANAGER
from suanli.ledgerstore.usage import UsageStore

NAMESPACE = "demo"
DELETED_AFTER_S = 3.0
POLL_S = 0.5
PATIENCE_S = 150.0  # after the last job came
SETTINGS = {
    "SUANLI_KPI_S": "2",
    "SUANLI_BILL_S": "5",
}  # nobody waits a minute for the figures of a demo, or its voucher
FIGURES_S = 20.0  # the longest that they are waited for
OURS = f"{LABEL_MANAGED}={MANAGER}"
JOBS = f"/apis/{API_VERSION}/computejobs"
Say = Callable[[str], None]


@dataclass
class Stages:
    """How long each stage took."""

    say: Say
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str, what: str) -> Iterator[None]:
        """Time a stage."""
        self.say(what)
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began


def bring_up(provider: Provider, folder: Path, country: Country, rooms: Rooms) -> Federation:
    """A hub, and a member for each site of the country."""
    sites = [
        Site(
            name,
            slices.shapes(country, name, rooms),
            site.spec.model_dump(mode="json", by_alias=True, exclude_unset=True),
        )
        for name, site in country.sites.items()
    ]
    return Federation(provider, folder, sites)


def install(federation: Federation, example: Path) -> None:
    """The chart by Helm, then the country by kubectl; its sites come when they join."""
    federation.install_chart()
    files = [word for name in ("regions", "policy", "links", "tariffs") for word in ("-f", example / f"{name}.yaml")]
    federation.hub("apply", *files)
    federation.hub("create", "namespace", NAMESPACE)
    for thing in (money.ACCOUNT, money.PROGRAM, money.VOUCHER):
        federation.hub.apply(json.dumps(thing))


def join(federation: Federation, operator: OperatorProcess, say: Say) -> None:
    """Every member with the real command, then the operator."""
    for name in federation.sites:
        federation.join(name)
        say(f"  {name} has joined")
    operator.start()
    operator.wait_leading()
    federation.wait_ready()


def plan(country: Country, rooms: Rooms, example: Path, *, count: int, seed: int, over_s: float) -> list[Case]:
    """The jobs of the trace and those with a purpose, in the order in which they come."""
    with (example / "trace" / "pai-sample.csv").open(encoding="utf-8") as file:
        rows = trace.rotate(trace.read(file), seed)
    drawn = list(islice(jobs.draw(rows, country, rooms, seed), count))
    moments = trace.arrivals_s([row for row, _ in drawn], over_s)
    found = [Case(job, at, End.SUCCEEDS) for (_, job), at in zip(drawn, moments, strict=True)]
    found += cases.special(country, rooms, over_s)
    for case in found:
        case.job["metadata"]["namespace"] = NAMESPACE
    return sorted(found, key=lambda case: case.at_s)


class Run:
    """The jobs' way from `kubectl apply` to their end, and all that was seen of it."""

    def __init__(self, federation: Federation, operator: OperatorProcess, plan: Sequence[Case]) -> None:
        self._federation = federation
        self._operator = operator
        self._plan = plan
        self._events: SimpleQueue[tuple[str, Raw]] = SimpleQueue()
        self._jobs = Watch(federation.hub, JOBS, on_event=lambda kind, job: self._events.put((kind, job)))
        self._pods = {name: Watch(federation.member(name), "/api/v1/pods", OURS) for name in federation.sites}
        self._latest: dict[str, Raw] = {}
        self._gone: set[str] = set()
        self._asked = ThreadPoolExecutor(1)
        self._stories: dict[str, Future[str]] = {}

    def until_settled(self, board: Board, screen: Screen) -> None:
        """Apply each job when it is due, explain and delete the one that is to be deleted, and wait for the end of all."""
        with ExitStack() as stack:
            stack.enter_context(self._asked)
            for watch in (self._jobs, *self._pods.values()):
                stack.enter_context(watch)
            began = time.monotonic()
            waiting = list(self._plan)
            end = waiting[-1].at_s + PATIENCE_S
            running_since: dict[str, float] = {}
            while (now := time.monotonic() - began) < end and not self._all_settled(waiting):
                due = [case for case in waiting if case.at_s <= now]
                waiting = waiting[len(due) :]
                if due:
                    self._federation.hub.apply(jobs.text([case.job for case in due]))
                self._take_events(board, screen, began)
                self._delete_what_is_to_be(running_since, time.monotonic() - began)
                screen.refresh(time.monotonic() - began)
                if not self._operator.running:
                    raise RuntimeError(f"the operator ended with {self._operator.exit_code}")
                time.sleep(POLL_S)
            wait_for("the deleted job's pods to go", lambda: not self._left(), seconds=30)

    def seen(self) -> Seen:
        """Everything, looked at once more now that all is quiet."""
        listed = self._federation.hub.json("get", "computejobs", "--namespace", NAMESPACE)["items"]
        final = {job["metadata"]["name"]: job for job in listed}
        runs = {
            pod["metadata"]["uid"]: pod_run(pod, name) for name, watch in self._pods.items() for pod in watch.objects()
        }
        for name in self._pods:
            runs |= {pod["metadata"]["uid"]: pod_run(pod, name) for pod in self._pods_of(name)}
        gone = {name: job for name, job in self._latest.items() if name not in final}
        return Seen(
            jobs=gone | final,
            gone=frozenset(gone),
            runs=list(runs.values()),
            ledger={job["metadata"]["uid"]: self._ledger(job["metadata"]["uid"]) for job in gone.values()},
            left=self._left(),
            stories={name: story.result() for name, story in self._stories.items()} | self._waiting_story(final),
        )

    def figures(self, counted: Mapping[str, str]) -> list[Kpi]:
        """The policy's figures of the hub when they say what was counted; what they say at last if they never do."""
        end = time.monotonic() + FIGURES_S
        while True:
            status = self._federation.hub.json("get", "hubpolicy", POLICY).get("status", {})
            kpis = [Kpi.model_validate(kpi) for kpi in status.get("kpis", [])]
            if not figures.differing(kpis, counted) or time.monotonic() > end:
                return kpis
            time.sleep(POLL_S)

    def _explain(self, name: str) -> str:
        return self._federation.asked("explain", f"{NAMESPACE}/{name}")

    def _waiting_story(self, final: Mapping[str, Raw]) -> dict[str, str]:
        """Of the first that cannot run anywhere."""
        name = next(case.name for case in self._plan if case.end is End.WAITS)
        return {name: self._explain(name)} if name in final else {}

    def _all_settled(self, waiting: Sequence[Case]) -> bool:
        return not waiting and all(
            settled(case, self._latest.get(case.name), gone=case.name in self._gone) for case in self._plan
        )

    def _take_events(self, board: Board, screen: Screen, began: float) -> None:
        while not self._events.empty():
            kind, job = self._events.get()
            name = job["metadata"]["name"]
            self._latest[name] = job
            if kind == "DELETED":
                self._gone.add(name)
            row = board.see(job, gone=kind == "DELETED")
            if row is not None:
                screen.changed(row, time.monotonic() - began)

    def _delete_what_is_to_be(self, running_since: dict[str, float], now: float) -> None:
        for case in self._plan:
            job = self._latest.get(case.name)
            if case.end is not End.DELETED or job is None or case.name in self._gone or state_of(job) != "Running":
                continue
            since = running_since.setdefault(case.name, now)
            if case.name not in self._stories:
                self._stories[case.name] = self._asked.submit(self._explain, case.name)
            if since <= now - DELETED_AFTER_S and self._stories[case.name].done():
                running_since[case.name] = float("inf")  # once
                self._federation.hub("delete", "computejob", case.name, "--namespace", NAMESPACE, "--wait=false")

    def _left(self) -> list[str]:
        return [f"{name}/{r.name}" for name in self._pods for r in self._runs_of(name) if not r.over]

    def _runs_of(self, name: str) -> list[PodRun]:
        return [pod_run(pod, name) for pod in self._pods_of(name)]

    def _pods_of(self, name: str) -> list[Raw]:
        listed: list[Raw] = self._federation.member(name).json("get", "pods", "--all-namespaces", "--selector", OURS)[
            "items"
        ]
        return listed

    def _ledger(self, uid: str) -> Amount:
        store = UsageStore(data_of(self._operator) / "usage.sqlite3")
        try:
            return sum(
                (Amount(u.run_ms, u.cpu_milli_ms, u.memory_byte_ms, u.card_ms) for u in store.of_job(uid)), Amount()
            )
        finally:
            store.close()


def data_of(operator: OperatorProcess) -> Path:
    """The folder of its ledgers."""
    return operator.folder / "data"


def how_to_look(federation: Federation, operator: OperatorProcess, pid: int) -> str:
    """What to type while everything stays up."""
    kubectl = federation.hub.binary
    members = "\n".join(
        f"  {kubectl} --kubeconfig {federation.clusters[name].kubeconfig} get pods -A" for name in federation.sites
    )
    return f"""Everything stays up. In another terminal:
  export KUBECONFIG={federation.clusters["hub"].kubeconfig}
  alias kubectl={kubectl}
  kubectl get csite,cjob -A -o wide
  kubectl -n {NAMESPACE} describe cjob too-far
  kubectl explain computejob.spec
{members}
  tail -f {operator.log}
Press Ctrl-C here, or run `kill {pid}`, to end it; nothing is left then."""
