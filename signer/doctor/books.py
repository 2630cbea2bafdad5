"""Checks whether log, checkpoint and marks open and agree, and whether anything in the book waits for a person."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from signer.audit.chain import START
from signer.audit.disk import LocalDisk
from signer.audit.identity import missing_segments
from signer.audit.log_reader import LogReader
from signer.audit.tail import find_ends, found
from signer.book.questions import BookQuestions
from signer.doctor.said import counted, error, failed, fine, warning, when
from signer.errors import AuditError, LedgerError
from signer.findings import Finding
from signer.home.brakes import read_brakes
from signer.home.layout import Home
from signer.ledger import open_marks
from signer.ledger.reading import ReadBook, fold_book, fold_log
from signer.model import ChainHead, Halt, OpenIntent
from signer.model.escaping import printable
from signer.model.gaps import ACCEPT, lacking
from signer.model.halts import ended_by, whom

VERIFY = "`signer audit verify` reads all of it and names the place"
ANEW = "the next start makes it anew from the log; nothing is lost"


def examine(home: Home, now_us: int, *, running: bool) -> list[Finding]:
    """Examine log, checkpoint and marks. While a gateway is ``running``, a call without outcome may be under way."""
    brakes = read_brakes(home.brakes)
    halted = [_halted(halt) for halt in brakes.halts.values()]
    halted += [_unread(name, why) for name, why in brakes.damaged.items()]
    if not (home.audit.is_dir() or home.marks.exists()):
        return [fine("audit", "audit log", "is made at the first start"), *halted]
    # What is behind is read first: whatever a gateway writes meanwhile, the log reaches it.
    kept, of_marks = _kept_head(home)
    try:
        book, of_book = _book(home, now_us, kept)
        log = _log(home, kept, None if not isinstance(book, ReadBook) else book.checkpoint_head)
        on_record = [*_lacks(book, home), *map(_halted, book.halts()), *_unknown(book.open_intents(), running)]
    except (AuditError, LedgerError) as why:
        return [*of_marks, *failed("audit log", why), *halted]
    return [*of_marks, *of_book, *on_record, *halted, *log]


def _unread(name: str, why: str) -> Finding:
    hint = "`signer audit search` may tell what it was; remove the file to end this"
    return error("brake", name, f"halts everybody, because it does not read: {why}", hint)


def _halted(halt: Halt) -> Finding:
    state = "may only cancel, as told" if halt.cancel_only else "halted"
    what = f"{state} by {halt.by} since {when(halt.at_us)}: {printable(halt.reason)}"
    return warning("halt", whom(halt.scope), what, ended_by(halt))


def _unknown(intents: Sequence[OpenIntent], running: bool) -> Iterator[Finding]:
    open_ones = [one for one in intents if one.unknown or not running]
    if open_ones:
        what = f"{counted(len(open_ones), 'call')} without a known outcome; what they charged stays held"
        hint = "`signer status` lists them; the gateway looks them up at the exchange while it runs"
        yield warning("unknown-outcome", f"book, since {when(open_ones[0].intent.at_us)}", what, hint)


def _kept_head(home: Home) -> tuple[ChainHead | None, list[Finding]]:
    """Return the record that the marks know, and what is to be said of the marks."""
    if not home.marks.exists():
        hint = "restore it from a backup; without it nobody notices that the log or the key store was put back"
        return None, [warning("marks", "marks.db", "is missing", hint)]
    try:
        return asyncio.run(_ask_marks(home)), [fine("marks", "marks.db", "opens")]
    except LedgerError as why:
        return None, failed("marks.db", why)


async def _ask_marks(home: Home) -> ChainHead | None:
    marks = await open_marks(home)
    try:
        return await marks.head()
    finally:
        await marks.close()


def _book(home: Home, now_us: int, kept: ChainHead | None) -> tuple[BookQuestions, list[Finding]]:
    """Return the book, and what is to be said of its checkpoint. Raises `AuditError` if the log does not read."""
    log = LogReader(home.audit)
    try:
        book = fold_book(home, log, lambda: now_us)
    except LedgerError as why:
        folded = BookQuestions(fold_log(log, kept), None, lambda: now_us)
        return folded, [warning("checkpoint", "book.db", why.what, ANEW)]
    book.close()
    stands = book.checkpoint_head
    if stands is None:
        return book, [fine("checkpoint", "book.db", "is made by the gateway")]
    behind = max(_end(home).seq - stands.seq, 0)
    return book, [
        fine("checkpoint", "book.db", f"stands for record {stands.seq}, {counted(behind, 'record')} behind the log")
    ]


def _lacks(book: BookQuestions, home: Home) -> Iterator[Finding]:
    """Name the records that the book lacks, and the segments that are missing."""
    gaps = book.gaps()
    if gaps:
        yield error("gap", "book", f"no order is sent: {lacking(gaps)}", ACCEPT)
    for number in missing_segments(LocalDisk(), home.audit):
        yield warning("segment", f"segment {number}", "is missing or damaged", VERIFY)


def _log(home: Home, kept: ChainHead | None, stands: ChainHead | None) -> Iterator[Finding]:
    """Say whether the log reaches the record that the marks know, and the one that the checkpoint stands for."""
    end = _end(home)
    for head, knows in ((kept, "marks.db knows"), (stands, "book.db stands for")):
        if head is None:
            continue
        known = found(LocalDisk(), home.audit, head)
        if known is None:
            how = f"ends at record {end.seq}" if end.seq < head.seq else f"lacks record {head.seq}"
            what = f"{how}, and {knows} record {head.seq}: records are missing"
            yield error("audit", "audit log", what, VERIFY)
            return
        if known is False and head is kept:
            yield error("audit", "audit log", f"record {head.seq} is not the one that {knows}", VERIFY)
            return
    what = f"reaches what is known of it (record {end.seq}); `signer audit verify` proves the rest"
    yield fine("audit", "audit log", what)


def _end(home: Home) -> ChainHead:
    """Return the last record. Raises `AuditError` if the last whole line is no record, or of another format."""
    return next((end.head for end in find_ends(LocalDisk(), home.audit) if end.head is not None), START)
