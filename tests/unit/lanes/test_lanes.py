"""Who goes next in a lane, and what becomes of those who cannot."""

from __future__ import annotations

import asyncio

import pytest

from signer.errors import NotServed
from signer.lanes import CredentialLane, NonceSource
from signer.model import Priority
from signer.venues.kraken.answers import words
from tests.harness.virtual import Store, VirtualClock, run

BRAKE, CANCEL, ORDER, READ = Priority
LATE = 1000.0


class Bench:
    """A lane, and who got a turn in it."""

    def __init__(self, depth: int = 1, queue: int = 256) -> None:
        clock = VirtualClock()
        self.store = Store()
        self.alarms: list[str] = []
        nonces = NonceSource("credential/main", 0, self.store.raise_mark, clock, on_alarm=self.alarms.append)
        self.lane = CredentialLane("main", clock=clock, nonces=nonces, depth=depth, queue=queue)
        self.turns: list[str] = []
        self.nonces: list[int] = []
        self.calls: list[asyncio.Task[None]] = []

    async def call(self, name: str, priority: Priority, deadline: float = LATE, takes_s: float = 1.0) -> None:
        """Wait for a turn and hold it; the client is the name's first letter."""
        async with self.lane.turn(name[0], priority, deadline) as turn:
            self.turns.append(name)
            self.nonces.append(turn.nonce)
            await asyncio.sleep(takes_s)

    async def start(self, name: str, priority: Priority, deadline: float = LATE) -> asyncio.Task[None]:
        """A call under way: holding its turn or waiting."""
        task = asyncio.create_task(self.call(name, priority, deadline))
        self.calls.append(task)
        await asyncio.sleep(0.001)
        return task

    async def done(self) -> list[str]:
        """Return who got a turn, in order, once the lane is free again."""
        await asyncio.gather(*self.calls, return_exceptions=True)
        before = asyncio.get_running_loop().time()
        async with self.lane.turn("z", READ, LATE):
            assert (asyncio.get_running_loop().time(), self.lane.waiting) == (before, 0)
        assert self.nonces == sorted(set(self.nonces))
        return self.turns


def test_cancels_before_orders_before_reads() -> None:
    """The waiting cancel goes before the order and the order before the read, whoever came first."""

    async def story() -> None:
        bench = Bench()
        for name, priority in (("a", READ), ("b1", READ), ("c", ORDER), ("d", CANCEL), ("b2", CANCEL)):
            await bench.start(name, priority)
        assert bench.lane.waiting == 4
        assert await bench.done() == ["a", "d", "b2", "c", "b1"]

    run(story())


def test_clients_take_turns() -> None:
    """A client with many calls waiting does not hold up one with few; its own calls keep their order."""

    async def story() -> None:
        bench = Bench()
        for name in ("a1", "a2", "a3", "a4", "b1", "b2", "c1"):
            await bench.start(name, READ)
        assert await bench.done() == ["a1", "a2", "b1", "c1", "a3", "b2", "a4"]

    run(story())


@pytest.mark.parametrize("depth", [1, 3])
def test_so_many_hold_the_lane_at_once(depth: int) -> None:
    """As many calls are under way at once as the key's nonce window allows, one by default."""

    async def story() -> None:
        bench = Bench(depth)
        for number in range(7):
            await bench.start(f"a{number}", READ)
        assert (len(bench.turns), bench.lane.waiting) == (depth, 7 - depth)
        assert len(await bench.done()) == 7

    run(story())


@pytest.mark.parametrize("priority", [CANCEL, ORDER, READ])
def test_one_client_has_a_quarter_of_each_queue(priority: Priority) -> None:
    """What is more is refused at once, in words; other kinds of its calls and other clients find places."""

    async def story() -> None:
        bench = Bench(queue=8)
        await bench.start("a", READ)
        await bench.start("b1", priority)
        assert bench.lane.has_place("b", priority)
        await bench.start("b2", priority)
        assert [bench.lane.has_place(client, priority) for client in "bc"] == [False, True]
        with pytest.raises(NotServed, match="2 calls of this client are waiting already") as refused:
            await bench.call("b3", priority)
        assert words(refused.value)[0] == "EService:Unavailable"
        others = {CANCEL, ORDER, READ} - {priority}
        for other in sorted(others):
            await bench.start(f"b{other}", other)
        await bench.start("c1", priority)
        assert len(await bench.done()) == 6

    run(story())


def test_a_newcomer_takes_the_place_of_the_flooders_youngest() -> None:
    """Four clients fill the queue; a fifth is let in, and the youngest call of one with most leaves at once."""

    async def story() -> None:
        bench = Bench(queue=8)
        await bench.start("z", READ)
        for client in "abcd":
            for number in (1, 2):
                await bench.start(f"{client}{number}", ORDER)
        assert bench.lane.waiting == 8
        assert bench.lane.has_place("e", ORDER)
        await bench.start("e1", ORDER)
        assert bench.lane.waiting == 8
        (pushed,) = [call for call in bench.calls if call.done()]
        with pytest.raises(NotServed, match="another client needs the place"):
            await pushed
        assert await bench.done() == ["z", "a1", "b1", "c1", "d1", "e1", "b2", "c2", "d2"]

    run(story())


def test_where_all_have_one_place_a_queue_is_full() -> None:
    """A newcomer is refused if no client has more places than the newcomer would have."""

    async def story() -> None:
        bench = Bench(queue=4)
        await bench.start("z", READ)
        for client in "abcd":
            await bench.start(f"{client}1", ORDER)
        with pytest.raises(NotServed, match="4 calls of this account are waiting already"):
            await bench.call("e1", ORDER)
        assert await bench.done() == ["z", "a1", "b1", "c1", "d1"]

    run(story())


