"""Finishes at a start what a crash left between the log and the ledger: the log is the ledger's write-ahead log.

The log has the end of a call before the ledger has it, and the ledger holds a call before the log has its intent. So a
crash leaves a call that the ledger holds although its end is on record, and a failed write may leave the intent of a
call that was given back and never sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from signer.audit.disk import Disk
from signer.audit.tail import records_after
from signer.contracts import AuditLog, Ledger
from signer.errors import AuditError
from signer.model import Json, OpenIntent

ENDS = frozenset({"outcome", "reconciled"})


async def finish_recorded(ledger: Ledger, audit: AuditLog, folder: Path, disk: Disk, known_seq: int) -> None:
    """Have the ledger end the calls whose end is on record, and the log those that the ledger had given back.

    ``known_seq`` is the last record that the ledger knew of. Raises `LedgerError`, and `AuditError` for a record of
    another version.
    """
    held = {one.intent.record: one for one in await ledger.open_intents()}
    last = await ledger.last_reservation()
    first = min((known_seq, *(one.after_seq for one in held.values())))
    given_back: dict[str, Mapping[str, Json]] = {}
    read = first
    for record in records_after(disk, folder, first):
        before, read = read, int(str(record["seq"]))
        if read != before + 1:
            given_back.clear()  # their ends may be among the records that are missing
        name, kind = str(record.get("id")), record.get("kind")
        reservation = record.get("reservation")
        if kind == "intent" and isinstance(reservation, int) and reservation <= last and name not in held:
            given_back[name] = record
        elif kind in ENDS:
            given_back.pop(name, None)
            if name in held:
                held |= {one.intent.record: one for one in await _end(ledger, held.pop(name), record)}
    if read < known_seq:
        return
    for record in given_back.values():
        entry = _never_sent(record, ledger.now_us())
        try:
            await audit.record(entry)
        except AuditError:  # a full disk keeps nobody from starting: the log takes it as soon as it can
            audit.note(entry)


async def _end(ledger: Ledger, one: OpenIntent, record: Mapping[str, Json]) -> Iterable[OpenIntent]:
    """Have the ledger do what ``record`` says of an open call. Returns the call if it is still open."""
    number, at_us = one.reservation, int(str(record.get("at", 0)))
    ids = record.get("venue_ids")
    venue_ids = [None if each is None else str(each) for each in ids] if isinstance(ids, list) else []
    if record.get("outcome") in {"rejected", "not-sent"}:
        await ledger.release(number)
    elif record.get("outcome") != "accepted":
        await ledger.hold(number)
    elif record.get("part") is not True:
        await ledger.settle(number, venue_ids, at_us)
    elif len(venue_ids) == len(one.intent.orders):  # else the ledger has it already
        await ledger.settle_found(number, venue_ids, at_us)
    return [each for each in await ledger.open_intents() if each.reservation == number]


def _never_sent(intent: Mapping[str, Json], now_us: int) -> dict[str, Json]:
    """Return the record that ends a call whose record could not be written for certain, so that it was not sent."""
    entry: dict[str, Json] = {"kind": "reconciled", "time": now_us, "at": now_us, "part": False}
    entry |= {name: intent[name] for name in ("id", "client", "account", "endpoint") if name in intent}
    return entry | {"outcome": "not-sent", "venue_ids": []}
