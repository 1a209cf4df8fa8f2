"""Kubeconfigs that nobody should be able to use, each with what it is told: commands, files, proxies, bombs, nonsense."""

import base64
import copy
from collections.abc import Callable
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization

from localfed.pki import Authority
from suanli.federation.credentials import FLATTEN, MAX_BYTES

Config = dict[str, Any]
Change = Callable[[Config], object]
AUTHORITY = Authority("member")
CA = AUTHORITY.certificate_pem.decode()
PAIR = AUTHORITY.client("hub")
CERTIFICATE, KEY = PAIR.certificate_pem.decode(), PAIR.key_pem.decode()
NO_FILES = f"the hub reads no other files; {FLATTEN}"
NO_COMMANDS = "the hub runs no commands for credentials; put a token or a client certificate into the file"


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


CONFIG: Config = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [
        {
            "name": "c",
            "cluster": {"server": "https://member.example:6443", "certificate-authority-data": b64(CA)},
        }
    ],
    "users": [{"name": "u", "user": {"token": "secret.token-1"}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "x",
}


def encrypted() -> bytes:
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


def written(change: Change = lambda c: None) -> bytes:
    config = copy.deepcopy(CONFIG)
    change(config)
    return yaml.safe_dump(config).encode()


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
    (written() + b"---\n" + written(), "kubeconfig: it is not one valid YAML document"),
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
    (user(client_certificate_data=b64(CERTIFICATE), client_key="/k"), f"user.client-key: {NO_FILES}"),
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
        cluster(certificate_authority_data=b64("words")),
        f"certificate-authority-data: it must be one or more {PEM_ONLY}",
    ),
    (cluster(certificate_authority_data=b64(b"\xff\xfe")), "certificate-authority-data: it is not base64 of PEM text"),
    (
        cluster(certificate_authority_data=b64(f"{CA}words")),
        f"certificate-authority-data: it must be one or more {PEM_ONLY}",
    ),
    (
        cluster(certificate_authority_data=b64(CA * 65)),
        f"certificate-authority-data: it must be one or more {PEM_ONLY}",
    ),
    (
        cluster(certificate_authority_data=b64(KEY)),
        'certificate-authority-data: it holds a "EC PRIVATE KEY"; give a CERT',
    ),
    (
        cluster(certificate_authority_data=b64("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
        f"certificate-authority-data: its certificates cannot be read; {FLATTEN}",
    ),
    (
        cluster(certificate_authority_data=b64("-----BEGIN CERTIFICATE-----\nAAA=A\n-----END CERTIFICATE-----\n")),
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
        beside_token(client_certificate_data=b64(CERTIFICATE), client_key_data=b64(KEY)),
        "user: give either a token or",
    ),
    (user(client_certificate_data=b64(CERTIFICATE)), "user: client-certificate-data and client-key-data go together"),
    (user(client_key_data=b64(KEY)), "user: client-certificate-data and client-key-data go together"),
    (
        user(client_certificate_data=b64(KEY), client_key_data=b64(KEY)),
        'user.client-certificate-data: it holds a "EC PRIVATE KEY"',
    ),
    (
        user(client_certificate_data=b64(CERTIFICATE), client_key_data=b64(encrypted())),
        'user.client-key-data: it holds a "ENCRYPTED PRIVATE KEY"; give a PRIVATE KEY or RSA PRIVATE KEY or EC PRIVATE KEY'
        " that is not encrypted",
    ),
    (
        user(
            client_certificate_data=b64(CERTIFICATE),
            client_key_data=b64(
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"
            ),
        ),
        f"user.client-key-data: it must be one {PEM_ONLY}",
    ),
    (
        user(client_certificate_data=b64(CERTIFICATE), client_key_data=b64(KEY + KEY)),
        f"user.client-key-data: it must be one {PEM_ONLY}",
    ),
    # what only unfolds while it is read, and what hides in characters
    (
        b"a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]",
        "anchors and aliases (& and *) are not allowed (line 1)",
    ),
    (b"<<: *base", "kubeconfig: "),
    (b"%TAG ! tag:evil,2000:\n---\na: !x y", "kubeconfig: tags (!) are not allowed"),
    (beside_token(token="a\x00b"), "user.token: it is too long or holds characters"),
    (beside_token(token="\u202etoken"), "user.token: it is too long or holds characters"),
    (cluster(server="https://m\u0435mber.example"), "it must be plain ASCII"),
    (cluster(server="https://member.example\x00.evil"), "it must be https://HOST[:PORT][/PATH] and nothing else"),
    (cluster(server="https://localhost:6443"), "it leads to the hub's own machine"),
    (cluster(server="https://[::1]:6443"), "it leads to the hub's own machine"),
    (cluster(server="https://[fe80::1]:6443"), "link-local, multicast and unspecified addresses are not allowed"),
    (cluster(server="https://0.0.0.0:6443"), "link-local, multicast and unspecified addresses are not allowed"),
    (cluster(server="file:///etc/passwd"), "it must begin with https://"),
    (cluster(server="https://member.example?redirect=https://evil.example"), "it must not hold a query or fragment"),
]


def data_of(bad: bytes | Change) -> bytes:
    """The bytes of one of them."""
    return bad if isinstance(bad, bytes) else written(bad)
