"""Reads audit records and shows them, a line each or whole, safe for a terminal."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from signer.audit.disk import LocalDisk, Segment, lines, segments
from signer.audit.reading import unlink
from signer.cli.audit_orders import Fields, orders
from signer.errors import AuditError
from signer.home.layout import Home
from signer.model import Json
from signer.model.escaping import printable

_SHOWN: Final = (
    "by",
    "act",
    "stage",
    "reason",
    "client",
    "credential",
    "state",
    "source",
    "endpoint",
    "orders",
    "decision",
    "outcome",
    "rules",
    "errors",
    "venue_ids",
    "throttled",
    "count",
    "text",
    "detail",
    "id",
)


class LogPosition:
    """Knows how far a reader that follows the log has come."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._disk = LocalDisk()
        self._segment = Segment(0, "")
        self._offset = 0

    def last(self, count: int) -> list[bytes]:
        """Read the last whole lines, oldest first; `news` goes on after them."""
        found: list[bytes] = []
        for segment in reversed(segments(self._disk, self._folder)):
            if len(found) >= count and self._segment.number:
                break
            found = [*deque(self._whole(segment), maxlen=max(count - len(found), 0)), *found]
        return found

    def news(self) -> list[bytes]:
        """Read the whole lines that were not given before."""
        newer = [segment for segment in segments(self._disk, self._folder) if segment >= self._segment]
        return [line for segment in newer for line in self._whole(segment)]

    def _whole(self, segment: Segment) -> Iterator[bytes]:
        offset = self._offset if segment == self._segment else 0
        for line in lines(self._disk, self._folder / segment.name, offset):
            if line.endswith(b"\n"):
                offset += len(line)
                yield line
        if segment >= self._segment:
            self._segment, self._offset = segment, offset


def audit_folder(home: Home) -> Path:
    """Find the folder of the home's log. Raises `AuditError` if there is none."""
    if not home.audit.is_dir():
        raise AuditError("there is no audit log", where=str(home.audit), hint="`signer serve` makes it")
    return home.audit


def records(folder: Path, *, quiet: bool = False) -> Iterator[tuple[bytes, Fields]]:
    """Read all records, oldest first. An unfinished last line is passed over.

    For a line that is no record it prints a warning on stderr, unless ``quiet``.
    """
    disk = LocalDisk()
    for segment in segments(disk, folder):
        for number, line in enumerate(lines(disk, folder / segment.name), start=1):
            record = unlink(line)
            if record is not None:
                yield line, record.fields
            elif line.endswith(b"\n") and not quiet:
                _not_a_record(f"{segment.name} line {number}")


def show_line(line: bytes, *, as_json: bool) -> None:
    """Show one line of the log, if it is a record."""
    record = unlink(line)
    if record is None:
        _not_a_record("a line")
    else:
        show_record(line, record.fields, as_json=as_json)


def show_record(line: bytes, fields: Fields, *, as_json: bool) -> None:
    """Show a record in one line."""
    if as_json:
        show_raw(line)
        return
    parts = [moment(fields), f"#{fields['seq']}", plain(fields.get("kind"))]
    told = _told(fields)
    parts += [plain(told[name]) for name in _SHOWN if told.get(name) not in (None, "", [])]
    click.echo("  ".join(parts))


def _told(fields: Fields) -> Fields:
    """Put the orders of ``fields`` into words, and leave out members that say nothing new.

    These are the rules of an allowed call, and the missing ids of orders that were not placed.
    """
    told = {**fields, "orders": "; ".join(map(str, orders(fields)))}
    ids = fields.get("venue_ids")
    told["venue_ids"] = [each for each in ids if each] if isinstance(ids, list) else ids
    if fields.get("decision") == "allow":
        del told["rules"]
    return told


def show_raw(line: bytes) -> None:
    r"""Show a record as it stands in the log, but for unprintable characters, which are written as ``\u009b``."""
    text = line.decode().rstrip("\n")
    click.echo(text if text.isprintable() else "".join(map(_in_json, text)))


def _in_json(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def show_whole(fields: Fields) -> None:
    """Show a whole record, a line for each field."""
    click.echo(f"{plain(fields.get('kind'))}  #{fields['seq']}  {moment(fields)}")
    for name, value in fields.items():
        if name not in {"kind", "seq", "time", "prev", "v"} and value not in (None, "", [], {}):
            click.echo(f"  {plain(name):<12} {plain(value)}")


def plain(value: Json) -> str:
    """Write a value for a terminal. A caller's text in a record must not move the cursor or hide a line."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        text = ",".join(map(str, value))
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable(text)


def moment(fields: Fields) -> str:
    """Write the time of a record for a person, in UTC."""
    at = fields.get("time")
    if not isinstance(at, int):
        return "(no time)"
    seconds, micros = divmod(at, 1_000_000)
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{micros:06d}Z"
    except (OverflowError, OSError, ValueError):
        return f"(time {at})"


def _not_a_record(where: str) -> None:
    click.echo(f"signer: warning: {where} is not a record of this log; run `signer audit verify`", err=True)
