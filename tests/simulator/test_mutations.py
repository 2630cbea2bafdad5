"""The simulator can fail: each way to break the straight line is found out within a few seeds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from signer.errors import Unanswered
from signer.gateway.forward import Account, Journey
from signer.gateway.line import Gateway
from signer.gateway.outcomes import Outcomes, Pending
from signer.gateway.reconcile.matching import LookupResult
from signer.gateway.trace import Trace, intent_record
from signer.lanes.nonces import NonceSource
from signer.ledger.sqlite import SqliteLedger
from signer.ledger.writer import LedgerWriter
from signer.model import Call, Intent, OpenIntent, OrderRef, Outcome, PlacedOrder, WireAnswer, WireRequest
from signer.venues.kraken import lookups
from tests.simulator.asks import CLIENTS
from tests.simulator.life import Life
from tests.simulator.simulation import Simulation, random_simulation
from tests.simulator.test_every_crash_point import steps_of
from tests.simulator.venue import PROPER

ENOUGH = 80
"""Seeds, of which one at least must find out."""

STEPS = 70
"""Of a life with an order and its amend, at least."""

Break = Callable[[pytest.MonkeyPatch], None]


def send_before_recording(patch: pytest.MonkeyPatch) -> None:
    """The intent is recorded in the background."""

    async def record(self: Gateway, trace: Trace, _call: Call) -> None:
        self._audit.note(intent_record(trace))
        trace.recorded = True

    patch.setattr(Gateway, "_record_intent", record)


def release_what_is_unknown(patch: pytest.MonkeyPatch) -> None:
    """No answer counts as not done."""
    settle = Outcomes._settle

    async def release(self: Outcomes, reservation: int, trace: Trace) -> None:
        if trace.outcome is Outcome.UNKNOWN:
            await self._ledger.release(reservation)
        else:
            await settle(self, reservation, trace)

    patch.setattr(Outcomes, "_settle", release)


def send_again(patch: pytest.MonkeyPatch) -> None:
    """What was not answered is sent once more."""
    send = Account._send

    async def twice(self: Account, request: WireRequest, journey: Journey) -> WireAnswer:
        try:
            return await send(self, request, journey)
        except Unanswered:
            return await send(self, request, journey)

    patch.setattr(Account, "_send", twice)


def settle_before_the_record(patch: pytest.MonkeyPatch) -> None:
    """The ledger hears of the outcome first, so that a crash loses the record of it."""
    finish = Outcomes._finish

    async def settle_first(self: Outcomes, trace: Trace, told: asyncio.Event) -> None:
        if trace.reservation is not None:
            await self._insist(lambda: self._settle(trace.reservation or 0, trace))
        await finish(self, trace, told)

    patch.setattr(Outcomes, "_finish", settle_first)


def forget_the_nonces(patch: pytest.MonkeyPatch) -> None:
    """Nonces begin with the clock at every start, as if no mark had been stored."""
    create = NonceSource.__init__

    def unmarked(self: NonceSource, name: str, mark: int, *rest: object, **named: object) -> None:
        create(self, name, 0, *rest, **named)  # type: ignore[arg-type]

    patch.setattr(NonceSource, "__init__", unmarked)


def change_one_order_twice_at_once(patch: pytest.MonkeyPatch) -> None:
    """Changes of one order do not wait for each other."""

    def always(_self: Pending, _intent: Intent) -> bool:
        return True

    patch.setattr(Pending, "begin", always)


def change_what_is_not_settled(patch: pytest.MonkeyPatch) -> None:
    """An order may be changed before the ledger knows it."""

    def never(_self: Pending, _account: str, _ref: OrderRef, _client: str) -> bool:
        return False

    patch.setattr(Pending, "names", never)


def look_up_what_is_on_record(patch: pytest.MonkeyPatch) -> None:
    """A start does not finish what a crash left, so that a call which ended on record is looked up and ends again."""

    async def nothing(*_: object) -> None:
        return None

    patch.setattr("signer.audit.finish_recorded", nothing)


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


def reserve_nothing(patch: pytest.MonkeyPatch) -> None:
    """Caps are asked but charges are not held."""
    reserve = LedgerWriter.reserve

    def unheld(self: LedgerWriter, intent: Intent, head: None) -> int:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(self._caps, "hold", lambda _needs, _now_us: None)
            return reserve(self, intent, head)

    patch.setattr(LedgerWriter, "reserve", unheld)


def remember_no_order(patch: pytest.MonkeyPatch) -> None:
    """What was accepted is not remembered."""

    def nothing(_intent: Intent, _txids: Sequence[str | None], _now_us: int) -> Sequence[PlacedOrder]:
        return ()

    patch.setattr("signer.ledger.writer.placed_by", nothing)


def cancel_by_name(patch: pytest.MonkeyPatch) -> None:
    """A cancel by a userref goes for every order that bears it, whoever placed it."""
    find_orders = SqliteLedger.find_orders

    async def everybodys(self: SqliteLedger, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        found = await find_orders(self, account, ref)
        return (
            [replace(one, client=client) for client in CLIENTS for one in found] if ref.kind == "client-tag" else found
        )

    patch.setattr(SqliteLedger, "find_orders", everybodys)


@pytest.mark.parametrize(
    "broken",
    [
        cancel_by_name,
        send_before_recording,
        release_what_is_unknown,
        send_again,
        settle_before_the_record,
        change_one_order_twice_at_once,
        look_up_what_is_on_record,
        look_up_by_reference_alone,
        take_unread_lists_for_whole,
        reserve_nothing,
        remember_no_order,
    ],
    ids=lambda broken: broken.__name__,
)
def test_a_broken_line_is_found_out(broken: Break, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken line fails one at least of the seeds that pass unbroken."""
    broken(monkeypatch)
    assert any(fails(random_simulation, seed) for seed in range(ENOUGH))


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


def test_a_change_of_an_order_that_is_not_settled_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between the answers to an order and to its amend finds it: chance would seldom.

    The end of the order is on record before its amend, so a start that settles it by the record hides the mistake.
    """
    change_what_is_not_settled(monkeypatch)
    look_up_what_is_on_record(monkeypatch)
    kind, seeds = "add with cl_ord_id, then amend", range(1, 4)
    assert any(fails(steps_of, kind, PROPER, step, seed) for seed in seeds for step in range(20, STEPS))


def fails(simulate: Callable[..., object], *values: object) -> bool:
    """Whether something that must hold does not."""
    try:
        simulate(*values)
    except AssertionError as error:
        return "the crash point was never reached" not in str(error)
    return False
