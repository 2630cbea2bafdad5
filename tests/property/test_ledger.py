"""The ledger against an oracle: whatever happens, no cap is passed and none refuses what clearly fits."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from signer.errors import LedgerError, NotReserved
from signer.ledger import writer
from signer.ledger.sqlite import SqliteLedger
from signer.model import Charge
from tests.unit.ledger.calls import Breakable, InlineWorker, StillClock, intent, order

CAPS = {"second": (1, Decimal(3)), "minute": (60, Decimal(10)), "hour": (3600, Decimal("25.5"))}
"""Window and limit by cap."""


@dataclass
class Spent:
    """One charge that counts, as the oracle sees it."""

    at_us: int
    charge: Charge
    reservation: int


class Oracle:
    """A list of charges with their times: too slow to use, too simple to be wrong."""

    def __init__(self) -> None:
        self.spent: list[Spent] = []
        self.open: list[int] = []
        self.latest_us = 0

    def used(self, cap: str, now_us: int, late: Fraction = Fraction(0)) -> Decimal:
        """The sum of the cap's charges that are open, or younger than its window, made longer by ``late`` of it."""
        window_us = CAPS[cap][0] * 1_000_000 * (1 + late)
        counted = (
            spent
            for spent in self.spent
            if spent.charge.cap == cap and (spent.reservation in self.open or now_us - spent.at_us < window_us)
        )
        return sum((spent.charge.amount for spent in counted), Decimal(0))

    def fits(self, charges: Sequence[Charge], now_us: int, late: Fraction = Fraction(0)) -> bool:
        """Whether every cap still holds with ``charges`` added."""
        needs = {cap: sum((c.amount for c in charges if c.cap == cap), Decimal(0)) for cap in CAPS}
        return all(not need or self.used(cap, now_us, late) + need <= CAPS[cap][1] for cap, need in needs.items())

    def close(self, reservation: int, legs: frozenset[int], now_us: int) -> None:
        """Only ``legs`` of a reservation stay spent: by now, as far as anybody knows."""
        self.spent = [s for s in self.spent if s.reservation != reservation or s.charge.leg in legs]
        for spent in self.spent:
            if spent.reservation == reservation:
                spent.at_us = now_us
        self.open.remove(reservation)


def charge_of(cap: str, amount: Decimal, leg: int) -> Charge:
    """A charge against one of the caps."""
    window_s, limit = CAPS[cap]
    return Charge(cap, "client/bot", "USD", window_s, limit, amount, leg)


AMOUNTS = st.decimals(min_value="0.01", max_value=6, places=2)
CHARGES = st.lists(st.builds(charge_of, st.sampled_from(sorted(CAPS)), AMOUNTS, st.integers(0, 2)), max_size=4)
STEPS = st.one_of(
    st.tuples(st.just("reserve"), st.lists(CHARGES, min_size=1, max_size=4)),
    st.tuples(st.just("release"), st.integers(0, 9)),
    st.tuples(st.just("settle"), st.tuples(st.integers(0, 9), st.frozensets(st.integers(0, 2)))),
    st.tuples(st.just("hold"), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.integers(-5_000_000, 70_000_000) | st.integers(0, 1_010_000)),
    st.tuples(st.just("crash"), st.none()),
    st.tuples(st.just("fail"), CHARGES),
)
Step: TypeAlias = "tuple[str, object]"


