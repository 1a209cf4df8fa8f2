"""What the planning commands say of a real hub is what its operator did, or does when it comes to it; and the policy's figures."""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness import CommandError, Federation, Tenant, wait_for
from harness.kubeconfigs import cluster_of, kubeconfig
from suanli.base.names import API_VERSION
from suanli.base.units import decimal_text

A100 = "nvidia-a100-80g"
LINK = {
    "apiVersion": API_VERSION,
    "kind": "ComputeLink",
    "metadata": {"name": "planned"},
    "spec": {"endpoints": ["urumqi", "zhongwei"], "oneWay": "3.5ms"},
}
LOST = {"remove": [{"kind": "ComputeSite", "name": "west"}]}
PLACED, WAITS, REFUSED = 0, 3, 4


def asked(federation: Federation, *args: str | Path, code: int = PLACED) -> Any:
    """A planning command's whole answer about the hub."""
    return json.loads(federation.asked(*args, "--output", "json", codes=(code,)))


def a_change(folder: Path, spec: dict[str, Any]) -> Path:
    """A file with a change to be tried."""
    file = folder / "change.yaml"
    file.write_text(
        yaml.safe_dump({"apiVersion": API_VERSION, "kind": "WhatIf", "metadata": {"name": "a"}, "spec": spec})
    )
    return file


def test_explain_says_of_each_job_what_the_operator_decided(tenant: Tenant, federation: Federation) -> None:
    tenant.apply(
        tenant.manifest("runs", "hang"),
        tenant.manifest("torn", "sleep 1", category="Finance", data={"allowedSites": ["west"]}),
        tenant.manifest("ended", "sleep 1"),
    )
    tenant.wait_state("runs", "Running")
    status = tenant.status("runs")
    told = asked(federation, "explain", f"{tenant.namespace}/runs")
    assert told["stands"] == "west (cpu-x86)"
    assert told["decided"] == tenant.condition("runs", "Placed")["message"]
    placement = status["placement"]
    ways = [(way["site"], way["cost"]["total"]) for way in told["ways"]]
    assert ways == [("west", placement["cost"]["total"]), ("east", placement["runnersUp"][0]["total"])]
    assert told["estimate"]["cost"] == status["estimate"]["cost"]
    assert status["estimate"]["start"] == status["assignment"]["time"]

    said = tenant.wait_reason("torn", "Placed", "NoFeasibleSite")
    told = asked(federation, "explain", f"{tenant.namespace}/torn", code=WAITS)
    assert (told["site"], told["reason"], told["message"]) == (None, said["reason"], said["message"])
    assert told["rejections"] == tenant.status("torn")["placement"]["rejections"]
    assert [(fell["site"], fell["reason"]) for fell in told["fallen"]] == [
        ("east", "ResidencyForbids"),
        ("west", "PolicyForbids"),
    ]

    tenant.wait_state("ended", "Succeeded")
    text = federation.asked("explain", f"{tenant.namespace}/ended", codes=(PLACED,))
    assert text.startswith(f"{tenant.namespace}/ended: Succeeded: ")
    with pytest.raises(CommandError, match=r"ended with 2: .*did you mean"):
        federation.asked("explain", f"{tenant.namespace}/endet")


def test_what_a_change_would_do_it_does(tenant: Tenant, federation: Federation, tmp_path: Path) -> None:
    tenant.apply(
        tenant.manifest("runs", "hang"),
        tenant.manifest("far", "sleep 1", origin="urumqi", latency={"oneWay": "5ms"}),
    )
    tenant.wait_state("runs", "Running")
    tenant.wait_reason("far", "Placed", "NoFeasibleSite")
    wait_alone(tenant, federation)
    version = tenant.job("far")["metadata"]["resourceVersion"]
    told = asked(federation, "what-if", "--file", a_change(tmp_path, {"apply": [LINK]}))
    assert told["newlyPlaced"] == [{"job": f"{tenant.namespace}/far", "site": "west", "class": "cpu-x86"}]
    assert told["moved"] == []
    told = asked(federation, "what-if", "--file", a_change(tmp_path, LOST), code=WAITS)
    east, west = ({"site": site, "class": "cpu-x86"} for site in ("east", "west"))
    assert told["moved"] == [{"from": west, "to": east, "jobs": 1}]
    assert tenant.job("far")["metadata"]["resourceVersion"] == version
    with applied(federation, LINK):
        job = tenant.wait_state("far", "Succeeded")
    assert (job["status"]["assignment"]["site"], job["status"]["assignment"]["class"]) == ("west", "cpu-x86")


