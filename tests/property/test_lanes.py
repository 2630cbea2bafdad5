"""A lane under random calls, cancellations, deadlines and a slow store, on a clock of its own."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.errors import NotServed
from signer.lanes import CredentialLane, NonceSource
from signer.model import Priority
from tests.harness.virtual import Store, VirtualClock, run

NEVER = 10_000.0
MS = 0.001


@dataclass
class Call:
    """One planned call, in milliseconds, and what became of it."""

    client: int
    priority: Priority
    arrives: int
    takes: int
    patience: int | None = None
    """Deadline after arrival."""
    cancelled_after: int | None = None
    outcome: str = ""
    entered: float = NEVER
    ended: float = NEVER
    """When it left the queue or the lane for good."""
    nonce: int = 0

    @property
    def left_queue(self) -> float:
        """Return when it stopped waiting, one way or the other."""
        return min(self.entered, self.ended)


def plans(clients: int, arrives: int, least: int) -> st.SearchStrategy[list[Call]]:
    """Plans of so many clients within so many milliseconds."""
    call = st.builds(
        Call,
        client=st.integers(1, clients),
        priority=st.sampled_from(Priority),
        arrives=st.integers(0, arrives),
        takes=st.integers(0, 5),
        patience=st.none() | st.integers(0, 30),
        cancelled_after=st.none() | st.integers(0, 30),
    )
    return st.lists(call, min_size=least, max_size=40)


SPARSE = plans(clients=5, arrives=40, least=0)
CROWDED = plans(clients=3, arrives=8, least=15)


@dataclass
class Play:
    """Plays calls against one lane and keeps what happened."""

    calls: list[Call]
    depth: int = 1
    queue: int = 10_000
    store_takes: int = 0
    inside: int = 0
    entries: list[Call] = field(default_factory=list)

    async def run(self) -> None:
        """All calls to their end; then the lane must be free, all of it."""
        self.store = Store()
        self.store.takes_s = self.store_takes * MS
        clock = VirtualClock()
        nonces = NonceSource("credential/main", 0, self.store.raise_mark, clock, on_alarm=pytest.fail, ahead_us=8_000)
        self.lane = CredentialLane("main", clock=clock, nonces=nonces, depth=self.depth, queue=self.queue)
        await asyncio.gather(*(self._play(call) for call in self.calls))
        assert self.lane.waiting == 0
        await asyncio.sleep(1)
        turns = [self.lane.turn("last", Priority.READ, NEVER) for _ in range(self.depth)]
        for turn in turns:
            await asyncio.wait_for(turn.__aenter__(), 1)
        for turn in turns:
            await turn.__aexit__(None, None, None)

    async def _play(self, call: Call) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(call.arrives * MS)
        task = asyncio.create_task(self._call(call))
        if call.cancelled_after is not None:
            loop.call_at((call.arrives + call.cancelled_after) * MS, task.cancel)
        try:
            await task
        except NotServed:
            call.outcome = "refused"
        except asyncio.CancelledError:
            call.outcome = "cancelled"
        call.ended = loop.time()

    async def _call(self, call: Call) -> None:
        deadline = NEVER if call.patience is None else (call.arrives + call.patience) * MS
        async with self.lane.turn(str(call.client), call.priority, deadline) as turn:
            call.entered, call.nonce = asyncio.get_running_loop().time(), turn.nonce
            assert turn.nonce <= self.store.mark
            self.entries.append(call)
            self.inside += 1
            assert self.inside <= self.depth
            try:
                await asyncio.sleep(call.takes * MS)
            finally:
                self.inside -= 1
        call.outcome = "served"


@given(SPARSE | CROWDED, st.integers(1, 3), st.integers(0, 20), st.integers(1, 12))
def test_whatever_happens_nonces_go_up_and_no_turn_is_lost(
    calls: list[Call], depth: int, store_takes: int, queue: int
) -> None:
    """In any interleaving, nonces leave rising and below the stored mark, no more calls than the depth hold the lane,
    none waits past its deadline, and the lane is whole afterwards."""
    play = Play(calls, depth, queue, store_takes)
    run(play.run())
    nonces = [call.nonce for call in play.entries]
    assert nonces == sorted(set(nonces))
    for call in calls:
        assert call.outcome
        if call.patience is not None:
            assert call.left_queue <= (call.arrives + call.patience + 0.001) * MS
        if call.patience is None and call.cancelled_after is None and queue >= 4 * len(calls):
            assert call.outcome == "served"


@given(SPARSE | CROWDED)
def test_the_next_is_always_the_right_one(calls: list[Call]) -> None:
    """A waiting call never yields to a later one of its own client, or twice to the same other client of its kind; and
    no call waits while the lane is free. (Which kind is next: tests/property/test_queues.py.)"""
    play = Play(calls)
    run(play.run())
    releases = {round(call.ended, 6) for call in play.entries}
    for late in play.entries:
        if late.entered > (late.arrives + 0.001) * MS:
            assert round(late.entered, 6) in releases
        for other in calls:
            waited = other.arrives * MS < late.entered - 1e-9 and other.left_queue > late.entered + 1e-9
            if other is late or not waited or late.entered <= (late.arrives + 0.001) * MS:
                continue
            if (late.client, late.priority) == (other.client, other.priority):
                assert late.arrives <= other.arrives
    for patient in play.entries:
        assert_fair(patient, calls, play.entries)


def assert_fair(patient: Call, calls: list[Call], entries: list[Call]) -> None:
    """Check that no client got two turns while another's first call of that priority waited."""
    own = [c for c in calls if (c.client, c.priority) == (patient.client, patient.priority) and c is not patient]
    ahead = [c.left_queue for c in own if c.arrives <= patient.arrives and c.left_queue < patient.entered]
    first_since = max([patient.arrives * MS, *ahead])
    overtaking = [
        call.client
        for call in entries
        if call.priority == patient.priority
        and call.client != patient.client
        and first_since + 1e-9 < call.entered < patient.entered - 1e-9
    ]
    assert len(overtaking) == len(set(overtaking))


@pytest.mark.parametrize("seed", range(3))
def test_fifty_clients_at_once(seed: int) -> None:
    """Fifty clients with ten calls each, all at about the same time: every one is served, with nonces in order."""
    chance = random.Random(seed)  # noqa: S311 - a repeatable test
    calls = [
        Call(client, chance.choice(list(Priority)), chance.randrange(20), chance.randrange(4))
        for client in range(50)
        for _ in range(10)
    ]
    play = Play(calls, store_takes=2)
    run(play.run())
    nonces = [call.nonce for call in play.entries]
    assert len(nonces) == 500
    assert nonces == sorted(set(nonces))
