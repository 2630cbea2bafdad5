"""Compares the book that the log makes with the one that a checkpoint keeps, and with the one of a running gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import orjson

from signer.book.book import Book
from signer.book.reading import Record
from signer.model.halts import whom

_UNCOUNTED = frozenset({"cap", "now"})
"""The caps' names are for people to read, and no part of a digest; the time is compared by itself."""


class KeptBook(NamedTuple):
    """A book, and the number of the record that it stands for."""

    book: Book
    seq: int


class ToldBook(NamedTuple):
    """What a running gateway says of its book: its digest at a record."""

    seq: int
    digest: str


@dataclass(slots=True)
class BookReport:
    """What a comparison found."""

    records: int
    first_seq: int
    """The number of the first record that was read; 0 if there was none."""
    digest: str
    """The digest of the book that the log makes."""
    checkpoint_seq: int | None
    """The record that the checkpoint stands for; None without a checkpoint."""
    gateway_seq: int | None
    """The record at which a gateway told its digest; None if it was not asked, or calls left it no moment."""
    differences: list[str] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the whole log was read, and all books say the same."""
        return self.first_seq <= 1 and not (self.differences or self.contradictions)


@final
class BookComparison:
    """Folds the log's records, one by one, and compares where another book is known."""

    def __init__(self, start: KeptBook | None, kept: KeptBook | None, told: ToldBook | None) -> None:
        """``start``: the book of a state file with which the log begins; ``kept``: the checkpoint's."""
        self._log = start.book if start is not None else Book()
        self._kept = kept
        self._told = told
        self._records = 0
        self._start_seq = self._last_seq = start.seq if start is not None else 0
        self._first_seq = 0
        self._differences: list[str] = []

    def take(self, record: Record) -> None:
        """Fold one record."""
        seq = record.get("seq")
        self._last_seq = seq if type(seq) is int else 0
        self._records += 1
        self._first_seq = self._first_seq or self._last_seq - self._start_seq
        self._log.apply(record)
        if self._kept is not None and self._last_seq == self._kept.seq:
            self._differences += differences(self._log, self._kept.book, "the checkpoint")
        if self._told is not None and self._last_seq == self._told.seq and self._log.digest() != self._told.digest:
            self._differences.append(f"the gateway's book is another one at record {self._last_seq}")

    def report(self) -> BookReport:
        """Return what was found."""
        for seq, whose in ((self._kept and self._kept.seq, "checkpoint"), (self._told and self._told.seq, "gateway")):
            if seq and seq > self._last_seq:
                what = f"the {whose} stands for record {seq}, and the log ends at record {self._last_seq}"
                self._differences.append(what)
        return BookReport(
            self._records,
            self._first_seq,
            self._log.digest(),
            self._kept.seq if self._kept is not None else None,
            self._told.seq if self._told is not None else None,
            self._differences,
            list(self._log.contradictions),
        )


def differences(log: Book, other: Book, whose: str) -> Iterator[str]:
    """Yield a sentence for each thing that two books of one record know differently."""
    ours, theirs = log.state(), other.state()
    if ours["now"] != theirs["now"]:
        yield f"time is {ours['now']} by the log, and {theirs['now']} by {whose}"
    for kind in sorted(ours.keys() - _UNCOUNTED):
        of_log, of_other = _keyed(kind, ours[kind]), _keyed(kind, theirs[kind])
        for name in sorted(of_log.keys() | of_other.keys()):
            if name not in of_other:
                yield f"the log knows the {name}, and {whose} does not"
            elif name not in of_log:
                yield f"{whose} knows the {name}, and the log does not"
            elif of_log[name] != of_other[name]:
                yield f"the {name} is {of_log[name]} by the log, and {of_other[name]} by {whose}"


def _keyed(kind: str, rows: Any) -> Mapping[str, str]:
    """Return rows as text, by the names that tell them apart."""
    return {_name_of(kind, row): orjson.dumps(row, option=orjson.OPT_SORT_KEYS).decode() for row in rows}


def _name_of(kind: str, row: Any) -> str:
    match kind:
        case "call":
            return f"call {row['reservation']} ({row['id']}) of {row['client']}"
        case "order":
            return f"order {row['venue_id']} of account {row['account']}"
        case "window":
            return f"use of {row[1]} in {row[2]} s by {row[0]}"
        case "halt":
            return f"halt of {whom(row[0], row[1])}"
        case _:
            return f"revocation of client {row[0]}"
