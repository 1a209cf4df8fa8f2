"""A strict reader of members' kubeconfigs, and the writer of the ones that `suanli site join` makes.

A kubeconfig in a Secret is somebody else's input, and the official loader runs commands and reads files that it names.
This one does no I/O at all: it takes an https address, a certificate authority and a token or client certificate that are
in the text itself, and refuses everything else with a sentence that names the field and the remedy, never a secret.
"""

import base64
import binascii
import re
import ssl
from collections.abc import Mapping
from typing import Any, NoReturn

import yaml

from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.federation.serverurl import checked_server
from suanli.federation.strictyaml import NotText, YamlRefused, load
from suanli.kube.addresses import Reach
from suanli.kube.client import Target

MAX_BYTES = 64 << 10
MAX_TOKEN = 16 << 10
FLATTEN = "write it with `kubectl config view --flatten --minify --raw`, or join the site with `suanli site join`"

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----\s([A-Za-z0-9+/=\s]+)-----END \1-----\s*")
_KEYS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY")

# What else may stand there, and why it may not. Fields in neither table are refused as unknown.
_IGNORED = {
    "": ("preferences", "extensions"),
    "cluster": ("extensions", "disable-compression"),
    "user": ("extensions",),
    "context": ("extensions", "namespace"),
}
_FORBIDDEN = {
    "exec": "the hub runs no commands for credentials; put a token or a client certificate into the file",
    "auth-provider": "the hub runs no credential plugins; put a token or a client certificate into the file",
    "tokenFile": f"the hub reads no other files; {FLATTEN}",
    "certificate-authority": f"the hub reads no other files; {FLATTEN}",
    "client-certificate": f"the hub reads no other files; {FLATTEN}",
    "client-key": f"the hub reads no other files; {FLATTEN}",
    "proxy-url": "the hub uses no proxy; give an address that it can reach directly",
    "username": "passwords are not supported; use a token or a client certificate",
    "password": "passwords are not supported; use a token or a client certificate",
    "as": "impersonation is not supported; use the account's own credentials",
    "as-uid": "impersonation is not supported; use the account's own credentials",
    "as-groups": "impersonation is not supported; use the account's own credentials",
    "as-user-extra": "impersonation is not supported; use the account's own credentials",
}


def parse_kubeconfig(data: bytes, *, allow_loopback: bool) -> Target:
    """The cluster and the account of the current context.

    Raises: SuanliError (CredentialsMalformed).
    """
    config = _section(
        _document(data), "kubeconfig", "", ("apiVersion", "kind", "clusters", "users", "contexts", "current-context")
    )
    _expect(config, "apiVersion", "v1")
    _expect(config, "kind", "Config")
    current = _text(config, "kubeconfig", "current-context")
    context = _entry(config, "contexts", "context", current, ("cluster", "user"))
    cluster_name, user_name = _text(context, "context", "cluster"), _text(context, "context", "user")
    cluster = _entry(
        config,
        "clusters",
        "cluster",
        cluster_name,
        ("server", "certificate-authority-data", "tls-server-name", "insecure-skip-tls-verify"),
    )
    user = _entry(config, "users", "user", user_name, ("token", "client-certificate-data", "client-key-data"))
    if cluster.get("insecure-skip-tls-verify") not in (None, False):
        _refuse(
            "cluster.insecure-skip-tls-verify",
            "an unverified server could be anybody; remove it and give certificate-authority-data",
        )
    certificate = _pem(user, "user", "client-certificate-data", ("CERTIFICATE",))
    key = _pem(user, "user", "client-key-data", _KEYS, most=1)
    token = _token(user)
    if (certificate is None) != (key is None):
        _refuse("user", "client-certificate-data and client-key-data go together; give both or neither")
    if (token is None) == (certificate is None):
        _refuse("user", "give either a token or a client certificate with its key")
    reach = Reach.OUTSIDE_OR_LOOPBACK if allow_loopback else Reach.OUTSIDE
    return Target(
        server=checked_server(_text(cluster, "cluster", "server"), reach),
        ca_pem=_authority(cluster),
        token=token,
        client_cert_pem=certificate,
        client_key_pem=key,
        tls_server_name=_server_name(cluster),
        reach=reach,
    )


def write_kubeconfig(target: Target, *, name: str) -> bytes:
    """The kubeconfig of one cluster and one account; the same target always gives the same bytes."""
    cluster = {"server": target.server}
    if target.ca_pem is not None:
        cluster["certificate-authority-data"] = base64.b64encode(target.ca_pem.encode()).decode()
    if target.tls_server_name is not None:
        cluster["tls-server-name"] = target.tls_server_name
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": target.token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return yaml.safe_dump(config, sort_keys=False).encode()


