"""The simulator can fail: each way to break the straight line is found out within a few seeds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from signer.audit.behind import NOWHERE, WrittenBehind
from signer.audit.flushes import Flushes
from signer.audit.journal import FileJournal
from signer.audit.waiting import Kind, Record, Taken, WaitingRecords
from signer.book import book
from signer.book.book import Book
from signer.book.reading import BookCall
from signer.errors import Unanswered
from signer.gateway.forward import Account, Journey
from signer.gateway.reconcile.matching import LookupResult
from signer.gateway.trace import Trace, outcome_record
from signer.lanes.nonces import NonceSource
from signer.model import ChainHead, Json, OpenIntent, OrderRef, PlacedOrder, WireAnswer, WireRequest
from signer.venues.kraken import lookups
from tests.simulator.asks import CLIENTS
from tests.simulator.life import Life
from tests.simulator.simulation import Simulation, random_simulation

ENOUGH = 80
"""Seeds, of which one at least must find out."""

Break = Callable[[pytest.MonkeyPatch], None]


def send_before_the_flush(patch: pytest.MonkeyPatch) -> None:
    """A begin returns as soon as it is applied."""

    async def nothing(_self: Taken) -> None:
        return None

    patch.setattr(Taken, "wait", nothing)


def hold_nothing(patch: pytest.MonkeyPatch) -> None:
    """A begin is recorded and not applied."""
    wait_for = Flushes.wait_for

    def unheld(self: Flushes, record: Record, kind: Kind, *, urgent: bool = False) -> Taken:
        if kind == "begin":
            self._listener.retract(record)
        return wait_for(self, record, kind, urgent=urgent)

    patch.setattr(Flushes, "wait_for", unheld)


def hold_what_was_not_written(patch: pytest.MonkeyPatch) -> None:
    """A begin stays in the book though its flush failed."""
    patch.setattr(FileJournal, "retract", lambda _self, _record: None)


def drop_a_failed_batch(patch: pytest.MonkeyPatch) -> None:
    """The facts of a flush that failed are not owed to the log."""
    fail = WaitingRecords.fail

    def dropped(self: WaitingRecords, batch: Sequence[Taken]) -> Sequence[Taken]:
        failed = fail(self, batch)
        self._owed.clear()
        return failed

    patch.setattr(WaitingRecords, "fail", dropped)


def forget_who_gave_up(patch: pytest.MonkeyPatch) -> None:
    """A begin that becomes durable after its caller gave up is not concluded."""
    patch.setattr(FileJournal, "give_up", lambda _self, _record: None)


def send_after_a_minute(patch: pytest.MonkeyPatch) -> None:
    """A flush that hangs lets its orders go in the end."""
    patch.setattr(Taken, "is_late", lambda _self, _now: False)


def capture_late(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint takes the book of the moment at which a flush ends, with what was applied since it began."""
    after_flush = WrittenBehind.after_flush

    async def late(self: WrittenBehind, now: Book, head: ChainHead, *, is_durable: bool, **how: Any) -> None:
        if self._taken is not None:
            now.touch(self._taken)
            self._taken = now.take_changes(NOWHERE, whole=self._whole)
        await after_flush(self, now, head, is_durable=is_durable, **how)

    patch.setattr(WrittenBehind, "after_flush", late)


