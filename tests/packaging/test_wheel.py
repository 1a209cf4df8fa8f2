"""The steps of the Containerfile work: a wheel is built, installed into a fresh environment, and runs."""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import suanli

ROOT = Path(__file__).resolve().parents[2]
CONTAINERFILE = (ROOT / "Containerfile").read_text(encoding="utf-8")


def run(*argv: str | Path, cwd: Path) -> str:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_"))}
    done = subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheels")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-index", "--no-build-isolation", "--no-deps"]
    run(*pip, "--wheel-dir", folder, ROOT, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"suanli", f"suanli-{suanli.__version__}.dist-info"}
    assert {"suanli/py.typed", "suanli/main.py"} <= set(names)


def test_it_runs_in_a_fresh_environment(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-index", "--no-deps"]
    run(*pip, wheel, cwd=tmp_path)
    # What it needs is locked and here already: lend it, instead of asking an index.
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "locked.pth").write_text(sysconfig.get_path("purelib"))
    assert run(tmp_path / "venv" / "bin" / "suanli", "version", cwd=tmp_path) == f"suanli {suanli.__version__}\n"
    assert "site" in run(tmp_path / "venv" / "bin" / "suanli", "--help", cwd=tmp_path)


def test_the_image_has_what_the_build_needs_and_no_more() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE)
    let_through = (ROOT / ".containerignore").read_text(encoding="utf-8")
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert f"!{name}\n" in let_through


def test_the_image_runs_as_the_user_of_the_chart() -> None:
    assert "USER 65532:65532" in CONTAINERFILE
    assert "runAsUser: 65532" in (ROOT / "charts/suanli/templates/deployment.yaml").read_text(encoding="utf-8")


def test_the_chart_is_of_this_version() -> None:
    chart = (ROOT / "charts/suanli/Chart.yaml").read_text(encoding="utf-8")
    assert f"\nversion: {suanli.__version__}\n" in chart
    assert f"\nappVersion: {suanli.__version__}\n" in chart
