"""A member's kubeconfig is somebody else's input: it is read without running, opening or asking anything, or refused in one sentence."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from badkubeconfigs import CA, CASES, CERTIFICATE, KEY, Change, b64, cluster, data_of, top, user, without, written
from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.federation.credentials import parse_kubeconfig, write_kubeconfig
from suanli.kube.addresses import Reach
from suanli.kube.client import Target

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
    parse_kubeconfig(written(), allow_loopback=False)


# --- what is read


def test_a_token_and_an_authority_are_read() -> None:
    with nothing_happens():
        target = parse_kubeconfig(written(), allow_loopback=False)
    assert target == Target("https://member.example:6443", CA, "secret.token-1", reach=Reach.OUTSIDE)


def test_a_client_certificate_is_read() -> None:
    change = user(client_certificate_data=b64(CERTIFICATE), client_key_data=b64(KEY))
    target = parse_kubeconfig(written(change), allow_loopback=False)
    assert (target.client_cert_pem, target.client_key_pem, target.token) == (CERTIFICATE, KEY, None)


def test_without_an_authority_the_systems_own_are_meant() -> None:
    change = without("clusters", 0, "cluster", "certificate-authority-data")
    assert parse_kubeconfig(written(change), allow_loopback=False).ca_pem is None


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
        cluster(certificate_authority_data=b64(f"\n{CA}\n{CA}")),
    ],
)
def test_what_does_not_matter_is_passed_over(change: Change) -> None:
    with nothing_happens():
        assert parse_kubeconfig(written(change), allow_loopback=False).token == "secret.token-1"


def test_loopback_only_where_it_is_allowed() -> None:
    text = written(cluster(server="https://127.0.0.1:6443"))
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


@pytest.mark.parametrize(("bad", "why"), CASES, ids=range(len(CASES)))
def test_a_bad_kubeconfig_does_nothing_and_is_told_in_one_sentence(bad: bytes | Change, why: str) -> None:
    data = data_of(bad)
    with nothing_happens(), pytest.raises(SuanliError) as caught:
        parse_kubeconfig(data, allow_loopback=False)
    told = str(caught.value)
    assert caught.value.reason is Reason.CREDENTIALS_MALFORMED
    assert why in told
    assert told.isprintable()
    assert re.search("; |give either|it must", told), "it says what to do"
    assert not re.search("hunter2|secret.token", told), "no secret is ever shown"
    assert len(told) < 500


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 60
