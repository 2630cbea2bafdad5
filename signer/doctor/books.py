"""Checks whether ledger and audit log open and agree, and whether anything in them waits for a person."""

from __future__ import annotations

from collections.abc import Iterator

from signer.audit.chain import START
from signer.audit.disk import LocalDisk, last_line, segments
from signer.audit.reading import unlink
from signer.doctor.said import counted, error, failed, fine, warning, when
from signer.errors import AuditError, LedgerError
from signer.findings import Finding
from signer.home.brakes import read_brakes
from signer.home.layout import Home
from signer.ledger.database import LedgerReader
from signer.model import ChainHead, Halt, OpenIntent
from signer.model.escaping import printable
from signer.model.halts import ended_by, whom

VERIFY = "`signer audit verify` reads all of it and names the place"


def examine(home: Home, *, running: bool) -> list[Finding]:
    """Examine ledger and log. While a gateway is ``running``, a call without outcome may be under way."""
    brakes = read_brakes(home.brakes)
    unrecorded = [_halted(halt) for halt in brakes.halts.values()]
    unread = [_unread(name, why) for name, why in brakes.damaged.items()]
    if not home.ledger.exists():
        return [fine("ledger", "ledger", "is made at the first start"), *unrecorded, *unread]
    try:
        reader = LedgerReader(home.ledger)
        try:
            kept, halts, intents = reader.head(), list(reader.halts()), list(reader.open_intents())
        finally:
            reader.close()
    except LedgerError as why:
        return failed("ledger", why)
    opened = fine("ledger", "ledger", "opens")
    halted = [*map(_halted, halts), *unrecorded]
    return [opened, *halted, *unread, *_unsettled(intents, running), *_log(home, kept)]


def _unread(name: str, why: str) -> Finding:
    hint = "`signer audit search` may tell what it was; remove the file to end this"
    return error("brake", name, f"halts everybody, because it does not read: {why}", hint)


def _halted(halt: Halt) -> Finding:
    what = f"halted by {halt.by} since {when(halt.at_us)}: {printable(halt.reason)}"
    return warning("halt", whom(halt.client, halt.account), what, ended_by(halt))


def _unsettled(intents: list[OpenIntent], running: bool) -> Iterator[Finding]:
    held = [one for one in intents if one.unknown or not running]
    if held:
        what = f"{counted(len(held), 'call')} without a known outcome; what they charged stays held"
        hint = "`signer status` lists them; the gateway looks them up at the exchange while it runs"
        yield warning("unknown-outcome", f"ledger, since {when(held[0].intent.at_us)}", what, hint)


def _log(home: Home, kept: ChainHead | None) -> Iterator[Finding]:
    about = "audit log"
    try:
        head = _head(home)
    except AuditError as why:
        yield from failed(about, why)
        return
    if head is None:
        yield error("audit", about, "its last whole line is not a record of it", VERIFY)
    elif kept is not None and head.seq < kept.seq:
        what = f"ends at record {head.seq}, and the ledger knows record {kept.seq}: records are missing"
        yield error("audit", about, what, VERIFY)
    elif kept is not None and head.seq == kept.seq and head.digest != kept.digest:
        yield error("audit", about, f"record {head.seq} is not the one that the ledger knows", VERIFY)
    else:
        what = f"reaches what the ledger knows of it (record {head.seq}); `signer audit verify` proves the rest"
        yield fine("audit", about, what)


def _head(home: Home) -> ChainHead | None:
    """Return the last record; None if the last whole line is no record.

    Skips a segment that a crash left empty. Raises `AuditError` for a record of another format.
    """
    disk = LocalDisk()
    for segment in reversed(segments(disk, home.audit)):
        path = home.audit / segment.name
        line, end = last_line(disk, path, path.stat().st_size)
        record = unlink(line)
        if record is not None:
            return ChainHead(record.seq, record.digest)
        if end:
            return None
    return START
