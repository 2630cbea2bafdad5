"""`signer --help` answers at once: it imports no command, and no library that only a command needs."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from signer.cli.main import COMMANDS, cli

HEAVY = {"cryptography", "flask", "gunicorn", "hvac", "prometheus_client", "pydantic", "requests", "rich", "uvloop"}
IMPORTED = "import sys; from signer.cli.main import main; main({arguments}); print(*sys.modules)"
MOST_MODULES = 180


def modules_of(*arguments: str) -> set[str]:
    """The modules that a process of its own has imported after a command line."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED.format(arguments=list(arguments))], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [("--help",), ("--version",)])
def test_help_imports_no_command_and_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """`signer --help` imports no file of a command, and no library that only commands need."""
    modules = modules_of(*arguments)
    assert not modules & HEAVY
    assert {name for name in modules if name.startswith("signer.cli.")} == {"signer.cli.main"}
    assert len(modules) <= MOST_MODULES


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_each_command_what_its_help_begins_with(name: str) -> None:
    """The summary in the table is the command's own first sentence, and fits into one line."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.get_short_help_str(200) == COMMANDS[name].summary
    assert len(COMMANDS[name].summary) + len("  keyfile  ") < 80


def test_the_package_runs_as_a_module() -> None:
    """`python -m signer` is `signer`."""
    done = subprocess.run([sys.executable, "-m", "signer", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("signer, version ")
