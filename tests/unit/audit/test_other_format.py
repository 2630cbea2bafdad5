"""A log of another format is refused by all that read it, with the record, the format and the hint."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from signer.audit.disk import LocalDisk
from signer.audit.reading import VERSION
from signer.audit.tail import records_after
from signer.audit.verify import verify
from signer.cli.main import main
from signer.doctor.books import examine
from signer.errors import AuditError
from signer.home.layout import Home
from tests.harness.clocks import NOON_US
from tests.unit.audit.given import new_appender, write_log


@pytest.fixture(params=[VERSION - 1, VERSION + 1])
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Home:
    """A home whose log has one record of an older or newer format, with a right digest."""
    home = Home(tmp_path)
    write_log(home.audit, LocalDisk(), [["one"]])
    path = next(home.audit.iterdir())
    body = path.read_bytes().splitlines()[0][:-77].replace(b'"v":%d' % VERSION, b'"v":%d' % request.param)
    digest = hashlib.sha256(body + b"}").hexdigest()
    path.write_bytes(body + b',"digest":"' + digest.encode() + b'"}\n')
    return home


async def test_nothing_is_appended_to_it(home: Home) -> None:
    """A gateway does not start on it, and the file stays as it is."""
    path = next(home.audit.iterdir())
    before = path.read_bytes()
    with pytest.raises(AuditError, match="this program reads format"):
        await new_appender(LocalDisk(), folder=home.audit).open(None)
    assert path.read_bytes() == before


def test_no_book_is_made_of_it(home: Home) -> None:
    """Reading its records ends with the error at once."""
    with pytest.raises(AuditError, match="this program reads format"):
        list(records_after(LocalDisk(), home.audit, 0))


def test_it_is_not_verified(home: Home) -> None:
    """Verification ends with the error at the segment and line, and not with a finding for each line."""
    with pytest.raises(AuditError, match=r"audit-000001-\d+\.jsonl line 1: .* this program reads format"):
        verify(home.audit, (), LocalDisk())


@pytest.mark.parametrize("command", [["verify"], ["tail"], ["search"], ["show", "one"]])
def test_each_command_says_so(home: Home, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    """Each command that reads the log ends with one line that has the hint."""
    assert main(["--home", str(home.folder), "audit", *command]) != 0
    said = capsys.readouterr().err
    assert "this program reads format" in said
    assert "move the folder away and keep it" in said


def test_the_doctor_says_so(home: Home) -> None:
    """The doctor has a finding for it, and goes on."""
    (found,) = [found for found in examine(home, NOON_US, running=False) if found.kind == "audit"]
    assert "this program reads format" in found.what
