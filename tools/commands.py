"""The commands and options of `signer`, as the rows of a Markdown table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from signer.cli.commands import COMMANDS
from signer.cli.main import cli

UNSET: tuple[object, ...] = (None, False, (), "")


def table(names: Sequence[str]) -> Iterator[str]:
    """The lines of a table with these commands, all subcommands of a group among them."""
    yield "| command | option | what |"
    yield "|---|---|---|"
    for name in names:
        for words, command in below(name):
            yield from _rows(words, command)


def below(name: str) -> Iterator[tuple[str, click.Command]]:
    """A command, or each subcommand of a group, by the words that call it."""
    context = click.Context(cli, info_name="signer")
    command = cli.get_command(context, name)
    assert command is not None, name
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            assert found is not None, sub
            yield f"{name} {sub}", found
    else:
        yield name, command


def every() -> Iterator[tuple[str, click.Command]]:
    """All that can be called."""
    for name in COMMANDS:
        yield from below(name)


def _rows(words: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=words)
    arguments = [one.make_metavar(context) for one in command.params if isinstance(one, click.Argument)]
    yield f"| `{_cell(' '.join([words, *arguments]))}` | | {_cell(command.help or '')} |"
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            yield f"| | `{_cell(_called(option, context))}` | {_cell(_explained(option))} |"


def _called(option: click.Option, context: click.Context) -> str:
    """The option as one types it: its names and what it is given."""
    return ", ".join(option.opts) + ("" if option.is_flag else f" {option.make_metavar(context)}")


def _explained(option: click.Option) -> str:
    """The option's help, with its default and whether it must or may be given again."""
    shown = option.default if isinstance(option.default, str | int) and option.default not in UNSET else None
    words = [
        (option.help or "").rstrip("."),
        f"Default: `{shown}`" if shown is not None and "Default:" not in (option.help or "") else "",
        "Required" if option.required else "",
        "May be given several times" if option.multiple else "",
    ]
    return ". ".join(word for word in words if word) + "."


def _cell(text: str) -> str:
    """The text on one line, in a cell."""
    return " ".join(text.split()).replace("|", "\\|")
