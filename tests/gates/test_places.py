from pathlib import Path

import pytest

from gates import places

MACHINE = places.machine_paths(Path("/build/suanli"), Path("/var/me"))


def found(line: str) -> list[str]:
    return list(places.findings(Path("f"), line, MACHINE))


# Written in two parts, so that this file has none of them.
@pytest.mark.parametrize(
    "parts",
    [
        ("https://py", "pi.org/simple"),
        ("files.python", "hosted.org"),
        ("image: doc", "ker.io/library/python:3.11"),
        ("FROM gh", "cr.io/someone/thing"),
        ("registry", ".k8s.io/pause:3.10"),
        ("registry-1.doc", "ker.io"),
        ("GOPROXY=https://pro", "xy.golang.org"),
        ("http://user:secret@nex", "us.corp.internal:8081/x"),
        ("registry", ".npmjs.org"),
        ("my-mir", "ror.example.cn"),
        ("cd /ho", "me/somebody/suanli"),
        ("/Us", "ers/somebody/x"),
        ("/build/su", "anli/hack/check"),
        ("SUANLI_CACHE=/var/m", "e/.cache"),
    ],
)
def test_found(parts: tuple[str, str]) -> None:
    assert len(found("".join(parts))) == 1


@pytest.mark.parametrize(
    "line",
    [
        "FROM python:3.11-slim",
        "github.com/docker/distribution v2.8.3+incompatible h1:x",
        "the registry of reasons. Com",
        "topology.kubernetes.io/zone",
        "image: example/llm/train:1.4",
        "kopf.OperatorRegistry",
        "mountPath: /var/lib/suanli",
        "/var/meaning",
        "~/.cache/suanli",
        "$HOME/home/x",
        "https://suanli.example.com/home/page",
    ],
)
def test_let_through(line: str) -> None:
    assert found(line) == []


def test_place_and_find_are_told() -> None:
    text = "fine\nimage: " + "qu" + "ay.io/x\n"
    (one,) = places.findings(Path("a/b.yaml"), text, MACHINE)
    assert one.startswith("a/b.yaml:2: address of a registry: ")
