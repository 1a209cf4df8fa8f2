"""At the end of the session: nothing is left, nothing was unforeseen, no secret got out, and an idle minute writes nothing."""

import base64
import json
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from harness import Federation, Observer, OperatorProcess, Tenant, wait_for
from harness.federation import NAMESPACE
from harness.kubeconfigs import MARK, cluster_of, kubeconfig, site_with_secret
from harness.observer import OURS

HERE = Path(__file__).parent
IDLE_S = 60
LEAST_SECRET = 20  # shorter ones are made up by tests, and may be words
STILL_S = 4  # longer than anything that is put off


def test_nothing_is_left_of_any_test(federation: Federation, operator: OperatorProcess) -> None:
    members = [federation.member(name) for name in federation.sites]
    what = ["get", "jobs,pods", "--all-namespaces", "--selector", OURS, "--output", "name"]
    wait_for("the members to hold nothing of ours", lambda: not any(member(*what).strip() for member in members))


def test_nothing_happened_that_nobody_foresaw(operator: OperatorProcess) -> None:
    log = operator.log.read_text(encoding="utf-8")
    assert " leading " in log
    assert [line for line in log.splitlines() if " ERROR " in line or line.startswith("Traceback")] == []
    assert operator.metric("suanli_unexpected_errors_total") == 0


def test_applying_the_same_again_and_an_idle_minute_write_nothing(
    federation: Federation, observer: Observer, operator: OperatorProcess, tenant: Tenant
) -> None:
    manifests = [
        tenant.manifest("runs", "hang", tasks=3, data={"allowedSites": ["east"]}),
        tenant.manifest("runs-too", "hang", data={"allowedSites": ["west"]}),
        tenant.manifest("succeeded", "sleep 1"),
        tenant.manifest("failed", "false"),
        tenant.manifest("impossible", "sleep 1", origin="urumqi", latency={"oneWay": "1ms"}),
        tenant.manifest("unknown", "sleep 1", class_="abacus"),
        tenant.manifest("suspended", "hang", desiredState="Suspended"),
    ]
    states = ["Running", "Running", "Succeeded", "Failed", "Waiting", "Invalid", "Suspended"]
    tenant.apply(*manifests)
    logs = {name: federation.clusters[name].audit_log for name in ("hub", *federation.sites)}
    with troubled_sites(federation, observer):
        for manifest, state in zip(manifests, states, strict=True):
            tenant.wait_state(manifest["metadata"]["name"], state)
        wait_for("all that was begun to be written", lambda: are_still(logs.values()))
        begun = {name: log.stat().st_size for name, log in logs.items()}
        again = federation.hub("apply", "--filename", HERE / "country.yaml") + tenant.apply(*manifests)
        assert {line.split()[-1] for line in again.splitlines()} == {"unchanged"}
        end = time.monotonic() + IDLE_S
        while time.monotonic() < end:
            for name, log in logs.items():
                assert [write for write in writes(log, begun[name]) if not may_be(write)] == [], name
            time.sleep(1)
        hub = writes(logs["hub"], begun["hub"])
        renewed = [write for write in hub if write["user"]["username"] == "system:serviceaccount:suanli-system:suanli"]
        assert {(write["verb"], write["objectRef"]["name"]) for write in renewed} == {("update", "suanli-operator")}
        for name in federation.sites:
            asked = [write for write in writes(logs[name], begun[name]) if "suanli" in write["user"]["username"]]
            # Whether there is a fence by now is asked by renewing its lease: without one that is refused.
            assert [(a["verb"], a["requestURI"]) for a in asked if a["responseStatus"]["code"] < 400] == []
    for manifest, state in zip(manifests, states, strict=True):
        assert tenant.state(manifest["metadata"]["name"]) == state


def test_no_secret_got_out(
    federation: Federation, observer: Observer, operator: OperatorProcess, tenant: Tenant
) -> None:
    """The last of all: whatever was printed and stored by then is looked through."""
    tenant.run("one", "sleep 1")
    tenant.wait_state("one", "Succeeded")
    told = {
        "what the operator and commands printed": printed(federation),
        "the operator's own files": "".join(
            path.read_bytes().decode("latin-1") for path in federation.folder.glob("*/data/**/*") if path.is_file()
        ),
        "the metrics": operator.http("/metrics")[1],
        "the probes": "".join(operator.http(page)[1] for page in ("/healthz", "/readyz", "/")),
        "events": federation.hub("get", "events.events.k8s.io", "--all-namespaces", "--output", "yaml"),
        "statuses of sites": json.dumps(statuses(observer, observer.sites.objects())),
        "statuses of jobs": json.dumps(statuses(observer, observer.jobs.objects())),
        "what members held": json.dumps([observer.member_jobs(tenant.uid("one")), observer.pods(tenant.uid("one"))]),
        **{f"objects of {name}": objects(federation, name) for name in federation.clusters},
        **{
            f"the audit log of {name}": federation.clusters[name].audit_log.read_text()
            for name in ("hub", *federation.sites)
        },
    }
    # That the search finds something is shown by what may be told.
    assert federation.clusters["east"].server.removeprefix("https://") in told["what the operator and commands printed"]
    assert 'site "west" has joined' in told["what the operator and commands printed"]
    assert "pod_usage" in told["the operator's own files"]
    assert "CredentialsValid" in told["statuses of sites"]
    assert "tasks succeeded" in told["statuses of jobs"]
    assert tenant.uid("one") in told["objects of hub"]
    secrets = set(secrets_of(federation))
    assert len(secrets) > 15, "tokens, client certificates, and keys, these line by line too"
    for where, text in told.items():
        for secret in secrets:
            assert secret not in text, f"a secret is in {where}"
        assert MARK not in text, f"what stood in a wrong Secret is in {where}"