class Play:
    """Two processes' ledgers on one file, the clock they share, and the oracle."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = StillClock()
        self.oracle = Oracle()
        self.disks: list[Breakable] = []
        self.ledgers: list[SqliteLedger] = []
        self.dropped: list[SqliteLedger] = []

    async def start(self) -> SqliteLedger:
        """Open the file anew, as after a crash."""

        def connection(path: Path) -> Breakable:
            self.disks.append(Breakable(path))
            return self.disks[-1]

        ledger = SqliteLedger(self.path, self.clock, InlineWorker(), patience_s=0)
        with mock.patch.object(writer, "connect", connection):
            await ledger.open()
        return ledger

    async def step(self, which: int, name: str, value: object) -> None:
        """Do one step on one of the ledgers."""
        if name == "crash":
            self.dropped.append(self.ledgers[which])
            self.ledgers[which] = await self.start()
            self.disks[which] = self.disks.pop()
        else:
            await getattr(self, name)(which, value)

    async def reserve(self, which: int, calls: Sequence[Sequence[Charge]]) -> None:
        """Several callers at once; each answer must be one that the oracle allows."""
        asked = [self.ledgers[which].reserve(intent(*charges, orders=(order(),) * 3)) for charges in calls]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        now_us = max(self.clock.us, self.oracle.latest_us)
        for charges, answer in zip(calls, answers, strict=True):
            if isinstance(answer, int):
                assert self.oracle.fits(charges, now_us), "a cap was passed"
                self.oracle.spent += [Spent(now_us, charge, answer) for charge in charges]
                self.oracle.open.append(answer)
                self.oracle.latest_us = now_us
            else:
                assert isinstance(answer, NotReserved)
                assert not self.oracle.fits(charges, now_us, Fraction(1, 120)), "refused what fits"

    async def release(self, which: int, number: int) -> None:
        """Twice, since it is idempotent."""
        if reservation := self.chosen(number):
            await asyncio.gather(*(self.ledgers[which].release(reservation) for _ in range(2)))
            self.oracle.close(reservation, frozenset(), 0)

    async def settle(self, which: int, value: tuple[int, frozenset[int]]) -> None:
        """Some of its orders were accepted; a release that comes later changes nothing."""
        number, legs = value
        if reservation := self.chosen(number):
            txids = [f"O{reservation}-{leg}" if leg in legs else None for leg in range(3)]
            await self.ledgers[which].settle(reservation, txids)
            await self.ledgers[which].release(reservation)
            self.oracle.latest_us = max(self.clock.us, self.oracle.latest_us)
            self.oracle.close(reservation, legs, self.oracle.latest_us)

    async def hold(self, which: int, number: int) -> None:
        """Unknown: everything stays."""
        if reservation := self.chosen(number):
            await self.ledgers[which].hold(reservation)

    async def wait(self, which: int, us: int) -> None:
        """Time passes, or the clock is set back."""
        self.clock.us += us

    async def fail(self, which: int, charges: Sequence[Charge]) -> None:
        """The disk refuses one commit: its caller is told, and nothing has happened."""
        self.disks[which].broken = "COMMIT"
        (answer,) = await asyncio.gather(self.ledgers[which].reserve(intent(*charges)), return_exceptions=True)
        assert isinstance(answer, LedgerError)
        self.disks[which].broken = ""

    async def check(self) -> None:
        """Check that both see what the oracle sees."""
        now_us = max(self.clock.us, self.oracle.latest_us)
        for ledger in self.ledgers:
            assert [found.reservation for found in await ledger.open_intents()] == self.oracle.open
            for usage in await ledger.usage("client/bot"):
                least = self.oracle.used(usage.cap, now_us)
                assert least <= usage.used <= self.oracle.used(usage.cap, now_us, Fraction(1, 120))
                assert usage.used <= usage.limit

    def chosen(self, number: int) -> int | None:
        """Choose one of the open reservations, if there is any."""
        return self.oracle.open[number % len(self.oracle.open)] if self.oracle.open else None


@given(steps=st.lists(st.tuples(st.integers(0, 1), STEPS), max_size=30))
def test_no_history_passes_a_cap_or_refuses_what_fits(steps: Sequence[tuple[int, Step]]) -> None:
    """Any mix of callers, processes, outcomes, clocks, crashes and failing disks agrees with the oracle."""

    async def play() -> None:
        with tempfile.TemporaryDirectory() as folder:
            stage = Play(Path(folder) / "ledger.db")
            stage.ledgers = [await stage.start(), await stage.start()]
            for which, (name, value) in steps:
                await stage.step(which, name, value)
                await stage.check()
            for ledger in stage.ledgers + stage.dropped:
                await ledger.close()

    asyncio.run(play())
