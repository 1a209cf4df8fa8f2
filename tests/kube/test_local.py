"""The person's own kubeconfig is read as kubectl reads it, and what the client cannot do is said."""

import base64
import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.kube.client import Target
from suanli.kube.local import load_in_cluster, load_target

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
Config = dict[str, Any]
Change = Callable[[Config], object]

CONFIG: Config = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [
        {
            "name": "one",
            "cluster": {
                "server": "https://one.example:6443/",
                "certificate-authority-data": base64.b64encode(CA.encode()).decode(),
            },
        },
        {"name": "two", "cluster": {"server": "https://two.example"}},
    ],
    "users": [{"name": "me", "user": {"token": "secret-token"}}],
    "contexts": [
        {"name": "one", "context": {"cluster": "one", "user": "me"}},
        {"name": "two", "context": {"cluster": "two", "user": "me"}},
    ],
    "current-context": "one",
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def written(change: Change = lambda config: None) -> Path:
        config = copy.deepcopy(CONFIG)
        change(config)
        path = tmp_path / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    return written


def user(config: Config, **fields: object) -> None:
    config["users"][0]["user"] = fields


def cluster(config: Config, **fields: object) -> None:
    config["clusters"][0]["cluster"].update({k.replace("_", "-"): v for k, v in fields.items()})


def test_the_current_context_is_taken(write: Callable[..., Path]) -> None:
    assert load_target(write()) == Target("https://one.example:6443", CA, token="secret-token")


def test_another_context_can_be_named(write: Callable[..., Path]) -> None:
    assert load_target(write(), "two") == Target("https://two.example", None, token="secret-token")


def test_the_default_is_kubectls(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(write()))
    assert load_target().server == "https://one.example:6443"


def test_files_are_read_beside_the_kubeconfig(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "client.crt").write_text("certificate")
    (tmp_path / "client.key").write_text("key")
    path = write(lambda c: user(c, **{"client-certificate": "client.crt", "client-key": "client.key"}))
    target = load_target(path)
    assert (target.client_cert_pem, target.client_key_pem, target.token) == ("certificate", "key", None)


def test_a_credential_plugin_runs(write: Callable[..., Path]) -> None:
    words = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"from-plugin"}}'
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", f"print({words!r})"],
        "interactiveMode": "Never",
    }
    assert load_target(write(lambda c: user(c, exec=plugin))).token == "from-plugin"


def test_a_proxy_of_the_environment_is_not_used(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    assert load_target(write()).server == "https://one.example:6443"


def test_a_server_name_for_tls_is_kept(write: Callable[..., Path]) -> None:
    assert load_target(write(lambda c: cluster(c, tls_server_name="api.example"))).tls_server_name == "api.example"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: cluster(c, server="http://one.example"), "not https"),
        (lambda c: cluster(c, insecure_skip_tls_verify=True), "insecure-skip-tls-verify"),
        (lambda c: cluster(c, proxy_url="http://proxy.example"), "proxy-url"),
        (lambda c: user(c, username="root", password="hunter2"), "username and password"),
        (lambda c: c.update({"current-context": "three"}), "three"),
        (lambda c: c["clusters"].clear(), "cannot be used"),
        (lambda c: c.clear(), "cannot be used"),
        (lambda c: user(c, **{"client-certificate": "nowhere.crt", "client-key": "nowhere.key"}), "nowhere.crt"),
        (lambda c: user(c, exec={"command": "no-such-plugin", "apiVersion": "x"}), "no-such-plugin"),
        (lambda c: user(c), "neither a token nor a client certificate"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(write: Callable[..., Path], change: Change, words: str) -> None:
    with pytest.raises(SuanliError) as caught:
        load_target(write(change))
    assert caught.value.reason is Reason.CREDENTIALS_MALFORMED
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", ["[1, 2]", "words", "{", ""])
def test_a_file_that_is_no_kubeconfig(tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes"
    path.write_text(content)
    with pytest.raises(SuanliError, match="cannot be used"):
        load_target(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SuanliError, match="there is no such file"):
        load_target(tmp_path / "kubeconfig")


def test_outside_of_a_pod_there_is_no_service_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(SuanliError, match="SUANLI_KUBECONFIG is not set"):
        load_in_cluster()
