"""Bounds the bytes of answers in memory: those that arrive, and those that wait for their clients to read them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, final

COUNTED_FROM: Final = 64 * 1024
"""Bytes. Smaller answers are not counted: the number of connections bounds them. Answers to orders are always smaller,
so they are never refused for lack of memory."""


@final
class HeldAnswers:
    """Counts the answers of all clients against one bound.

    When memory is short, the client with most unread bytes loses its oldest answer.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._unread: OrderedDict[Hold, None] = OrderedDict()
        self._of: dict[str, int] = {}
        self.total = 0

    def arrives(self, size: int) -> bool:
        """Count ``size`` more bytes of an answer from the venue, or return False if there is no memory for them."""
        self._make_room(size)
        if self.total + size > self._limit:
            return False
        self.total += size
        return True

    def gone(self, size: int) -> None:
        """Stop counting ``size`` bytes that arrived: they are freed, or counted by `hold` from now on."""
        self.total -= size

    def hold(self, holder: str, size: int, drop: Callable[[], None]) -> Hold:
        """Count an unread answer to ``holder`` until `Hold.release`; ``drop`` is called if others need its memory."""
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
    """An answer that its client has not read yet."""

    __slots__ = ("_answers", "drop", "holder", "size")

    def __init__(self, answers: HeldAnswers, holder: str, size: int, drop: Callable[[], None]) -> None:
        self._answers = answers
        self.holder = holder
        self.size = size
        self.drop = drop

    def release(self) -> None:
        """Stop counting the answer: it was read, or its client is gone."""
        self._answers._release(self)
