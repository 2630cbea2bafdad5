"""`signer --help` answers at once: it imports no command, and no library that only a command needs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from signer.cli.commands import COMMANDS, Lazy, LazyGroup, summary
from signer.cli.main import cli

HEAVY = {"cryptography", "flask", "gunicorn", "hvac", "prometheus_client", "pydantic", "requests", "rich", "uvloop"}
IMPORTED = "import sys; from signer.cli.main import main; main({arguments}); print(*sys.modules)"
MOST_MODULES = 180


def modules_of(*arguments: str) -> set[str]:
    """The modules that a process of its own has imported after a command line."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED.format(arguments=list(arguments))], capture_output=True, text=True, check=True
    )
    return set(done.stdout.splitlines()[-1].split())


GROUPS = [name for name, entry in COMMANDS.items() if isinstance(entry, LazyGroup)]


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), *((name, "--help") for name in GROUPS)])
def test_help_imports_no_command_and_nothing_heavy(arguments: tuple[str, ...]) -> None:
    """The help of `signer` and of each group imports no file of a command, and no library that only commands need."""
    modules = modules_of(*arguments)
    assert not modules & HEAVY
    assert {name for name in modules if name.startswith("signer.cli.")} == {"signer.cli.main", "signer.cli.commands"}
    assert len(modules) <= MOST_MODULES


def each_lazy(group: LazyGroup) -> Iterator[tuple[LazyGroup, str, Lazy]]:
    """Yield every command below a group, with the group that it stands in and its name there."""
    for name, entry in group.table.items():
        if isinstance(entry, Lazy):
            yield group, name, entry
        else:
            yield from each_lazy(entry)


@pytest.mark.parametrize(("group", "name", "lazy"), list(each_lazy(cli)), ids=lambda value: getattr(value, "place", ""))
def test_a_command_is_listed_as_it_is_called_and_as_its_help_begins(group: LazyGroup, name: str, lazy: Lazy) -> None:
    """A command has its own name and its own first sentence in the table."""
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert (command.name, command.get_short_help_str(200)) == (name, lazy.summary)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_all_commands_has_one_line_for_each(name: str) -> None:
    """A summary fits beside the name on a terminal of 80 columns."""
    assert len(summary(COMMANDS[name])) + len("  keyfile  ") < 80


def test_the_package_runs_as_a_module() -> None:
    """`python -m signer` is `signer`."""
    done = subprocess.run([sys.executable, "-m", "signer", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("signer, version ")