def may_be(write: dict[str, Any]) -> bool:
    """Leases are renewed, and nodes say that they are alive."""
    what = (write["objectRef"]["resource"], write["objectRef"].get("subresource", ""))
    return what in (("leases", ""), ("nodes", "status"))


def writes(log: Path, begun: int) -> list[dict[str, Any]]:
    """What an audit log holds from there on; half a line at its end is left for later."""
    with log.open("rb") as file:
        file.seek(begun)
        return [json.loads(line) for line in file if line.endswith(b"\n")]


def are_still(logs: Collection[Path]) -> bool:
    """Whether nothing is written for a while."""
    begun = {log: log.stat().st_size for log in logs}
    time.sleep(STILL_S)
    return all(may_be(write) for log in logs for write in writes(log, begun[log]))


def statuses(observer: Observer, objects: list[dict[str, Any]]) -> list[Any]:
    """Every status that was ever seen of these objects, with their annotations."""
    uids = [thing["metadata"]["uid"] for thing in objects]
    seen = [state for uid in uids for state in (*observer.jobs.states(uid), *observer.sites.states(uid))]
    return [(state["metadata"].get("annotations"), state.get("status")) for state in seen]


def printed(federation: Federation) -> str:
    """Every log of the operator's lives, and what the commands said."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace") for log in federation.folder.glob("*/*.log"))


def objects(federation: Federation, name: str) -> str:
    """All objects of a cluster but the Secrets themselves, with all that is kept about who wrote them."""
    cluster = federation.hub if name == "hub" else federation.member(name)
    kinds = cluster("api-resources", "--verbs=list", "--output", "name").split()
    wanted = ",".join(kind for kind in kinds if kind != "secrets")
    return cluster("get", wanted, "--all-namespaces", "--show-managed-fields", "--output", "json")


def secrets_of(federation: Federation) -> Iterator[str]:
    """Every token, key and client certificate that the operator and the administrators hold or held, in each of its forms."""
    listed = federation.hub.json("get", "secrets", "--namespace", NAMESPACE)["items"]
    texts = [base64.b64decode(s["data"]["kubeconfig"]).decode() for s in listed if "kubeconfig" in s.get("data", {})]
    texts += [path.read_text() for path in federation.folder.glob("*.kubeconfig")]
    texts += [cluster.kubeconfig.read_text() for cluster in federation.clusters.values()]
    for text in texts:
        user = yaml.safe_load(text)["users"][0]["user"]
        for field in ("token", "client-key-data", "client-certificate-data"):
            secret = user.get(field, "")
            if len(secret) <= LEAST_SECRET:
                continue
            yield secret
            yield base64.b64encode(secret.encode()).decode().rstrip("=")
            if field == "client-key-data":  # a PEM file: each line of it would give it away
                pem = base64.b64decode(secret).decode()
                yield from (line for line in pem.splitlines() if len(line) > LEAST_SECRET and "-----" not in line)


@contextmanager
def troubled_sites(federation: Federation, observer: Observer) -> Iterator[None]:
    """Sites that cannot be reached: trouble that lasts is told once."""
    spec = {"region": "shanghai", "resources": []}
    nowhere = {**cluster_of(federation.clusters["east"].kubeconfig), "server": "https://127.0.0.1:1"}
    data = {"kubeconfig": kubeconfig(nowhere, token="nobody")}
    federation.hub.apply(site_with_secret("nowhere", spec, data, NAMESPACE))
    federation.hub.apply(site_with_secret("missing", spec, None, NAMESPACE))
    try:
        observer.wait_site("nowhere", "Unreachable")
        observer.wait_site("missing", "CredentialsMissing")
        yield
    finally:
        federation.hub("delete", "computesites", "nowhere", "missing")
        federation.hub("delete", "secret", "site-nowhere", "--namespace", NAMESPACE)
