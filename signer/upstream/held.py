"""How many bytes of answers are in memory: those that arrive, and those that wait for their clients to read them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, final

COUNTED_FROM: Final = 64 * 1024
"""Answers of so many bytes at most are not counted: each connection may have one, which bounds them. So an answer to an
order, which never is larger, is never refused for want of room."""


@final
class HeldAnswers:
    """One bound over all. Whoever does not read makes room for who does: the holder of most loses his oldest first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._unread: OrderedDict[Hold, None] = OrderedDict()
        self._of: dict[str, int] = {}
        self.total = 0

    def arrives(self, size: int) -> bool:
        """Count ``size`` bytes more of an answer from the exchange; False, and not counted, if there is no room."""
        self._make_room(size)
        if self.total + size > self._limit:
            return False
        self.total += size
        return True

    def gone(self, size: int) -> None:
        """Bytes that arrived are here no more, or are counted as `hold` from now on."""
        self.total -= size

    def hold(self, holder: str, size: int, drop: Callable[[], None]) -> Hold:
        """Count an answer that ``holder`` is to read, until `Hold.release`; ``drop`` ends it when others need room."""
        self._make_room(size)
        held = Hold(self, holder, size, drop)
        self._unread[held] = None
        self._of[holder] = self._of.get(holder, 0) + size
        self.total += size
        return held

    def _make_room(self, size: int) -> None:
        while self._unread and self.total + size > self._limit:
            worst = max(self._of, key=self._of.__getitem__)
            oldest = next(held for held in self._unread if held.holder == worst)
            oldest.release()
            oldest.drop()

    def _release(self, held: Hold) -> None:
        if held in self._unread:
            del self._unread[held]
            self.total -= held.size
            self._of[held.holder] -= held.size
            if not self._of[held.holder]:
                del self._of[held.holder]


@final
class Hold:
    """An answer that waits to be read."""

    __slots__ = ("_answers", "drop", "holder", "size")

    def __init__(self, answers: HeldAnswers, holder: str, size: int, drop: Callable[[], None]) -> None:
        self._answers = answers
        self.holder = holder
        self.size = size
        self.drop = drop

    def release(self) -> None:
        """It has been read, or nobody is there to read it."""
        self._answers._release(self)
