"""A world in which one seed decides everything: how long each thing takes, what fails, and when the machine dies.

Time is virtual: it jumps to whatever is due next. Everything that reaches beyond the program's memory is a *step*, and
the machine may die at any step. From then on nothing that the dead program does has an effect.
"""

from __future__ import annotations

import asyncio
import errno
import heapq
import random
import selectors
import zlib
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.unit.audit.worse_disk import Crashed, WorseDisk

T = TypeVar("T")

START_US = 1_800_000_000_000_000
LONGEST_S = 100_000.0
"""No simulation needs more virtual time."""
LAST_NOTES = 60


class World:
    """The machine's time, its disk, and what happens outside of it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - repeatable is the point
        self.now = 0.0
        """Seconds since the beginning; never goes back."""
        self.wall_us = 0
        """By how much the machine's wall clock is wrong."""
        self.steps = 0
        self.crash_at: int | None = None
        self.alive = False
        self.lives = 0
        self.calm = False
        """Nothing fails any more."""
        self.disk = WorseDisk()
        self.disk.trouble = self._disk_trouble
        self.disk_full_until = 0.0
        self.disk_fails_until = 0.0
        self.marks_fail_until = 0.0
        self.book_fails_until = 0.0
        self.hangs_s: dict[str, float] = {}
        """How long the next job of a worker takes, by the worker's name."""
        self.failures: list[str] = []
        self.notes: deque[str] = deque(maxlen=LAST_NOTES)
        self.owed: list[str] = []
        """The alarms that say of a cancel that it goes out before it is on record."""
        self.digest = 0
        """Of all that was noted, so that two runs can be compared."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbered = 0
        self._loop: VirtualLoop | None = None

    def note(self, text: str) -> None:
        """Write down what happens."""
        self.digest = zlib.crc32(f"{self.now!r} {text}".encode(), self.digest)
        self.notes.append(f"{self.now:10.4f} #{self.steps} {text}")

    def fail(self, text: str) -> None:
        """What must hold does not."""
        self.note(f"FAILED {text}")
        self.failures.append(text)
        if self._loop is not None:
            self._loop.stop()

    def chance(self, probability: float) -> bool:
        """Whether it happens this time; nothing does any more once the world is calm."""
        return not self.calm and self.random.random() < probability

    def at(self, when: float, event: Callable[[], None]) -> None:
        """Let something happen outside of the machine, whether it is alive by then or not."""
        self._numbered += 1
        heapq.heappush(self._events, (when, self._numbered, event))

    @property
    def eventful(self) -> bool:
        """Whether anything is still to happen outside of the machine."""
        return bool(self._events)

    def passes(self, step: str) -> bool:
        """Take one step; False if the machine is dead, or dies at this one."""
        if not self.alive:
            return False
        self.steps += 1
        self.note(step)
        if self.steps == self.crash_at:
            self.note("the machine dies")
            self.alive = False
            if self._loop is not None:
                self._loop.stop()
        return self.alive

    async def step(self, name: str) -> None:
        """Take one step inside the program, which stands still for ever if the machine dies at it."""
        if not self.passes(name):
            await asyncio.get_running_loop().create_future()

    def run(self, main: Coroutine[Any, Any, T]) -> T | None:
        """Let a program run from its start to its end; None if the machine died before."""
        loop = self._loop = VirtualLoop(self)
        loop.set_exception_handler(self._unhandled)
        self.lives += 1
        self.alive = True
        task = loop.create_task(main)
        task.add_done_callback(lambda _: loop.stop() if self.alive else None)
        try:
            loop.run_forever()
            died = not self.alive
        finally:
            self.alive, self._loop = False, None
            random, digest = self.random.getstate(), self.digest
            _bury(loop)
            # The dead are cancelled in no certain order: what they draw or note is not part of the run.
            self.random.setstate(random)
            self.digest = digest
        if self.failures:
            raise AssertionError("\n".join(self.failures))
        return None if died else task.result()

    def heal(self) -> None:
        """End the troubles of the machine's disks."""
        self.disk_full_until = self.disk_fails_until = self.marks_fail_until = self.book_fails_until = 0.0
        self.hangs_s.clear()

    def hang(self, name: str) -> float:
        """How long the job of a worker hangs now, beside the time that it takes."""
        return self.hangs_s.pop(name, 0.0)

    def disk_crashes(self) -> None:
        """What was not synced is gone, or a part of it."""
        self.disk.crash(self.random)
        self.disk.trouble = self._disk_trouble

    def pass_time(self, seconds: float) -> None:
        """Let time pass while no program runs."""
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.happen(self._events[0][0])
        self.now = until

    def forward(self, timeout: float | None) -> None:
        """Go to what is due next: a timer of the program in ``timeout`` seconds, or an event."""
        due = self._events[0][0] if self._events else None
        if due is None and timeout is None:
            self.fail("everybody waits for somebody else")
        elif due is not None and (timeout is None or due <= self.now + timeout):
            self.happen(due)
        elif timeout is not None:
            self.now += timeout
        if self.now > LONGEST_S:
            self.fail("it goes on for ever")

    def happen(self, due: float) -> None:
        """The next event."""
        _, _, event = heapq.heappop(self._events)
        self.now = max(self.now, due)
        event()

    def _disk_trouble(self, _number: int, name: str) -> int | type[Crashed] | None:
        if not self.passes(f"disk {name}"):
            return Crashed
        if self.now < self.disk_full_until and name in {"append", "claim"}:
            return errno.ENOSPC
        if (
            self.now < self.disk_fails_until
            and name in {"append", "append within its room", "sync", "truncate"}
            and self.chance(0.5)
        ):
            return errno.EIO
        return None

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if self.alive:
            self.fail(f"unhandled: {context.get('message')}: {context.get('exception')!r}")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in the world's time."""

    def __init__(self, world: World) -> None:
        self._world = world
        super().__init__(_Selector(world))

    def time(self) -> float:
        """The world's time."""
        return self._world.now


