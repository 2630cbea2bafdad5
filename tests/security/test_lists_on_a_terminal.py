"""Threat: what an exchange calls a key or a permission rewrites the operator's terminal when it is listed.

*Must hold* 11: what a person is told is what is so.
"""

from __future__ import annotations

import pytest

from signer.cli.showing import show_fields, show_rows

NAME = "mine\x1b[2J\r\nall is well\u202e"
SHOWN = r"mine\x1b[2J\r\nall is well\u202e"


def test_a_strangers_text_moves_no_cursor_in_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    """A list and its fields show control characters as Python writes them, each value within its line."""
    show_rows([{"name": NAME, "permissions": [NAME]}])
    show_fields({"name": NAME, "permissions": [NAME]})
    told = capsys.readouterr().out
    assert told.isascii()
    assert told.count("\n") == 4
    assert told.count(SHOWN) == 4
