"""Make a locked virtual environment outside the tree, once, and print its Python: the project's, or the one that is named.

Run by any Python >= 3.11; needs nothing but the standard library.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {
    "venv": "requirements.lock",
    "peers": "requirements-peers.lock",  # solvers that benchmarks compare with; never needed to run or to test
}
NEEDED_BYTES = 1 << 30


def cache_dir() -> Path:
    """The folder that outlives the tree: SUANLI_CACHE, else the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(os.environ.get("SUANLI_CACHE") or Path(base) / "suanli")


def fail(sentence: str) -> None:
    """End with one plain sentence that names the remedy."""
    sys.exit(f"suanli: {sentence}")


def main(name: str = "venv") -> None:
    """Print the path of a Python that has every dependency of the named lock."""
    if name not in LOCKS:
        fail(f'there is no environment "{name}"; there are: {", ".join(LOCKS)}')
    lock = ROOT / LOCKS[name]
    tag = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()[:12]
    venv = cache_dir() / f"{name}-{tag}"
    done = venv / ".complete"
    try:
        venv.parent.mkdir(parents=True, exist_ok=True)
        guard = (venv.parent / f"{venv.name}.lock").open("w")
    except OSError as error:
        fail(
            f"cannot write to the cache {venv.parent} ({error.strerror}); set SUANLI_CACHE to a folder that can be written"
        )
    with guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not done.exists():
            free = shutil.disk_usage(venv.parent).free
            if free < NEEDED_BYTES:
                fail(
                    f"{venv.parent} has {free >> 20} MiB free and the environment needs 1024; free some or set SUANLI_CACHE"
                )
            shutil.rmtree(venv, ignore_errors=True)
            print(f"suanli: installing the packages of {lock.name} (once, about a minute)", file=sys.stderr, flush=True)
            made = subprocess.run(
                [sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True, check=False
            )
            if made.returncode:
                fail(
                    "python3 cannot make a virtual environment; install its venv module (Debian: apt-get install python3-venv)"
                )
            pip = [
                str(venv / "bin/python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-input",
                "--disable-pip-version-check",
            ]
            got = subprocess.run([*pip, "-r", str(lock)], capture_output=True, text=True, check=False)
            if got.returncode:
                print(got.stderr.strip()[-2000:], file=sys.stderr)
                fail(
                    f"pip could not install {lock.name}; check that a Python package index can be reached, then run again"
                )
            done.touch()
    print(venv / "bin/python")


if __name__ == "__main__":
    main(*sys.argv[1:2])
