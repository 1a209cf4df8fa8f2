"""Jobs, links and policies that are wrong: one clear condition each, and another job runs through unharmed."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from harness import CommandError, Federation, Tenant, wait_for
from suanli.base.names import API_VERSION


@pytest.fixture(scope="module")
def bystander(new_tenant: Callable[[str], Tenant]) -> Iterator[Tenant]:
    """A tenant whose job runs while all that is wrong comes and goes."""
    with new_tenant("bystander") as made:
        made.run("unharmed", "hang", data={"allowedSites": ["east"]})
        made.wait_state("unharmed", "Running")
        yield made


@pytest.fixture(autouse=True)
def nobody_else_is_harmed(bystander: Tenant, request: pytest.FixtureRequest) -> Iterator[None]:
    """What runs goes on, and what comes runs through."""
    quick = re.sub("[^a-z0-9]+", "-", request.node.name)[:50].strip("-")
    bystander.run(quick, "sleep 0.2")
    yield
    bystander.wait_state(quick, "Succeeded")
    assert bystander.state("unharmed") == "Running"
    assert bystander.status("unharmed")["assignment"]["epoch"] == 1
    assert len(bystander.pods("unharmed")) == 1


def test_names_that_nobody_knows(tenant: Tenant, federation: Federation) -> None:
    tenant.apply(
        tenant.manifest("origin", "sleep 1", origin="lhasa"),
        tenant.manifest("tier", "sleep 1", latency={"tier": "galaxy"}),
        tenant.manifest("site", "sleep 1", data={"allowedSites": ["moon"]}),
        tenant.manifest("class", "sleep 1", class_="abacus"),
    )
    expected = {
        "origin": ("UnknownRegion", 'spec.origin: "lhasa" is no ComputeRegion; create it'),
        "tier": ("UnknownTier", 'spec.latency.tier: "galaxy" is no latency tier of HubPolicy national'),
        "site": ("UnknownSite", 'spec.data.allowedSites: "moon" is no ComputeSite; correct the name'),
        "class": ("UnknownClass", 'spec.resources.class: no site offers "abacus"'),
    }
    for name, (reason, text) in expected.items():
        accepted = tenant.wait_reason(name, "Accepted", reason)
        assert accepted["status"] == "False"
        assert accepted["message"].startswith(text)
        assert tenant.state(name) == "Invalid"
        assert not tenant.member_jobs(name)
    spec = {"displayName": "拉萨", "latitude": "29.65", "longitude": "91.13"}
    with applied(federation, "ComputeRegion", "lhasa", spec):
        job = tenant.wait_state("origin", "Succeeded")
    assert job["metadata"]["generation"] == 1


def test_a_link_to_nowhere(federation: Federation) -> None:
    with applied(federation, "ComputeLink", "to-nowhere", {"endpoints": ["shanghai", "atlantis"], "oneWay": "1ms"}):
        condition = wait_condition(federation, "computelink", "to-nowhere", "Resolved", "UnknownEndpoint")
        assert '"atlantis" is neither a ComputeRegion nor a ComputeSite' in condition["message"]
        assert "create it or correct the name" in condition["message"]


def test_a_policy_that_names_what_is_not_there(tenant: Tenant, federation: Federation) -> None:
    with policy(federation, lambda spec: spec["hubs"][0]["regions"].append("atlantis")):
        condition = wait_condition(federation, "hubpolicy", "national", "Consistent", "UnknownRegion")
        assert 'hub yangtze-delta names region "atlantis"' in condition["message"]
        tenant.run("meanwhile", "sleep 1", latency={"tier": "city"})
        assert tenant.wait_state("meanwhile", "Succeeded")["status"]["assignment"]["site"] == "east"
    wait_condition(federation, "hubpolicy", "national", "Consistent", "Consistent")


def test_a_policy_that_forbids_everything(tenant: Tenant, federation: Federation) -> None:
    rules = [
        {"name": "all-east", "match": {"categories": ["Rendering"]}, "effect": "Require", "sides": ["East"]},
        {"name": "all-west", "match": {"categories": ["Rendering"]}, "effect": "Require", "sides": ["West"]},
    ]
    with policy(federation, lambda spec: spec["placementRules"].extend(rules)):
        tenant.run("forbidden", "sleep 1", category="Rendering")
        placed = tenant.wait_reason("forbidden", "Placed", "NoFeasibleSite")
        assert (
            "none of 2 sites: 2 PolicyForbids (east is East, yangtze-delta; rule all-west requires West)"
            in placed["message"]
        )
    job = tenant.wait_state("forbidden", "Succeeded")
    assert job["metadata"]["generation"] == 1


def test_a_job_that_is_changed_while_it_runs(bystander: Tenant) -> None:
    template = {"image": "example/other:1", "command": ["sleep", "1"]}
    with pytest.raises(CommandError, match="template cannot be changed"):
        bystander.patch("unharmed", {"template": template})
    with pytest.raises(CommandError, match='tasks cannot be changed from "1" to "2"'):
        bystander.patch("unharmed", {"tasks": 2})
    bystander.patch("unharmed", {"priority": 10, "limits": {"retries": 3}})

    def is_looked_at(_job: dict[str, Any]) -> bool:
        return bool(bystander.condition("unharmed", "Accepted")["observedGeneration"] == 2)

    assert bystander.wait("unharmed", "to be looked at again", is_looked_at)["status"]["state"] == "Running"


def test_text_in_any_language_reaches_the_task_as_it_was_written(tenant: Tenant) -> None:
    words = ["sleep 1 # 算力 ✓ 🚄 $(HOME) $$"]
    env = [{"name": "GREETING", "value": "你好, \u202eworld\u202c $(GREETING)"}]
    template = {"image": "example/work:1", "command": ["sh", "-c"], "args": words, "env": env}
    tenant.run("languages", "", template=template)
    tenant.wait_state("languages", "Succeeded")
    ((_, pod),) = tenant.pods("languages")
    (container,) = pod["spec"]["containers"]
    # Kubernetes reads $$ as $, and expands nothing behind it.
    assert [word.replace("$$", "$") for word in container["args"]] == words
    assert container["env"][0]["value"].replace("$$", "$") == env[0]["value"]
    assert "$$(HOME)" in container["args"][0]


def test_a_manifest_that_is_too_large_or_misnamed_is_refused_at_once(tenant: Tenant, federation: Federation) -> None:
    template = {"image": "example/work:1", "command": ["sleep", "1"], "args": ["x" * 4_000] * 77}
    large = tenant.manifest("large", "", template=template)
    assert len(json.dumps(large)) > 300_000
    with pytest.raises(CommandError, match="131072 characters"):
        federation.hub("create", "--filename", "-", stdin=json.dumps(large))
    with pytest.raises(CommandError, match="算力"):
        federation.hub("create", "--filename", "-", stdin=json.dumps(tenant.manifest("算力", "sleep 1")))


@contextmanager
def applied(federation: Federation, kind: str, name: str, spec: dict[str, Any]) -> Iterator[None]:
    manifest = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
    federation.hub.apply(yaml.safe_dump(manifest))
    try:
        yield
    finally:
        federation.hub("delete", kind, name)


@contextmanager
def policy(federation: Federation, change: Any) -> Iterator[None]:
    """The national policy changed for a while."""
    spec = federation.hub.json("get", "hubpolicy", "national")["spec"]
    changed = json.loads(json.dumps(spec))
    change(changed)
    set_policy(federation, changed)
    try:
        yield
    finally:
        set_policy(federation, spec)


def set_policy(federation: Federation, spec: dict[str, Any]) -> None:
    federation.hub("patch", "hubpolicy", "national", "--type", "merge", "--patch", json.dumps({"spec": spec}))


def wait_condition(federation: Federation, kind: str, name: str, type_: str, reason: str) -> dict[str, str]:
    def found() -> dict[str, str]:
        status = federation.hub.json("get", kind, name).get("status", {})
        matching = (c for c in status.get("conditions", []) if (c["type"], c["reason"]) == (type_, reason))
        return next(matching, {})

    return wait_for(f"{kind} {name} to be {reason}", found)
