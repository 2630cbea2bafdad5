"""Which nonces of one client have been used: no call of a client is accepted twice.

Kraken accepts a nonce only above the last one, which makes bots with parallel calls see ``Invalid nonce``. We need not
be so strict: within a window of recent nonces calls may overtake each other. Everything at or below the floor, which
rises as the window moves on, counts as used. Only signatures that were verified first may come here, as decoded bytes:
the same bytes have several spellings in base64.
"""

from __future__ import annotations

import heapq
from typing import final

from signer.errors import NotAuthentic, RefusalKind

SIGNATURES_PER_NONCE = 16
"""How many different calls may share a nonce before further ones are refused, so that memory is bounded."""
AHEAD_S = 2
"""How far ahead of use a client's mark is stored, in seconds."""
NONCE_LIMIT = 2**64
"""Nonces are unsigned 64-bit numbers (docs/kraken.md §2e)."""


@final
class NonceWindow:
    """The nonces that one client has used.

    ``floor`` is the client's stored mark: after a restart nothing up to it is accepted. ``size`` recent nonces are
    remembered one by one. ``strict`` is Kraken's own rule: strictly above the last one, whatever the signature.
    """

    def __init__(self, floor: int, size: int = 1024, strict: bool = False) -> None:
        self._floor = floor
        self._size = 1 if strict else size
        self._strict = strict
        self._used: dict[int, tuple[bytes, ...]] = {}
        self._order: list[int] = []
        self.highest = floor
        """The highest nonce accepted, or the floor."""

    def accept(self, nonce: int, signature: bytes) -> None:
        """Count the call as seen. Raises `NotAuthentic` if it is, or may be, a replay.

        The same nonce under another signature is another call: bots that count in bare milliseconds make two within
        one (docs/kraken.md §8.14), and only the secret's owner can have signed it.
        """
        known = self._used.get(nonce, ())
        if nonce <= self._floor or signature in known or len(known) >= SIGNATURES_PER_NONCE:
            raise _replayed()
        if self._strict and nonce <= self.highest:
            raise _replayed()
        if not known:
            heapq.heappush(self._order, nonce)
        self._used[nonce] = (*known, signature)
        self.highest = max(self.highest, nonce)
        if len(self._order) > self._size:
            self._floor = heapq.heappop(self._order)
            del self._used[self._floor]


def mark_ahead(nonce: int, now_us: int) -> int:
    """The mark to store before ``nonce`` is accepted: `AHEAD_S` further on in the client's own unit.

    The unit is guessed from the nonce's size against the clock, so that a client on a clock costs one write every two
    seconds. A plain counter has no unit: each of its nonces is stored. A restart refuses what lies below the mark, so
    it must not lie far ahead.
    """
    now_s = now_us // 1_000_000
    per_second = nonce // now_s if now_s > 0 else 0
    return min(nonce + AHEAD_S * per_second, NONCE_LIMIT - 1)


def _replayed() -> NotAuthentic:
    return NotAuthentic(RefusalKind.NOT_FRESH)
