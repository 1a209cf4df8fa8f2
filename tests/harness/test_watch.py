import io
import json
import textwrap
from pathlib import Path

from harness import wait_for
from harness.shell import Kubectl
from harness.watch import Watch, documents

SERVER = """
    import json, sys
    folder, path = sys.argv[2], sys.argv[-1]
    life = len(open(f"{folder}/asked").read().split())
    open(f"{folder}/asked", "a").write(path + "\\n")
    there = ["stays", "goes"] if life < 2 else ["stays", "comes"]
    if "watch=1" not in path:
        items = [{"metadata": {"uid": uid, "resourceVersion": "1"}} for uid in there]
        print(json.dumps({"apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": str(life)}, "items": items}))
    elif life > 2:
        import time
        time.sleep(60)
"""


def test_every_line_is_a_document() -> None:
    docs = [{"type": "ADDED", "object": {"text": "} {\n}"}}, {"type": "DELETED", "object": {}}]
    assert list(documents(io.StringIO("".join(json.dumps(d) + "\n" for d in docs)))) == docs


def test_half_a_line_at_the_end_is_dropped() -> None:
    assert list(documents(io.StringIO('{"a": 1}\n{"b": {"c"'))) == [{"a": 1}]


def test_what_went_between_two_watches_is_gone(tmp_path: Path) -> None:
    """A server ends each watch after a while; here the first at once."""
    server = tmp_path / "kubectl"
    server.write_text("#!/usr/bin/env python3\n" + textwrap.dedent(SERVER), encoding="utf-8")
    server.chmod(0o700)
    (tmp_path / "asked").touch()
    events: list[tuple[str, str]] = []
    with Watch(
        Kubectl(server, tmp_path),
        "/api/v1/pods",
        "a=b",
        lambda kind, pod: events.append((kind, pod["metadata"]["uid"])),
    ) as watch:
        wait_for("the second watch", lambda: len((tmp_path / "asked").read_text().split()) == 4)
    assert watch.gone == {"goes"}
    assert {uid: pod["kind"] for uid, pod in watch.last.items()} == {"stays": "Pod", "goes": "Pod", "comes": "Pod"}
    assert events.count(("DELETED", "goes")) == 1
    asked = (tmp_path / "asked").read_text().split()
    assert asked[0] == "/api/v1/pods?labelSelector=a%3Db"
    assert asked[1] == "/api/v1/pods?watch=1&resourceVersion=0&labelSelector=a%3Db"
