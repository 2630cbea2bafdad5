"""Brake files: what is written is read again, and what does not read halts everybody."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from signer.errors import HomeError
from signer.home.brakes import NO_BRAKES, Brake, file_brake, new_id, parse_brake, read_brakes, remove_brake
from signer.model import HaltScope
from signer.model.halts import EVERYBODY

HALT = Brake(new_id(7), "halt", "bot", "", "drill", "op", 1000, 7)
REVOKE = replace(HALT, id=new_id(8), act="revoke", at_us=8)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    return tmp_path / "brakes"


def test_what_is_filed_is_read_and_removed(folder: Path) -> None:
    """Each brake has a private file of its own; a folder that is missing or empty has none."""
    assert read_brakes(folder) == NO_BRAKES
    for brake in (HALT, REVOKE):
        file_brake(folder, brake)
    found = read_brakes(folder)
    assert found.brakes == {HALT.id: HALT, REVOKE.id: REVOKE}
    assert found.halts == {HaltScope("bot"): HALT.halt}
    assert found.revoked == {"bot": 8}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    for brake in (HALT, REVOKE, HALT):
        remove_brake(folder, brake.id)
    assert read_brakes(folder, found) == NO_BRAKES


def test_a_brake_is_never_replaced(folder: Path) -> None:
    """Two brakes cannot have one file."""
    file_brake(folder, HALT)
    with pytest.raises(HomeError, match="exists"):
        file_brake(folder, replace(HALT, reason="another"))
    assert read_brakes(folder).brakes[HALT.id] == HALT


def test_a_write_that_was_cut_off_is_no_brake(folder: Path) -> None:
    """A crash leaves the file under a hidden name at most."""
    folder.mkdir()
    (folder / f".{HALT.id}.json.new").write_text('{"id"')
    assert read_brakes(folder) == NO_BRAKES


DAMAGED: dict[str, bytes] = {
    "empty": b"",
    "cut": b'{"id": "',
    "nested": b"[" * 5000,
    "a list": b"[]",
    "another act": json.dumps({**asdict(HALT), "act": "resume"}).encode(),
    "another's name": json.dumps(asdict(REVOKE)).encode(),
    "revokes nobody": json.dumps({**asdict(HALT), "act": "revoke", "client": ""}).encode(),
    "too large": json.dumps({**asdict(HALT), "reason": "x" * 9000}).encode(),
    "an unknown field": json.dumps({**asdict(HALT), "more": 1}).encode(),
    "a time that no record can have": json.dumps({**asdict(HALT), "at_us": 2**53}).encode(),
    "a reason that no record takes": json.dumps({**asdict(HALT), "reason": "x" * 201}).encode(),
    "a name that no record takes": json.dumps({**asdict(HALT), "client": "x" * 65}).encode(),
    "a number for a name": json.dumps({**asdict(HALT), "client": 5}).encode(),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_halts_everybody_until_it_reads(folder: Path, content: bytes) -> None:
    """The halt names the file; what else lies there stays in force; a file that reads later is read then."""
    file_brake(folder, REVOKE)
    path = folder / f"{HALT.id}.json"
    path.touch(0o600)
    path.write_bytes(content)
    found = read_brakes(folder)
    assert found.halts[EVERYBODY].reason == f"brakes/{path.name} does not read"
    assert found.revoked == {"bot": 8}
    path.write_text(json.dumps(asdict(HALT)))
    assert read_brakes(folder, found).halts == {HaltScope("bot"): HALT.halt}


def test_a_file_that_others_may_write_halts_everybody(folder: Path) -> None:
    """It may be anybody's."""
    file_brake(folder, HALT)
    (folder / f"{HALT.id}.json").chmod(0o666)
    assert EVERYBODY in read_brakes(folder).halts


def test_a_folder_that_cannot_be_read_halts_everybody_and_forgets_nothing(folder: Path) -> None:
    """What was read before stays in force."""
    file_brake(folder, REVOKE)
    before = read_brakes(folder)
    folder.rename(folder.with_name("elsewhere"))
    folder.touch()
    found = read_brakes(folder, before)
    assert EVERYBODY in found.halts
    assert found.revoked == {"bot": 8}


@pytest.mark.parametrize("told", [None, [], "x", {}, {"id": HALT.id}, {**asdict(HALT), "id": "../../x"}])
def test_what_describes_no_brake_is_refused(told: Any) -> None:
    """By the admin socket, too: an id names a file."""
    with pytest.raises(HomeError, match="describes no brake"):
        parse_brake(told)


def test_a_folder_that_cannot_be_written_is_said(folder: Path) -> None:
    """The error names the file and the hint."""
    folder.touch()
    with pytest.raises(HomeError, match="cannot be made"):
        file_brake(folder, HALT)
    assert folder.is_file()
