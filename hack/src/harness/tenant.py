"""A namespace on the hub with its ComputeJobs: what a user does there, and what became of it everywhere."""

import json
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import yaml

from harness.observer import Observer
from harness.pods import Amount, ran, told
from harness.shell import PATIENT_S, Kubectl, wait_for
from harness.watch import Raw
from suanli.base.names import API_VERSION, LABEL_EPOCH

QUICK_S = 0.05  # between two looks at what a watch has brought


class Tenant:
    """One user's jobs. When the block ends the namespace goes with them; that members hold no more of them takes a moment."""

    def __init__(self, hub: Kubectl, observer: Observer, namespace: str) -> None:
        self.namespace = namespace
        self._hub = hub
        self._observer = observer

    def __enter__(self) -> Self:
        self._hub("create", "namespace", self.namespace)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hub("delete", "namespace", self.namespace, "--wait=false")

    # --- what a user does

    def manifest(self, name: str, run: str, *, class_: str = "cpu-x86", **spec: Any) -> Raw:
        """A ComputeJob of one small task; `run` is a line for the shell, and `spec` says what differs."""
        per_task = {"cpu": "500m", "memory": "256Mi"}
        return {
            "apiVersion": API_VERSION,
            "kind": "ComputeJob",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "origin": "shanghai",
                "resources": {"class": [class_], "perTask": per_task},
                "template": {"image": "example/work:1", "command": ["sh", "-c", run]},
                **spec,
            },
        }

    def apply(self, *manifests: Raw) -> str:
        """Apply manifests."""
        return self._hub.apply(yaml.safe_dump_all(manifests))

    def run(self, name: str, run: str, **spec: Any) -> None:
        """Apply one small job."""
        self.apply(self.manifest(name, run, **spec))

    def patch(self, name: str, spec: Raw) -> None:
        """Change a job's spec."""
        body = json.dumps({"spec": spec})
        self._hub("patch", "computejob", name, "--namespace", self.namespace, "--type", "merge", "--patch", body)

    def delete(self, name: str) -> None:
        """Delete a job."""
        self._hub("delete", "computejob", name, "--namespace", self.namespace)

    # --- what became of it

    def job(self, name: str) -> Raw:
        """The job as it was last seen, {} while it was not."""
        return self._observer.newest_job(self.namespace, name) or {}

    def uid(self, name: str) -> str:
        """The job's UID."""
        return str(self.job(name)["metadata"]["uid"])

    def state(self, name: str) -> str:
        """The one word for people."""
        return str(self.job(name).get("status", {}).get("state", ""))

    def status(self, name: str) -> Raw:
        """The job's status as it was last seen."""
        status: Raw = self.job(name).get("status", {})
        return status

    def condition(self, name: str, type_: str) -> Raw:
        """A condition as it was last seen, {} while it was not."""
        return _condition(self.job(name), type_)

    def states(self, name: str) -> list[Raw]:
        """Every state of the job that was seen."""
        return self._observer.jobs.states(self.uid(name))

    def member_jobs(self, name: str) -> list[tuple[str, Raw]]:
        """The job's member Jobs, also those that are gone, with their sites."""
        return self._observer.member_jobs(self.uid(name))

    def pods(self, name: str) -> list[tuple[str, Raw]]:
        """The job's pods, also those that are gone, with their sites."""
        return self._observer.pods(self.uid(name))

    def ran(self, name: str) -> Amount:
        """What its pods ran, as their members say."""
        return ran(pod for _, pod in self.pods(name))

    def told(self, name: str) -> Amount:
        """What its status says that it used."""
        return told(self.status(name).get("usage"))

    def events(self, name: str) -> list[Raw]:
        """The Kubernetes Events about it."""
        uid = self.uid(name)
        listed = self._hub.json("get", "events.events.k8s.io", "--namespace", self.namespace)["items"]
        return [event for event in listed if event["regarding"].get("uid") == uid]

    # --- waiting for it

    def wait(self, name: str, what: str, look: Callable[[Raw], object], *, seconds: float = PATIENT_S) -> Raw:
        """Until the job's last state satisfies `look` and what is seen of members shows it; that state.

        Raises: TimeoutError with its status.
        """

        def found() -> Raw | None:
            job = self.job(name)
            return job if job and look(job) and self._is_shown(job) else None

        try:
            return wait_for(f"{name} {what}", found, seconds=seconds, every=QUICK_S) or {}
        except TimeoutError as error:
            pods = [(site, pod["status"].get("containerStatuses")) for site, pod in self.pods(name)]
            raise TimeoutError(
                f"{error}; its status is {json.dumps(self.status(name))}, its pods {json.dumps(pods)}"
            ) from None

    def wait_state(self, name: str, *states: str, seconds: float = PATIENT_S) -> Raw:
        """Until the job is in one of these states."""
        return self.wait(name, f"to be {' or '.join(states)}", lambda job: _state(job) in states, seconds=seconds)

    def wait_reason(self, name: str, type_: str, reason: str, *, seconds: float = PATIENT_S) -> Raw:
        """Until a condition has this reason; the condition."""
        told = f"to have condition {type_} with reason {reason}"
        job = self.wait(name, told, lambda job: _condition(job, type_).get("reason") == reason, seconds=seconds)
        return _condition(job, type_)

    def wait_seen(self, name: str, type_: str, reason: str, *, seconds: float = PATIENT_S) -> Raw:
        """Until a condition was once seen with this reason; the condition as it was then."""

        def found() -> Raw:
            seen = (_condition(job, type_) for job in (self.states(name) if self.job(name) else []))
            return next((c for c in seen if c.get("reason") == reason), {})

        return wait_for(
            f"{name} to have had condition {type_} with reason {reason}", found, seconds=seconds, every=QUICK_S
        )

    def wait_pods(self, name: str, number: int, state: str, *, seconds: float = PATIENT_S) -> Sequence[Raw]:
        """Until so many of its containers were seen running or terminated; their pods."""

        def found() -> list[Raw]:
            pods = self._observer.pods(self.uid(name), seen=state) if self.job(name) else []
            return [pod for _, pod in pods] if len(pods) >= number else []

        return wait_for(f"{number} pods of {name} to be {state}", found, seconds=seconds, every=QUICK_S)

    def wait_gone(self, name: str, *, seconds: float = PATIENT_S) -> None:
        """Until no member holds anything of the job, and its pods were seen to end."""
        uid = self.uid(name)

        def gone() -> bool:
            return not self._observer.left(uid) and self._observer.has_ended(uid)

        wait_for(f"the members to hold nothing of {name}", gone, seconds=seconds)

    def _is_shown(self, job: Raw) -> bool:
        """Whether the members' watches have told all that the job's status tells of members: each watch is as late as it is."""
        uid, status = job["metadata"]["uid"], job.get("status", {})
        usage, pods = status.get("usage", {}), self._observer.pods(uid)
        if ran(pod for _, pod in pods).run_ms < told(usage).run_ms or len(pods) < usage.get("pods", 0):
            return False
        if _state(job) not in ("Running", "Succeeded"):
            return True
        epoch = str(status["assignment"]["epoch"])
        seen = (*self._observer.member_jobs(uid), *self._observer.pods(uid, seen="running"))
        return {"Job", "Pod"} == {
            thing["kind"] for _, thing in seen if thing["metadata"]["labels"][LABEL_EPOCH] == epoch
        }


def _state(job: Raw) -> str:
    return str(job.get("status", {}).get("state", ""))


def _condition(job: Raw, type_: str) -> Raw:
    return next((c for c in job.get("status", {}).get("conditions", []) if c["type"] == type_), {})
