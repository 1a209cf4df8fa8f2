"""A member's kubeconfig is somebody else's input: it is read without running, opening or asking anything, or refused in one sentence."""

import base64
import copy
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives import serialization

from localfed.pki import Authority
from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.federation.credentials import FLATTEN, MAX_BYTES, parse_kubeconfig, write_kubeconfig
from suanli.kube.addresses import Reach
from suanli.kube.client import Target

Config = dict[str, Any]
Change = Callable[[Config], object]
AUTHORITY = Authority("member")
CA = AUTHORITY.certificate_pem.decode()
PAIR = AUTHORITY.client("hub")
CERTIFICATE, KEY = PAIR.certificate_pem.decode(), PAIR.key_pem.decode()
NO_FILES = f"the hub reads no other files; {FLATTEN}"
NO_COMMANDS = "the hub runs no commands for credentials; put a token or a client certificate into the file"


def _b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


CONFIG: Config = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [
        {
            "name": "c",
            "cluster": {"server": "https://member.example:6443", "certificate-authority-data": _b64(CA)},
        }
    ],
    "users": [{"name": "u", "user": {"token": "secret.token-1"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}


def _encrypted() -> bytes:
    key = serialization.load_pem_private_key(KEY.encode(), password=None)
    how = serialization.BestAvailableEncryption(b"pass")
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)


# --- what a test may do to it


def cluster(**fields: object) -> Change:
    return lambda c: c["clusters"][0]["cluster"].update({k.replace("_", "-"): v for k, v in fields.items()})


def user(**fields: object) -> Change:
    """The user's own fields instead of the token."""
    return lambda c: c["users"][0].update(user={k.replace("_", "-"): v for k, v in fields.items()})


def beside_token(**fields: object) -> Change:
    return lambda c: c["users"][0]["user"].update({k.replace("_", "-"): v for k, v in fields.items()})


def top(**fields: object) -> Change:
    return lambda c: c.update({k.replace("_", "-"): v for k, v in fields.items()})


def without(*path: str | int) -> Change:
    def change(config: Config) -> None:
        at: Any = config
        for part in path[:-1]:
            at = at[part]
        del at[path[-1]]

    return change


def _text(change: Change = lambda c: None) -> bytes:
    config = copy.deepcopy(CONFIG)
    change(config)
    return yaml.safe_dump(config).encode()


# --- nothing happens while it is read


class _Watch:
    """Hears of every file, process, connection and name look-up of the interpreter."""

    EVENTS = (
        "open",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.fork",
        "subprocess.Popen",
        "exec",
        "compile",
        "import",
    )

    def __init__(self) -> None:
        self.on = False
        self.heard: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.on and (event in self.EVENTS or event.startswith("socket.")):
            self.heard.append(f"{event} {args[:1]}")


WATCH = _Watch()


@contextmanager
def nothing_happens() -> Iterator[None]:
    WATCH.heard.clear()
    WATCH.on = True
    try:
        yield
    finally:
        WATCH.on = False
    assert WATCH.heard == []


def test_the_watch_hears_files_commands_and_requests() -> None:
    with pytest.raises(AssertionError, match="open"), nothing_happens(), open("/dev/null", encoding="ascii"):
        pass


@pytest.fixture(autouse=True)
def warm() -> None:
    """What Python loads once is loaded."""
    parse_kubeconfig(_text(), allow_loopback=False)


# --- what is read


def test_a_token_and_an_authority_are_read() -> None:
    with nothing_happens():
        target = parse_kubeconfig(_text(), allow_loopback=False)
    assert target == Target("https://member.example:6443", CA, "secret.token-1", reach=Reach.OUTSIDE)


def test_a_client_certificate_is_read() -> None:
    change = user(client_certificate_data=_b64(CERTIFICATE), client_key_data=_b64(KEY))
    target = parse_kubeconfig(_text(change), allow_loopback=False)
    assert (target.client_cert_pem, target.client_key_pem, target.token) == (CERTIFICATE, KEY, None)


def test_without_an_authority_the_systems_own_are_meant() -> None:
    change = without("clusters", 0, "cluster", "certificate-authority-data")
    assert parse_kubeconfig(_text(change), allow_loopback=False).ca_pem is None


@pytest.mark.parametrize(
    "change",
    [
        top(preferences={"colors": True}, extensions=[{"name": "n", "extension": {"any": "thing"}}]),
        cluster(extensions=[], disable_compression=True, insecure_skip_tls_verify=False),
        lambda c: c["contexts"][0]["context"].update(namespace="default", extensions=[]),
        lambda c: c["clusters"].append({"name": "other", "cluster": {"server": "http://anything"}}),
        lambda c: c["users"].append({"name": "other", "user": {"exec": {"command": "touch", "args": ["/tmp/x"]}}}),
        lambda c: c["contexts"].append({"name": "other", "context": "nonsense"}),
        cluster(tls_server_name="api.member.example"),
        cluster(certificate_authority_data=_b64(f"\n{CA}\n{CA}")),
    ],
)
def test_what_does_not_matter_is_passed_over(change: Change) -> None:
    with nothing_happens():
        assert parse_kubeconfig(_text(change), allow_loopback=False).token == "secret.token-1"


def test_loopback_only_where_it_is_allowed() -> None:
    text = _text(cluster(server="https://127.0.0.1:6443"))
    assert parse_kubeconfig(text, allow_loopback=True).reach is Reach.OUTSIDE_OR_LOOPBACK
    with pytest.raises(SuanliError, match="the hub's own machine"):
        parse_kubeconfig(text, allow_loopback=False)


def test_what_a_join_writes_is_read_back_and_always_the_same() -> None:
    target = Target("https://member.example:6443", CA, "t.t-t", tls_server_name="api.example", reach=Reach.OUTSIDE)
    written = write_kubeconfig(target, name="site")
    assert written == write_kubeconfig(target, name="site")
    assert parse_kubeconfig(written, allow_loopback=False) == target
    bare = Target("https://member.example", None, "t", reach=Reach.OUTSIDE)
    assert parse_kubeconfig(write_kubeconfig(bare, name="site"), allow_loopback=False) == bare


# --- what is refused

PEM_ONLY = "whole PEM blocks and nothing else"

CASES: list[tuple[bytes | Change, str]] = [
    # not a kubeconfig
    (b"", f"kubeconfig: it is empty; {FLATTEN}"),
    (b"\n# nothing\n", f"kubeconfig: it is empty; {FLATTEN}"),
    (b"words", f"kubeconfig: it must be an object of fields; {FLATTEN}"),
    (b"[1, 2]", f"kubeconfig: it must be an object of fields; {FLATTEN}"),
    (b"\xff\xfe\x00k", f"kubeconfig: it is not UTF-8 text; {FLATTEN}"),
    (b"a: \x00", f"kubeconfig: it holds characters that YAML does not allow; {FLATTEN}"),
    (b"a: 'x", f"kubeconfig: it is not one valid YAML document (line 1); {FLATTEN}"),
    (b"x" * (MAX_BYTES + 1), f"kubeconfig: it has {MAX_BYTES + 1} bytes, at most {MAX_BYTES} are read; {FLATTEN}"),
    (b"a: &a [x]\nb: *a", f"kubeconfig: anchors and aliases (& and *) are not allowed (line 1); {FLATTEN}"),
    (b"a: !!python/object/apply:os.system [id]", f"kubeconfig: tags (!) are not allowed (line 1); {FLATTEN}"),
    (b"kind: Config\nkind: Config", f"kubeconfig: a field stands twice in one object (line 2); {FLATTEN}"),
    (b"[" * 60_000, "kubeconfig: it is deeper than 16 levels or has more than 1000 values (line 1)"),
    (_text() + b"---\n" + _text(), "kubeconfig: it is not one valid YAML document"),
    (b"apiVersion: v1\nkind: Secret\ndata: {kubeconfig: aGk=}", "kubeconfig.data: this field is not known"),
    (top(kind="Secret"), 'kind: "Secret" is not "Config"; give a kubeconfig of apiVersion v1 and kind Config'),
    (top(apiVersion="v2"), 'apiVersion: "v2" is not "v1"'),
    (without("kind"), 'kind: "None" is not "Config"'),
    (top(surprise=1), "kubeconfig.surprise: this field is not known"),
    (top(**{"a\x1b[31m": 1}), r"kubeconfig.a\x1b[31m: this field is not known"),
    (top(**{"x" * 500: 1}), f"kubeconfig.{'x' * 77}...: this field is not known"),
    # contexts and names
    (without("current-context"), f"kubeconfig.current-context: it is missing; {FLATTEN}"),
    (top(current_context=""), "kubeconfig.current-context: it must be a text that is not empty; put it in quotes"),
    (top(current_context=["x"]), "kubeconfig.current-context: it must be a text that is not empty"),
    (top(current_context="y"), 'contexts: there must be exactly one entry named "y", there is none'),
    (top(contexts=None), f"contexts: it must be a list of entries with a name; {FLATTEN}"),
    (top(contexts="x"), "contexts: it must be a list of entries with a name"),
    (top(contexts=["x"]), "contexts: it must be a list of entries with a name"),
    (top(contexts=[{"context": {}}]), "contexts: it must be a list of entries with a name"),
    (top(users=[{"name": ["u"], "user": {}}]), "users: it must be a list of entries with a name"),
    (lambda c: c["contexts"].append(copy.deepcopy(c["contexts"][0])), 'exactly one entry named "x", there are 2'),
    (lambda c: c["users"].append({"name": "u", "user": {"token": "b"}}), 'named "u", there are 2'),
    (lambda c: c["contexts"][0].update(other=1), 'contexts[x]: it must hold "name" and "context" and nothing else'),
    (lambda c: c["contexts"][0].update(context="c"), f"context: it must be an object of fields; {FLATTEN}"),
    (lambda c: c["contexts"][0]["context"].update(cluster=7), "context.cluster: it must be a text"),
    (lambda c: c["contexts"][0]["context"].update(cluster="d"), 'clusters: there must be exactly one entry named "d"'),
    (without("contexts", 0, "context", "user"), f"context.user: it is missing; {FLATTEN}"),
    (without("users"), "users: it must be a list of entries with a name"),
    # commands, plugins, files, proxies
    (user(exec={"command": "touch", "args": ["/tmp/owned"], "apiVersion": "x"}), f"user.exec: {NO_COMMANDS}"),
    (beside_token(exec={"command": "id"}), f"user.exec: {NO_COMMANDS}"),
    (beside_token(exec=None), f"user.exec: {NO_COMMANDS}"),
    (user(auth_provider={"name": "gcp", "config": {"cmd-path": "/bin/sh"}}), "user.auth-provider: the hub runs no"),
    (user(tokenFile="/var/run/secrets/kubernetes.io/serviceaccount/token"), f"user.tokenFile: {NO_FILES}"),
    (beside_token(tokenFile="/etc/passwd"), f"user.tokenFile: {NO_FILES}"),
    (cluster(certificate_authority="/etc/ssl/ca.crt"), f"cluster.certificate-authority: {NO_FILES}"),
    (user(client_certificate="/c", client_key="/k"), f"user.client-certificate: {NO_FILES}"),
    (user(client_certificate_data=_b64(CERTIFICATE), client_key="/k"), f"user.client-key: {NO_FILES}"),
    (cluster(proxy_url="http://127.0.0.1:3128"), "cluster.proxy-url: the hub uses no proxy"),
    (user(username="root", password="hunter2"), ": passwords are not supported; use a token or a client certificate"),
    (beside_token(password="hunter2"), "user.password: passwords are not supported"),
    (beside_token(**{"as": "system:admin"}), "user.as: impersonation is not supported"),
    (beside_token(as_groups=["system:masters"]), "user.as-groups: impersonation is not supported"),
    (beside_token(as_uid="1"), "user.as-uid: impersonation is not supported"),
    (beside_token(as_user_extra={}), "user.as-user-extra: impersonation is not supported"),
    (beside_token(token_file="x"), "user.token-file: this field is not known"),
    (lambda c: c["contexts"][0]["context"].update(exec={}), "context.exec: the hub runs no commands"),
    # where it leads
    (without("clusters", 0, "cluster", "server"), f"cluster.server: it is missing; {FLATTEN}"),
    (cluster(server=6443), "cluster.server: it must be a text that is not empty; put it in quotes"),
    (cluster(server="http://member.example"), 'cluster.server "http://member.example": it must begin with https://'),
    (cluster(server="https://me:hunter2@member.example"), "it must not hold a user or password"),
    (cluster(server="https://127.0.0.1:6443"), "it leads to the hub's own machine"),
    (
        cluster(server="https://169.254.169.254/latest"),
        "link-local, multicast and unspecified addresses are not allowed",
    ),
    (cluster(server="https://[::ffff:7f00:1]"), "it leads to the hub's own machine"),
    (cluster(insecure_skip_tls_verify=True), "cluster.insecure-skip-tls-verify: an unverified server could be anybody"),
    (cluster(insecure_skip_tls_verify="false"), "cluster.insecure-skip-tls-verify: an unverified server"),
    (cluster(insecure_skip_tls_verify=1), "cluster.insecure-skip-tls-verify: an unverified server"),
    (cluster(tls_server_name="*.example"), 'cluster.tls-server-name: "*.example" is not a host name'),
    (cluster(tls_server_name="a\nHost: b"), r'cluster.tls-server-name: "a\nHost: b" is not a host name'),
    # the authority
    (cluster(certificate_authority_data="***"), f"certificate-authority-data: it is not base64 of PEM text; {FLATTEN}"),
    (
        cluster(certificate_authority_data=_b64("words")),
        f"certificate-authority-data: it must be one or more {PEM_ONLY}",
    ),
    (cluster(certificate_authority_data=_b64(b"\xff\xfe")), "certificate-authority-data: it is not base64 of PEM text"),
    (
        cluster(certificate_authority_data=_b64(f"{CA}words")),
        f"certificate-authority-data: it must be one or more {PEM_ONLY}",
    ),
    (
        cluster(certificate_authority_data=_b64(CA * 65)),
        f"certificate-authority-data: it must be one or more {PEM_ONLY}",
    ),
    (
        cluster(certificate_authority_data=_b64(KEY)),
        'certificate-authority-data: it holds a "EC PRIVATE KEY"; give a CERT',
    ),
    (
        cluster(certificate_authority_data=_b64("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
        f"certificate-authority-data: its certificates cannot be read; {FLATTEN}",
    ),
    (
        cluster(certificate_authority_data=_b64("-----BEGIN CERTIFICATE-----\nAAA=A\n-----END CERTIFICATE-----\n")),
        "certificate-authority-data: a PEM block in it is not base64",
    ),
    # the account
    (user(), "user: give either a token or a client certificate with its key"),
    (user(token=""), "user.token: it must be a text that is not empty; put it in quotes"),
    (user(token=12345678), "user.token: it must be a text that is not empty; put it in quotes"),
    (user(token="hunter2 hunter2"), "user.token: it is too long or holds characters that no token has"),
    (user(token="hunter2\r\nX-Remote-User: admin"), "user.token: it is too long or holds characters"),
    (user(token="hunter2" * 2_500), "user.token: it is too long or holds characters"),
    (user(token=["hunter2"]), "user.token: it must be a text"),
    (
        beside_token(client_certificate_data=_b64(CERTIFICATE), client_key_data=_b64(KEY)),
        "user: give either a token or",
    ),
    (user(client_certificate_data=_b64(CERTIFICATE)), "user: client-certificate-data and client-key-data go together"),
    (user(client_key_data=_b64(KEY)), "user: client-certificate-data and client-key-data go together"),
    (
        user(client_certificate_data=_b64(KEY), client_key_data=_b64(KEY)),
        'user.client-certificate-data: it holds a "EC PRIVATE KEY"',
    ),
    (
        user(client_certificate_data=_b64(CERTIFICATE), client_key_data=_b64(_encrypted())),
        'user.client-key-data: it holds a "ENCRYPTED PRIVATE KEY"; give a PRIVATE KEY or RSA PRIVATE KEY or EC PRIVATE KEY'
        " that is not encrypted",
    ),
    (
        user(
            client_certificate_data=_b64(CERTIFICATE),
            client_key_data=_b64(
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
            ),
        ),
        f"user.client-key-data: it must be one {PEM_ONLY}",
    ),
    (
        user(client_certificate_data=_b64(CERTIFICATE), client_key_data=_b64(KEY + KEY)),
        f"user.client-key-data: it must be one {PEM_ONLY}",
    ),
]


@pytest.mark.parametrize(("bad", "why"), CASES, ids=range(len(CASES)))
def test_a_bad_kubeconfig_does_nothing_and_is_told_in_one_sentence(bad: bytes | Change, why: str) -> None:
    data = bad if isinstance(bad, bytes) else _text(bad)
    with nothing_happens(), pytest.raises(SuanliError) as caught:
        parse_kubeconfig(data, allow_loopback=False)
    told = str(caught.value)
    assert caught.value.reason is Reason.CREDENTIALS_MALFORMED
    assert why in told
    assert told.isprintable()
    assert re.search("; |give either|must begin", told), "it says what to do"
    assert not re.search("hunter2|secret.token", told), "no secret is ever shown"
    assert len(told) < 500


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 60
