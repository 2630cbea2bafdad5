"""The files of the log: their names, and reading them line by line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from signer.audit.disk import Disk

_NAME = re.compile(r"audit-(\d{6,})-(\d{8})\.jsonl", re.ASCII)
_PIECE = 1 << 20
"""How much of a segment is read at a time."""


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file of the log. Numbers count from 1; the day is when it was begun, in UTC."""

    number: int
    day: str

    @property
    def name(self) -> str:
        """Its file name."""
        return f"audit-{self.number:06d}-{self.day}.jsonl"


def utc_day(now_us: int) -> str:
    """The day of a time, as ``20261123``."""
    return datetime.fromtimestamp(now_us // 1_000_000, UTC).strftime("%Y%m%d")


def segments(disk: Disk, folder: Path) -> Sequence[Segment]:
    """The segments in a folder, oldest first. Files of other names are none of ours."""
    matches = (_NAME.fullmatch(name) for name in disk.names(folder))
    return sorted(Segment(int(match[1]), match[2]) for match in matches if match)


def lines(disk: Disk, path: Path, offset: int = 0) -> Iterator[bytes]:
    """The lines of a file from ``offset`` on, newlines kept. Only the last can lack one: unfinished, or torn."""
    rest = b""
    while piece := disk.read(path, offset, _PIECE):
        offset += len(piece)
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line + b"\n" for line in whole)
    if rest:
        yield rest


def last_line(disk: Disk, path: Path, end: int) -> tuple[bytes, int]:
    """The last whole line among the first ``end`` bytes of a file, and where it ends; empty and 0 if there is none."""
    start, tail = end, b""
    while start > 0:
        step = min(start, 1 << 16)
        start -= step
        tail = disk.read(path, start, step) + tail
        newline = tail.rfind(b"\n")
        before = tail.rfind(b"\n", 0, newline) if newline > 0 else -1
        if before >= 0 or (newline >= 0 and start == 0):
            return tail[before + 1 : newline + 1], start + newline + 1
    return b"", 0
