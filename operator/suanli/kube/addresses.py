"""Which addresses may be another cluster's, and the names that lead to them."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
# Where clouds tell a machine its own secrets, as far as it is not link-local.
_METADATA = frozenset(
    ipaddress.ip_address(a) for a in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254")
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str, int], Sequence[tuple[int, int, int, str, tuple[Any, ...]]]]


class Reach(StrEnum):
    """How far a target is trusted to lead: a person's own kubeconfig anywhere, a member's only to other machines."""

    ANYWHERE = "Anywhere"
    OUTSIDE_OR_LOOPBACK = "OutsideOrLoopback"
    OUTSIDE = "Outside"


def why_not(address: Address, reach: Reach) -> str:
    """Why nobody's API server is reached there, or nothing."""
    if reach is Reach.ANYWHERE:
        return ""
    for inner in (address, *_embedded(address)):
        if inner.is_loopback:
            if reach is Reach.OUTSIDE:
                return "it leads to the hub's own machine"
        elif inner.is_link_local or inner.is_multicast or inner.is_unspecified or inner in _THIS_NETWORK:
            return "link-local, multicast and unspecified addresses are not allowed"
        elif inner in _METADATA or (isinstance(inner, ipaddress.IPv4Address) and inner.is_reserved):
            return "reserved addresses and those of a cloud's own services are not allowed"
    return ""


def _embedded(address: Address) -> list[Address]:
    """IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return []
    found: list[Address] = [a for a in (address.ipv4_mapped, address.sixtofour) if a is not None]
    if address.teredo is not None:
        found += address.teredo
    if address in _NAT64 or 1 < int(address) < 1 << 32:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return found


def _system_lookup(host: str, port: int) -> Sequence[tuple[int, int, int, str, tuple[Any, ...]]]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Resolver(AbstractResolver):
    """Names of one client, looked up in a thread of its own: a name server that hangs holds up nobody else."""

    def __init__(self, reach: Reach, lookup: Lookup = _system_lookup) -> None:
        self._reach = reach
        self._lookup = lookup
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises: OSError, also when all of them are forbidden."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(self._thread, self._lookup, host, port)
        except UnicodeError as error:
            raise socket.gaierror(socket.EAI_NONAME, f"{host} is not a host name") from error
        allowed, why = [], "it has no address"
        for got_family, _, proto, _, address in found:
            if family not in (socket.AF_UNSPEC, got_family):
                continue
            refused = why_not(ipaddress.ip_address(address[0]), self._reach)
            why = refused or why
            if not refused:
                allowed.append(
                    ResolveResult(
                        hostname=host,
                        host=str(address[0]),
                        port=port,
                        family=got_family,
                        proto=proto,
                        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                    )
                )
        if not allowed:
            raise socket.gaierror(socket.EAI_NODATA, f"{host} leads nowhere: {why}")
        return allowed

    async def close(self) -> None:
        """Let its thread go, as soon as it is back."""
        self._thread.shutdown(wait=False, cancel_futures=True)
