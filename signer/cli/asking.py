"""Asks a person at a terminal, so that no typed text reaches the shell.

A person who pastes a key and a secret pastes two lines at once, or more. Lines that a command does not read stay in the
terminal's input. The shell would run them and keep them in its history. So the terminal shows nothing from the first
question to the last, and the command throws the unread lines away when it ends, even by an error.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
from collections.abc import Callable, Iterator
from typing import TypeVar

import click

from signer.errors import KeyStoreError

TRIES = 3
LATE_S = 0.05
"""How long the rest of a paste may take to arrive."""
MOST_LINE = 65_536

T = TypeVar("T")


def has_terminal() -> bool:
    """Tell whether a person can be asked."""
    return sys.stdin.isatty()


@contextlib.contextmanager
def quiet_terminal() -> Iterator[None]:
    """Hide text that is typed inside the block, and leave none of it for the shell. Blocks may be nested."""
    if not has_terminal():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(terminal, termios.TCSANOW, quiet)  # TCSAFLUSH would throw away a second line pasted already
    try:
        yield
    finally:
        if before[3] & termios.ECHO:  # the outermost
            _drain(terminal)
        termios.tcsetattr(terminal, termios.TCSANOW, before)


def ask_hidden(question: str) -> str:
    """Read the next typed line without showing it. Raises `click.Abort` where there is none (Ctrl-D)."""
    with quiet_terminal():
        click.echo(f"{question}: ", nl=False, err=True)
        line = b""
        while not line.endswith(b"\n"):
            more = os.read(sys.stdin.fileno(), MOST_LINE)
            if not more:
                raise click.Abort
            line += more
        click.echo("", err=True)
        return line.rstrip(b"\r\n").decode(errors="surrogateescape")


def ask_new(question: str) -> str:
    """Ask for a new secret twice, until both are alike. Raises `click.UsageError` after the third try."""
    with quiet_terminal():
        for _ in range(TRIES):
            text = ask_hidden(question)
            if text and ask_hidden("Repeat for confirmation") == text:
                return text
            click.echo("The two are not alike, or empty; try again.", err=True)
            _drain(sys.stdin.fileno())
    raise click.UsageError("The two were not alike.")


def tried(ask: Callable[[], T]) -> T:
    """Return the answer of ``ask``, which is called up to `TRIES` times. Raises the `KeyStoreError` of the last try."""
    with quiet_terminal():
        for left in reversed(range(TRIES)):
            try:
                return ask()
            except KeyStoreError as error:
                if not left:
                    raise
                click.echo(f"signer: {error}; try again", err=True)
            finally:
                _drain(sys.stdin.fileno())  # the rest of a paste must not answer the next question
    raise AssertionError("unreachable")


def _drain(terminal: int) -> None:
    termios.tcflush(terminal, termios.TCIFLUSH)
    while select.select([terminal], [], [], LATE_S)[0] and os.read(terminal, MOST_LINE):
        termios.tcflush(terminal, termios.TCIFLUSH)
