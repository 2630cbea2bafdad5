"""Group commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

import pytest

from signer.offload.worker import Batches

T = TypeVar("T")


class HeldWorker:
    """Runs each job when the test says so."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def run(self, job: Callable[[], T]) -> asyncio.Future[T]:
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def finish() -> None:
            try:
                answer.set_result(job())
            except Exception as error:
                answer.set_exception(error)

        self.jobs.append(finish)
        return answer

    async def step(self) -> None:
        """Let the loop run until a job is there, then do it and let its callers hear."""
        while not self.jobs:
            await asyncio.sleep(0)
        self.jobs.pop(0)()
        for _ in range(5):
            await asyncio.sleep(0)


def double(items: Sequence[int]) -> Sequence[int | Exception]:
    """Twice each item; odd items are refused."""
    return [ValueError(str(item)) if item % 2 else item * 2 for item in items]


async def test_all_who_wait_during_a_flush_share_the_next() -> None:
    """Callers that come while a flush is under way are served by exactly one more."""
    worker = HeldWorker()
    batches = Batches(worker, double)
    first = batches.ask(2)
    await asyncio.sleep(0)
    others = [batches.ask(item) for item in (4, 6, 8)]
    await worker.step()
    assert first.result() == 4
    await worker.step()
    assert [answer.result() for answer in others] == [8, 12, 16]
    assert not worker.jobs


async def test_one_refused_item_does_not_fail_its_neighbours() -> None:
    """Each caller gets its own result or exception."""
    worker = HeldWorker()
    batches = Batches(worker, double)
    good, bad = batches.ask(2), batches.ask(3)
    await worker.step()
    assert good.result() == 4
    with pytest.raises(ValueError, match="3"):
        bad.result()


async def test_a_failed_flush_fails_everyone_in_it_and_nobody_after() -> None:
    """If serving fails as a whole, all its callers hear so, and the next batch is tried afresh."""
    worker = HeldWorker()
    failing = [True]

    def serve(items: Sequence[int]) -> Sequence[int | Exception]:
        if failing.pop():
            raise OSError("disk full")
        return items

    batches: Batches[int, int] = Batches(worker, serve)
    first, second = batches.ask(1), batches.ask(2)
    await worker.step()
    for answer in (first, second):
        with pytest.raises(OSError, match="disk full"):
            answer.result()
    failing.append(False)
    third = batches.ask(3)
    await worker.step()
    assert third.result() == 3


async def test_a_patient_item_rides_along_with_the_next_flush() -> None:
    """An item that may wait starts no flush of its own, and is served before a later item that may not."""
    worker = HeldWorker()
    batches = Batches(worker, double)
    patient = batches.ask(2, within=3600)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not worker.jobs
    eager = batches.ask(4)
    await worker.step()
    assert (patient.result(), eager.result()) == (4, 8)


async def test_drained_serves_the_patient_too() -> None:
    """A clean stop serves even the jobs that had time to wait."""
    worker = HeldWorker()
    batches = Batches(worker, double)
    patient = batches.ask(2, within=3600)
    draining = asyncio.ensure_future(batches.drained())
    await worker.step()
    await draining
    assert patient.result() == 4


async def test_a_cancelled_caller_leaves_its_item_in_the_batch() -> None:
    """What was asked for is done even if nobody waits any more."""
    worker = HeldWorker()
    served: list[int] = []

    def serve(items: Sequence[int]) -> Sequence[int | Exception]:
        served.extend(items)
        return items

    batches: Batches[int, int] = Batches(worker, serve)
    gone, stays = batches.ask(1), batches.ask(2)
    gone.cancel()
    await worker.step()
    assert (served, stays.result()) == ([1, 2], 2)
