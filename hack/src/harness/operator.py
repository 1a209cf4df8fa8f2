"""The operator as its own process, with the chart's service account."""

import os
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from harness.pods import Amount
from harness.shell import PATIENT_S, wait_for

ROOT = Path(__file__).resolve().parents[3]


class OperatorProcess:
    """Started, stopped and killed as often as a test wants; always gone when the block ends."""

    def __init__(
        self, *, kubeconfig: Path, namespace: str, folder: Path, settings: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.log = folder / "operator.log"
        self._settings = {
            "SUANLI_KUBECONFIG": str(kubeconfig),
            "SUANLI_NAMESPACE": namespace,
            "SUANLI_DATA_DIR": str(folder / "data"),
            "SUANLI_HTTP_HOST": "127.0.0.1",
            "SUANLI_HTTP_PORT": "0",
            "SUANLI_LOG_FORMAT": "text",
            "SUANLI_ALLOW_LOOPBACK_MEMBERS": "Allow",
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it; returns at once."""
        assert self._process is None, "it runs already"
        self.folder.mkdir(parents=True, exist_ok=True)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("SUANLI_")}
        environment = {**inherited, **self._settings, "PYTHONPATH": str(ROOT / "operator")}
        with self.log.open("ab") as log:
            self._seen = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "suanli", "operator"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def wait_leading(self, seconds: float = PATIENT_S) -> None:
        """Until it says that it leads. Raises: TimeoutError, or AssertionError with its last words when it died."""

        def leads() -> bool:
            assert self.running, f"the operator ended with {self.exit_code}: {self.words()[-2000:]}"
            return " leading " in self.words()

        wait_for("the operator to lead", leads, seconds=seconds)

    def wait_ended(self, seconds: float = PATIENT_S) -> None:
        """Until it has ended by itself."""
        wait_for("the operator to end", lambda: not self.running, seconds=seconds)

    def words(self) -> str:
        """What it logged since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._seen)
            return log.read().decode(errors="replace")

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended, if it did."""
        return self._process.poll() if self._process is not None else None

    @property
    def port(self) -> int:
        """The port of its probes and metrics."""
        words = self.words()
        return int(words.split(" port=", 1)[1].split()[0])

    def http(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        families = text_string_to_metric_families(self.http("/metrics")[1])
        samples = (sample for family in families for sample in family.samples if sample.name == name)
        return sum(s.value for s in samples if labels.items() <= s.labels.items())

    @property
    def ledger(self) -> Path:
        """The file of the usage ledger."""
        return Path(self._settings["SUANLI_DATA_DIR"]) / "usage.sqlite3"

    def recorded(self, job_uid: str) -> Amount:
        """What its ledger holds of a job."""
        columns = "end_ms - start_ms, cpu_milli, memory_bytes, cards"
        with closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as ledger:
            rows = ledger.execute(f"SELECT {columns} FROM pod_usage WHERE job_uid = ?", [job_uid])  # noqa: S608 - no input
            amounts = [Amount(ms, ms * cpu, ms * memory, ms * cards) for ms, cpu, memory, cards in rows]
        return sum(amounts, Amount())

    def terminate(self, seconds: float = PATIENT_S) -> int:
        """Ask it to end; its exit code."""
        assert self._process is not None, "it does not run"
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(seconds)
        self._process = None
        return code

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
