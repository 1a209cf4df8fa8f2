"""The operator as a process: probes, metrics, a graceful end, and a plain end when its configuration is bad."""

import re
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from harness import Federation, OperatorProcess, Tenant, wait_for

KILLS = 3
TAKEOVER_S = 15.0  # lease times are two thirds of the default, or the default
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
    # It counts what is done, which others may see earlier.
    wait_for("the job to be counted", lambda: operator.metric("suanli_jobs_finished_total", reason="Succeeded") >= 1)
    assert operator.metric("suanli_api_requests_total", cluster="west", verb="post", resource="jobs", code="201") >= 1
    assert 0 <= operator.metric("suanli_member_last_heard_age_seconds", site="east") < 60
    assert operator.http("/nothing")[0] == 404


def test_it_ends_gracefully_and_hands_the_lead_over_at_once(
    federation: Federation, operator: OperatorProcess, tenant: Tenant
) -> None:
    tenant.run("runs-on", "sleep 3")
    tenant.wait_pods("runs-on", 1, "running")
    assert operator.terminate() == 0
    assert "stopped" in operator.words()
    lease = federation.hub.json("get", "lease", "suanli-operator", "--namespace", "suanli-system")
    assert not lease["spec"].get("holderIdentity")
    operator.start()
    operator.wait_leading()
    tenant.wait_state("runs-on", "Succeeded")
    assert tenant.told("runs-on") == tenant.ran("runs-on")
    assert len(tenant.pods("runs-on")) == 1


def is_ready(process: OperatorProcess) -> bool:
    """Whether it could take over."""
    return " port=" in process.words() and process.http("/readyz")[0] == 200


def test_three_leaders_killed_one_after_another_are_each_replaced_in_time(
    federation: Federation, operator: OperatorProcess, tenant: Tenant
) -> None:
    with federation.operator("standby", SUANLI_DATA_DIR=str(operator.ledger.parent)) as standby:
        leader, waiting = operator, standby
        waiting.start()
        tenant.run("handed-over", "hang")
        tenant.wait_pods("handed-over", 1, "running")
        took_s = []
        for number in range(KILLS):
            wait_for("the standby to be ready", partial(is_ready, waiting))
            assert waiting.metric("suanli_leader") == 0
            tenant.run(f"short-{number}", "sleep 1")
            leader.kill()
            began_s = time.monotonic()
            waiting.wait_leading()
            took_s.append(time.monotonic() - began_s)
            tenant.wait_state(f"short-{number}", "Succeeded")
            leader, waiting = waiting, leader
            waiting.start()
        print(f"F5: {KILLS} leaders killed on real servers, replaced after {', '.join(f'{s:.1f}' for s in took_s)} s")
        assert max(took_s) <= TAKEOVER_S
        tenant.patch("handed-over", {"desiredState": "Suspended"})
        tenant.wait_state("handed-over", "Suspended")
        assert tenant.told("handed-over") == tenant.ran("handed-over")
        waiting.kill()
        assert leader.terminate() == 0
    assert [len(tenant.pods(name)) for name in ("handed-over", "short-0", "short-1", "short-2")] == [1, 1, 1, 1]


def test_bad_configuration_ends_it_with_a_plain_sentence(federation: Federation) -> None:
    cases = {
        "not-a-number": ({"SUANLI_CYCLE_MS": "soon"}, 2, ["SUANLI_CYCLE_MS", "soon"]),
        "unknown": ({"SUANLI_SPEED": "high"}, 2, ["SUANLI_SPEED is not a setting", "docs/operations.md"]),
        "not-our-address": ({"SUANLI_HTTP_HOST": "192.0.2.1"}, 2, ["192.0.2.1", "SUANLI_HTTP_PORT"]),
        "no-folder": ({"SUANLI_DATA_DIR": "/proc/nowhere"}, 2, ["/proc/nowhere"]),
        "stranger": ({}, 4, ["the hub cannot be used", "check its address, credentials and the chart's RBAC"]),
    }
    with ExitStack() as stack:
        started = {}
        for name, (settings, _, _) in cases.items():
            started[name] = stack.enter_context(federation.operator(name, **settings))
            if name == "stranger":
                kubeconfig = federation.folder / f"{name}.kubeconfig"
                kubeconfig.write_text(re.sub(r"token: .*", "token: nobody", kubeconfig.read_text()))
            started[name].start()
        for name, (_, code, parts) in cases.items():
            process = started[name]
            process.wait_ended()
            words = process.words()
            assert process.exit_code == code, f"{name}: {words}"
            assert "Traceback" not in words
            for part in parts:
                assert part in words, f"{name}: {words}"
