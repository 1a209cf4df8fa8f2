"""What stands on a member in the hub's name without a ComputeJob is measured and removed; what is not ours stays."""

import json
import uuid
from typing import Any

from harness import Amount, Federation, Observer, OperatorProcess, Tenant, wait_for
from harness.pods import ran


def orphan(member_job: dict[str, Any], uid: str) -> dict[str, Any]:
    """A copy of a member Job for a ComputeJob that was never there."""
    text = json.dumps(member_job).replace(member_job["metadata"]["labels"]["suanli.io/job-uid"], uid)
    copy: dict[str, Any] = json.loads(text)
    metadata, spec = copy["metadata"], copy["spec"]
    kept = {key: metadata[key] for key in ("name", "namespace", "annotations")}
    kept["labels"] = {k: v for k, v in metadata["labels"].items() if k.startswith(("suanli.io/", "app.kubernetes.io/"))}
    template = spec["template"]
    template["metadata"]["labels"] = kept["labels"]
    template["spec"]["containers"][0]["command"] = ["sleep", "1"]
    spec = {key: spec[key] for key in ("completions", "parallelism", "completionMode", "backoffLimit", "template")}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": kept, "spec": spec}


def test_what_no_job_owns_is_metered_and_removed(
    tenant: Tenant, federation: Federation, observer: Observer, operator: OperatorProcess
) -> None:
    east = federation.member("east")
    tenant.run("model", "hang", data={"allowedSites": ["east"]})
    tenant.wait_state("model", "Running")
    ((_, model),) = tenant.member_jobs("model")
    uid = str(uuid.uuid4())
    copy = orphan(model, uid)
    foreign = {**copy, "metadata": {"name": "foreign", "namespace": copy["metadata"]["namespace"]}}
    foreign["spec"] = {**copy["spec"], "template": {"spec": model["spec"]["template"]["spec"]}}
    assert operator.terminate() == 0
    east("create", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": [copy, foreign]}))
    # It ran for a while that can be measured: the copy's tasks end, and stand there.
    wait_for("the orphan to end", lambda: observer.pods(uid, seen="terminated"))
    operator.start()
    operator.wait_leading()
    wait_for("the orphan to go", lambda: not observer.left(uid))
    ((_, pod),) = observer.pods(uid)
    assert operator.recorded(uid) == ran([pod]) == Amount(1_000, 500_000, 1_000 * (256 << 20), 0)
    assert tenant.state("model") == "Running"
    where = ["--namespace", copy["metadata"]["namespace"]]
    assert east.json("get", "job", "foreign", *where)["status"]["active"] == 1
    east("delete", "job", "foreign", *where, "--wait=false")


def test_a_mass_of_what_the_hub_does_not_know_stays_until_a_person_says_so(
    tenant: Tenant, federation: Federation, observer: Observer, operator: OperatorProcess
) -> None:
    east = federation.member("east")
    tenant.run("model", "hang", data={"allowedSites": ["east"]})
    tenant.wait_state("model", "Running")
    ((_, model),) = tenant.member_jobs("model")
    ours = east.json("get", "jobs", "--all-namespaces", "--selector", "suanli.io/job-uid")["items"]
    copies = [orphan(model, str(uuid.uuid4())) for _ in range(max(30, len(ours)))]
    for copy in copies:
        copy["spec"]["suspend"] = True
        copy["metadata"]["labels"]["test"] = tenant.namespace

    def left() -> int:
        return len(east.json("get", "jobs", "--all-namespaces", "--selector", f"test={tenant.namespace}")["items"])

    def swept() -> str:
        return str(observer.site_condition("east", "Swept").get("reason"))

    # It finds them all at once, as after a restore; what comes one by one is removed one by one.
    assert operator.terminate() == 0
    east("create", "--filename", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": copies}))
    operator.start()
    operator.wait_leading()
    wait_for("the guard to hold", lambda: swept() == "SweepHeld")

    def message() -> str:
        return str(observer.site_condition("east", "Swept")["message"])

    # Others are among them where an earlier test's jobs were deleted while no operator ran.
    wait_for("all to be counted", lambda: int(message().split()[0]) >= len(copies) and message())
    assert left() == len(copies)
    assert tenant.state("model") == "Running"
    federation.hub(*message().rsplit("kubectl ", 1)[1].split())
    wait_for("them to go", lambda: not left())
    wait_for("that to be said", lambda: swept() == "Swept")
    assert tenant.state("model") == "Running"
