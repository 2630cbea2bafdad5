"""Reads a log beside the process that writes it, and changes nothing: for the book as commands read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import final

from signer.audit.archive import archived_start
from signer.audit.disk import Disk, LocalDisk
from signer.audit.identity import unknown_gap, why_unusable
from signer.audit.tail import links_after
from signer.book.book import Book
from signer.model import ChainHead, Gap, Json


@final
class LogReader:
    """The log in a folder (`signer.ledger.reading.ReadLog`)."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder = folder
        self._disk = disk or LocalDisk()

    def start(self) -> tuple[Book, ChainHead] | None:
        """Return the book with which the log begins, as `archived_start` does."""
        return archived_start(self._disk, self._folder)

    def records_after(self, seq: int) -> Iterator[tuple[Mapping[str, Json], str]]:
        """Read the records after the one of that number, each with its digest."""
        return ((link.fields, link.digest) for link in links_after(self._disk, self._folder, seq))

    def why_unusable(self, head: ChainHead, book: Book) -> str:
        """Say why a checkpoint cannot be used; empty if it can."""
        return why_unusable(self._disk, self._folder, head, book)

    def unknown_gap(self, head: ChainHead, kept: ChainHead | None, checkpoint: ChainHead | None) -> Gap | None:
        """Return the records that a book as of ``head`` lacks, though the marks know the record ``kept``."""
        return unknown_gap(self._disk, self._folder, head, kept, checkpoint)
