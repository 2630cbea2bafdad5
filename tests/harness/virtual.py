"""An event loop whose time stands still until nobody has anything to do, and the clock and store that go with it."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from signer.errors import LedgerError

T = TypeVar("T")
P = ParamSpec("P")
START_US = 1_800_000_000_000_000


class VirtualLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer instead of sleeping; a loop that would wait for ever fails."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Virtual seconds since the start."""
        return self.now


class _Selector(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits for somebody else"
        self._loop.now += timeout
        return super().select(0)


class VirtualClock:
    """The loop's time, and a wall clock that can be set."""

    def __init__(self) -> None:
        self.set_by_us = 0

    def now_us(self) -> int:
        """The start plus the loop's time, plus what it was set by."""
        return START_US + round(self.monotonic() * 1_000_000) + self.set_by_us

    def monotonic(self) -> float:
        """The loop's time."""
        return asyncio.get_running_loop().time()


class Store:
    """A store of one mark that can be slow or broken."""

    def __init__(self, mark: int = 0) -> None:
        self.mark = mark
        self.writes: list[int] = []
        self.broken = False
        self.takes_s = 0.0

    async def raise_mark(self, name: str, at_least: int) -> None:
        """Keep the mark, or fail."""
        await asyncio.sleep(self.takes_s)
        if self.broken:
            raise LedgerError("the disk is full")
        assert name == "credential/main"
        self.mark = max(self.mark, at_least)
        self.writes.append(at_least)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run ``main`` on a virtual loop of its own; an error in a callback or a forgotten task fails it too."""
    errors: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: errors.append(context))
        result = runner.run(main)
    assert errors == []
    return result


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make a test run on a virtual loop."""

    @functools.wraps(test)
    def play(*given: P.args, **named: P.kwargs) -> None:
        run(test(*given, **named))

    return play
