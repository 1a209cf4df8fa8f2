"""Ask a solver in its own process, and check the plan that it gives."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from bench.peers.answer import Answer
from bench.peers.model import Model
from commandline import number
from suanli.placement.batch import Ints
from suanli.placement.market import Market

ROOT = Path(__file__).resolve().parents[4]
GRACE_S = 120.0  # to read, to write the question down, and to look at a clock seldom
SLOWEST = 40  # times: so much longer than on an idle machine may a peer take, whose time is the processor's


class NoPeers(Exception):
    """A solver of others cannot be had or broke down; the text says which and what to do."""


class Asked(Protocol):
    """Who answers."""

    def ask(self, program: str, model: Model) -> Answer:
        """What a program makes of a model. Raises: NoPeers."""


def installed(seconds: float) -> "Peers":
    """The peers, so many seconds for each question; installed if they are not yet. Raises: NoPeers."""
    made = subprocess.run(
        [sys.executable, ROOT / "hack/bootstrap.py", "peers"], stdout=subprocess.PIPE, text=True, check=False
    )
    if made.returncode:
        raise NoPeers("the solvers to compare with could not be installed; run without --peers to measure ours alone")
    return Peers(made.stdout.strip(), seconds)


class Peers:
    """The programs of `bench.peers`, run by a Python that has the solvers."""

    def __init__(self, python: str, seconds: float) -> None:
        self._python = python
        self._seconds = seconds

    def ask(self, program: str, model: Model) -> Answer:
        """What `bench.peers.PROGRAM` makes of the model. A plan's value is counted here, not believed. Raises: NoPeers."""
        with tempfile.TemporaryDirectory(prefix="suanli-peers-") as folder:
            question, answer = Path(folder) / "model.npz", Path(folder) / "answer.json"
            model.save(question)
            if not self._ended(f"bench.peers.{program}", question, answer):
                return Answer("stopped: over its time", SLOWEST * self._seconds + GRACE_S)
            said = Answer(**json.loads(answer.read_text(encoding="ascii")))
        if said.taken is None:
            return said
        try:
            return replace(said, value=model.cost(said.taken))
        except ValueError as error:
            return replace(said, status=f"no plan: {error}", value=None, taken=None)

    def _ended(self, module: str, question: Path, answer: Path) -> bool:
        """Whether the process wrote its answer in time."""
        try:
            done = subprocess.run(
                [self._python, "-m", module, question, answer, str(self._seconds)],
                env=os.environ | {"PYTHONPATH": str(ROOT / "hack/src"), "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=SLOWEST * self._seconds + GRACE_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        if done.returncode:
            words = done.stderr.strip().splitlines() or ["it said nothing"]
            raise NoPeers(f"{module} ended with {done.returncode}: {words[-1][:200]}")
        return True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a benchmark that has peers."""
    parser.add_argument(
        "--peers",
        action="store_true",
        help="solve the same with solvers of others, which are installed once when asked for",
    )
    parser.add_argument(
        "--peer-seconds",
        type=number(0.1, 3_600),
        default=60.0,
        help="processor time of each thread of a peer for one question (60)",
    )


def model_of(market: Market, count_r: Ints) -> Model:
    """The market's own model for so many jobs of each row; of nodes it has only what those of a pool come to together."""
    demand_rpk = market.need_rpk * market.tasks_r[:, None, None]
    return Model.of(market.cost_rp, market.allowed_rp, count_r, demand_rpk, market.capacity_pk.astype("int64"))
