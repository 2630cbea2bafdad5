"""The simulated venue: an exchange that judges each request, and may act late, never, or without a word."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol, cast

from signer.errors import NotSent, Unanswered
from signer.model import WireAnswer, WireRequest
from signer.sandbox.conditions import Conditions
from signer.sandbox.exchange import Exchange, Rejected
from signer.sandbox.orders import SimulatedOrder
from signer.sandbox.wire import Value, decode
from tests.simulator.asks import CREDENTIALS, signature_of
from tests.simulator.world import START_US, World

ORDER_CALLS = frozenset({"AddOrder", "AddOrderBatch", "EditOrder", "AmendOrder"})
CHANGES = ORDER_CALLS | {"CancelOrder", "CancelOrderBatch", "CancelAll"}
TIME = "/0/public/Time"
LATEST_S = 60.0
"""The venue acts so long after a request came, or never."""

Params = Mapping[str, Value]


@dataclass(frozen=True)
class Behaviour:
    """What the venue does with one request."""

    acts: Literal["now", "late", "never"] = "now"
    says: Literal["result", "nothing", "cut", "502", "torn", "busy", "bad nonce", "throttled"] = "result"
    slow: bool = False
    """The answer takes seconds."""


PROPER = Behaviour()
BEHAVIOURS: Sequence[tuple[int, Behaviour | None]] = (
    (3, None),  # the connection cannot be made: not sent
    (3, Behaviour("now", "nothing")),
    (2, Behaviour("never", "nothing")),
    (3, Behaviour("late", "nothing")),
    (2, Behaviour("now", "cut")),
    (1, Behaviour("never", "cut")),
    (2, Behaviour("late", "cut")),
    (3, Behaviour(slow=True)),
    (2, Behaviour("now", "502")),
    (1, Behaviour("never", "502")),
    (1, Behaviour("late", "502")),
    (2, Behaviour("now", "torn")),
    (1, Behaviour("never", "torn")),
    (2, Behaviour("now", "busy")),
    (2, Behaviour("never", "busy")),
    (1, Behaviour("late", "busy")),
    (2, Behaviour("never", "bad nonce")),
    (1, Behaviour("never", "throttled")),
)


@dataclass(frozen=True)
class Deed:
    """One order that the venue placed or changed."""

    at: float
    mark: str
    endpoint: str
    account: str
    txid: str
    notional: Decimal
    """What it added: all of a new order's, for a change in place what the order grew by."""


class Witness(Protocol):
    """Sees what is sent, and what the venue does."""

    def sent(self, account: str, endpoint: str, params: Params) -> str:
        """See bytes leave. Return the id of the record that covers them; empty if none needs to."""

    def before_act(self, record: str, account: str, endpoint: str, params: Params) -> None:
        """See that the venue is about to act on what was sent under that record."""

    def after_act(self) -> None:
        """See that the venue's books have changed."""