def _document(data: bytes) -> Any:
    if len(data) > MAX_BYTES:
        _refuse("kubeconfig", f"it has {len(data)} bytes, at most {MAX_BYTES} are read; {FLATTEN}")
    try:
        return load(data.decode("utf-8"))
    except UnicodeDecodeError:
        _refuse("kubeconfig", f"it is not UTF-8 text; {FLATTEN}")
    except YamlRefused as error:
        _refuse("kubeconfig", f"{error}; {FLATTEN}")


def _section(value: object, where: str, table: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    """An object with no field that is not known or ignored."""
    if not isinstance(value, dict):
        _refuse(where, f"it must be an object of fields; {FLATTEN}")
    for field in value:
        if field in _FORBIDDEN:
            _refuse(f"{where}.{field}", _FORBIDDEN[field])
        if field not in known and field not in _IGNORED[table]:
            _refuse(f"{where}.{shown(field)}", f"this field is not known; {FLATTEN}")
    return value


def _entry(config: Mapping[str, Any], field: str, kind: str, name: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    """The one entry of that name in a list of {name, <kind>}; the others are not looked into."""
    entries = config.get(field)
    if not isinstance(entries, list) or not all(
        isinstance(e, dict) and isinstance(e.get("name"), str) for e in entries
    ):
        _refuse(field, f"it must be a list of entries with a name; {FLATTEN}")
    found = [e for e in entries if e["name"] == name]
    if len(found) != 1:
        count = f"there are {len(found)}" if found else "there is none"
        _refuse(field, f'there must be exactly one entry named "{shown(name)}", {count}; correct the names')
    entry = found[0]
    if set(entry) != {"name", kind}:
        _refuse(f"{field}[{shown(name)}]", f'it must hold "name" and "{kind}" and nothing else; {FLATTEN}')
    return _section(entry[kind], kind, kind, known)


def _expect(config: Mapping[str, Any], field: str, value: str) -> None:
    if config.get(field) != value:
        _refuse(
            field, f'"{shown(config.get(field))}" is not "{value}"; give a kubeconfig of apiVersion v1 and kind Config'
        )


def _text(section: Mapping[str, Any], where: str, field: str) -> str:
    value = _optional(section, where, field)
    if value is None:
        _refuse(f"{where}.{field}", f"it is missing; {FLATTEN}")
    return value


def _optional(section: Mapping[str, Any], where: str, field: str) -> str | None:
    value = section.get(field)
    if value is None:
        return None
    if isinstance(value, NotText) or not isinstance(value, str) or not value:
        _refuse(f"{where}.{field}", "it must be a text that is not empty; put it in quotes")
    return value


def _token(user: Mapping[str, Any]) -> str | None:
    token = _optional(user, "user", "token")
    if token is not None and (len(token) > MAX_TOKEN or not _TOKEN.fullmatch(token)):
        _refuse("user.token", "it is too long or holds characters that no token has, such as spaces; copy it again")
    return token


def _server_name(cluster: Mapping[str, Any]) -> str | None:
    name = _optional(cluster, "cluster", "tls-server-name")
    if name is not None and not _NAME.fullmatch(name):
        _refuse("cluster.tls-server-name", f'"{shown(name)}" is not a host name; correct or remove it')
    return name


def _authority(cluster: Mapping[str, Any]) -> str | None:
    pem = _pem(cluster, "cluster", "certificate-authority-data", ("CERTIFICATE",))
    if pem is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=pem)
        except (ssl.SSLError, ValueError):
            _refuse("cluster.certificate-authority-data", f"its certificates cannot be read; {FLATTEN}")
    return pem


def _pem(section: Mapping[str, Any], where: str, field: str, kinds: tuple[str, ...], most: int = 64) -> str | None:
    """PEM text of only these kinds of blocks. An encrypted key would make the TLS library ask for a password."""
    encoded = _optional(section, where, field)
    if encoded is None:
        return None
    name = f"{where}.{field}"
    try:
        pem = base64.b64decode(encoded, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        _refuse(name, f"it is not base64 of PEM text; {FLATTEN}")
    blocks = list(_PEM.finditer(pem.lstrip()))
    if "".join(b.group(0) for b in blocks) != pem.lstrip() or not 1 <= len(blocks) <= most:
        _refuse(
            name, f"it must be {'one' if most == 1 else 'one or more'} whole PEM blocks and nothing else; {FLATTEN}"
        )
    for block in blocks:
        if block.group(1) not in kinds:
            _refuse(name, f'it holds a "{block.group(1)}"; give a {" or ".join(kinds)} that is not encrypted')
        try:
            base64.b64decode("".join(block.group(2).split()), validate=True)
        except binascii.Error:
            _refuse(name, f"a PEM block in it is not base64; {FLATTEN}")
    return pem


def shown(value: object) -> str:
    """A short, printable form for messages; only for values that are no secrets."""
    text = ascii(value)[1:-1] if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _refuse(field: str, why: str) -> NoReturn:
    raise SuanliError(Reason.CREDENTIALS_MALFORMED, f"{field}: {why}")
