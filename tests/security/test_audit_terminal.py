"""Threat: a caller writes terminal commands into the log, to hide a line from the operator who reads it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from signer.cli.main import main
from tests.cli.test_audit import write_log
from tests.unit.audit.given import entry

EVIL = "AddOrder\x1b[2K\x1b[1A\r\n\x07\x9b2K\u202e\u2028[bold]x[/bold]"


@pytest.mark.parametrize("command", [["tail"], ["search"], ["show", "evil"], ["tail", "--json"]])
def test_control_characters_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """Only printable characters and our own line ends are printed, whatever text a record holds."""
    name = "".join(filter(str.isascii, EVIL))
    write_log(tmp_path, [{**entry("evil"), "endpoint": EVIL, "fields": {name: EVIL}, "errors": [EVIL]}])
    assert main(["--home", str(tmp_path), "audit", *command]) == 0
    shown = capsys.readouterr().out
    assert "AddOrder" in shown
    assert all(line.isprintable() for line in shown.split("\n"))


def test_a_line_that_is_printed_as_json_keeps_its_meaning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The JSON that is printed means the same as the line in the log, so that its digest can be computed."""
    write_log(tmp_path, [{**entry("evil"), "endpoint": EVIL}])
    assert main(["--home", str(tmp_path), "audit", "show", "evil", "--json"]) == 0
    (line,) = [line for line in next((tmp_path / "audit").iterdir()).read_bytes().splitlines() if b"evil" in line]
    assert json.loads(capsys.readouterr().out) == json.loads(line)


def test_an_unknown_id_is_not_echoed_raw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The id that was asked for comes back escaped in the message."""
    write_log(tmp_path, [])
    assert main(["--home", str(tmp_path), "audit", "show", EVIL]) == 1
    assert capsys.readouterr().err.rstrip("\n").isprintable()
