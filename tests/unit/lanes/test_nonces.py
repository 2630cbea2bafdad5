"""Nonces only ever go up, and never above what is stored."""

from __future__ import annotations

import asyncio

import pytest

from signer.errors import NotServed
from signer.lanes import NonceSource
from signer.lanes.nonces import NONCE_LIMIT, unit_of
from signer.venues.kraken.answers import words
from tests.harness.virtual import START_US, Store, VirtualClock, run

SECOND_US = 1_000_000


class Bench:
    """A source with its clock, store and alarms."""

    def __init__(self, mark: int = 0) -> None:
        self.clock = VirtualClock()
        self.store = Store(mark)
        self.alarms: list[str] = []
        self.source = self.restarted()

    def restarted(self) -> NonceSource:
        """A new source from what is stored."""
        raise_mark, alarm = self.store.raise_mark, self.alarms.append
        return NonceSource("credential/main", self.store.mark, raise_mark, self.clock, on_alarm=alarm)

    async def next(self) -> int:
        """The next nonce, stored if it must be."""
        nonce = self.source.take()
        nonce = await self.source.take_stored() if nonce is None else nonce
        assert nonce <= self.store.mark
        return nonce


def test_a_nonce_is_the_clock_in_microseconds() -> None:
    """With nothing stored, nonces follow the wall clock, and two within one microsecond still differ."""

    async def story() -> None:
        bench = Bench()
        assert [await bench.next() for _ in range(3)] == [START_US + 1, START_US + 2, START_US + 3]
        await asyncio.sleep(0.5)
        assert await bench.next() == START_US + 500_000

    run(story())


def test_a_restart_goes_on_above_the_mark() -> None:
    """After a restart the first nonce is above the mark, and so above all that was handed out."""

    async def story() -> None:
        bench = Bench()
        before = [await bench.next() for _ in range(5)]
        mark = bench.store.mark
        bench.source = bench.restarted()
        assert await bench.next() == mark + 1 > max(before)

    run(story())


def test_a_clock_set_back_goes_on_upwards() -> None:
    """A wall clock set back by a day does not lower the nonces, through a restart either."""

    async def story() -> None:
        bench = Bench()
        first = await bench.next()
        bench.clock.set_by_us = -86_400 * SECOND_US
        assert [await bench.next() for _ in range(3)] == [first + 1, first + 2, first + 3]
        mark = bench.store.mark
        bench.source = bench.restarted()
        assert await bench.next() == mark + 1

    run(story())


def test_a_busy_credential_waits_for_the_store_once() -> None:
    """The mark is refreshed in the background when half of it is used: one write a second, one wait in all."""

    async def story() -> None:
        bench = Bench()
        await bench.next()
        for _ in range(1000):
            await asyncio.sleep(0.01)
            assert bench.source.take() is not None
        assert 9 <= len(bench.store.writes) <= 12

    run(story())


def test_nothing_is_handed_out_while_the_store_fails() -> None:
    """A store that fails refuses the nonce, with Kraken's words; when it works again so do we."""

    async def story() -> None:
        bench = Bench()
        bench.store.broken = True
        for _ in range(3):
            with pytest.raises(NotServed) as refused:
                await bench.next()
            assert words(refused.value)[0] == "EService:Unavailable"
            assert "disk is full" in refused.value.detail
        bench.store.broken = False
        assert await bench.next() == START_US + 1

    run(story())


def test_a_call_after_a_pause_does_not_wait_for_the_store() -> None:
    """When the clock has run past the mark the nonce follows the last one; the next call is with the clock again."""

    async def story() -> None:
        bench = Bench()
        await bench.next()
        await asyncio.sleep(10)
        assert bench.source.take() == START_US + 2
        await asyncio.sleep(1)
        assert bench.source.take() == START_US + 11 * SECOND_US

    run(story())


def test_a_failing_refresh_does_not_disturb_what_is_stored() -> None:
    """While the store fails in the background, nonces up to the stored mark are still good; then no more."""

    async def story() -> None:
        bench = Bench()
        await bench.next()
        bench.store.broken = True
        for _ in range(3):
            await asyncio.sleep(1.5)
            assert (bench.source.take() or bench.store.mark + 1) <= bench.store.mark
        bench.source.advance_past(bench.store.mark)
        with pytest.raises(NotServed):
            await bench.next()

    run(story())


