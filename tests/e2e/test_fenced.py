"""A site that is cut off from the hub fences itself: the real fence, with the rights that `site join` gave it, on real servers."""

import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from crashes.points import Write
from crashes.proxy import Proxies
from harness import Federation, Kubectl, Observer, OperatorProcess, Tenant, wait_for
from harness.federation import NAMESPACE
from harness.kubeconfigs import replace_kubeconfig
from harness.operator import ROOT
from harness.watch import Raw
from suanli.base.names import ANNOTATION_FENCED, FENCE, LABEL_EPOCH, SECRET_KEY
from suanli.kube.local import load_target

SITE = "west"
LONG_S = 240  # on a machine that has much else to do
LAST_S = 5  # of the last renewal that comes through
FENCED = {"SUANLI_FENCE_LEASE_S": "60", "SUANLI_FENCE_RENEW_S": "1"}
THERE = {"allowedSites": [SITE]}


class Link:
    """What passes between hub and member is of no interest here."""

    def comes(self, cluster: str, method: str, path: str, body: bytes) -> Write:
        """Passed on."""
        return Write("")

    def answered(self, write: Write, status: int) -> None:
        """Passed on."""

    def spring(self) -> None:
        """There is nobody to be killed."""
        raise AssertionError


@pytest.fixture
def member(federation: Federation, process: OperatorProcess) -> Iterator[Kubectl]:
    """The site with a fence: joined again with one. Afterwards it has none, as the other tests know it."""
    federation.join(SITE, "--fence-image", "suanli:test")
    made = federation.member(SITE)
    yield made
    for what in ("deployment", "lease"):
        made("delete", what, FENCE, "--namespace", NAMESPACE)


@pytest.fixture
def proxies(federation: Federation, member: Kubectl) -> Iterator[Proxies]:
    """The hub reaches the site by way of a proxy that can be cut; the fence is not behind it."""
    target, secret = load_target(federation.clusters[SITE].kubeconfig), f"site-{SITE}"
    data = federation.hub.json("get", "secret", secret, "--namespace", NAMESPACE)["data"]
    direct = base64.b64decode(data[SECRET_KEY]).decode()
    with Proxies({SITE: target}, Link()) as made:
        replace_kubeconfig(federation.hub, NAMESPACE, secret, made.through(SITE, direct))
        yield made
        replace_kubeconfig(federation.hub, NAMESPACE, secret, direct)


@pytest.fixture
def leader(federation: Federation, process: OperatorProcess, settings: dict[str, str]) -> Iterator[OperatorProcess]:
    """Instead of the session's operator one that renews often; the same ledger."""
    if process.running:
        process.terminate()  # its Lease is free at once
    changed = {**settings, **FENCED, "SUANLI_DATA_DIR": str(process.ledger.parent)}
    with federation.operator("fencing", **changed) as made:
        made.start()
        made.wait_leading()
        yield made
        made.terminate()


@contextmanager
def fence(member: Kubectl, folder: Path) -> Iterator[None]:
    """`suanli fence` as the Deployment would run it, with a token of its account."""
    admin = yaml.safe_load(member.kubeconfig.read_text())
    token = member("create", "token", FENCE, "--namespace", NAMESPACE, "--duration", "1h").strip()
    config = {**admin, "users": [{"name": admin["users"][0]["name"], "user": {"token": token}}]}
    kubeconfig = folder / "fence.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    kubeconfig.chmod(0o600)
    with (folder / "fence.log").open("wb") as log:
        words = [sys.executable, "-m", "suanli", "fence", "--kubeconfig", str(kubeconfig)]
        variables = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
        process = subprocess.Popen(words, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.kill()
            process.wait()


def attempt(tenant: Tenant, name: str, epoch: int) -> Raw:
    """The last state of the one pod of an attempt."""
    pods = [pod for _, pod in tenant.pods(name) if pod["metadata"]["labels"][LABEL_EPOCH] == str(epoch)]
    (pod,) = pods
    state: Raw = pod["status"]["containerStatuses"][0]["state"]
    return state


def first_job(tenant: Tenant, name: str) -> Raw:
    """The first attempt's Job at the site."""
    return next(
        job for site, job in tenant.member_jobs(name) if site == SITE and job["metadata"]["name"].endswith("-1")
    )


@pytest.mark.timeout(900)  # about 40 s on a machine that has nothing else to do
def test_a_site_that_is_cut_off_stops_what_must_not_run_twice_and_nothing_else(
    tenant: Tenant, observer: Observer, member: Kubectl, proxies: Proxies, leader: OperatorProcess, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        stack.enter_context(fence(member, tmp_path))
        tenant.apply(
            tenant.manifest("once", "hang", data=THERE),
            tenant.manifest("twice", "hang", data=THERE, failover="AtLeastOnce"),
        )
        for name in ("once", "twice"):
            tenant.wait_state(name, "Running", seconds=LONG_S)
        wait_for(
            "the fence to answer",
            lambda: observer.site_condition(SITE, "Fenced").get("status") == "True",
            seconds=LONG_S,
        )
        assert observer.site(SITE)["status"]["fence"]["leaseSeconds"] == 60

        proxies.cut(SITE, True)
        stack.callback(proxies.cut, SITE, False)
        observer.wait_site(SITE, "Unreachable")
        # The hub's leases are longer than a test: the last one that came through was a short one.
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        body = f'{{"spec": {{"leaseDurationSeconds": {LAST_S}, "renewTime": "{stamp}"}}}}'
        member("patch", "lease", FENCE, "--namespace", NAMESPACE, "--type", "merge", "--patch", body)
        wait_for("the fence to have stopped it", lambda: "terminated" in attempt(tenant, "once", 1), seconds=LONG_S)
        stopped = first_job(tenant, "once")
        assert stopped["spec"]["suspend"] is True
        assert stopped["metadata"]["annotations"][ANNOTATION_FENCED]
        assert "running" in attempt(tenant, "twice", 1)
        assert not first_job(tenant, "twice")["spec"].get("suspend")
        assert tenant.wait_state("once", "Unknown", seconds=LONG_S)["status"]["assignment"]["epoch"] == 1

        proxies.cut(SITE, False)
        observer.wait_site(SITE, "Ready")
        again = tenant.wait(
            "once",
            "to run again",
            lambda job: job["status"]["epoch"] == 2 and job["status"]["state"] == "Running",
            seconds=LONG_S,
        )
        assert "failures" not in again["status"], "to be fenced is nobody's failure"
        assert tenant.wait_seen("once", "Dispatched", "Fenced")
        ended, begun = (attempt(tenant, "once", 1)["terminated"], attempt(tenant, "once", 2)["running"])
        assert datetime.fromisoformat(ended["finishedAt"]) <= datetime.fromisoformat(begun["startedAt"]), "0 overlap"
        assert tenant.wait_state("twice", "Running", seconds=LONG_S)["status"]["assignment"]["epoch"] == 1
        assert "running" in attempt(tenant, "twice", 1)

        for name in ("once", "twice"):
            tenant.patch(name, {"desiredState": "Suspended"})
        for name in ("once", "twice"):
            tenant.wait_state(name, "Suspended", seconds=LONG_S)
            tenant.wait_gone(name, seconds=LONG_S)
            assert tenant.told(name) == tenant.ran(name) == leader.recorded(tenant.uid(name))
            assert tenant.ran(name).run_ms > 0
