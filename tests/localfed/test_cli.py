"""The commands, as a user types them."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localfed import state

LOCALFED = Path(__file__).resolve().parents[2] / "hack" / "localfed"
SECONDS = 180


class Shell:
    """Runs hack/localfed with a federation folder of its own."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path = tmp_path
        self.folder = tmp_path / "federation"
        self.env = {**os.environ, "SUANLI_LOCALFED": str(self.folder), "SUANLI_LOCALFED_USER": str(os.getpid())}

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [LOCALFED, *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            env=self.env,
            cwd=self.tmp_path,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen([LOCALFED, *arguments], stderr=subprocess.PIPE, text=True, env=self.env)


@pytest.fixture
def localfed(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path)
    yield shell
    shell("down")


def test_a_federation_is_brought_up_looked_at_and_ended(
    localfed: Shell, processes_of: Callable[[str], list[str]]
) -> None:
    (localfed.tmp_path / "shape.yaml").write_text(
        "members: {east: [{count: 2, cpu: 8, memory: 16Gi, name_prefix: cpu}]}"
    )
    up = localfed("up", "--shape", "shape.yaml")
    assert up.returncode == 0, up.stderr
    assert "2 clusters are ready after" in up.stderr
    hub, east = json.loads(localfed("status", "--output", "json").stdout)
    assert (hub["cluster"], hub["is_ready"], hub["nodes"], hub["servers"]) == ("hub", True, 0, 3)
    assert (east["cluster"], east["ready_nodes"], east["nodes"], east["servers"]) == ("east", 2, 2, 5)
    assert "east" in localfed("status").stdout
    assert localfed("kubeconfig", "east").stdout == f"{localfed.folder}/east/admin.kubeconfig\n"
    assert "there is no cluster 'west', only hub, east" in localfed("kubeconfig", "west").stderr
    assert localfed("logs", "east", "kube-apiserver", "--lines", "3").stdout.count("\n") == 4
    assert "there is no log of kubelet in hub" in localfed("logs", "hub", "kubelet").stderr
    again = localfed("up")
    assert again.returncode == 1
    assert "exists; take one that does not, or end the federation in it with `hack/localfed down`" in again.stderr
    assert localfed("down").returncode == 0
    assert not localfed.folder.exists()
    assert not processes_of(str(localfed.folder))


def test_it_ends_with_its_user_however_that_ends(localfed: Shell, processes_of: Callable[[str], list[str]]) -> None:
    with subprocess.Popen(["sleep", "600"]) as user:
        try:
            assert localfed("up", "--members", "0", "--user", str(user.pid)).returncode == 0
        finally:
            user.kill()
    end = time.monotonic() + SECONDS
    while processes_of(str(localfed.folder)) and time.monotonic() < end:
        time.sleep(0.1)
    assert not processes_of(str(localfed.folder))
    assert not localfed.folder.exists()


def test_without_a_federation_the_remedy_is_named(localfed: Shell) -> None:
    for command in (["status"], ["kubeconfig", "hub"], ["logs"]):
        said = localfed(*command)
        assert said.returncode == 1
        assert "no federation is up in" in said.stderr
        assert "`hack/localfed up`" in said.stderr
    assert localfed("down").returncode == 0


def test_a_bad_shape_is_one_plain_sentence(localfed: Shell) -> None:
    said = localfed("up", "--shape", "nowhere.yaml")
    assert said.returncode == 1
    assert said.stderr == "localfed: the shape file nowhere.yaml cannot be read (No such file or directory)\n"


def test_the_programs_are_listed(localfed: Shell) -> None:
    lines = localfed("binaries").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines)
    assert all(Path(line.split()[2]).exists() for line in lines)
    assert len(lines) == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_up_that_is_ended_before_it_is_ready_leaves_nothing(
    localfed: Shell, number: signal.Signals, processes_of: Callable[[str], list[str]], eventually: Callable[..., None]
) -> None:
    up = localfed.start("up", "--members", "0")
    eventually(lambda: (localfed.folder / "hub" / "logs").exists(), SECONDS)
    up.send_signal(number)
    assert up.wait(SECONDS) != 0
    eventually(lambda: not localfed.folder.exists() and not processes_of(str(localfed.folder)), SECONDS)
    up.communicate()


def test_in_the_foreground_ctrl_c_ends_it(localfed: Shell, processes_of: Callable[[str], list[str]]) -> None:
    up = localfed.start("up", "--members", "0", "--foreground")
    assert up.stderr
    assert any("Ctrl-C ends it" in line for line in up.stderr)
    up.send_signal(signal.SIGINT)
    assert up.wait(SECONDS) == 0
    assert not localfed.folder.exists()
    assert not processes_of(str(localfed.folder))
    up.communicate()


def test_a_killed_holder_leaves_nothing(
    localfed: Shell, processes_of: Callable[[str], list[str]], eventually: Callable[..., None]
) -> None:
    assert localfed("up", "--members", "0").returncode == 0
    held = state.require(localfed.folder)
    os.kill(held.pid, signal.SIGKILL)
    eventually(lambda: not localfed.folder.exists() and not processes_of(str(localfed.folder)), SECONDS)
    eventually(
        lambda: not held.is_held, SECONDS
    )  # the kernel keeps a killed process until somebody has asked how it ended
