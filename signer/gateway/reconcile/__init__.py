"""Finds out what became of each intent whose outcome was lost by a crash or a missing answer.

An order that the venue's lists show for certain is the call's. An order that may still appear waits. What only a person
can tell stays held, with an alarm (`signer orders`). No order is ever sent again. The same lists show which orders are
closed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from signer.contracts import Clock, Journal, Venue
from signer.errors import ConfigError, SignerError
from signer.gateway.forward import Account, VenueTime
from signer.gateway.reconcile.by_hand import record_by_hand
from signer.gateway.reconcile.looks import Looks
from signer.gateway.reconcile.matching import LookupResult
from signer.gateway.reconcile.schedule import Schedule
from signer.gateway.snapshot import Snapshot
from signer.gateway.trace import Watch, reconciled_record
from signer.model import Json, OpenIntent, Outcome
from signer.model.intents import without_legs

EVERY_S = 15.0
"""How often the due look-ups are begun."""
LISTED_EVERY_S = 3600.0
"""How often the open orders are listed if no outcome is unknown."""
LIST_AGAIN_S = 300.0
"""How soon they are listed again if that failed, or if many may be open."""
MANY_OPEN = 500
"""How many possibly open orders count as many. Most of them are closed by then, and a cancel by tag takes few."""


class Recovery:
    """Ends calls whose outcome is unknown, by the orders that the venue lists."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        journal: Journal,
        venue_time: VenueTime,
        *,
        clock: Clock,
        watch: Watch,
        gone_after_s: float,
    ) -> None:
        """``gone_after_s``: an order that is still not listed so long after it was first missed was never placed.

        That time does not begin with the intent's own time, because the wall clock may have been set since.
        """
        self.schedule = Schedule(clock, gone_after_s)
        self._snapshot = snapshot
        self._journal = journal
        self._venue_time = venue_time
        self._clock = clock
        self._watch = watch
        self._looks: dict[str, Looks] = {}
        self._listed: dict[str, tuple[float, float]] = {}
        """When each account's open orders were last listed, and after how many seconds they are listed again if no
        outcome is unknown."""
        self._locks: dict[str, asyncio.Lock] = {}
        self._next: dict[str, asyncio.Task[None]] = {}
        self._asked: set[asyncio.Task[None]] = set()
        self._measuring: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Look up unknown outcomes while the gateway runs; those that the last run left open come at once."""
        while True:
            await self._look_at_all()
            await asyncio.sleep(EVERY_S)

    def stop(self) -> None:
        """End the look-ups that others asked for, because the journal is about to be closed."""
        for task in (*self._asked, *self._measuring.values()):
            task.cancel()

    async def look_up(self, account: str) -> None:
        """Look up all unknown outcomes of the account now, and conclude what is certain.

        All who ask before the look-up has begun share it. It may wait for the key's read counter, a minute at most.
        """
        if account not in self._next:
            task = self._next[account] = asyncio.get_running_loop().create_task(self._look_next(account))
            self._asked.add(task)
            task.add_done_callback(self._asked.discard)
        await asyncio.shield(self._next[account])

    async def close_by_hand(
        self, reservation: int, venue_ids: Sequence[str | None], *, by: str, uid: int, reason: str
    ) -> bool:
        """Conclude an unknown outcome by an operator's ids, or as not sent if there are none.

        Returns whether there is such an intent. Raises `ConfigError` if its call is under way or the ids do not fit,
        and `AuditError` if the operator's word is in effect and not on record yet.
        """
        seen = self._open_intent(reservation)
        if seen is None:
            return False
        async with self._lock(seen.intent.account):
            one = self._open_intent(reservation)  # a look-up may have concluded it or a part of it meanwhile
            if one is None:
                return False
            if not one.unknown:
                raise ConfigError(f"the call {reservation} is under way", hint="wait for its outcome")
            await record_by_hand(self._journal, one, venue_ids, by, uid, reason)
        return True

    def tried(self) -> dict[str, Json]:
        """Return for each unknown outcome, by reservation, how often it was looked up and why it is still unknown."""
        tries = {one.reservation: self.schedule.tries(one.reservation) for one in self._unknown()}
        return {str(number): {"tries": one.number, "why": one.why} for number, one in tries.items()}

    @property
    def held(self) -> int:
        """How many outcomes are unknown now."""
        return len(self._unknown())

    def _open_intent(self, reservation: int) -> OpenIntent | None:
        return next((one for one in self._journal.open_intents() if one.reservation == reservation), None)

    def _unknown(self) -> Sequence[OpenIntent]:
        return [one for one in self._journal.open_intents() if one.unknown]

    async def _look_at_all(self) -> None:
        try:
            named = {one.intent.account for one in self._unknown()}
            accounts = sorted(named | self._snapshot().accounts.keys())
            await asyncio.gather(*(self._look_in_turn(account) for account in accounts))
            self.schedule.keep_only({one.reservation for one in self._unknown()})
        except SignerError as error:
            self._cannot_look(error)

    async def _look_in_turn(self, account: str) -> None:
        async with self._lock(account):
            try:
                await self._look(account, forced=False)
            except SignerError as error:
                self._cannot_look(error)

    async def _look_next(self, account: str) -> None:
        async with self._lock(account):
            del self._next[account]  # a later question may be about an intent that this look-up does not see
            try:
                await self._look(account, forced=True)
            except SignerError as error:
                self._cannot_look(error)

    def _cannot_look(self, error: SignerError) -> None:
        self._watch.alarm(error.code, f"unknown outcomes cannot be looked up now: {error}")

    def _lock(self, account: str) -> asyncio.Lock:
        """Return the lock under which unknown outcomes of the account are concluded."""
        return self._locks.setdefault(account, asyncio.Lock())

    async def _look(self, name: str, *, forced: bool) -> None:
        """Look at one account, for all its intents if ``forced``, else for the due ones.

        Raises `SignerError` if a disk fails.
        """
        snapshot = self._snapshot()
        account = snapshot.accounts.get(name)
        if account is not None:
            self._measure_if_due(account, account.venue)
        unknown = [one for one in self._unknown() if one.intent.account == name]
        due = {one.reservation for one in unknown if self.schedule.is_due(one.reservation)}
        wanted = unknown if forced else [one for one in unknown if one.reservation in due]
        if not wanted and not self._is_list_due(name):
            return
        if not (self._venue_time.earliest_us(name, rough=True) or all(one.intent.venue_us for one in wanted)):
            await self._refined(name)
        asked_at, trouble = self._clock.monotonic(), ""
        told: Mapping[int, LookupResult] = {}
        try:
            if account is None:
                raise ConfigError(f"account {name} is not in signer.toml any more")
            looks = self._looks.setdefault(name, Looks(self._journal, self._venue_time, self._clock))
            told = await looks.look(account, account.venue, wanted, lambda: self._refined(name))
        except SignerError as error:
            trouble = str(error)
            self._watch.alarm("look-up", f"orders of account {name} cannot be looked up: {error}")
        self._listed[name] = asked_at, LIST_AGAIN_S if trouble else LISTED_EVERY_S
        for one in wanted:
            result = told.get(one.reservation) or LookupResult.of_unread(one, trouble)
            self._conclude(one, result, asked_at, due=one.reservation in due)

    def _measure_if_due(self, account: Account, venue: Venue) -> None:
        """Begin to measure the venue's clock if that is due and not under way."""
        task = self._measuring.get(account.name)
        if self._venue_time.is_due(account.name) and (task is None or task.done()):
            task = asyncio.get_running_loop().create_task(self._measure(account, venue))
            self._measuring[account.name] = task

    async def _measure(self, account: Account, venue: Venue) -> None:
        """Measure the venue's clock. The next look tries again if it does not answer."""
        with contextlib.suppress(SignerError):
            await self._venue_time.measure(account, venue)

    async def _refined(self, account: str) -> bool:
        """Wait for the next answer of a measurement of the venue's clock. Return False if none is under way."""
        measuring = self._measuring.get(account)
        if measuring is None or measuring.done():
            return False
        answered = asyncio.get_running_loop().create_task(self._venue_time.answered(account))
        try:
            await asyncio.wait({measuring, answered}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answered.cancel()
        return True

    def _is_list_due(self, name: str) -> bool:
        asked_at, wait_s = self._listed.get(name, (float("-inf"), 0.0))
        open_now = self._journal.may_be_open(name)
        wait_s = min(wait_s, LIST_AGAIN_S) if open_now > MANY_OPEN else wait_s
        return open_now > 0 and self._clock.monotonic() >= asked_at + wait_s

    def _conclude(self, one: OpenIntent, told: LookupResult, asked_at: float, *, due: bool) -> None:
        """Conclude the orders that were found and those that were never placed, and wait for the rest."""
        found = {leg for leg, venue_id in enumerate(told.venue_ids) if venue_id is not None}
        if found:
            whole = len(found) == len(told.venue_ids)
            self._record(one, Outcome.ACCEPTED, told.venue_ids, part=not whole)
            if whole:
                return
            one = replace(one, intent=without_legs(one.intent, found))
        if not one.intent.orders or self.schedule.is_gone(one.reservation, asked_at, told.doubt):
            self._record(one, Outcome.NOT_SENT, ())
        elif due:
            why = told.doubt or "the exchange does not list it, and it may still appear"
            self._remains(one, why, unread=told.unread)

    def _record(
        self, one: OpenIntent, outcome: Outcome, venue_ids: Sequence[str | None], *, part: bool = False
    ) -> None:
        now_us = self._journal.now_us()
        self._journal.conclude(reconciled_record(one.intent, outcome, venue_ids, now_us, part=part))

    def _remains(self, one: OpenIntent, why: str, *, unread: bool) -> None:
        self.schedule.again(one.reservation, why, unread=unread)
        what = f"the outcome of {one.intent.record} ({one.intent.client}) is unknown; its charges stay held"
        hint = f"`signer orders unknown` shows it, `signer orders settle {one.reservation}` or `release` ends it"
        self._watch.alarm("unknown-outcome", f"{what}: {why}; {hint}")
