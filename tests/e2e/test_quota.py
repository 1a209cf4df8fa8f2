"""Accounts on real control planes: a quota that is reached makes a job wait and say so; raised, it starts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from harness import Federation, Tenant, wait_for
from suanli.base.names import API_VERSION

A100 = "nvidia-a100-80g"
CARDS = {"class": [A100], "perTask": {"cpu": "2", "memory": "1Gi", "cards": 4}}


@contextmanager
def account(federation: Federation, name: str, namespace: str, nominal: int) -> Iterator[None]:
    """An account with a quota of cards, for as long as a test lasts."""
    spec = {"namespaces": [namespace], "quotas": [{"class": A100, "nominal": nominal}]}
    manifest = {"apiVersion": API_VERSION, "kind": "ComputeAccount", "metadata": {"name": name}, "spec": spec}
    federation.hub.apply(yaml.safe_dump(manifest))
    try:
        yield
    finally:
        federation.hub("delete", "computeaccount", name)


def status(federation: Federation, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(federation.hub("get", "computeaccount", name, "-o", "json"))
    return dict(found.get("status") or {})


def test_a_job_waits_for_quota_and_starts_when_it_is_raised(tenant: Tenant, federation: Federation) -> None:
    name = tenant.namespace
    with account(federation, name, tenant.namespace, 4):
        tenant.run("holder", "hang", resources=CARDS)
        tenant.wait_state("holder", "Running")
        assert tenant.condition("holder", "QuotaReserved")["reason"] == "QuotaReserved"
        tenant.run("waits", "sleep 1", resources=CARDS)
        said = tenant.wait_reason("waits", "QuotaReserved", "QuotaExceeded")
        assert said["status"] == "False"
        told = f"account {name} holds 4 cards of {A100}, nominal is 4, it may borrow 0; the job asks for 4"
        assert said["message"] == told
        placed = tenant.wait_reason("waits", "Placed", "QuotaExceeded")
        assert f"2 QuotaExceeded (east is out of quota: {told})" in placed["message"]
        assert not tenant.member_jobs("waits")
        patch = json.dumps({"spec": {"quotas": [{"class": A100, "nominal": 8}]}})
        federation.hub("patch", "computeaccount", name, "--type", "merge", "--patch", patch)
        job = tenant.wait_state("waits", "Succeeded")
        assert job["metadata"]["generation"] == 1
        tenant.wait_state("holder", "Running")
        assert tenant.condition("waits", "QuotaReserved")["reason"] == "QuotaReserved"

        def shown() -> bool:
            uses = status(federation, name).get("quotas", [])
            return [(use["class"], use["nominal"], use["borrowed"]) for use in uses] == [(A100, 8, "0")]

        wait_for("the account to show its quota", shown)
