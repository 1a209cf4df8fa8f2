"""The command as a person meets it: version, help, completion, exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from suanli import __version__
from suanli.cli import app

OPERATOR = Path(__file__).resolve().parents[2] / "operator"
KEPT = {name: os.environ[name] for name in ("PATH", "PYTHONPYCACHEPREFIX") if name in os.environ}
COMMANDS = (
    "plan", "explain", "what-if", "price", "simulate", "usage", "bill", "settle", "statement", "award", "asset-report", "account", "crds", "fence", "site", "ledger",
    "voucher", "version", "operator",
)  # fmt: skip


def suanli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    kept = {**KEPT, "PYTHONPATH": str(OPERATOR), **environment}
    command = [sys.executable, "-m", "suanli", *arguments]
    return subprocess.run(command, env=kept, capture_output=True, text=True, check=False, timeout=240)


def test_version() -> None:
    ran = suanli("version")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"suanli {__version__}\n", "")


def test_help_names_every_command_and_how_to_get_completion() -> None:
    ran = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert ran.exit_code == 0
    for word in (*COMMANDS, "--install-completion", "--show-completion"):
        assert word in ran.stdout, word


@pytest.mark.parametrize("command", [*([command] for command in COMMANDS), ["site", "join"], ["site", "leave"]])
def test_every_command_has_help(command: list[str]) -> None:
    ran = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert ran.exit_code == 0
    assert "Usage" in ran.stdout


def test_plan_documents_its_exit_codes() -> None:
    text = CliRunner().invoke(app, ["plan", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).stdout
    assert "Exit codes: 0 every job has a place, 2 the input is wrong" in " ".join(text.split())
    assert "3 some jobs wait" in " ".join(text.split())


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete "), ("zsh", "#compdef suanli"), ("fish", "complete --command suanli")]
)
def test_a_shell_gets_its_completion(shell: str, mark: str) -> None:
    ran = CliRunner().invoke(app, [], prog_name="suanli", env={"_SUANLI_COMPLETE": f"source_{shell}"})
    assert (ran.exit_code, ran.stderr) == (0, "")
    assert mark in ran.stdout
    assert "_SUANLI_COMPLETE" in ran.stdout


def test_completion_offers_the_commands() -> None:
    ran = suanli(_SUANLI_COMPLETE="complete_bash", COMP_WORDS="suanli ", COMP_CWORD="1")
    assert set(ran.stdout.split()) == set(COMMANDS)


def test_without_arguments_it_shows_its_help() -> None:
    ran = CliRunner().invoke(app, [])
    assert ran.exit_code == 2
    assert "Usage" in ran.output


@pytest.mark.parametrize("arguments", [["nonsense"], ["plan", "--nonsense"], ["version", "extra"]])
def test_what_is_not_there_is_2(arguments: list[str]) -> None:
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 2
    assert isinstance(ran.exception, SystemExit), ran.exception
    assert ran.stdout == ""
    assert ran.stderr != ""


def test_the_process_ends_with_2_too() -> None:
    ran = suanli("nonsense")
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert ran.stderr != ""
    assert "Traceback" not in ran.stderr


def test_a_pipe_that_is_closed_early_is_no_trouble() -> None:
    command = [sys.executable, "-m", "suanli", "crds"]
    kept = {**KEPT, "PYTHONPATH": str(OPERATOR)}
    with subprocess.Popen(command, env=kept, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
