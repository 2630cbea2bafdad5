"""Compares the book that the log makes with the one that the ledger holds.

The ledger is read first and the log after it, so the log may have newer records. Those are applied to the ledger's book
too, if it cannot have them yet: the number of a reservation tells. What a crash, or a gateway that is at work, has left
between the two is named as unfinished, and is no difference.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from signer.book.book import Book
from signer.book.reading import BookCall, Record, ids_of
from signer.book.windows import Key, plain

_ENDS: Final = ("outcome", "reconciled")
_OTHERS: Final = ("closed", "operator")


@dataclass(slots=True)
class BookReport:
    """What a comparison found."""

    records: int
    first_seq: int
    """The number of the first record that was read; 0 if there was none."""
    digest: str
    """The digest of the book that the log makes."""
    differences: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the whole log was read, and log and ledger say the same."""
        return self.first_seq <= 1 and not (self.differences or self.contradictions)


@final
class BookComparison:
    """Folds the log's records, one by one, beside the ledger's book."""

    def __init__(self, ledger: Book, last: int, head_seq: int) -> None:
        """``last``: the highest number of a reservation; ``head_seq``: the last record that the ledger knows of."""
        self._log = Book()
        self._ledger = ledger
        self._last = last
        self._head_seq = head_seq
        self._records = self._first_seq = 0
        self._begun: dict[str, int] = {}
        """The records with which the calls began that are open by the log, by their ids."""
        self._intents: set[str] = set()
        """The calls that were open in the ledger and have an intent in the log."""
        self._closed: dict[str, Collection[str | None]] = {}
        """The orders of each account's last list of closed ones: the ledger marks them after that record."""
        self._unfinished: list[str] = []

    def take(self, record: Record) -> None:
        """Fold one record."""
        self._records += 1
        seq = record.get("seq")
        number = seq if type(seq) is int else 0
        self._first_seq = self._first_seq or number
        self._log.apply(record)
        name, kind = record.get("id"), record.get("kind")
        if kind == "intent" and "reservation" in record and isinstance(name, str):
            self._begin(record, name, number)
        elif kind in _ENDS and isinstance(name, str):
            self._end(record, name, number)
        elif kind in _OTHERS:
            if number > self._head_seq:
                self._ledger.apply(record)
            if kind == "closed":
                self._closed[str(record.get("account"))] = _ids(record)

    def _begin(self, record: Record, name: str, seq: int) -> None:
        reservation = record["reservation"]
        self._begun[name] = seq
        if name in self._ledger.calls:
            self._intents.add(name)
        elif type(reservation) is int and reservation > self._last:
            self._ledger.apply(record)
            self._intents.add(name)

    def _end(self, record: Record, name: str, seq: int) -> None:
        if name not in self._log.calls:
            self._begun.pop(name, None)
        call = self._ledger.calls.get(name)
        if call is None or (record.get("part") is True and len(_ids(record)) != len(call.orders)):
            return  # the ledger has it already
        if record.get("outcome") != "unknown" and call.reservation <= self._last:
            self._unfinished.append(f"{_named(call)} ended in record {seq}; the ledger still holds it")
        self._ledger.apply(record)

    def report(self) -> BookReport:
        """Return what is not the same after all records."""
        report = BookReport(self._records, self._first_seq, self._log.digest(), unfinished=self._unfinished)
        report.contradictions += self._log.contradictions
        report.differences += self._calls(report.unfinished)
        report.differences += self._windows()
        report.differences += self._orders(report.unfinished)
        report.differences += self._brakes()
        return report

    def _calls(self, unfinished: list[str]) -> list[str]:
        found = []
        for name, call in sorted(self._ledger.calls.items()):
            if name not in self._intents:
                unfinished.append(f"{_named(call)} is held by the ledger; the log has no intent of it")
                self._ledger.apply(_given_back(name))
            elif name in self._log.calls and _content(call) != _content(self._log.calls[name]):
                found.append(f"{_named(call)} is open in both, with other charges or orders")
        for name, call in sorted(self._log.calls.items()):
            if name in self._ledger.calls:
                continue
            if self._begun.get(name, 0) > self._head_seq:
                unfinished.append(f"{_named(call)} is on record; the ledger had given it back")
                self._log.apply(_given_back(name))
            else:
                found.append(f"{_named(call)} is open by the log; the ledger does not hold it")
        return found

    def _windows(self) -> Iterator[str]:
        now_us = max(self._log.now_us, self._ledger.now_us)
        for key in sorted(self._log.windows.keys() | self._ledger.windows.keys()):
            scope, unit, window_s = key
            ours, theirs = self._log.used(key, now_us), self._ledger.used(key, now_us)
            where = f"{scope}, {unit} in {window_s} s"
            if ours != theirs:
                yield f"{where}: {plain(ours)} are used by the log, and {plain(theirs)} by the ledger"
            elif _slots(self._log, key, now_us) != _slots(self._ledger, key, now_us):
                yield f"{where}: log and ledger have the same sum, spent at other times"

    def _orders(self, unfinished: list[str]) -> Iterator[str]:
        for key in sorted(self._log.orders.keys() | self._ledger.orders.keys()):
            account, venue_id = key
            ours, theirs = self._log.orders.get(key), self._ledger.orders.get(key)
            what = f"order {venue_id} of account {account}"
            if ours is None and venue_id in self._closed.get(account, ()):
                unfinished.append(f"{what} is closed on record; the ledger has not marked it yet")
            elif ours is None or theirs is None:
                said, other = ("ledger", "log") if ours is None else ("log", "ledger")
                yield f"{what} may be open by the {said}, and not by the {other}"
            elif ours.order != theirs.order:
                yield f"{what} is another order in the ledger"

    def _brakes(self) -> Iterator[str]:
        for whom in sorted(self._log.halts.keys() ^ self._ledger.halts.keys()):
            said, other = ("log", "ledger") if whom in self._log.halts else ("ledger", "log")
            client, account = whom
            name = f"client {client}" if client else f"account {account}" if account else "everybody"
            yield f"{name} is halted by the {said}, and not by the {other}"
        for client in sorted(self._log.revoked.keys() ^ self._ledger.revoked.keys()):
            said, other = ("log", "ledger") if client in self._log.revoked else ("ledger", "log")
            yield f"client {client} is revoked by the {said}, and not by the {other}"


def _named(call: BookCall) -> str:
    return f"call {call.reservation} ({call.id}) of {call.client}"


def _given_back(name: str) -> Record:
    return {"kind": "reconciled", "id": name, "outcome": "not-sent", "venue_ids": [], "at": 0}


def _content(call: BookCall) -> object:
    return call.client, call.account, call.held_us, list(call.orders), list(call.charges)


def _slots(book: Book, key: Key, now_us: int) -> object:
    window = book.windows.get(key)
    if window is None:
        return {}
    oldest = window.oldest(now_us)
    return {slot: amount for slot, amount in window.slots.items() if slot >= oldest and amount}


def _ids(record: Record) -> Sequence[str | None]:
    try:
        return ids_of(record)
    except (KeyError, ValueError):
        return ()
