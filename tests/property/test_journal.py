"""The journal against the second fold: whatever the disk does, no cap is passed and nothing is refused that fits."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from signer.contracts import Journal
from signer.errors import AuditError, NotReserved
from signer.model import Charge, Intent, Outcome
from tests.contract.machines import Files, accept, begin, call, end, entry
from tests.harness.virtual import run
from tests.property.plain_fold import PlainFold
from tests.unit.ledger.calls import order

CAPS = {"second": (1, Decimal(3)), "minute": (60, Decimal(10)), "hour": (3600, Decimal("25.5"))}
"""Window and limit by cap."""


def charge_of(cap: str, amount: Decimal, leg: int) -> Charge:
    """A charge against one of the caps."""
    window_s, limit = CAPS[cap]
    return Charge(cap, "client/bot", "USD", window_s, limit, amount, leg)


AMOUNTS = st.decimals(min_value="0.01", max_value=6, places=2)
CHARGES = st.lists(st.builds(charge_of, st.sampled_from(sorted(CAPS)), AMOUNTS, st.integers(0, 2)), max_size=4)
STEPS = st.one_of(
    st.tuples(st.just("begin"), st.lists(CHARGES, min_size=1, max_size=4)),
    st.tuples(st.just("give_up"), CHARGES),
    st.tuples(st.just("accept"), st.tuples(st.integers(0, 9), st.frozensets(st.integers(0, 2)))),
    st.tuples(st.just("find"), st.tuples(st.integers(0, 9), st.frozensets(st.integers(0, 2)))),
    st.tuples(st.just("end"), st.tuples(st.integers(0, 9), st.sampled_from([Outcome.REJECTED, Outcome.UNKNOWN]))),
    st.tuples(st.just("wait"), st.floats(0, 2) | st.floats(0, 70)),
    st.tuples(st.just("set_clock"), st.integers(-5_000, 3_000)),
    st.tuples(st.just("fail"), CHARGES),
    st.tuples(st.just("hang"), st.sampled_from([1.0, 7.0, 60.0])),
    st.tuples(st.just("crash"), st.none()),
    st.tuples(st.just("stop"), st.none()),
)


class Play:
    """A journal on a machine, and what the second fold makes of its records."""

    def __init__(self, machine: Files) -> None:
        self.machine = machine
        self.journal: Journal

    async def start(self) -> None:
        """Start, with a clock that is trusted."""
        self.journal = await self.machine.start()
        self.journal.trust_clock()

    async def begin(self, calls: Sequence[Sequence[Charge]]) -> None:
        """Several callers at once; each answer must be the second fold's, given those before it."""
        plain = self.fold()
        intents = [call(*charges, orders=(order(),) * 3) for charges in calls]
        now_us = self.journal.now_us()
        asked = [asyncio.ensure_future(self.journal.begin(one, entry(one))) for one in intents]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for number, (intent, answer) in enumerate(zip(intents, answers, strict=True)):
            record = {**entry(intent), "reservation": number, "at": now_us}
            assert plain.allows(record) == isinstance(answer, int), answer
            assert isinstance(answer, int | NotReserved)
            if isinstance(answer, int):
                plain.take(record)

    async def give_up(self, charges: Sequence[Charge]) -> None:
        """A caller that is gone at once."""
        task = asyncio.ensure_future(begin(self.journal, *charges))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def accept(self, value: tuple[int, frozenset[int]]) -> None:
        """Some of a call's orders were accepted."""
        if (intent := self.chosen(value[0])) is not None:
            accept(self.journal, intent, *self.ids(intent, value[1]))

    async def find(self, value: tuple[int, frozenset[int]]) -> None:
        """Some of a call's orders were found, or all."""
        if (intent := self.chosen(value[0])) is not None:
            ids = self.ids(intent, value[1])
            accept(self.journal, intent, *ids, part=None in ids)

    async def end(self, value: tuple[int, Outcome]) -> None:
        """Nothing was accepted, or nobody knows."""
        if (intent := self.chosen(value[0])) is not None:
            end(self.journal, intent, value[1])

    async def wait(self, seconds: float) -> None:
        """Time passes."""
        await asyncio.sleep(seconds)

    async def set_clock(self, ahead_s: int) -> None:
        """The wall clock is set."""
        self.machine.set_clock(ahead_s)

    async def fail(self, charges: Sequence[Charge]) -> None:
        """The disk refuses one flush: its caller is told, and nothing has happened."""
        self.machine.fail()
        (answer,) = await asyncio.gather(begin(self.journal, *charges), return_exceptions=True)
        assert isinstance(answer, AuditError | NotReserved)
        self.machine.heal()

    async def hang(self, seconds: float) -> None:
        """The next write takes long."""
        self.machine.hang(seconds)
        await asyncio.gather(begin(self.journal), return_exceptions=True)

    async def crash(self, _: None) -> None:
        """The machine dies, and starts again."""
        self.machine.crash()
        await self.start()

    async def stop(self, _: None) -> None:
        """The gateway stops, and starts again."""
        await self.machine.stop()
        await self.start()

    def chosen(self, number: int) -> Intent | None:
        """Choose one of the open calls with orders left."""
        found = [one.intent for one in self.journal.open_intents() if one.intent.orders]
        return found[number % len(found)] if found else None

    def ids(self, intent: Intent, legs: frozenset[int]) -> list[str | None]:
        """Venue ids of some of a call's orders, which nobody else has."""
        left = len(intent.orders)
        return [f"O{intent.record}-{left}-{leg}" if leg in legs else None for leg in range(left)]

    def fold(self) -> PlainFold:
        """What the durable records make."""
        plain = PlainFold()
        for record in self.machine.records():
            plain.take(record)
        return plain

    async def check(self) -> None:
        """Once all is durable, the journal says what the second fold says, and no cap is passed."""
        while self.journal.digest_at_rest() is None:
            assert await self.journal.settled()
        plain = self.fold()
        assert [one.intent.record for one in self.journal.open_intents()] == list(plain.calls)
        for usage in self.journal.usage("client/bot"):
            assert usage.used == plain.used((usage.scope, usage.unit, usage.window_s), self.journal.now_us())
            assert usage.used <= usage.limit


@given(steps=st.lists(STEPS, max_size=20))
def test_no_history_passes_a_cap_or_refuses_what_fits(steps: Sequence[tuple[str, Any]]) -> None:
    """Any mix of callers, ends, clocks, crashes, and disks that fail or hang agrees with the second fold."""

    async def play() -> None:
        with tempfile.TemporaryDirectory() as folder:
            stage = Play(Files(Path(folder)))
            await stage.start()
            for name, value in steps:
                await getattr(stage, name)(value)
                await stage.check()
            await stage.machine.stop()

    run(play())
