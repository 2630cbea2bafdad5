"""Compares the book that the log makes with the one of the checkpoint, and with the digest of the one in a gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, final

from signer.book.book import Book
from signer.book.folding import LogFold, let_go_now_and_then
from signer.book.reading import Record
from signer.book.windows import plain
from signer.model import ChainHead, Gap, HaltScope
from signer.model.gaps import lacking, missing
from signer.model.halts import whom


@dataclass(slots=True)
class BookReport:
    """What a comparison found."""

    digest: str = ""
    """The digest of the book that the log makes; empty if it makes none."""
    begin: int = 0
    """The record that was archived last; 0 for a log that begins with record 1."""
    last: int = 0
    """The last record of the log."""
    checkpoint: int = 0
    """The record that the checkpoint stands for; 0 without one."""
    gateway: int = 0
    """The record at which a gateway told its book's digest; 0 if none was asked."""
    differences: list[str] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    unread: str = ""
    """Why the checkpoint cannot be compared."""
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the log makes a book, and all that are to be compared were, and say the same."""
        return not (self.differences or self.contradictions or self.unread)


@final
class BookComparison:
    """Folds the log's records, one by one, and compares the book at the records for which another one stands."""

    def __init__(
        self, start: tuple[Book, ChainHead], checkpoint: tuple[Book, ChainHead] | None, gateway: tuple[int, str] | None
    ) -> None:
        """``start``: the book with which the log begins; ``gateway``: the digest of its book at a record."""
        self._fold, begin = LogFold(*start), start[1]
        self._checkpoint = checkpoint
        self._gateway = gateway
        self._compared: set[int] = set()
        self._report = BookReport(begin=begin.seq, last=begin.seq)
        if checkpoint is not None:
            self._report.checkpoint = checkpoint[1].seq
        if gateway is not None:
            self._report.gateway = gateway[0]
        self._look(begin.seq)

    def take(self, record: Record, digest: str) -> None:
        """Fold one record with this digest."""
        let_go_now_and_then(self._fold.book, self._fold.head)
        self._fold.take(record, digest)
        self._report.last = self._fold.head.seq
        self._look(self._report.last)

    def _look(self, seq: int) -> None:
        if seq == self._report.checkpoint and self._checkpoint is not None:
            self._compared.add(seq)
            stored = self._checkpoint[0]
            if stored.digest() != self._fold.book.digest():
                self._report.differences += differences(self._fold.book.state(), stored.state())
        if self._gateway is not None and seq == self._gateway[0]:
            self._compared.add(seq)
            if self._fold.book.digest() != self._gateway[1]:
                what = f"the gateway's book at record {seq} has the digest {self._gateway[1]}"
                self._report.differences.append(f"{what}, and the log makes {self._fold.book.digest()}")

    def report(self) -> BookReport:
        """Return what is not the same after all records."""
        report = self._report
        named = {"the checkpoint stands for": report.checkpoint, "the gateway told its book of": report.gateway}
        for who, seq in named.items():
            if seq and seq not in self._compared:
                report.differences.append(
                    f"{who} record {seq}, and the log has records {report.begin + 1} to {report.last}"
                )
        report.digest = self._fold.book.digest()
        report.contradictions += self._fold.book.contradictions
        report.notes += [f"{missing(gap)}, as the log makes it" for gap in self._fold.gaps]
        gaps = [Gap(first, last) for first, last in sorted(self._fold.book.gaps)]
        report.notes += [f"{lacking(gaps)}, as the log says, and no operator has accepted that"] if gaps else []
        return report


def differences(log: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> Iterator[str]:
    """Name each row that is not the same in two states (`Book.state`): of the log, and of the checkpoint."""
    for kind, name in _NAMES.items():
        ours, theirs = ({name(item): item for item in state[kind]} for state in (log, checkpoint))
        for what in sorted(ours.keys() | theirs.keys()):
            if what not in theirs:
                yield f"{what}: the log has it, and the checkpoint does not"
            elif what not in ours:
                yield f"{what}: the checkpoint has it, and the log does not"
            elif ours[what] != theirs[what]:
                yield f"{what}: {_difference(kind, ours[what], theirs[what])}"
    if log["now"] != checkpoint["now"]:
        yield f"time of the book: {log['now']} by the log, and {checkpoint['now']} by the checkpoint"


def _difference(kind: str, ours: Any, theirs: Any) -> str:
    if kind != "window":
        return "the checkpoint has another one under this name"
    used, other = (plain(sum((Decimal(amount) for _, amount in item[3]), Decimal(0))) for item in (ours, theirs))
    if used == other:
        return "log and checkpoint have the same sum, spent at other times"
    return f"{used} are used by the log, and {other} by the checkpoint"


_NAMES: Final[Mapping[str, Callable[[Any], str]]] = {
    "window": lambda item: f"{item[0]}, {item[1]} in {item[2]} s",
    "call": lambda item: f"call {item['reservation']} ({item['id']}) of {item['client']}",
    "order": lambda item: f"order {item['venue_id']} of account {item['account']}",
    "halt": lambda item: f"halt of {whom(HaltScope(*item[0]))}",
    "revoked": lambda item: f"revocation of client {item[0]}",
    "gap": lambda item: f"{Gap(item[0], item[1])}, which the book lacks",
}
"""Names a row of a state for a person. Caps are not compared: nothing is decided by their names."""
