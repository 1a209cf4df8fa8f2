"""The federation that is measured on, and the administrator's hands on it."""

import asyncio
import base64
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from bench.dispatch.tail import Tail, writes
from bench.dispatch.work import CLASS, Json, Made, jobs_path, made
from demo.country import load
from demo.jobs import EXAMPLE
from harness import Federation, Site
from harness.federation import NAMESPACE
from localfed import NodeShape, Provider
from suanli.base.names import SECRET_KEY, member_namespace, site_secret
from suanli.federation.credentials import parse_kubeconfig
from suanli.kube.client import ApiClient, ApiError, Target
from suanli.kube.local import load_target

# Of the example country, in this order: the cheap west first, then the east.
SITES = (
    "zhongwei-dc1", "yrd-demo-dc1", "guian-dc1", "wuhu-dc1", "qingyang-dc1", "shaoguan-dc1", "ulanqab-dc1", "chongqing-dc1",
)  # fmt: skip
FLOOR, PROBE, QUEUE, ARRIVE = NAMESPACES = ("bench-floor", "bench-probe", "bench-queue", "bench-steps")
SPARE = 1.25  # room for so many times the jobs, all sites together: every job can be placed, and no site takes them all
LEAST_ROOM = 2000
TASKS_PER_NODE = 250
QUIET_S = 1.5
LOOK_S = 0.25
REQUEST_S = 90.0
WORK = ("computejobs", "jobs", "pods")


class Budget:
    """The time that is left for everything."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._began = time.monotonic()

    @property
    def spent_s(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def left_s(self, most: float | None = None) -> float:
        """Seconds that one thing may take. Raises: TimeoutError when nothing is left."""
        left = self.seconds - self.spent_s
        if left <= 0:
            raise TimeoutError(
                f"the run was not through after {self.seconds:.0f} s; try fewer --jobs or a quieter machine"
            )
        return left if most is None else min(left, most)


class Ground:
    """A hub with the chart, and members joined with the real command."""

    def __init__(
        self, provider: Provider, folder: Path, *, jobs: int, members: int, budget: Budget, say: Callable[[str], None]
    ) -> None:
        self.budget = budget
        self.say = say
        country = load(EXAMPLE).only(SITES[:members])
        self.sites = country.sites
        say(f"bringing up a hub and {members} members")
        shape = _shape(max(jobs, LEAST_ROOM), members)
        sites = [
            Site(name, (shape,), site.spec.model_dump(mode="json", by_alias=True, exclude_unset=True), audit=True)
            for name, site in country.sites.items()
        ]
        self.federation = Federation(provider, folder, sites)
        say("installing the chart, applying regions, policy and links, joining the members")
        self.federation.install_chart()
        files = [word for name in ("regions", "policy", "links") for word in ("-f", EXAMPLE / f"{name}.yaml")]
        self.federation.hub("apply", *files)
        for name in NAMESPACES:
            self.federation.hub("create", "namespace", name)
        for name in self.sites:
            self.federation.join(name)
        self.hub_id: str = self.federation.hub.json("get", "namespace", "kube-system")["metadata"]["uid"]
        self._admins = {name: load_target(cluster.kubeconfig) for name, cluster in self.federation.clusters.items()}

    def joined(self) -> dict[str, Target]:
        """The members as the operator reaches them: with the account and the token that joining made."""
        found = {}
        for name in self.sites:
            secret = self.federation.hub.json("get", "secret", site_secret(name), "--namespace", NAMESPACE)
            data = base64.b64decode(secret["data"][SECRET_KEY])
            found[name] = parse_kubeconfig(data, allow_loopback=True)
        return found

    def admin(self, cluster: str) -> ApiClient:
        """A connection with an administrator's rights."""
        return ApiClient(self._admins[cluster], name=cluster, timeout_s=REQUEST_S)

    def member_namespace(self, namespace: str) -> str:
        """Where the members keep what a namespace of the hub runs."""
        return member_namespace(self.hub_id, namespace)

    async def make(self, manifests: Iterable[Json]) -> list[Made]:
        """Create ComputeJobs, and have them as the hub answers."""
        async with asyncio.timeout(self.budget.left_s()), self.admin("hub") as hub:
            posts = [hub.post(jobs_path(m["metadata"]["namespace"]), m) for m in manifests]
            return [made(raw) for raw in await asyncio.gather(*posts)]

    async def get(self, job: Made) -> Json:
        """A ComputeJob as the hub has it now."""
        async with asyncio.timeout(self.budget.left_s()), self.admin("hub") as hub:
            return await hub.get(f"{jobs_path(job.namespace)}/{job.name}")

    async def states(self, namespace: str) -> list[str]:
        """The state of every ComputeJob of a namespace."""
        async with asyncio.timeout(self.budget.left_s()), self.admin("hub") as hub:
            listed = await hub.list_all(jobs_path(namespace))
        return [str(job.get("status", {}).get("state")) for job in listed["items"]]

    def clear(self, *namespaces: str) -> None:
        """Remove a namespace's ComputeJobs and all that the members hold of them. No operator may be running."""
        for namespace in namespaces:
            self.federation.hub("delete", "--raw", jobs_path(namespace))
            for name in self.sites:
                self._empty(name, self.member_namespace(namespace))
        self.quiet()

    def _empty(self, site: str, namespace: str) -> None:
        """Remove all Jobs and pods; nobody meters these pods, so their finalizers are taken off by hand."""
        member, pods = self.federation.member(site), f"/api/v1/namespaces/{namespace}/pods"
        member("delete", "--raw", f"/apis/batch/v1/namespaces/{namespace}/jobs?propagationPolicy=Background")
        while asyncio.run(self._let_go(site, pods)):
            member("delete", "--raw", f"{pods}?gracePeriodSeconds=0")

    async def _let_go(self, site: str, pods: str) -> int:
        """Take all finalizers off; how many pods there are."""
        async with asyncio.timeout(self.budget.left_s()), self.admin(site) as member:
            left = (await member.list_all(pods))["items"]
            held = [pod["metadata"]["name"] for pod in left if pod["metadata"].get("finalizers")]
            await asyncio.gather(*(_unhold(member, f"{pods}/{name}") for name in held))
        return len(left)

    def quiet(self) -> None:
        """Wait until the controllers have nothing left to do: no write to jobs or pods anywhere for a while."""
        tails = [Tail(cluster.audit_log) for cluster in self.federation.clusters.values()]
        calm_since = time.monotonic()
        while time.monotonic() - calm_since < QUIET_S:
            self.budget.left_s()
            time.sleep(LOOK_S)
            seen = [line for tail in tails for line in tail.new()]
            if any(writes(seen, WORK)):
                calm_since = time.monotonic()


async def _unhold(member: ApiClient, pod: str) -> None:
    try:
        await member.patch(pod, {"metadata": {"finalizers": None}})
    except ApiError as error:
        if error.status != 404:
            raise


def _shape(room: int, members: int) -> NodeShape:
    nodes = -(-int(room * SPARE) // (members * TASKS_PER_NODE))
    return NodeShape(
        count=nodes,
        cpu=str(TASKS_PER_NODE),
        memory=f"{4 * TASKS_PER_NODE}Gi",
        pods=TASKS_PER_NODE,
        labels={"suanli.io/pool": "general"},
        name_prefix=CLASS,
    )
