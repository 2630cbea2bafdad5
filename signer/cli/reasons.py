"""Why an operator does something, as he writes it: any text, made one line that cannot move a cursor."""

from __future__ import annotations

from collections.abc import Callable

import click

from signer.model.escaping import printable


def reading_reason(limit: int) -> Callable[[click.Context, click.Parameter, str], str]:
    """A callback for ``--reason``: the text with control characters escaped, or a usage error if it is too long."""

    def read(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
        shown = printable(text.strip())
        if len(shown) > limit:
            escaped = " (control characters count as they are written, \\n as two)" if shown != text.strip() else ""
            raise click.BadParameter(f"it has {len(shown)} characters{escaped}; write at most {limit}")
        return shown

    return read
