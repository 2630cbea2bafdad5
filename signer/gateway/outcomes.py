"""Step 7: concludes calls, first in the audit log and then in the ledger, and knows the orders not concluded yet.

A crash between the two writes leaves an open intent, which the next start looks up. With the writes swapped, a crash
would leave a settled order that the log never mentions. A bot may cancel an order before the ledger's next commit, or
one whose answer was lost. `Pending` finds both.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence

from signer.contracts import AuditLog, Ledger
from signer.errors import SignerError
from signer.gateway.trace import Trace, Watch, outcome_record
from signer.model import Intent, OpenIntent, Order, OrderRef, Outcome, PlacedOrder


class Pending:
    """Keeps the orders of all reservations that are not settled."""

    def __init__(self, left_open: Iterable[OpenIntent] = ()) -> None:
        self._orders: dict[int, tuple[PlacedOrder, ...]] = {}
        self._replacing: dict[int, tuple[PlacedOrder, ...]] = {}
        """The orders that edits would put in the place of their targets."""
        self._lost: set[int] = set()
        self._changing: set[tuple[str, OrderRef]] = set()
        self._named: dict[tuple[str, str], list[str]] = {}
        """The clients of the calls under way that name an order, by account and name."""
        self._waiting: list[asyncio.Future[None]] = []
        for open_intent in left_open:
            self.add(open_intent.reservation, open_intent.intent)
            self.lost(open_intent.reservation)
            self._take(open_intent.intent)

    def __len__(self) -> int:
        """Return how many calls are not settled: those that place orders, and those that change one."""
        return len(self._orders) + len(self._changing)

    def begin(self, intent: Intent) -> bool:
        """Take up a call that is about to be reserved. Return False if an unsettled call is in its way.

        The charge of a change is calculated from the order as it is now. Two changes at once could together add more
        than was charged, so they go one after the other. Two clients may not give the same client's id to orders at the
        same time either.
        """
        names = [self._named.get(name, ()) for name in _client_ids(intent)]
        taken = any(client != intent.client for clients in names for client in clients)
        if taken or not self._changing.isdisjoint(_changed(intent)):
            return False
        self._take(intent)
        return True

    def end(self, intent: Intent) -> None:
        """Drop a call that is settled or was not made."""
        self._changing -= _changed(intent)
        for name in _client_ids(intent):
            clients = self._named.get(name, [])
            if intent.client in clients:
                clients.remove(intent.client)
            if not clients:
                self._named.pop(name, None)

    def add(self, reservation: int, intent: Intent) -> None:
        """Keep the new orders of a reservation. The order that an edit or amend would change stays as it is."""
        made = tuple(PlacedOrder(intent.account, intent.client, "", order, intent.at_us) for order in intent.orders)
        if not intent.targets:
            self._orders[reservation] = made
        elif intent.replaces:
            self._replacing[reservation] = made

    def accepted(self, reservation: int, intent: Intent, venue_ids: Sequence[str | None]) -> None:
        """Give the orders of a reservation the ids by which the venue accepted them."""
        self._replacing.pop(reservation, None)
        self._orders[reservation] = tuple(
            PlacedOrder(intent.account, intent.client, venue_id, order, intent.at_us)
            for order, venue_id in zip(intent.orders, venue_ids, strict=True)
            if venue_id is not None
        )
        self._tell()

    def lost(self, reservation: int) -> None:
        """Note that no clear answer came, so that only a look-up tells whether the orders were placed."""
        self._lost.add(reservation)
        self._tell()

    def narrow(self, reservation: int, settled: Intent, left: Intent) -> None:
        """Keep only the orders of ``left``, because the ledger has those of ``settled``."""
        self.end(settled)
        self.add(reservation, left)
        self._tell()

    def forget(self, reservation: int) -> None:
        """Drop the orders of a reservation that is settled or released."""
        self._orders.pop(reservation, None)
        self._replacing.pop(reservation, None)
        self._lost.discard(reservation)
        self._tell()

    async def moved(self) -> None:
        """Wait until one of the orders is accepted, lost or forgotten."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def without_id(self, account: str, ref: OrderRef | None, client: str, *, lost: bool) -> bool:
        """Return whether an order of ``client`` (any, if empty) named ``ref`` (anything, if None) has no venue id yet.

        Only ``lost`` orders count, or else only those still on their way.
        """
        return any(
            placed.account == account and client in {"", placed.client} and (ref is None or _names(ref, placed))
            for made in (self._orders, self._replacing)
            for reservation, orders in made.items()
            if (reservation in self._lost) == lost
            for placed in orders
            if not placed.venue_id
        )

    def unsettled(self, account: str, client: str) -> tuple[OrderRef | None, ...]:
        """Return the names of the orders of ``client`` (any, if empty) that have no venue id yet; None for no name."""
        made = (placed for each in (self._orders, self._replacing) for orders in each.values() for placed in orders)
        mine = (one.order for one in made if one.account == account and client in {"", one.client} and not one.venue_id)
        return tuple(name_of(order) for order in mine)

    def names(self, account: str, ref: OrderRef, client: str = "") -> bool:
        """Return whether ``ref`` names an order of ``client`` (any, if empty) that is not in the ledger yet."""
        return any(client in {"", placed.client} for placed in self.merged(account, ref, ()))

    def _take(self, intent: Intent) -> None:
        self._changing |= _changed(intent)
        for name in _client_ids(intent):
            self._named.setdefault(name, []).append(intent.client)

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def of(self, account: str, client: str) -> tuple[PlacedOrder, ...]:
        """Return the orders of ``client`` (any, if empty) that have a venue id and are not in the ledger yet."""
        orders = (placed for made in self._orders.values() for placed in made if placed.venue_id)
        return tuple(placed for placed in orders if placed.account == account and client in {"", placed.client})

    def merged(self, account: str, ref: OrderRef, known: Sequence[PlacedOrder]) -> tuple[PlacedOrder, ...]:
        """Return the pending orders that ``ref`` names, newest first, then the ``known`` ones of the ledger."""
        pending = [
            placed
            for orders in reversed(self._orders.values())
            for placed in orders
            if placed.account == account and _names(ref, placed)
        ]
        venue_ids = {placed.venue_id for placed in pending}
        return (*pending, *(placed for placed in known if placed.venue_id not in venue_ids))


