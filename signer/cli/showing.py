"""Shows the result of a command: as a table fitted to the terminal, as fields, or as JSON for scripts."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from itertools import zip_longest

import click

from signer.model.escaping import printable

Row = Mapping[str, object]

GAP = "  "
LEAST_WIDTH = 8
"""Fewest characters of a column, even on a narrow terminal."""


def show(rows: Sequence[Row], *, as_json: bool, none: str) -> None:
    """Show ``rows`` as JSON or as a table. Without rows, the table is the text ``none``."""
    if as_json:
        show_json(rows)
    else:
        show_rows(rows, none=none)


def show_json(value: object) -> None:
    """Show a value for scripts."""
    click.echo(json.dumps(value, indent=2))


def show_line(value: object) -> None:
    """Show a value for scripts in one line, so that a reader gets all of it at once."""
    click.echo(json.dumps(value))


def show_rows(rows: Sequence[Row], *, none: str = "") -> None:
    """Show ``rows`` as aligned columns under their keys, or say ``none`` on stderr."""
    if not rows:
        click.echo(none, err=True)
        return
    for line in table(rows, shutil.get_terminal_size().columns if sys.stdout.isatty() else None):
        click.echo(line)


def show_fields(fields: Row) -> None:
    """Show one thing, a line for each of its fields."""
    width = max(map(len, fields)) + len(GAP)
    for name, value in fields.items():
        click.echo(f"{name.replace('_', ' '):<{width}}{_cell(value)}")


def table(rows: Sequence[Row], width: int | None) -> list[str]:
    """Lay out ``rows``, which have the same keys, as lines of at most ``width`` characters if that can be.

    None is no bound: a program that searches the lines finds each row on one line.
    """
    cells = [[key.upper() for key in rows[0]], *([_cell(value) for value in row.values()] for row in rows)]
    widths = _fitted([max(map(len, column)) for column in zip(*cells, strict=True)], width)
    return [line for row in cells for line in _lines(row, widths)]


def _fitted(widths: list[int], limit: int | None) -> list[int]:
    """Narrow the widest column, again and again, until all fit or none can give."""
    while limit is not None and sum(widths) + len(GAP) * (len(widths) - 1) > limit and max(widths) > LEAST_WIDTH:
        widths[widths.index(max(widths))] -= 1
    return widths


def _lines(row: list[str], widths: list[int]) -> list[str]:
    wrapped = [
        [cell] if len(cell) <= width else textwrap.wrap(cell, width) for cell, width in zip(row, widths, strict=True)
    ]
    lines = zip_longest(*wrapped, fillvalue="")
    return [GAP.join(f"{part:<{width}}" for part, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _cell(value: object) -> str:
    """Write a value in one line that moves no cursor, because names of keys and permissions come from the exchange."""
    if isinstance(value, list):
        return ", ".join(printable(str(each)) for each in value) or "any"
    return "never" if value is None else str(value).lower() if isinstance(value, bool) else printable(str(value))