def store_before_it_is_durable(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint is stored though its flush failed."""
    after_flush = WrittenBehind.after_flush

    async def ahead(self: WrittenBehind, now: Book, head: ChainHead, *, is_durable: bool, **how: Any) -> None:
        await after_flush(self, now, head, is_durable=True, **how)

    patch.setattr(WrittenBehind, "after_flush", ahead)


def take_left_calls_for_calls_under_way(patch: pytest.MonkeyPatch) -> None:
    """A start does not find that the calls of the run before are open."""
    patch.setitem(book._CHANGES, "opened", lambda _book, _record: None)


def release_what_is_unknown(patch: pytest.MonkeyPatch) -> None:
    """No answer counts as not done."""

    def released(trace: Trace, now_us: int) -> Mapping[str, Json]:
        record = outcome_record(trace, now_us)
        return record | {"outcome": "not-sent"} if record["outcome"] == "unknown" else record

    patch.setattr("signer.gateway.line.outcome_record", released)


def send_again(patch: pytest.MonkeyPatch) -> None:
    """What was not answered is sent once more."""
    send = Account._send

    async def twice(self: Account, request: WireRequest, journey: Journey, check: Callable[[], None]) -> WireAnswer:
        try:
            return await send(self, request, journey, check)
        except Unanswered:
            return await send(self, request, journey, check)

    patch.setattr(Account, "_send", twice)


def forget_the_nonces(patch: pytest.MonkeyPatch) -> None:
    """Nonces begin with the clock at every start, as if no mark had been stored."""
    create = NonceSource.__init__

    def unmarked(self: NonceSource, name: str, mark: int, *rest: object, **named: object) -> None:
        create(self, name, 0, *rest, **named)  # type: ignore[arg-type]

    patch.setattr(NonceSource, "__init__", unmarked)


def change_one_order_twice_at_once(patch: pytest.MonkeyPatch) -> None:
    """Changes of one order do not wait for each other."""
    patch.setattr(BookCall, "is_in_the_way_of", lambda _call, _intent: False)


def look_up_by_reference_alone(patch: pytest.MonkeyPatch) -> None:
    """A look-up takes an order of another price for the one that it looks for."""

    def any_price(_order: object, _seen: object) -> bool:
        return True

    patch.setattr(lookups, "_has_prices", any_price)


def take_unread_lists_for_whole(patch: pytest.MonkeyPatch) -> None:
    """An order is taken for missing by lists that could not be read as far back as it may be."""

    def certain(one: OpenIntent, _why: str) -> LookupResult:
        return LookupResult((None,) * len(one.intent.orders))

    patch.setattr(LookupResult, "of_unread", certain)


def remember_no_order(patch: pytest.MonkeyPatch) -> None:
    """What was accepted is not remembered."""
    patch.setattr(Book, "_place", lambda *_: None)


def cancel_by_name(patch: pytest.MonkeyPatch) -> None:
    """A cancel by a userref goes for every order that bears it, whoever placed it."""
    find_orders = FileJournal.find_orders

    def everybodys(self: FileJournal, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        found = find_orders(self, account, ref)
        return (
            [replace(one, client=client) for client in CLIENTS for one in found] if ref.kind == "client-tag" else found
        )

    patch.setattr(FileJournal, "find_orders", everybodys)


@pytest.mark.parametrize(
    "broken",
    [
        cancel_by_name,
        send_before_the_flush,
        hold_nothing,
        hold_what_was_not_written,
        drop_a_failed_batch,
        capture_late,
        take_left_calls_for_calls_under_way,
        release_what_is_unknown,
        send_again,
        change_one_order_twice_at_once,
        look_up_by_reference_alone,
        take_unread_lists_for_whole,
        remember_no_order,
    ],
    ids=lambda broken: broken.__name__,
)
def test_a_broken_line_is_found_out(broken: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken line fails one at least of the seeds that pass unbroken."""
    broken(monkeypatch)
    assert any(fails(random_simulation, seed) for seed in range(ENOUGH))


@pytest.mark.parametrize("broken", [forget_who_gave_up, send_after_a_minute], ids=lambda broken: broken.__name__)
def test_what_a_hanging_flush_leaves_is_found_out(broken: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush that hangs for a minute under an order finds it: chance would seldom."""
    assert not fails(a_flush_that_hangs_under_an_order)
    broken(monkeypatch)
    assert fails(a_flush_that_hangs_under_an_order)


def a_flush_that_hangs_under_an_order() -> None:
    """An order is begun, and its record is durable a minute later."""
    with Simulation(seed=0) as simulation:

        async def call(life: Life) -> None:
            await simulation.bots.call(life, simulation.bots.ask("ada", "add"))
            simulation.world.hangs_s["audit"] = 60.0
            await simulation.bots.call(life, simulation.bots.ask("ada", "add"))
            await life.settled()

        assert simulation.live(call)
        assert [told for ask in simulation.checks.asks for told in ask.told.values()] == ["yes", "no"]
        simulation.come_to_rest()


def test_a_checkpoint_ahead_of_its_records_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails when a checkpoint is due finds it."""
    assert not any(fails(orders_on_a_disk_that_fails, after) for after in range(8))
    store_before_it_is_durable(monkeypatch)
    assert any(fails(orders_on_a_disk_that_fails, after) for after in range(8))


def orders_on_a_disk_that_fails(after: int) -> None:
    """The disk fails ``after`` so many orders, and the machine dies in the end."""
    with Simulation(seed=0) as simulation:
        bots, world = simulation.bots, simulation.world

        async def call(life: Life) -> None:
            for number in range(8):
                if number == after:
                    world.disk_fails_until = world.now + 60.0
                await asyncio.gather(*(bots.call(life, bots.ask(client, "add")) for client in CLIENTS))
                await asyncio.sleep(1.0)

        simulation.live(call, crash_at=400, checkpoint_every=1)
        simulation.come_to_rest()


def test_forgotten_nonces_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is set back between two runs finds it."""
    assert not fails(clock_set_back_between_two_orders)
    forget_the_nonces(monkeypatch)
    assert fails(clock_set_back_between_two_orders)


def clock_set_back_between_two_orders() -> None:
    """An order in each of two runs."""
    with Simulation(seed=0) as simulation:

        async def call(life: Life) -> None:
            await simulation.bots.call(life, simulation.bots.ask("ada", "add"))

        assert simulation.live(call)
        simulation.world.wall_us = -3_600_000_000
        assert simulation.live(call)


def fails(simulate: Callable[..., object], *values: object) -> bool:
    """Whether something that must hold does not."""
    try:
        simulate(*values)
    except AssertionError as error:
        return "the crash point was never reached" not in str(error)
    return False
