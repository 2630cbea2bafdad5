"""Step 7: concludes calls, first in the audit log and then in the ledger, and knows the orders not concluded yet.

A crash between log and ledger leaves an open intent, which the next start looks up. The other sequence would leave a
settled order that the log never mentions. A bot that has just heard its order's id may cancel the order before the
ledger's next commit, and may cancel by its own reference an order whose answer was lost. `Pending` finds both.
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
    """The orders of all reservations without a settled outcome."""

    def __init__(self, left_open: Iterable[OpenIntent] = ()) -> None:
        self._orders: dict[int, tuple[PlacedOrder, ...]] = {}
        self._replacing: dict[int, tuple[PlacedOrder, ...]] = {}
        """What edits would put in the place of their targets."""
        self._lost: set[int] = set()
        self._changing: set[tuple[str, OrderRef]] = set()
        self._named: dict[tuple[str, str], list[str]] = {}
        """The client of each call that gives an order a name, keyed by account and that name."""
        self._waiting: list[asyncio.Future[None]] = []
        for open_intent in left_open:
            self.add(open_intent.reservation, open_intent.intent)
            self.lost(open_intent.reservation)
            self._take(open_intent.intent)

    def __len__(self) -> int:
        """How many are not settled: new orders, and changes of orders."""
        return len(self._orders) + len(self._changing)

    def begin(self, intent: Intent) -> bool:
        """A call is about to be reserved; False if one that is not settled yet is in its way.

        What a change may add is reckoned from what the order is. Two at once would both be reckoned from the same
        order and add up to more than was charged; so they go one after the other. And no two clients give the same
        client's id to an order at the same time.
        """
        names = [self._named.get(name, ()) for name in _client_ids(intent)]
        taken = any(client != intent.client for clients in names for client in clients)
        if taken or not self._changing.isdisjoint(_changed(intent)):
            return False
        self._take(intent)
        return True

    def end(self, intent: Intent) -> None:
        """The call is settled, or was not made."""
        self._changing -= _changed(intent)
        for name in _client_ids(intent):
            clients = self._named.get(name, [])
            if intent.client in clients:
                clients.remove(intent.client)
            if not clients:
                self._named.pop(name, None)

    def add(self, reservation: int, intent: Intent) -> None:
        """A reservation is made. What an edit or amend would change is not yet changed, so only new orders count."""
        made = tuple(PlacedOrder(intent.account, intent.client, "", order, intent.at_us) for order in intent.orders)
        if not intent.targets:
            self._orders[reservation] = made
        elif intent.replaces:
            self._replacing[reservation] = made

    def accepted(self, reservation: int, intent: Intent, venue_ids: Sequence[str | None]) -> None:
        """The venue accepted: these are the orders now, by their ids."""
        self._replacing.pop(reservation, None)
        self._orders[reservation] = tuple(
            PlacedOrder(intent.account, intent.client, venue_id, order, intent.at_us)
            for order, venue_id in zip(intent.orders, venue_ids, strict=True)
            if venue_id is not None
        )
        self._tell()

    def lost(self, reservation: int) -> None:
        """No clear answer came: only a look-up tells whether its orders were placed."""
        self._lost.add(reservation)
        self._tell()

    def narrow(self, reservation: int, settled: Intent, left: Intent) -> None:
        """Some orders of the reservation have reached the ledger; the others are left."""
        self.end(settled)
        self.add(reservation, left)
        self._tell()

    def forget(self, reservation: int) -> None:
        """The ledger has it now, or it never came to be."""
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
        """Whether ``ref`` (any name, if None) is borne by an order of ``client`` (any, if empty) that has no venue id
        yet: ``lost``, or on its way still."""
        return any(
            placed.account == account and client in {"", placed.client} and (ref is None or _names(ref, placed))
            for made in (self._orders, self._replacing)
            for reservation, orders in made.items()
            if (reservation in self._lost) == lost
            for placed in orders
            if not placed.venue_id
        )

    def unsettled(self, account: str, client: str) -> tuple[OrderRef, ...]:
        """Names of the orders of ``client`` (of any, if empty) that have no venue id yet."""
        made = (placed for each in (self._orders, self._replacing) for orders in each.values() for placed in orders)
        mine = (one.order for one in made if one.account == account and client in {"", one.client} and not one.venue_id)
        return tuple(ref for order in mine if (ref := name_of(order)) is not None)

    def names(self, account: str, ref: OrderRef, client: str = "") -> bool:
        """Whether ``ref`` names an order that the ledger does not know yet: of that client, or of any if empty."""
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
        """The orders of ``client`` (any, if empty) that have a venue id and that the ledger does not know yet."""
        orders = (placed for made in self._orders.values() for placed in made if placed.venue_id)
        return tuple(placed for placed in orders if placed.account == account and client in {"", placed.client})

    def merged(self, account: str, ref: OrderRef, known: Sequence[PlacedOrder]) -> tuple[PlacedOrder, ...]:
        """Pending orders that ``ref`` names, newest first, then those ``known`` to the ledger and not among them."""
        pending = [
            placed
            for orders in reversed(self._orders.values())
            for placed in orders
            if placed.account == account and _names(ref, placed)
        ]
        venue_ids = {placed.venue_id for placed in pending}
        return (*pending, *(placed for placed in known if placed.venue_id not in venue_ids))


def name_of(order: Order) -> OrderRef | None:
    """Return the name that the client, or we in its stead, gave to an order."""
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
    """The names that a call gives to new orders; a change keeps the one that its order has."""
    return [(intent.account, order.client_id) for order in intent.orders if order.client_id and not intent.targets]


PATIENCE_S = 0.25
"""How long an outcome may wait for the next flush; until it is durable the intent counts as open."""
RETRY_S = 1.0
ANSWER_ANYWAY_S = 2.0
"""How long a client waits at most for an outcome to be recorded that its answer could wait for."""
NOTHING_HAPPENED = frozenset({Outcome.REJECTED, Outcome.NOT_SENT})


class Outcomes:
    """Concludes calls, in the background where no client needs to wait."""

    def __init__(self, ledger: Ledger, audit: AuditLog, pending: Pending, watch: Watch) -> None:
        self._ledger = ledger
        self._audit = audit
        self._pending = pending
        self._watch = watch
        self._finishing: set[asyncio.Task[None]] = set()

    async def conclude(self, trace: Trace) -> None:
        """Record and settle. An accepted order's answer does not wait for the disk; a refused one's does, so that what
        it held is free again when its client hears of it, and so does a change's, so that the next one may follow.
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
        """Wait, for a moment at most, until what is being concluded now has reached the ledger."""
        if self._finishing:
            await asyncio.wait(list(self._finishing), timeout=ANSWER_ANYWAY_S)

    async def drained(self) -> None:
        """Wait until every outcome is recorded and settled."""
        while self._finishing:
            await asyncio.wait(self._finishing)

    async def _finish(self, trace: Trace, told: asyncio.Event) -> None:
        if trace.owed:
            self._audit.note(outcome_record(trace))
        elif trace.recorded:
            record = outcome_record(trace)
            patience = 0.0 if _is_awaited(trace) else PATIENCE_S
            await self._insist(lambda: self._audit.record(record, within=patience))
        if trace.intent is None or not trace.intent.targets:
            told.set()  # the ledger takes writes in order: what is given back now is there for whoever reserves next
        if trace.reservation is not None and trace.intent is not None:
            reservation = trace.reservation
            await self._insist(lambda: self._settle(reservation, trace))
            if trace.outcome is not Outcome.UNKNOWN:
                self._pending.forget(reservation)
                self._pending.end(trace.intent)
        told.set()

    async def _settle(self, reservation: int, trace: Trace) -> None:
        if trace.outcome is Outcome.ACCEPTED and trace.result is not None:
            await self._ledger.settle(reservation, trace.result.venue_ids)
        elif trace.outcome is Outcome.UNKNOWN:
            await self._ledger.hold(reservation)
        else:
            await self._ledger.release(reservation)

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write until it is written. While the disk is gone no further order is taken, so few wait here."""
        while True:
            try:
                return await write()
            except SignerError as error:
                self._watch.alarm(error.code, f"an outcome cannot be recorded yet: {error}")
                await asyncio.sleep(RETRY_S)


def _is_awaited(trace: Trace) -> bool:
    """Whether the client is answered only after the outcome is recorded."""
    is_change = trace.intent is not None and bool(trace.intent.targets)
    return trace.outcome in NOTHING_HAPPENED or (is_change and trace.outcome is Outcome.ACCEPTED)
