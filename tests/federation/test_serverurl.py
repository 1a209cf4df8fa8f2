"""A member's address is https to another machine, in one plain form, and nothing that only looks like it."""

import pytest

from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.federation.serverurl import checked_server
from suanli.kube.addresses import Reach

OWN = "it leads to the hub's own machine; give the member's address"
NOT_ROUTED = "link-local, multicast and unspecified addresses are not allowed; give the member's address"
RESERVED = "reserved addresses and those of a cloud's own services are not allowed; give the member's address"
FORM = "it must be https://HOST[:PORT][/PATH] and nothing else"
SCHEME = "it must begin with https://"
USER = "it must not hold a user or password; use a token or a client certificate"
QUERY = "it must not hold a query or fragment"
IPV4 = "its IPv4 address must be four plain decimal numbers, such as 192.0.2.10"
IPV6 = "its IPv6 address cannot be read; write it as https://[2001:db8::1]:6443"
HOST = "its host is not a plain host name; write it without empty parts and without a dot at its end"
PORT = "its port must be between 1 and 65535"


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("https://api.member.example:6443", "https://api.member.example:6443"),
        ("https://API.Member.Example", "https://api.member.example"),
        ("https://192.0.2.10:6443/", "https://192.0.2.10:6443"),
        ("https://10.0.0.1:06443", "https://10.0.0.1:6443"),
        ("https://[2001:DB8::1]:6443", "https://[2001:db8::1]:6443"),
        ("https://rancher.example/k8s/clusters/c-1", "https://rancher.example/k8s/clusters/c-1"),
        ("https://xn--fiq228c.example", "https://xn--fiq228c.example"),
        ("https://kubernetes", "https://kubernetes"),
    ],
)
def test_an_address_gets_its_one_plain_form(given: str, plain: str) -> None:
    assert checked_server(given, Reach.OUTSIDE) == plain
    assert checked_server(plain, Reach.OUTSIDE) == plain


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("http://member.example", SCHEME),
        ("HTTPS://member.example", SCHEME),
        ("member.example:6443", SCHEME),
        ("file:///etc/passwd", SCHEME),
        (" https://member.example", SCHEME),
        ("https://", FORM),
        ("https:///path", FORM),
        ("https://member.example:", FORM),
        ("https://member.example:6443:1", FORM),
        ("https://member.example ", FORM),
        ("https://member.example\n", FORM),
        ("https://member.example\\evil.example", FORM),
        ("https://member.example/a b", FORM),
        ("https://member.example//a", FORM),
        ("https://member.example/%2e%2e/a", FORM),
        ("https://member.example/a;b", FORM),
        ("https://under_score.example", FORM),
        ("https://[::1", FORM),
        ("https://me@member.example", USER),
        ("https://me:hunter2@member.example", USER),
        ("https://member.example@evil.example", USER),
        ("https://member.example?token=hunter2", QUERY),
        ("https://member.example/#hunter2", QUERY),
        ("https://例子.example", "it must be plain ASCII; write an international name in its xn-- form"),
        ("https://member.example:0", PORT),
        ("https://member.example:65536", PORT),
        ("https://member.example:99999", PORT),
        ("https://member.example/../admin", 'its path must not hold "." or ".."'),
        ("https://member.example/a/./b", 'its path must not hold "." or ".."'),
        ("https://member.example.", HOST),
        ("https://member..example", HOST),
        ("https://.example", HOST),
        ("https://-a.example", HOST),
        (f"https://{'a' * 64}.example", HOST),
        ("https://2130706433", IPV4),
        ("https://0x7f000001", IPV4),
        ("https://0177.0.0.1", IPV4),
        ("https://127.1", IPV4),
        ("https://1.2.3.4.5", IPV4),
        ("https://192.0.2.256", IPV4),
        ("https://a.0x7f", IPV4),
        ("https://[1:2]", IPV6),
        ("https://[::1.2.3]", IPV6),
        ("https://127.0.0.1:6443", OWN),
        ("https://[::1]:6443", OWN),
        ("https://[::ffff:127.0.0.1]", OWN),
        ("https://localhost", OWN),
        ("https://LOCALHOST:6443", OWN),
        ("https://a.localhost", OWN),
        ("https://ip6-loopback", OWN),
        ("https://169.254.169.254", NOT_ROUTED),
        ("https://[fe80::1]", NOT_ROUTED),
        ("https://0.0.0.0", NOT_ROUTED),
        ("https://[::]", NOT_ROUTED),
        ("https://224.0.0.1", NOT_ROUTED),
        ("https://255.255.255.255", RESERVED),
        ("https://100.100.100.200", RESERVED),
    ],
)
def test_any_other_address_is_refused_with_its_reason(given: str, why: str) -> None:
    with pytest.raises(SuanliError) as caught:
        checked_server(given, Reach.OUTSIDE)
    assert caught.value.reason is Reason.CREDENTIALS_MALFORMED
    assert str(caught.value).endswith(f'": {why}')
    assert str(caught.value).startswith('cluster.server "')
    assert "hunter2" not in str(caught.value), "a password or token is never shown"


@pytest.mark.parametrize("given", ["https://127.0.0.1:6443", "https://localhost:6443", "https://[::1]"])
def test_loopback_is_allowed_where_tests_and_demos_say_so(given: str) -> None:
    assert checked_server(given, Reach.OUTSIDE_OR_LOOPBACK) == given
    with pytest.raises(SuanliError):
        checked_server("https://169.254.169.254", Reach.OUTSIDE_OR_LOOPBACK)