def test_a_card_of_the_cheap_site_is_worth_what_the_dear_one_costs_more(
    tenant: Tenant, federation: Federation, tmp_path: Path
) -> None:
    """Two of three jobs fill the west, at 4 CNY a card and hour; the third pays 8 in the east."""
    resources = {"class": [A100], "perTask": {"cpu": "2", "memory": "1Gi", "cards": 8}}
    tenant.apply(*(tenant.manifest(f"trains-{i}", "hang", resources=resources) for i in range(3)))
    for i in range(3):
        tenant.wait_state(f"trains-{i}", "Running")
    wait_alone(tenant, federation)
    assert sorted(tenant.status(f"trains-{i}")["assignment"]["site"] for i in range(3)) == ["east", "west", "west"]
    (hour,) = asked(federation, "price", "--hours", "1")["hours"]
    (scarce,) = hour["worth"]
    assert (scarce["site"], scarce["class"], hour["waiting"]) == ("west", A100, 0)
    assert 3.99 < float(scarce["perUnit"]) < 4.01
    # Without the west two of them fit, and the third waits.
    told = asked(federation, "price", "--hours", "1", "--file", a_change(tmp_path, LOST))["hours"][0]
    assert (told["running"], told["waiting"]) == (2, 1)


def test_who_may_see_jobs_and_the_map_may_ask_and_who_may_not_is_told_what_is_refused(
    tenant: Tenant, federation: Federation, tmp_path: Path
) -> None:
    hub, account = federation.hub, f"{tenant.namespace}:planner"
    tenant.run("runs", "hang")
    tenant.wait_state("runs", "Running")
    hub("create", "serviceaccount", "planner", "--namespace", tenant.namespace)
    token = hub("create", "token", "planner", "--namespace", tenant.namespace).strip()
    config = tmp_path / "planner.yaml"
    config.write_text(kubeconfig(cluster_of(federation.clusters["hub"].kubeconfig), token=token))
    config.chmod(0o600)
    with pytest.raises(CommandError, match=f"ended with {REFUSED}: .*planner.* cannot list resource"):
        federation.asked("explain", f"{tenant.namespace}/runs", kubeconfig=config)
    names = []
    try:
        for role in ("suanli-viewer", "suanli-map-viewer"):
            names.append(f"{tenant.namespace}-{role}")
            hub("create", "clusterrolebinding", names[-1], f"--clusterrole={role}", f"--serviceaccount={account}")
        told = federation.asked("explain", f"{tenant.namespace}/runs", kubeconfig=config)
    finally:
        hub("delete", "clusterrolebinding", *names)
    assert "has its place: west (cpu-x86)" in told


def test_the_policys_figures_are_those_of_what_ran_and_stand_while_nothing_changes(
    tenant: Tenant, federation: Federation
) -> None:
    tenant.apply(tenant.manifest("cheap", "sleep 2"), tenant.manifest("near", "sleep 1", latency={"tier": "city"}))
    for name in ("cheap", "near"):
        tenant.wait_state(name, "Succeeded")

    def agree() -> dict[str, Any]:
        kpis, share = published(federation), share_of_west(federation)
        return kpis if share and kpis.get("east-to-west-share-cores", {}).get("value") == share else {}

    kpis = wait_for("the policy's figures to be those of the jobs", agree)
    assert kpis["east-to-west-share-cores"]["unit"] == "core-hours"
    compliance = kpis["tier-compliance"]
    assert (compliance["value"], compliance["target"], compliance["met"]) == ("1.0000", "AtLeast 1", "True")
    assert int(compliance["denominator"]) >= 1
    assert "nvidia" not in json.dumps(kpis)

    wait_alone(tenant, federation)
    wait_for("the figures without them", agree)
    version = federation.hub.json("get", "hubpolicy", "national")["metadata"]["resourceVersion"]
    # Each wakes the computation, and none changes what it is made from.
    for label in ("seen=once", "seen=twice", "seen-"):
        federation.hub("label", "computesite", "east", label, "--overwrite")
        federation.asked("explain", f"{tenant.namespace}/cheap")
    assert federation.hub.json("get", "hubpolicy", "national")["metadata"]["resourceVersion"] == version


def published(federation: Federation) -> dict[str, Any]:
    """The policy's figures by name."""
    status = federation.hub.json("get", "hubpolicy", "national").get("status", {})
    return {kpi["name"]: kpi for kpi in status.get("kpis", [])}


def share_of_west(federation: Federation) -> str:
    """Of the core time of jobs of eastern origin, that of the west; empty while there is none."""
    ran = Counter[str]()
    for job in federation.hub.json("get", "computejobs", "--all-namespaces")["items"]:
        assignment, usage = (job.get("status", {}).get(field, {}) for field in ("assignment", "usage"))
        if job["spec"]["origin"] == "shanghai" and assignment.get("class") == "cpu-x86":
            ran[assignment["site"]] += int(usage.get("cpuMilliMs", "0"))
    return decimal_text(ran["west"], ran.total(), 4) if ran.total() else ""


def wait_alone(tenant: Tenant, federation: Federation) -> None:
    """Until the jobs of other tests are gone: a plan is of all jobs."""

    def alone() -> bool:
        listed = federation.hub.json("get", "computejobs", "--all-namespaces")["items"]
        return {job["metadata"]["namespace"] for job in listed} == {tenant.namespace}

    wait_for("the jobs of other tests to be gone", alone)


@contextmanager
def applied(federation: Federation, manifest: dict[str, Any]) -> Iterator[None]:
    """An object that is there for a while."""
    federation.hub.apply(yaml.safe_dump(manifest))
    try:
        yield
    finally:
        federation.hub("delete", manifest["kind"], manifest["metadata"]["name"])
