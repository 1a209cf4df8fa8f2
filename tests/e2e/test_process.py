"""The operator as a process: probes, metrics, a graceful end, and a plain end when its configuration is bad."""

import re
from pathlib import Path

import pytest

from harness import Federation, OperatorProcess, Tenant, wait_for

DOCS = Path(__file__).resolve().parents[2] / "docs" / "operations.md"


def test_probes_and_metrics_answer(operator: OperatorProcess, tenant: Tenant) -> None:
    tenant.run("one", "sleep 1")
    tenant.wait_state("one", "Succeeded")
    assert operator.http("/healthz") == (200, "ok\n")
    assert operator.http("/readyz") == (200, "ok\n")
    status, text = operator.http("/metrics")
    assert status == 200
    documented = re.findall(r"^\| `(suanli_\w+)` \| (\w+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    types = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))
    assert len(documented) > 10
    for name, type_ in documented:
        assert types.get(name) == type_, name
    assert operator.metric("suanli_leader") == 1
    assert operator.metric("suanli_site_ready", site="east") == operator.metric("suanli_site_ready", site="west") == 1
    assert operator.metric("suanli_jobs_finished_total", reason="Succeeded") >= 1
    assert operator.metric("suanli_api_requests_total", cluster="west", verb="post", resource="jobs", code="201") >= 1
    assert 0 <= operator.metric("suanli_member_last_heard_age_seconds", site="east") < 60
    assert operator.http("/nothing")[0] == 404


def test_it_ends_gracefully_and_hands_the_lead_over_at_once(
    federation: Federation, operator: OperatorProcess, tenant: Tenant
) -> None:
    tenant.run("runs-on", "sleep 3")
    tenant.wait_state("runs-on", "Running")
    assert operator.terminate() == 0
    assert "stopped" in operator.words()
    lease = federation.hub.json("get", "lease", "suanli-operator", "--namespace", "suanli-system")
    assert not lease["spec"].get("holderIdentity")
    operator.start()
    operator.wait_leading()
    tenant.wait_state("runs-on", "Succeeded")
    assert tenant.told("runs-on") == tenant.ran("runs-on")
    assert len(tenant.pods("runs-on")) == 1


def test_a_standby_waits_and_takes_over_from_a_dead_leader(
    federation: Federation, operator: OperatorProcess, tenant: Tenant
) -> None:
    with federation.operator("standby", SUANLI_DATA_DIR=str(operator.ledger.parent)) as standby:
        standby.start()
        wait_for("the standby to be ready", lambda: " port=" in standby.words() and standby.http("/readyz")[0] == 200)
        assert standby.metric("suanli_leader") == 0
        tenant.run("handed-over", "sleep 5")
        tenant.wait_state("handed-over", "Running")
        operator.kill()
        standby.wait_leading()
        tenant.wait_state("handed-over", "Succeeded")
        assert tenant.told("handed-over") == tenant.ran("handed-over")
        assert standby.terminate() == 0
    assert len(tenant.pods("handed-over")) == 1


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"SUANLI_CYCLE_MS": "soon"}, ["SUANLI_CYCLE_MS", "soon"]),
        ({"SUANLI_WORKERS": "0"}, ["SUANLI_WORKERS", "0"]),
        ({"SUANLI_SPEED": "high"}, ["SUANLI_SPEED is not a setting", "docs/operations.md"]),
        ({"SUANLI_KUBECONFIG": "/nowhere/kubeconfig"}, ["/nowhere/kubeconfig"]),
        ({"SUANLI_HTTP_HOST": "192.0.2.1"}, ["192.0.2.1", "SUANLI_HTTP_PORT"]),
        ({"SUANLI_DATA_DIR": "/proc/nowhere"}, ["/proc/nowhere"]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_bad_configuration_ends_it_with_a_plain_sentence(
    federation: Federation, settings: dict[str, str], named: list[str]
) -> None:
    with federation.operator(f"bad-{next(iter(settings)).lower()}", **settings) as process:
        process.start()
        wait_for("it to end", lambda: not process.running)
        assert process.exit_code == 2
        words = process.words()
        assert "Traceback" not in words
        for part in named:
            assert part in words


def test_a_hub_that_refuses_it_ends_it_with_4(federation: Federation) -> None:
    with federation.operator("stranger") as process:
        kubeconfig = federation.folder / "stranger.kubeconfig"
        text = re.sub(r"token: .*", "token: nobody", kubeconfig.read_text())
        kubeconfig.write_text(text)
        process.start()
        wait_for("it to end", lambda: not process.running)
        assert process.exit_code == 4
        assert "the hub cannot be used" in process.words()
        assert "Traceback" not in process.words()
