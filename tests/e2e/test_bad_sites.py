"""Sites that are wrong: each says so in one condition with a reason and a remedy, and no other site or job notices."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness import Federation, Observer, Tenant
from harness.federation import NAMESPACE
from harness.kubeconfigs import MARK, cluster_of, kubeconfig, replace_kubeconfig, site_with_secret

SPEC: dict[str, Any] = {
    "region": "shanghai",
    "standardRacks": 10,
    "resources": [{"class": "cpu-x86", "type": "General", "resourceName": "cpu", "unit": "Core"}],
}


def secret_of(federation: Federation, site: str) -> str:
    """The kubeconfig that joining put into the site's Secret."""
    secret = federation.hub.json("get", "secret", f"site-{site}", "--namespace", NAMESPACE)
    return base64.b64decode(secret["data"]["kubeconfig"]).decode()


def account(federation: Federation, name: str) -> str:
    """A token of a new account on the eastern member, which may do nothing."""
    east = federation.member("east")
    east("create", "serviceaccount", name, "--namespace", "default")
    return east("create", "token", name, "--namespace", "default").strip()


def test_each_wrong_site_says_what_is_wrong_and_what_to_do(
    federation: Federation, observer: Observer, tenant: Tenant
) -> None:
    east, hub = (cluster_of(federation.clusters[name].kubeconfig) for name in ("east", "hub"))
    revoked, powerless = account(federation, "revoked"), account(federation, "powerless")
    federation.member("east")("delete", "serviceaccount", "revoked", "--namespace", "default")
    nowhere = {**east, "server": "https://127.0.0.1:1"}
    configs: dict[str, str | None] = {
        "missing": None,
        "garbage": f"{{not: [yaml {MARK}",
        "runs-commands": kubeconfig(
            east, exec={"command": "id", "args": [MARK], "apiVersion": "client.authentication.k8s.io/v1"}
        ),
        "revoked": kubeconfig(east, token=revoked),
        "powerless": kubeconfig(east, token=powerless),
        "nowhere": kubeconfig(nowhere, token=MARK),
        "mistaken": kubeconfig({**east, "server": hub["server"]}, token=MARK),
        "twin": secret_of(federation, "east"),
    }
    expected = {
        "missing": ("CredentialsMissing", ["Secret suanli-system/site-missing", "suanli site join"]),
        "garbage": ("CredentialsMalformed", ["Secret suanli-system/site-garbage", "suanli site join"]),
        "runs-commands": ("CredentialsMalformed", ["user.exec", "the hub runs no commands"]),
        "revoked": ("CredentialsRefused", ["join the site again"]),
        "powerless": ("PermissionDenied", ["join the site again"]),
        "nowhere": ("Unreachable", ["https://127.0.0.1:1"]),
        "mistaken": ("Unreachable", [hub["server"], "certificate authority"]),
        "twin": ("DuplicateCluster", ["ComputeSite east", "delete it"]),
    }
    with sites(federation, configs):
        federation.hub.apply(site_with_secret("atlantis", {**SPEC, "region": "atlantis"}, None, NAMESPACE))
        federation.hub.apply(site_with_secret("keyless", SPEC, {"config": MARK}, NAMESPACE))
        tenant.run("unharmed", "sleep 2")
        for name, (reason, parts) in expected.items():
            message = observer.wait_site(name, reason)
            for part in parts:
                assert part in message, f"{name}: {message}"
        assert "atlantis" in observer.wait_site("atlantis", "UnknownRegion")
        assert 'no key "kubeconfig"' in observer.wait_site("keyless", "CredentialsMissing")
        job = tenant.wait_state("unharmed", "Succeeded")
        assert job["status"]["assignment"]["site"] in federation.sites
        for name in federation.sites:
            assert observer.site_condition(name)["reason"] == "Ready"
        # A wrong site is mended where the message says it is wrong.
        replace_kubeconfig(federation.hub, NAMESPACE, "site-keyless", kubeconfig(nowhere, token=MARK))
        observer.wait_site("keyless", "Unreachable")


def test_a_site_that_suddenly_leads_to_another_cluster_loses_no_job(
    federation: Federation, observer: Observer, tenant: Tenant
) -> None:
    tenant.run("unharmed", "hang", data={"allowedSites": ["east"]})
    tenant.wait_state("unharmed", "Running")
    right = secret_of(federation, "east")
    try:
        replace_kubeconfig(federation.hub, NAMESPACE, "site-east", federation.clusters["hub"].kubeconfig.read_text())
        message = observer.wait_site("east", "WrongCluster")
        identity = federation.hub.json("get", "namespace", "kube-system")["metadata"]["uid"]
        assert identity in message
        tenant.run("elsewhere", "sleep 1")
        assert tenant.wait_state("elsewhere", "Succeeded")["status"]["assignment"]["site"] == "west"
        tenant.wait_state("unharmed", "Unknown")
    finally:
        replace_kubeconfig(federation.hub, NAMESPACE, "site-east", right)
    observer.wait_site("east", "Ready")
    job = tenant.wait_state("unharmed", "Running")
    assert job["status"]["assignment"]["epoch"] == 1
    assert len(tenant.member_jobs("unharmed")) == len(tenant.pods("unharmed")) == 1


def test_a_site_whose_token_is_revoked_is_joined_again_as_it_says(
    federation: Federation, observer: Observer, tenant: Tenant
) -> None:
    tenant.run("unharmed", "hang", data={"allowedSites": ["west"]})
    tenant.wait_state("unharmed", "Running")
    federation.member("west")("delete", "secret", "--all", "--namespace", "suanli-system")
    assert "join the site again" in observer.wait_site("west", "CredentialsRefused")
    credentials = observer.site_condition("west", "CredentialsValid")
    assert (credentials["status"], credentials["reason"]) == ("False", "CredentialsRefused")
    federation.join("west")
    observer.wait_site("west", "Ready")
    job = tenant.wait_state("unharmed", "Running")
    assert job["status"]["assignment"]["epoch"] == 1
    assert len(tenant.pods("unharmed")) == 1


def test_a_deleted_site_keeps_its_jobs_until_it_is_back(
    federation: Federation, observer: Observer, tenant: Tenant
) -> None:
    tenant.run("unharmed", "hang", data={"allowedSites": ["east"]})
    tenant.wait_state("unharmed", "Running")
    federation.hub("delete", "computesite", "east")
    try:
        running = tenant.wait_reason("unharmed", "Running", "SiteUnreachable")
        assert "ComputeSite east is not known" in running["message"]
    finally:
        federation.join("east")
    observer.wait_site("east", "Ready")
    job = tenant.wait_state("unharmed", "Running")
    assert job["status"]["assignment"]["epoch"] == 1
    assert len(tenant.pods("unharmed")) == 1


@contextmanager
def sites(federation: Federation, configs: dict[str, str | None]) -> Iterator[None]:
    """Sites with these kubeconfigs; None: without a Secret."""
    try:
        for name, text in configs.items():
            data = None if text is None else {"kubeconfig": text}
            federation.hub.apply(site_with_secret(name, SPEC, data, NAMESPACE))
        yield
    finally:
        names = [*configs, "atlantis", "keyless"]
        federation.hub("delete", "computesites", *names, "--ignore-not-found")
        secrets = [f"site-{name}" for name in names]
        federation.hub("delete", "secrets", *secrets, "--namespace", NAMESPACE, "--ignore-not-found")
        federation.member("east")("delete", "serviceaccount", "powerless", "--namespace", "default")
