"""`suanli crds`: prints, writes, compares."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from suanli.api import KINDS
from suanli.cli import app
from suanli.cli.crds import HEADER, manifests

ROOT = Path(__file__).resolve().parents[2]
NAMES = [f"suanli.io_{model.kind_info.plural}.yaml" for model in KINDS]


def suanli(*argv: str | Path) -> Result:
    return CliRunner().invoke(app, ["crds", *map(str, argv)])


@pytest.fixture
def written(tmp_path: Path) -> Path:
    folder = tmp_path / "new" / "crds"
    assert suanli("--dir", folder).exit_code == 0
    return folder


def test_without_a_folder_all_are_printed_as_one_stream() -> None:
    result = suanli()
    assert result.exit_code == 0
    documents = list(yaml.safe_load_all(result.stdout))
    assert [d["spec"]["names"]["kind"] for d in documents] == [model.kind_info.kind for model in KINDS]
    assert {d["kind"] for d in documents} == {"CustomResourceDefinition"}


def test_each_kind_has_its_file_that_says_where_it_comes_from(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == sorted(NAMES)
    for path in written.iterdir():
        first, second, *_ = path.read_text(encoding="utf-8").splitlines()
        assert first == HEADER.rstrip()
        assert "./hack/generate" in first
        assert second == "apiVersion: apiextensions.k8s.io/v1"


def test_every_process_writes_the_same(tmp_path: Path, written: Path) -> None:
    script = "import sys; from suanli.cli.crds import manifests; sys.stdout.write(''.join(manifests().values()))"
    compiled = {name: value for name, value in os.environ.items() if name == "PYTHONPYCACHEPREFIX"}
    environment = {"PYTHONPATH": str(ROOT / "operator"), "PYTHONHASHSEED": "7", "LC_ALL": "C", **compiled}
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", script], cwd=tmp_path, env=environment, capture_output=True, check=True
    )
    assert done.stdout.decode() == "".join((written / name).read_text(encoding="utf-8") for name in NAMES)


def test_nothing_is_an_anchor() -> None:
    assert all("&id" not in text and "*id" not in text for text in manifests().values())


def test_writing_again_changes_nothing(written: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in written.iterdir()}
    result = suanli("--dir", written)
    assert (result.exit_code, result.output) == (0, "")
    assert {path.name: path.stat().st_mtime_ns for path in written.iterdir()} == before


def test_check_is_content_with_what_was_written(written: Path) -> None:
    result = suanli("--dir", written, "--check")
    assert (result.exit_code, result.output) == (0, "")


def test_check_names_each_file_that_differs_and_the_remedy(written: Path) -> None:
    (written / NAMES[0]).write_text("kind: Changed\n")
    (written / NAMES[1]).unlink()
    (written / "old.yaml").write_text(HEADER + "kind: Gone\n")
    (written / "notes.yml").write_text("of: somebody else\n")
    before = sorted(path.name for path in written.iterdir())
    result = suanli("--dir", written, "--check")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{written / NAMES[0]} is stale; run ./hack/generate",
        f"{written / NAMES[1]} is missing; run ./hack/generate",
        f"{written / 'notes.yml'} is foreign, no kind makes it; move it elsewhere",
        f"{written / 'old.yaml'} is foreign, no kind makes it; run ./hack/generate",
    ]
    assert sorted(path.name for path in written.iterdir()) == before


def test_writing_mends_it_and_leaves_what_others_wrote(written: Path) -> None:
    (written / NAMES[0]).write_text("kind: Changed\n")
    (written / NAMES[1]).unlink()
    (written / "old.yaml").write_text(HEADER + "kind: Gone\n")
    (written / "notes.yml").write_text("of: somebody else\n")
    result = suanli("--dir", written)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"wrote {written / NAMES[0]}",
        f"wrote {written / NAMES[1]}",
        f"removed {written / 'old.yaml'}",
    ]
    assert sorted(path.name for path in written.iterdir()) == sorted([*NAMES, "notes.yml"])


def test_check_of_a_folder_that_is_not_there_misses_all(tmp_path: Path) -> None:
    result = suanli("--dir", tmp_path / "nowhere", "--check")
    assert result.exit_code == 1
    assert [line.split(" is ")[1] for line in result.stderr.splitlines()] == ["missing; run ./hack/generate"] * len(
        KINDS
    )


def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for argv, words in (
        (["--check"], "error: --check compares a folder; name it with --dir"),
        (["--dir", file], f"error: --dir {file} is no folder; name one"),
        (
            ["--dir", file / "below"],
            f"error: {file / 'below'}: Not a directory; name a folder that can be written with --dir",
        ),
    ):
        result = suanli(*argv)
        assert (result.exit_code, result.stdout, result.stderr.strip()) == (2, "", words)


def test_help_tells_the_exit_codes() -> None:
    said = " ".join(suanli("--help").stdout.split())
    assert "0 done, 1 --check found a difference, 2 the options or the folder are wrong" in said


@pytest.mark.parametrize("folder", ["crds", "charts/suanli/files/crds"])
def test_the_trees_folders_are_up_to_date(folder: str) -> None:
    result = suanli("--dir", ROOT / folder, "--check")
    assert (result.exit_code, result.output) == (0, "")
