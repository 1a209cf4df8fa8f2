"""The address of a member's API server: what may stand there, and nothing that leads the hub to a place of its own."""

import ipaddress
import re
from typing import NoReturn

from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.kube.addresses import Address, Reach, why_not

FIELD = "cluster.server"

_URL = re.compile(r"https://(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(?::([0-9]{1,5}))?((?:/[A-Za-z0-9._~-]+)*)/?")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LOCAL_NAMES = frozenset(
    {"localhost", "localhost.localdomain", "localhost4", "localhost6", "ip6-localhost", "ip6-loopback"}
)


def checked_server(server: str, reach: Reach) -> str:
    """The address in its one plain form. Names are not resolved here; the client looks where they lead.

    Raises: SuanliError (CredentialsMalformed).
    """
    match = _URL.fullmatch(server)
    if match is None:
        _refuse(server, _why_not(server))
    host, port, path = match.group(1).lower(), match.group(2), match.group(3)
    if port is not None and not 1 <= int(port) <= 65_535:
        _refuse(server, "its port must be between 1 and 65535")
    if any(segment in (".", "..") for segment in path.split("/")):
        _refuse(server, 'its path must not hold "." or ".."')
    _check_host(server, host, reach)
    return f"https://{host}{f':{int(port)}' if port else ''}{path}"


def _check_host(server: str, host: str, reach: Reach) -> None:
    address = _address(server, host)
    local = host in _LOCAL_NAMES or host.endswith(".localhost")
    if address is None:
        why = "it leads to the hub's own machine" if local and reach is Reach.OUTSIDE else ""
    else:
        why = why_not(address, reach)
    if why:
        _refuse(server, f"{why}; give the member's address")


def _address(server: str, host: str) -> Address | None:
    """The literal address, or None for a name; anything that a resolver might take for an address in disguise is refused."""
    if host.startswith("["):
        try:
            return ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            _refuse(server, "its IPv6 address cannot be read; write it as https://[2001:db8::1]:6443")
    labels = host.split(".")
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        try:
            return ipaddress.IPv4Address(host)
        except ValueError:
            _refuse(server, "its IPv4 address must be four plain decimal numbers, such as 192.0.2.10")
    if not all(_LABEL.fullmatch(label) for label in labels):
        _refuse(server, "its host is not a plain host name; write it without empty parts and without a dot at its end")
    return None


def _why_not(server: str) -> str:
    if not server.startswith("https://"):
        return "it must begin with https://"
    if "@" in server:
        return "it must not hold a user or password; use a token or a client certificate"
    if "?" in server or "#" in server:
        return "it must not hold a query or fragment"
    if not server.isascii():
        return "it must be plain ASCII; write an international name in its xn-- form"
    return "it must be https://HOST[:PORT][/PATH] and nothing else"


def _refuse(server: str, why: str) -> NoReturn:
    # A user's password stands before "@", and a query may hold a token.
    shown = ascii(re.split(r"[?#]", server.rsplit("@", 1)[-1])[0])[1:-1]
    raise SuanliError(Reason.CREDENTIALS_MALFORMED, f'{FIELD} "{shown[:120]}": {why}')
