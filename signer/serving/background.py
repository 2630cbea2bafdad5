"""Runs the loops beside the calls, and raises an alarm if one ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import final

from signer.audit.throttle import RecordThrottle
from signer.contracts import Clock, Journal, Marks
from signer.errors import SignerError

SUMMARY_EVERY_S = 60.0
HEAD_EVERY_S = 1.0


def note_refusals(throttle: RecordThrottle, journal: Journal, clock: Clock) -> None:
    """Put the counts of refusals that had no record of their own into the log."""
    for entry in throttle.summaries(clock.now_us()):
        journal.note(entry)


async def count_refusals(throttle: RecordThrottle, journal: Journal, clock: Clock) -> None:
    """Record the counts of refusals once a minute, without end."""
    while True:
        await asyncio.sleep(SUMMARY_EVERY_S)
        note_refusals(throttle, journal, clock)


async def keep_heads(journal: Journal, marks: Marks, alarm: Callable[[str, str], None]) -> None:
    """Make the marks keep the head of the log once a second, without end."""
    kept = None
    while True:
        await asyncio.sleep(HEAD_EVERY_S)
        head = journal.head()
        if head is not None and head != kept:
            try:
                await marks.keep_head(head)
                kept = head
            except SignerError as error:
                alarm(error.code, str(error))


@final
class Loops:
    """The loops of one worker, each with a name."""

    def __init__(self, loops: Mapping[str, Coroutine[None, None, None]], alarm: Callable[[str, str], None]) -> None:
        """Start ``loops``; ``alarm`` is told when one ends."""
        running = asyncio.get_running_loop()
        self._alarm = alarm
        self.tasks = [running.create_task(loop, name=name) for name, loop in loops.items()]
        for task in self.tasks:
            task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """End all of them."""
        for task in self.tasks:
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Raise an alarm: a loop ends while the gateway runs only by a defect."""
        if not task.cancelled():
            what = type(task.exception()).__name__  # its text may hold a secret
            self._alarm("defect", f"{task.get_name()} has ended ({what}); restart the gateway")
