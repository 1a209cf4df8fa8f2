"""All that a federation's API servers said of jobs, sites and what the members hold, since it began to look."""

from collections.abc import Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from harness.federation import Federation
from harness.shell import wait_for
from harness.watch import Raw, Watch
from suanli.base.names import API_VERSION, LABEL_JOB_UID, LABEL_MANAGED, MANAGER

OURS = f"{LABEL_MANAGED}={MANAGER}"


class Observer:
    """Watches of the hub's jobs and sites and of the members' Jobs and pods that are labelled as ours."""

    def __init__(self, federation: Federation) -> None:
        self.jobs = Watch(federation.hub, f"/apis/{API_VERSION}/computejobs")
        self.sites = Watch(federation.hub, f"/apis/{API_VERSION}/computesites")
        self._members = members = {name: federation.member(name) for name in federation.sites}
        self._member_jobs = {name: Watch(member, "/apis/batch/v1/jobs", OURS) for name, member in members.items()}
        self._pods = {name: Watch(member, "/api/v1/pods", OURS) for name, member in members.items()}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        for watch in (self.jobs, self.sites, *self._member_jobs.values(), *self._pods.values()):
            self._stack.enter_context(watch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def newest_job(self, namespace: str, name: str) -> Raw | None:
        """The ComputeJob of that name, also when it is gone; of several that had the name, the last."""
        named = [job for job in self.jobs.objects() if _is(job, namespace, name)]
        return max(named, key=lambda job: int(job["metadata"]["resourceVersion"]), default=None)

    def site(self, name: str) -> Raw:
        """The ComputeSite of that name, {} while there is none."""
        named = (site for uid, site in list(self.sites.last.items()) if uid not in self.sites.gone)
        return next((site for site in named if site["metadata"]["name"] == name), {})

    def site_condition(self, name: str, type_: str = "Ready") -> Raw:
        """A condition of a ComputeSite as it was last seen, {} while it was not."""
        conditions = self.site(name).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == type_), {})

    def wait_site(self, name: str, reason: str) -> str:
        """Until a site's condition Ready has this reason; what it says."""

        def found() -> Raw:
            condition = self.site_condition(name)
            return condition if condition.get("reason") == reason else {}

        try:
            return str(wait_for(f"site {name} to be {reason}", found)["message"])
        except TimeoutError as error:
            raise TimeoutError(f"{error}; it says {self.site_condition(name)}") from None

    def member_jobs(self, uid: str) -> list[tuple[str, Raw]]:
        """Every member Job of a ComputeJob that was seen, with its site."""
        return list(_of(self._member_jobs, uid))

    def pods(self, uid: str, *, seen: str = "") -> list[tuple[str, Raw]]:
        """Every pod of a ComputeJob with its site; with `seen`, those whose container was once seen in that state."""
        return [
            (site, pod)
            for site, pod in _of(self._pods, uid)
            if not seen or any(seen in _state(was) for was in self._pods[site].states(pod["metadata"]["uid"]))
        ]

    def has_ended(self, uid: str) -> bool:
        """Whether every pod of a ComputeJob that was seen is gone or has ended, as far as the watches tell."""
        return all(
            pod["metadata"]["uid"] in self._pods[site].gone or "terminated" in _state(pod)
            for site, pod in _of(self._pods, uid)
        )

    def left(self, *uids: str) -> list[str]:
        """What the members hold of these ComputeJobs now."""
        selector = f"{LABEL_JOB_UID} in ({','.join(uids)})"
        found = []
        for site, member in self._members.items():
            things = member("get", "jobs,pods", "--all-namespaces", "--selector", selector, "--output", "name")
            found += [f"{site}: {thing}" for thing in things.split()]
        return found


def _of(watches: dict[str, Watch], uid: str) -> Iterator[tuple[str, Raw]]:
    for site, watch in watches.items():
        for thing in watch.objects():
            if thing["metadata"].get("labels", {}).get(LABEL_JOB_UID) == uid:
                yield site, thing


def _is(job: Raw, namespace: str, name: str) -> bool:
    return (job["metadata"]["namespace"], job["metadata"]["name"]) == (namespace, name)


def _state(pod: Raw) -> Raw:
    """The state of a pod's container, {} while it has none."""
    containers = pod.get("status", {}).get("containerStatuses", [])
    state: Raw = containers[0]["state"] if containers else {}
    return state
