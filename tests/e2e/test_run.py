"""A job applied on the hub runs at the right data centre, and its use is measured."""

from typing import Any

from harness import Amount, Federation, Tenant
from suanli.base.names import FINALIZER_METERING

ENDED_WELL = [
    ("Accepted", "True", "Accepted"),
    ("QuotaReserved", "True", "QuotaUnlimited"),
    ("Placed", "True", "Placed"),
    ("Dispatched", "True", "Dispatched"),
    ("Running", "False", "Succeeded"),
    ("Finished", "True", "Succeeded"),
]


def conditions(job: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(c["type"], c["status"], c["reason"]) for c in job["status"]["conditions"]]


def job_waits_for_pods(job: dict[str, Any]) -> bool:
    return any(c["reason"] == "PodsPending" for c in job.get("status", {}).get("conditions", []))


def uid_of(federation: Federation, namespace: str) -> str:
    return str(federation.hub.json("get", "namespace", namespace)["metadata"]["uid"])


def test_each_job_runs_where_price_latency_and_policy_say_and_is_measured(tenant: Tenant) -> None:
    tenant.apply(
        tenant.manifest("cheap", "sleep 2"),
        tenant.manifest("near", "sleep 1", latency={"tier": "city"}),
        tenant.manifest("bank", "sleep 1", category="Finance"),
        tenant.manifest("kept", "sleep 1", data={"allowedSites": ["east"]}),
    )
    where = {"cheap": "west", "near": "east", "bank": "east", "kept": "east"}
    for name, site in where.items():
        job = tenant.wait_state(name, "Succeeded")
        assert job["status"]["assignment"]["site"] == site, name
        assert {at for at, _ in tenant.pods(name)} == {site}
        assert conditions(job) == ENDED_WELL
        assert tenant.told(name) == tenant.ran(name)
    assert tenant.ran("cheap") == Amount(2_000, 2_000 * 500, 2_000 * (256 << 20), 0)
    assert tenant.ran("near") == Amount(1_000, 1_000 * 500, 1_000 * (256 << 20), 0)
    # 0.5 cores for the default hour at 0.04 CNY a core, and what it would have cost in the east.
    placement = tenant.status("cheap")["placement"]
    assert placement["cost"]["run"] == "20000"
    assert [(r["site"], r["total"]) for r in placement["runnersUp"]] == [("east", "40000")]
    assert (placement["latencySource"], placement["latency"]) == ("Estimated", "12.347ms")
    assert [(r["reason"], r["count"]) for r in tenant.status("near")["placement"]["rejections"]] == [
        ("LatencyBoundExceeded", 1)
    ]


def test_a_job_is_written_three_times_at_most(tenant: Tenant) -> None:
    tenant.run("one", "sleep 1")
    tenant.wait_state("one", "Succeeded")
    # Where a pod waits for seconds until it is started, that is told, too.
    told = (job for job in tenant.states("one") if not job_waits_for_pods(job))
    states = [job.get("status", {}).get("state", "") for job in told]
    assert states in (["", "Starting", "Running", "Succeeded"], ["", "Starting", "Succeeded"])
    generations = {job["metadata"]["generation"] for job in tenant.states("one")}
    assert generations == {1}
    assert {c["observedGeneration"] for c in tenant.status("one")["conditions"]} == {1}


def test_a_gang_on_cards_becomes_one_restricted_indexed_job(tenant: Tenant, federation: Federation) -> None:
    per_task = {"cpu": "4", "memory": "32Gi", "cards": 4}
    tenant.run(
        "gang",
        "sleep 2",
        tasks=3,
        resources={"class": ["nvidia-a100-80g"], "perTask": per_task},
        data={"allowedSites": ["east"]},
    )
    job = tenant.wait_state("gang", "Succeeded")
    uid, hub_id = job["metadata"]["uid"], uid_of(federation, "kube-system")
    labels = {"suanli.io/hub": hub_id, "suanli.io/job-uid": uid, "suanli.io/epoch": "1"}

    ((site, member_job),) = tenant.member_jobs("gang")
    metadata, spec = member_job["metadata"], member_job["spec"]
    assert (site, metadata["name"]) == ("east", f"j-{uid}-1")
    assert metadata["namespace"].startswith(f"suanli-t-{tenant.namespace[:40]}")
    assert metadata["labels"].items() >= labels.items()
    assert (spec["completionMode"], spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (
        "Indexed",
        3,
        3,
        0,
    )
    namespace = federation.member("east").json("get", "namespace", metadata["namespace"])["metadata"]
    assert namespace["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert namespace["labels"]["suanli.io/hub"] == hub_id

    pods = [pod for _, pod in tenant.pods("gang")]
    indexes = [pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] for pod in pods]
    assert sorted(indexes) == ["0", "1", "2"]
    for pod in pods:
        assert pod["metadata"]["labels"].items() >= labels.items()
        assert FINALIZER_METERING in pod["metadata"]["finalizers"]
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert "volumes" not in pod["spec"]
        assert pod["spec"]["restartPolicy"] == "Never"
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = pod["spec"]["containers"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert container["resources"]["requests"] == {"cpu": "4", "memory": "32Gi", "nvidia.com/gpu": "4"}
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}

    usage = job["status"]["usage"]
    assert (usage["attempts"], usage["pods"]) == (1, 3)
    assert tenant.told("gang") == tenant.ran("gang") == Amount(6_000, 6_000 * 4_000, 6_000 * (32 << 30), 6_000 * 4)
    started = min(pod["status"]["containerStatuses"][0]["state"]["terminated"]["startedAt"] for pod in pods)
    assert job["status"]["startedAt"] == started
    assert usage["cardHours"] == "0.006667"