def test_a_cancelled_wait_does_not_stop_the_write() -> None:
    """Others wait for the same write to the store: one of them going away does not take it along."""

    async def story() -> None:
        bench = Bench()
        bench.store.takes_s = 1.0
        first, second = asyncio.create_task(bench.next()), asyncio.create_task(bench.next())
        await asyncio.sleep(0.5)
        first.cancel()
        assert await second == START_US + SECOND_US
        assert len(bench.store.writes) == 1

    run(story())


def test_a_store_slower_than_the_clock_is_enough() -> None:
    """A write that takes longer than it reaches ahead still allows the next nonce."""

    async def story() -> None:
        bench = Bench()
        bench.store.takes_s = 3.0
        assert await bench.next() == START_US + 1

    run(story())


def refuse(times: int, every_s: float = 0.0) -> tuple[list[int], list[str]]:
    """The venue refuses so many nonces: how far each next one is ahead of the clock, and the alarms."""

    async def story() -> tuple[list[int], list[str]]:
        bench = Bench(1)  # a key that has taken nonces of ours
        ahead = []
        for _ in range(times):
            await asyncio.sleep(every_s)
            bench.source.refused(await bench.next())
            ahead.append(await bench.next() - bench.clock.now_us())
        return ahead, bench.alarms

    return run(story())


def test_a_refused_nonce_jumps_forward() -> None:
    """The first refusal jumps ten seconds ahead without alarm; the next ones within a minute double that, and alarm."""
    ahead, alarms = refuse(3)
    assert [round(each / SECOND_US, 4) for each in ahead] == [10, 30, 70]
    assert len(alarms) == 2
    assert "credential/main" in alarms[0]


def test_refusals_far_apart_raise_no_alarm() -> None:
    """A refusal more than a minute after the last one is the first again."""
    ahead, alarms = refuse(3, every_s=61)
    assert [round(each / SECOND_US, 4) for each in ahead] == [10, 10, 10]
    assert alarms == []


def test_no_jump_leads_further_ahead_than_an_hour() -> None:
    """However often the venue refuses, the nonces stay near the clock, for a key can never go back."""
    ahead, alarms = refuse(20)
    assert round(ahead[-1] / SECOND_US, 4) == 3600
    assert len(alarms) == 19


def test_what_was_sent_before_a_jump_is_known() -> None:
    """Several calls in flight that are refused for one cause make one jump and no alarm."""

    async def story() -> None:
        bench = Bench()
        sent = [await bench.next() for _ in range(4)]
        for nonce in sent:
            bench.source.refused(nonce)
        assert await bench.next() == sent[-1] + 10 * SECOND_US + 1
        assert bench.alarms == []

    run(story())


def test_the_venues_word_is_believed() -> None:
    """Once the venue told its highest nonce of the key we go on above it, stored first; a lower one changes nothing."""

    async def story() -> None:
        bench = Bench()
        bench.source.advance_past(START_US * 1000)
        bench.source.advance_past(START_US)
        assert await bench.next() == START_US * 1000 + 1

    run(story())


def test_the_last_nonce_is_the_last() -> None:
    """A key whose 64 bits are used up is refused, in words, rather than wrapped around."""

    async def story() -> None:
        bench = Bench()
        bench.source.advance_past(2**64 - 2)
        assert await bench.next() == 2**64 - 1
        with pytest.raises(NotServed, match="must be replaced"):
            await bench.next()

    run(story())


@pytest.mark.parametrize(("unit", "refusals"), [(100, 1), (1000, 2)], ids=["10 ns", "ns"])
def test_a_key_that_was_used_in_a_larger_unit(unit: int, refusals: int) -> None:
    """Each refusal of a key that never took a nonce of ours leads to the next larger unit, without an alarm."""

    async def seen() -> tuple[int, list[str], int]:
        bench = Bench()
        for _ in range(refusals):
            bench.source.refused(await bench.next())
        return await bench.next() // bench.clock.now_us(), bench.alarms, bench.store.mark // bench.clock.now_us()

    assert run(seen()) == (unit, [], unit)


def test_what_the_venue_has_seen_is_passed_in_its_unit() -> None:
    """The next nonce is above it and counts as it does, also after a restart; what no clock shows is not believed."""

    async def seen() -> list[int]:
        bench = Bench()
        await bench.next()
        highest = bench.clock.now_us() * 1000 + 7
        bench.source.learn(highest)
        first = await bench.next()
        bench.source.learn(NONCE_LIMIT - 1)
        return [
            first - highest,
            await bench.next() // bench.clock.now_us(),
            unit_of(bench.store.mark, bench.clock.now_us()),
        ]

    assert run(seen()) == [1, 1000, 1000]