def test_turns_are_weighted_over_kinds() -> None:
    """While all kinds wait, turns go to four cancels, two orders and a read, and again; an idle kind gives its turns
    away."""

    async def story() -> None:
        bench = Bench()
        await bench.start("z", READ)
        for client, priority in (("c", CANCEL), ("o", ORDER), ("r", READ)):
            for number in range(6):
                await bench.start(f"{client}{number}", priority)
        turns = "".join(name[0] for name in await bench.done())
        assert turns == "z" + "ccccoor" + "ccoo" + "r" + "oo" + "r" + "rrr"

    run(story())


def test_a_brake_goes_first() -> None:
    """A brake goes before all cancels of clients, however many of their turns are due."""

    async def story() -> None:
        bench = Bench()
        await bench.start("z", READ)
        for number in range(6):
            await bench.start(f"c{number}", CANCEL)
        for number in range(6):
            await bench.start(f"b{number}", BRAKE)
        assert [name[0] for name in await bench.done()] == list("z" + "b" * 6 + "c" * 6)

    run(story())


def test_a_deadline_ends_the_wait() -> None:
    """A call whose deadline passes in the queue is refused then and leaves its place; the others do not notice."""

    async def story() -> None:
        bench = Bench()
        await bench.start("a", READ)
        late = await bench.start("b", ORDER, deadline=0.5)
        await bench.start("c", READ)
        with pytest.raises(NotServed, match="before its turn"):
            await late
        assert asyncio.get_running_loop().time() == pytest.approx(0.5)
        assert bench.lane.waiting == 1
        assert await bench.done() == ["a", "c"]

    run(story())


def test_a_deadline_that_is_over_gets_no_turn() -> None:
    """A call that is too late is refused even in a free lane."""

    async def story() -> None:
        bench = Bench()
        with pytest.raises(NotServed, match="before its turn"):
            await bench.call("a", READ, deadline=0.0)
        assert await bench.done() == []

    run(story())


def test_a_waiting_call_that_is_cancelled_leaves_no_hole() -> None:
    """A call cancelled in the queue gives up its place, whether it has heard of that yet or not."""

    async def story() -> None:
        bench = Bench()
        holder = await bench.start("a", READ)
        gone, goes = await bench.start("b", READ), await bench.start("c", READ)
        await bench.start("d", READ)
        gone.cancel()
        await asyncio.sleep(0.001)
        assert bench.lane.waiting == 2
        goes.cancel()
        holder.cancel()
        assert await bench.done() == ["a", "d"]

    run(story())


def test_a_turn_handed_to_a_cancelled_call_goes_on_to_the_next() -> None:
    """A call that is cancelled just as its turn comes, before it runs again, passes the turn on."""

    async def story() -> None:
        bench = Bench()
        turn = bench.lane.turn("a", READ, LATE)
        await turn.__aenter__()
        handed = await bench.start("b", READ)
        await bench.start("c", READ)
        await turn.__aexit__(None, None, None)
        handed.cancel()
        assert await bench.done() == ["c"]

    run(story())


def test_a_call_cancelled_just_as_its_deadline_passes_had_no_turn_to_pass_on() -> None:
    """Deadline and cancellation in one moment do not make two holders."""

    async def story() -> None:
        bench = Bench()
        await bench.start("a", READ)
        late = await bench.start("b", READ, deadline=0.5)
        await bench.start("c", READ)
        asyncio.get_running_loop().call_at(0.5, late.cancel)
        await asyncio.sleep(0.6)
        assert late.cancelled()
        assert (bench.turns, bench.lane.waiting) == (["a"], 1)
        assert await bench.done() == ["a", "c"]

    run(story())


def test_an_error_in_a_turn_ends_it() -> None:
    """Whatever goes wrong while the lane is held, it is free afterwards."""

    async def story() -> None:
        bench = Bench()
        with pytest.raises(ZeroDivisionError):
            async with bench.lane.turn("a", READ, LATE):
                raise ZeroDivisionError
        assert await bench.done() == []

    run(story())


@pytest.mark.parametrize("broken", [True, False])
def test_without_a_stored_mark_the_turn_is_given_up(broken: bool) -> None:
    """A store that fails, or takes longer than the deadline, refuses the call and frees the lane."""

    async def story() -> None:
        bench = Bench()
        bench.store.broken, bench.store.takes_s = broken, 5.0
        with pytest.raises(NotServed):
            await bench.call("a", ORDER, deadline=6.0 if broken else 3.0)
        bench.store.broken, bench.store.takes_s = False, 0.0
        await asyncio.sleep(5)
        assert await bench.done() == []

    run(story())


def test_a_refused_nonce_moves_the_lane_on() -> None:
    """The turn passes the venue's refusal on: the next nonce is ten seconds ahead; a second refusal alarms."""

    async def story() -> None:
        bench = Bench()
        async with bench.lane.turn("a", ORDER, LATE):
            pass  # a key that has taken a nonce of ours
        nonces = []
        for _ in range(3):
            async with bench.lane.turn("a", ORDER, LATE) as turn:
                nonces.append(turn.nonce)
                turn.nonce_refused()
        assert nonces[1] - nonces[0] > 10_000_000
        assert nonces[2] - nonces[1] > 20_000_000
        assert len(bench.alarms) == 2
        await bench.done()

    run(story())
