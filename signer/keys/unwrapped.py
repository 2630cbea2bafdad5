"""Secret-ids that Vault unwrapped for us: each wrapping token serves once, and a worker may die and be born again."""

from __future__ import annotations

import hashlib
import mmap
import struct
import threading
from collections.abc import Callable
from typing import final

MEMORY_BYTES = 64 * 1024
_END = struct.Struct("=Q")
_HEAD = struct.Struct("=32sI")
"""Digest of the wrapping token, length of what follows."""


@final
class Unwrapped:
    """Secret-ids by their wrapping tokens, in memory that is shared with every process forked later.

    Made before the first worker: what one unwraps, the next one finds. The memory belongs to no file, so no disk holds
    it, and no process but these can map it. Its only writer is the one worker that lives.
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, MEMORY_BYTES)
        self._lock = threading.Lock()

    def secret_id(self, wrapping: str, unwrap: Callable[[], str]) -> str:
        """Return what ``unwrap`` made of that token, now or before. Raises what it raises."""
        digest = hashlib.sha256(wrapping.encode()).digest()
        with self._lock:  # stores with one login, each on its own thread, unwrap once
            known = self._find(digest)
            if known is None:
                known = unwrap()
                self._append(digest, known.encode())
            return known

    def _find(self, digest: bytes) -> str | None:
        place, (end,) = _END.size, _END.unpack_from(self._memory)
        while place < end:
            found, length = _HEAD.unpack_from(self._memory, place)
            place += _HEAD.size + length
            if found == digest:
                return self._memory[place - length : place].decode()
        return None

    def _append(self, digest: bytes, secret_id: bytes) -> None:
        record = _HEAD.pack(digest, len(secret_id)) + secret_id
        (end,) = _END.unpack_from(self._memory)
        start = end or _END.size
        if start + len(record) > MEMORY_BYTES:
            return  # hundreds were unwrapped; what is held elsewhere in this process goes on
        self._memory[start : start + len(record)] = record
        _END.pack_into(self._memory, 0, start + len(record))  # last: a death before leaves nothing half there

    def __repr__(self) -> str:
        return "Unwrapped(…)"
