"""Jobs that cannot run say why in numbers; when the country changes they go, and nobody touches the job."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import yaml

from harness import Federation, Observer, Tenant
from suanli.base.names import API_VERSION

A100 = "nvidia-a100-80g"


def rejections(tenant: Tenant, name: str) -> dict[str, tuple[int, str]]:
    """By reason, how many sites fell and one of them in numbers."""
    found = tenant.status(name)["placement"]["rejections"]
    return {r["reason"]: (r["count"], r["example"]) for r in found}


def cards(number: int) -> dict[str, object]:
    return {"class": [A100], "perTask": {"cpu": "2", "memory": "1Gi", "cards": number}}


def test_impossible_jobs_say_how_many_sites_fell_to_what(tenant: Tenant) -> None:
    tenant.apply(
        tenant.manifest("too-far", "sleep 1", origin="urumqi", latency={"oneWay": "5ms"}),
        tenant.manifest("too-many", "sleep 1", tasks=5, resources=cards(8)),
        tenant.manifest("too-large", "sleep 1", resources=cards(16)),
        tenant.manifest("torn", "sleep 1", category="Finance", data={"allowedSites": ["west"]}),
        tenant.manifest("dear", "sleep 1", limits={"maxCost": "10000"}),
        tenant.manifest("late", "sleep 1", timing={"deadline": "2026-01-01T00:00:00Z"}),
        tenant.manifest("unknown-card", "sleep 1", class_="nvidia-h200-141g"),
        tenant.manifest("future", "sleep 1", timing={"notBefore": "2099-01-01T00:00:00Z"}),
    )
    # By reason: how many sites fell, and what the example of one of them tells.
    expected: dict[str, dict[str, tuple[int, list[str]]]] = {
        "too-far": {"LatencyBoundExceeded": (2, ["east", "urumqi", "24.505ms", "5ms"])},
        "too-many": {"InsufficientCapacity": (2, ["east", A100, "2 tasks", "8 cards", "5"])},
        "too-large": {"TaskFitsNoNode": (2, ["east", A100, "16 cards", "8 cards"])},
        "torn": {
            "ResidencyForbids": (1, ["east", "west"]),
            "PolicyForbids": (1, ["west", "ningxia", "stay-east", "East"]),
        },
        "dear": {"CostLimitExceeded": (2, ["east", "0.04 CNY", "0.01 CNY"])},
        "late": {"DeadlineUnreachable": (2, ["east", "1h", "2026-01-01T00:00:00Z"])},
    }
    for name, wanted in expected.items():
        placed = tenant.wait_reason(name, "Placed", "NoFeasibleSite")
        assert placed["message"].startswith("none of 2 sites: ")
        found = rejections(tenant, name)
        assert {reason: count for reason, (count, _) in found.items()} == {r: c for r, (c, _) in wanted.items()}
        for reason, (_, parts) in wanted.items():
            example = found[reason][1]
            assert example in placed["message"]
            assert [part for part in parts if part not in example] == [], example
        assert tenant.state(name) == "Waiting"
        assert not tenant.member_jobs(name)
    unknown = tenant.wait_reason("unknown-card", "Accepted", "UnknownClass")
    assert 'spec.resources.class: no site offers "nvidia-h200-141g"' in unknown["message"]
    future = tenant.wait_reason("future", "Placed", "NotBefore")
    assert "2099-01-01T00:00:00Z" in future["message"]


def test_a_new_link_lets_a_far_job_go(tenant: Tenant, federation: Federation) -> None:
    tenant.run("far", "sleep 1", origin="urumqi", latency={"oneWay": "5ms"})
    tenant.wait_reason("far", "Placed", "NoFeasibleSite")
    with link(federation, "urumqi-zhongwei", ["urumqi", "zhongwei"], "3.5ms"):
        job = tenant.wait_state("far", "Succeeded")
    assert job["metadata"]["generation"] == 1
    assert job["status"]["assignment"]["site"] == "west"
    placement = job["status"]["placement"]
    assert (placement["latency"], placement["latencySource"]) == ("3.5ms", "Measured")


def test_a_site_that_is_activated_takes_what_waited_for_it(
    tenant: Tenant, federation: Federation, observer: Observer
) -> None:
    with inactive(federation, "west"):
        assert "set it to Active" in observer.wait_site("west", "SiteInactive")
        tenant.run("patient", "sleep 1", data={"allowedSites": ["west"]})
        tenant.run("other", "sleep 1")
        tenant.wait_reason("patient", "Placed", "NoFeasibleSite")
        assert rejections(tenant, "patient")["SiteInactive"][0] == 1
        assert tenant.wait_state("other", "Succeeded")["status"]["assignment"]["site"] == "east"
    job = tenant.wait_state("patient", "Succeeded")
    assert job["metadata"]["generation"] == 1
    assert job["status"]["assignment"]["site"] == "west"


def test_jobs_wait_for_room_in_order_of_priority(tenant: Tenant) -> None:
    """Both sites' cards are taken; the one that is freed goes to the more important job, which came later."""
    where = {"allowedSites": ["east"]}
    tenant.apply(*(tenant.manifest(f"holder-{i}", "hang", resources=cards(8), data=where) for i in range(2)))
    for i in range(2):
        tenant.wait_state(f"holder-{i}", "Running")
    tenant.run("humble", "hang", resources=cards(8), data=where)
    placed = tenant.wait_reason("humble", "Placed", "WaitingForCapacity")
    assert f"east has 0 cards of {A100} free now, the job needs 8" in placed["message"]
    tenant.run("urgent", "sleep 2", resources=cards(8), data=where, priority=1000)
    tenant.wait_reason("urgent", "Placed", "WaitingForCapacity")
    tenant.wait("urgent", "to be first", lambda job: job["status"].get("queue") == {"position": 1, "ahead": 0})
    tenant.wait("humble", "to be second", lambda job: job["status"].get("queue") == {"position": 2, "ahead": 1})
    tenant.delete("holder-0")
    tenant.wait_state("urgent", "Succeeded")
    tenant.wait_state("humble", "Running")
    assert moment(tenant, "humble", "running", "startedAt") >= moment(tenant, "urgent", "terminated", "finishedAt")


def moment(tenant: Tenant, name: str, state: str, field: str) -> str:
    """When the job's one container began or ended."""
    ((_, pod),) = tenant.pods(name)
    return str(pod["status"]["containerStatuses"][0]["state"][state][field])


@contextmanager
def link(federation: Federation, name: str, ends: list[str], one_way: str) -> Iterator[None]:
    spec = {"endpoints": ends, "oneWay": one_way}
    manifest = {"apiVersion": API_VERSION, "kind": "ComputeLink", "metadata": {"name": name}, "spec": spec}
    federation.hub.apply(yaml.safe_dump(manifest))
    try:
        yield
    finally:
        federation.hub("delete", "computelink", name)


@contextmanager
def inactive(federation: Federation, name: str) -> Iterator[None]:
    """A site that takes nothing new for a while."""

    def change(wanted: str) -> None:
        patch = json.dumps({"spec": {"desiredState": wanted}})
        federation.hub("patch", "computesite", name, "--type", "merge", "--patch", patch)

    change("Inactive")
    try:
        yield
    finally:
        change("Active")
