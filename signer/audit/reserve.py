"""Room on the disk that is set aside for the day it is full, so that cancels can still be recorded.

A file of this size holds nothing. When a write fails for want of room and one of its records is urgent, the file is
cut to nothing and the urgent records take its place; until there is room to set it aside again, nothing else is
recorded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from signer.audit.disk import Disk

RESERVE_BYTES: Final = 1 << 20
"""More than a thousand cancels with their outcomes."""


class Reserve:
    """The file that keeps the room. Every method may raise OSError."""

    def __init__(self, disk: Disk, path: Path, size: int = RESERVE_BYTES) -> None:
        self.whole = False
        self._disk = disk
        self._path = path
        self._size = size

    def set_aside(self) -> None:
        """Claim the room. Raises OSError, and holds nothing, if there is not enough."""
        file = self._disk.open(self._path)
        try:
            file.allocate(self._size)
            file.sync()
            self.whole = True
        finally:
            if not self.whole:
                file.truncate(0)
            file.close()

    def give_back(self) -> None:
        """Let the room go."""
        self.whole = False
        file = self._disk.open(self._path)
        try:
            file.truncate(0)
            file.sync()
        finally:
            file.close()