def name_of(order: Order) -> OrderRef | None:
    """Return the name that the client or we gave to an order; None if it has none."""
    if order.client_id:
        return OrderRef("client-id", order.client_id)
    return OrderRef("client-tag", order.client_tag) if order.client_tag is not None else None


def _names(ref: OrderRef, placed: PlacedOrder) -> bool:
    order = placed.order
    value = {"venue-id": placed.venue_id, "client-tag": order.client_tag, "client-id": order.client_id}[ref.kind]
    return value == ref.value


def _changed(intent: Intent) -> set[tuple[str, OrderRef]]:
    return {(intent.account, target) for target in intent.targets}


def _client_ids(intent: Intent) -> list[tuple[str, str]]:
    """Return account and name of each new order that a call names. A change names no new order."""
    return [(intent.account, order.client_id) for order in intent.orders if order.client_id and not intent.targets]


PATIENCE_S = 0.25
"""How long an outcome may wait for the next flush. The intent counts as open until then."""
RETRY_S = 1.0
ANSWER_ANYWAY_S = 2.0
"""How long an answer waits at most for its outcome to be recorded."""
NOTHING_HAPPENED = frozenset({Outcome.REJECTED, Outcome.NOT_SENT})


class Outcomes:
    """Concludes calls, in the background if the client need not wait."""

    def __init__(self, ledger: Ledger, audit: AuditLog, pending: Pending, watch: Watch) -> None:
        self._ledger = ledger
        self._audit = audit
        self._pending = pending
        self._watch = watch
        self._finishing: set[asyncio.Task[None]] = set()

    async def conclude(self, trace: Trace) -> None:
        """Record and settle the outcome of a call.

        The answer to an accepted order does not wait for the disk. The answer to a refused order does, so that its
        charges are free again when the client hears of it. The answer to a change does too, so that the client can
        change the order again at once.
        """
        if trace.outcome is Outcome.ACCEPTED and trace.reservation is not None:
            assert trace.intent is not None  # noqa: S101 - reserved with it
            assert trace.result is not None  # noqa: S101 - accepted by it
            self._pending.accepted(trace.reservation, trace.intent, trace.result.venue_ids)
        elif trace.outcome is Outcome.UNKNOWN and trace.reservation is not None:
            self._pending.lost(trace.reservation)
        told = asyncio.Event()
        task = asyncio.get_running_loop().create_task(self._finish(trace, told))
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        if _is_awaited(trace):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_ANYWAY_S):
                    await told.wait()

    async def caught_up(self) -> None:
        """Wait, for `ANSWER_ANYWAY_S` at most, until all calls that are being concluded are in the ledger."""
        if self._finishing:
            await asyncio.wait(list(self._finishing), timeout=ANSWER_ANYWAY_S)

    async def drained(self) -> None:
        """Wait until every outcome is recorded and settled."""
        while self._finishing:
            await asyncio.wait(self._finishing)

    async def _finish(self, trace: Trace, told: asyncio.Event) -> None:
        if trace.reservation is not None:
            trace.settled_us = self._ledger.now_us()
        if trace.owed:
            self._audit.note(outcome_record(trace))
        elif trace.recorded:
            record = outcome_record(trace)
            patience = 0.0 if _is_awaited(trace) else PATIENCE_S
            await self._insist(lambda: self._audit.record(record, within=patience))
        if trace.intent is None or not trace.intent.targets:
            told.set()  # the ledger writes in sequence, so the next reservation finds the charges released
        if trace.reservation is not None and trace.intent is not None:
            reservation = trace.reservation
            await self._insist(lambda: self._settle(reservation, trace))
            if trace.outcome is not Outcome.UNKNOWN:
                self._pending.forget(reservation)
                self._pending.end(trace.intent)
        told.set()

    async def _settle(self, reservation: int, trace: Trace) -> None:
        if trace.outcome is Outcome.ACCEPTED and trace.result is not None:
            await self._ledger.settle(reservation, trace.result.venue_ids, trace.settled_us)
        elif trace.outcome is Outcome.UNKNOWN:
            await self._ledger.hold(reservation)
        else:
            await self._ledger.release(reservation)

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Repeat ``write`` until it succeeds. No order is taken while the disk fails, so few tasks wait here."""
        while True:
            try:
                return await write()
            except SignerError as error:
                self._watch.alarm(error.code, f"an outcome cannot be recorded yet: {error}")
                await asyncio.sleep(RETRY_S)


def _is_awaited(trace: Trace) -> bool:
    """Return whether the client is answered only after the outcome is recorded."""
    is_change = trace.intent is not None and bool(trace.intent.targets)
    return trace.outcome in NOTHING_HAPPENED or (is_change and trace.outcome is Outcome.ACCEPTED)