class SimVenue:
    """`signer.contracts.Upstream`, with the books behind it."""

    def __init__(self, world: World, witness: Witness) -> None:
        self.faulty = 0.0
        """How probably a request is not treated properly."""
        self.lags_s = 0.0
        """Orders are missing in lists for so long after they opened or ended, or are listed as they were so long ago.
        Rows come in any order."""
        self.restless = 0.0
        """How probably orders fill around a call that changes some."""
        self.gone_until = 0.0
        self.next: list[Behaviour | None] = []
        """What to do with the next requests, before chance decides."""
        self.deeds: list[Deed] = []
        self._world = world
        self._witness = witness
        self._exchange = Exchange(now=lambda: START_US / 1e6 + world.now, seed=1)
        for account in sorted(set(CREDENTIALS.values())):
            self._exchange.open_account(account, {"USD": Decimal(1_000_000), "XBT": Decimal(100)})
        self._highest_nonce: dict[str, int] = {}
        self.asked: list[tuple[float, str]] = []
        """When each private request came, and what for."""

    def by_hand(self, account: str, endpoint: str, **params: str) -> str:
        """What the account's owner does without us; the txid of an order that this places."""
        self._exchange.tick()
        result = cast("dict[str, list[str]]", self._exchange.private(account, endpoint, params))
        return result.get("txid", [""])[0]

    def order(self, account: str, txid: str) -> SimulatedOrder:
        """An order on the books."""
        return self._exchange._state.accounts[account].orders[txid]

    async def send(self, request: WireRequest, deadline: float) -> WireAnswer:
        """Make one attempt."""
        world = self._world
        if request.target == TIME:  # never fails here: without it what a wrong clock would do is for a person to settle
            await asyncio.sleep(0.001)
            unixtime = int(START_US / 1e6 + world.now)
            return WireAnswer(
                200, "application/json", json.dumps({"error": [], "result": {"unixtime": unixtime}}).encode()
            )
        behaviour = self._behaviour()
        await world.step(f"send {request.target}: {behaviour}")
        if behaviour is None:
            await asyncio.sleep(world.random.uniform(0.0, 2.0))
            raise NotSent("simulated: no connection")
        answer: asyncio.Future[WireAnswer | None] = asyncio.get_running_loop().create_future()
        sent_in, record = world.lives, self._seen_sent(request)

        def tell(what: WireAnswer | None) -> None:
            if world.alive and world.lives == sent_in and not answer.done():
                answer.set_result(what)

        arrives = world.now + world.random.uniform(0.001, 0.05)
        world.at(arrives, lambda: self._arrive(request, record, behaviour, sent_in, tell))
        await asyncio.wait({answer}, timeout=max(0.0, deadline - world.now))
        await world.step("answered" if answer.done() else "unanswered")
        heard = answer.result() if answer.done() else None
        if heard is None:
            raise Unanswered("simulated: no answer")
        return heard

    def _behaviour(self) -> Behaviour | None:
        world = self._world
        if self.next:
            return self.next.pop(0)
        if world.now < self.gone_until and not world.calm:
            return None if world.chance(0.5) else Behaviour("never", "nothing")
        if not world.chance(self.faulty):
            return PROPER
        weights, behaviours = zip(*BEHAVIOURS, strict=True)
        return cast("Behaviour | None", world.random.choices(behaviours, weights)[0])

    def _seen_sent(self, request: WireRequest) -> str:
        headers = dict(request.headers)
        params = decode(request.body, headers["Content-Type"])
        params.pop("nonce")
        return self._witness.sent(CREDENTIALS[headers["API-Key"]], request.target.rpartition("/")[2], params)

    def _arrive(
        self,
        request: WireRequest,
        record: str,
        behaviour: Behaviour,
        sent_in: int,
        tell: Callable[[WireAnswer | None], None],
    ) -> None:
        """The request is at the venue: who is it, and what shall become of it?"""
        world, endpoint = self._world, request.target.rpartition("/")[2]
        if not (world.alive and world.lives == sent_in) and world.random.random() < 0.5:
            return  # it was lost with the machine that sent it
        headers = dict(request.headers)
        params = decode(request.body, headers["Content-Type"])
        account = self._authenticated(request, headers, params)
        self.asked.append((world.now, endpoint))
        later = world.now + (world.random.uniform(1.0, 12.0) if behaviour.slow else world.random.uniform(0.001, 0.05))
        if behaviour.acts == "late":
            when = world.now + world.random.uniform(0.5, LATEST_S)
            world.at(when, lambda: self._act_unheard(record, account, endpoint, params))
        body = self._act(record, account, endpoint, params) if behaviour.acts == "now" else b""
        answer = _answer(behaviour, body)
        if behaviour.says != "nothing":
            world.at(later, lambda: tell(answer))

    def _authenticated(self, request: WireRequest, headers: Mapping[str, str], params: dict[str, Value]) -> str:
        name, nonce = headers["API-Key"], str(params.pop("nonce"))
        if headers["API-Sign"] != signature_of(name, request.target, nonce, request.body):
            self._world.fail("a request arrived with a wrong signature")
        if int(nonce) <= self._highest_nonce.get(name, 0):
            self._world.fail(f"nonce {nonce} of {name} arrived after {self._highest_nonce[name]}")
        self._highest_nonce[name] = int(nonce)
        return CREDENTIALS[name]

    def _act_unheard(self, record: str, account: str, endpoint: str, params: Params) -> None:
        """Act although nobody waits for the answer any more."""
        self._act(record, account, endpoint, params)

    def _act(self, record: str, account: str, endpoint: str, params: Params) -> bytes:
        """Do what is asked for, as far as the exchange's own rules allow."""
        world = self._world
        self._exchange.tick()
        self._witness.before_act(record, account, endpoint, params)
        grown_from = self._notional_now(account, endpoint, params)
        try:
            result = self._exchange.private(account, endpoint, params, self._conditions(endpoint))
        except Rejected as rejected:
            world.note(f"the venue refuses {endpoint}: {rejected}")
            return json.dumps({"error": list(rejected.errors)}).encode()
        self._write_down(account, endpoint, params, cast("dict[str, object]", result), grown_from)
        if world.alive:
            world.passes(f"the venue acts on {endpoint}")
        return json.dumps({"error": [], "result": result}).encode()

    def _conditions(self, endpoint: str) -> Conditions:
        """What the call meets inside the exchange."""
        random = self._world.random
        if endpoint not in CHANGES and self.lags_s:
            late, stale = random.choice(((self.lags_s, 0.0), (0.0, self.lags_s)))
            return Conditions(rows_late_s=late, stale_s=stale, seed=random.randrange(2**31))
        if endpoint in CHANGES and self.restless and self._world.chance(self.restless):
            share = random.choice((Decimal("0.3"), Decimal(1)))
            return random.choice((Conditions(filled_before=share), Conditions(filled_after=share)))
        return Conditions()

    def _notional_now(self, account: str, endpoint: str, params: Params) -> tuple[str, Decimal]:
        """The order that an amend changes, and what it is worth before."""
        if endpoint != "AmendOrder":
            return "", Decimal(0)
        orders = self._exchange._state.accounts[account].open.values()
        names = (params.get("txid"), params.get("cl_ord_id"))
        found = [order for order in orders if order.txid == names[0] or order.terms.cl_ord_id == names[1] is not None]
        return (found[0].txid, _notional(found[0])) if found else ("", Decimal(0))

    def _write_down(
        self, account: str, endpoint: str, params: Params, result: dict[str, object], before: tuple[str, Decimal]
    ) -> None:
        if endpoint not in ORDER_CALLS or params.get("validate") == "true":
            return
        rows = cast("list[Params]", params["orders"]) if endpoint == "AddOrderBatch" else [params]
        placed = cast("list[dict[str, object]]", result["orders"]) if endpoint == "AddOrderBatch" else [result]
        for row, done in zip(rows, placed, strict=True):
            txid = before[0] or done.get("txid")
            if txid is not None:
                name = str(txid if isinstance(txid, str) else cast("list[str]", txid)[0])
                grown = max(Decimal(0), _notional(self.order(account, name)) - before[1])
                self.deeds.append(Deed(self._world.now, mark_of(row), endpoint, account, name, grown))
        self._witness.after_act()


def mark_of(row: Params) -> str:
    """What tells the order that a call places or changes from that of any other call."""
    return str(row.get("price") or row.get("limit_price") or row.get("volume") or row.get("order_qty"))


def _notional(order: SimulatedOrder) -> Decimal:
    assert order.limit is not None
    return order.volume * order.limit


_BODIES = {
    "busy": b'{"error":["EService:Busy"]}',
    "bad nonce": b'{"error":["EAPI:Invalid nonce"]}',
    "throttled": b'{"error":["EAPI:Rate limit exceeded"]}',
}


def _answer(behaviour: Behaviour, body: bytes) -> WireAnswer | None:
    """What is sent back, None if the connection ends without an answer."""
    if behaviour.says in {"nothing", "cut"}:
        return None
    if behaviour.says == "502":
        return WireAnswer(502, "text/html", b"<html>bad gateway</html>")
    if behaviour.says == "torn":
        body = body[: len(body) // 2]
    return WireAnswer(200, "application/json", _BODIES.get(behaviour.says, body))
