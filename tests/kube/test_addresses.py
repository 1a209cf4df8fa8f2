"""Where a member's name may lead, and that nobody waits for somebody else's name server."""

import ipaddress
import socket
import threading
from typing import Any

import pytest

from suanli.kube.addresses import Reach, Resolver, why_not

OWN = "it leads to the hub's own machine"
NOT_ROUTED = "link-local, multicast and unspecified addresses are not allowed"
RESERVED = "reserved addresses and those of a cloud's own services are not allowed"
Found = list[tuple[int, int, int, str, tuple[Any, ...]]]


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("192.0.2.10", ""),
        ("10.1.2.3", ""),
        ("172.16.0.1", ""),
        ("192.168.1.1", ""),
        ("100.64.0.1", ""),
        ("2001:db8::1", ""),
        ("fd12:3456::1", ""),
        ("127.0.0.1", OWN),
        ("127.255.255.254", OWN),
        ("::1", OWN),
        ("::ffff:127.0.0.1", OWN),
        ("::127.0.0.1", OWN),
        ("2002:7f00:1::", OWN),
        ("64:ff9b::7f00:1", OWN),
        ("169.254.169.254", NOT_ROUTED),
        ("fe80::1", NOT_ROUTED),
        ("fe80::1%2", NOT_ROUTED),
        ("224.0.0.1", NOT_ROUTED),
        ("ff02::1", NOT_ROUTED),
        ("0.0.0.0", NOT_ROUTED),
        ("0.1.2.3", NOT_ROUTED),
        ("::", NOT_ROUTED),
        ("::ffff:169.254.169.254", NOT_ROUTED),
        ("2002:a9fe:a9fe::", NOT_ROUTED),
        ("64:ff9b::a9fe:a9fe", NOT_ROUTED),
        ("240.0.0.1", RESERVED),
        ("255.255.255.255", RESERVED),
        ("100.100.100.200", RESERVED),
        ("168.63.129.16", RESERVED),
        ("fd00:ec2::254", RESERVED),
    ],
)
def test_a_member_is_never_at_an_address_of_the_hubs_own(address: str, why: str) -> None:
    parsed = ipaddress.ip_address(address)
    assert why_not(parsed, Reach.OUTSIDE) == why
    assert why_not(parsed, Reach.OUTSIDE_OR_LOOPBACK) == ("" if why == OWN else why)
    assert why_not(parsed, Reach.ANYWHERE) == ""


def _found(*addresses: str) -> Found:
    families = {4: socket.AF_INET, 6: socket.AF_INET6}
    return [(families[ipaddress.ip_address(a).version], socket.SOCK_STREAM, 6, "", (a, 6443, 0, 0)) for a in addresses]


async def test_a_name_leads_to_those_of_its_addresses_that_are_allowed() -> None:
    resolver = Resolver(Reach.OUTSIDE, lambda host, port: _found("127.0.0.1", "192.0.2.10", "fe80::1", "2001:db8::1"))
    assert [r["host"] for r in await resolver.resolve("a.example", 6443)] == ["192.0.2.10", "2001:db8::1"]
    assert [r["host"] for r in await resolver.resolve("a.example", 6443, socket.AF_INET)] == ["192.0.2.10"]
    await resolver.close()


@pytest.mark.parametrize(
    ("addresses", "why"), [(["169.254.169.254"], NOT_ROUTED), (["::1", "127.0.0.1"], OWN), ([], "it has no address")]
)
async def test_a_name_with_no_other_address_leads_nowhere(addresses: list[str], why: str) -> None:
    resolver = Resolver(Reach.OUTSIDE, lambda host, port: _found(*addresses))
    with pytest.raises(OSError, match=f"a.example leads nowhere: {why}"):
        await resolver.resolve("a.example", 6443)
    await resolver.close()


async def test_what_is_no_host_name_is_said_to_be_none() -> None:
    resolver = Resolver(Reach.OUTSIDE)
    with pytest.raises(OSError, match=r"a\.\.b is not a host name"):
        await resolver.resolve("a..b", 6443)
    await resolver.close()


async def test_a_name_server_that_hangs_holds_up_one_client_only() -> None:
    hung = threading.Event()

    def hangs(host: str, port: int) -> Found:
        hung.wait()
        return _found("192.0.2.66")

    slow = [Resolver(Reach.OUTSIDE, hangs) for _ in range(40)]
    try:
        for resolver in slow:
            resolver._thread.submit(hangs, "hangs.example", 6443)
        quick = Resolver(Reach.OUTSIDE, lambda host, port: _found("192.0.2.10"))
        assert [r["host"] for r in await quick.resolve("a.example", 6443)] == ["192.0.2.10"]
        await quick.close()
    finally:
        hung.set()
        for resolver in slow:
            await resolver.close()