class _Selector(selectors.SelectSelector):
    """Never waits: there is nothing to be heard from the real world."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._world.alive:
            self._world.forward(timeout)
        return []


def _bury(loop: VirtualLoop) -> None:
    """End what is left of a dead program. Nothing that it does now has an effect."""
    for _ in range(100):
        tasks = asyncio.all_tasks(loop)
        if not tasks:
            break
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
    loop.close()


class WorldClock:
    """The machine's clock."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._readings = 0

    def now_us(self) -> int:
        """The wall clock, which is wrong by as much as the world says. Reading it takes now more, now less time."""
        self._readings += 1
        return START_US + round(self._world.now * 1_000_000) + self._world.wall_us + self._readings % 4

    def monotonic(self) -> float:
        """The world's time."""
        return self._world.now


class SimWorker:
    """Does its jobs in order, each after some time; the machine may die before a job and after it."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self._jobs: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._busy = False

    def run(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """Do ``job`` after all jobs given before it."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._jobs.append((job, answer))
        if not self._busy:
            self._next()
        return answer

    def _next(self) -> None:
        self._busy = bool(self._jobs)
        if self._busy:
            hang_s = self._world.hang(self._name)
            before_s = self._world.random.choice((0.0, hang_s))
            self._later(before_s, self._do, *self._jobs.popleft(), hang_s - before_s)

    def _do(self, job: Callable[[], Any], answer: asyncio.Future[Any], hang_s: float) -> None:
        if not self._world.passes(f"{self._name} begins"):
            return
        result, error = None, None
        try:
            result = job()
        except Crashed:
            return
        except Exception as raised:
            error = raised
        self._later(hang_s, self._tell, answer, result, error)

    def _tell(self, answer: asyncio.Future[Any], result: object, error: Exception | None) -> None:
        if not self._world.passes(f"{self._name} ends"):
            return
        if not answer.done():
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)
        self._next()

    def _later(self, seconds: float, what: Callable[..., None], *values: object) -> None:
        asyncio.get_running_loop().call_later(seconds + self._world.random.uniform(0.0001, 0.003), what, *values)
