"""The venue itself, over the wire and the orders beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Literal, final

from typing_extensions import override

from signer.contracts import Pairs, Venue
from signer.errors import NotServed, NotUnderstood, RefusalKind, Refused, VenueError
from signer.model import (
    Action,
    Algorithm,
    Call,
    ClientInfo,
    Decoded,
    Intent,
    Json,
    KeyInfo,
    NamesOf,
    Order,
    OrderRef,
    Pair,
    PlacedOrder,
    Proof,
    Request,
    Response,
    VenueResult,
    Vocabulary,
    WireAnswer,
    WireRequest,
)
from signer.model.allowances import Tier
from signer.model.ended import CancelAnswer, Ended
from signer.model.quiet import QuietAsked, Reach
from signer.model.sightings import Listing, Sighting
from signer.secret import Secret
from tests.venue_seam.okx_like import orders, wire
from tests.venue_seam.okx_like.orders import CANCEL, CANCEL_ALL, CLOSED, OPEN, PLACE, PLACE_ALL, READ

CONFIG = Call("GET account/config", Action.READ, {}, (READ,))
READS = frozenset({"GET account/balance", "GET trade/order", OPEN, CLOSED})
NEVER = frozenset({"POST asset/transfer", "POST asset/withdrawal", "POST users/subaccount/apikey"})
PUBLIC = frozenset({"GET public/time", "GET public/instruments", "GET market/ticker"})
WORDS = Vocabulary(
    venue="okx_like",
    permissions=("read_only", "trade"),
    sees_account=frozenset(),
    withheld=MappingProxyType({"withdraw": "money never leaves through signer"}),
    placing="trade",
    cancelling="trade",
    place_call=PLACE,
    order_types=("limit", "market"),
    times_in_force=("GTC", "IOC", "FOK"),
    ending="",
    flags=("post_only", "quote_ccy"),
    post_only="post_only",
    quote_sized="quote_ccy",
    starts="",
    ends="",
    refs=MappingProxyType({"venue-id": "ordId", "client-id": "clOrdId", "client-tag": "tag", "own": "own name"}),
    assets=MappingProxyType({}),
)
CODES: Mapping[RefusalKind, tuple[int, str]] = {
    RefusalKind.INVALID_KEY: (401, "50111"),
    RefusalKind.INVALID_SIGNATURE: (401, "50113"),
    RefusalKind.INVALID_PASSPHRASE: (401, "50105"),
    RefusalKind.NOT_FRESH: (401, "50102"),
    RefusalKind.UNKNOWN_ENDPOINT: (404, "50015"),
    RefusalKind.INVALID_ARGUMENTS: (400, "51000"),
    RefusalKind.UNKNOWN_PAIR: (200, "51001"),
    RefusalKind.UNKNOWN_ORDER: (200, "51400"),
    RefusalKind.NO_ORDER_NAMED: (200, "51400"),
    RefusalKind.CAP: (200, "51008"),
    RefusalKind.RATE_LIMITED: (429, "50011"),
    RefusalKind.ORDER_RATE: (429, "50011"),
    RefusalKind.LOCKED_OUT: (429, "50011"),
    RefusalKind.QUIET: (429, "50011"),
    RefusalKind.UNAVAILABLE: (503, "50001"),
}
"""Status and code of each refusal; of any other those of a denial."""
DENIED = (200, "50027")


def opened(listed: Mapping[str, Json] | None) -> OkxLike:
    """Return the venue with these instruments; with one if None."""
    return OkxLike(Instruments(listed or {"BTC-USDT": {}}))


@final
class Instruments(Pairs):
    """Its pairs, each with one spelling."""

    complete = True

    def __init__(self, listed: Mapping[str, Json]) -> None:
        split = {name: name.split("-") for name in listed}
        self.by_id = {name: Pair(name, name, "/".join(parts), *parts) for name, parts in split.items()}

    @override
    def find(self, text: Json) -> Pair | None:
        return self.by_id.get(str(text).replace("/", "-"))


@final
class OkxLike(Venue):
    """A venue that has little in common with Kraken but the contract."""

    name = "okx_like"
    client_algorithm = key_algorithm = Algorithm.HMAC_SHA256
    lane: Literal["serial", "parallel"] = "parallel"
    has_passphrase = True
    secret_bytes = None
    headers = wire.HEADERS
    bases = (wire.BASE,)
    vocabulary = WORDS
    permissions = frozenset({"read_only", "trade", "withdraw"})
    withdrawing = frozenset({"withdraw"})
    earning = frozenset[str]()
    endpoints = frozenset({CONFIG.endpoint, *READS, *NEVER, "POST trade/order", "POST trade/cancel-order"})
    cancels_at_once = reads_at_once = 20
    relayed_headers = frozenset({"x-rate-left"})
    time_unit_us = 1000

    def __init__(self, pairs: Instruments) -> None:
        self._pairs = pairs

    @property
    @override
    def pairs(self) -> Instruments:
        return self._pairs

    @override
    def access(self, path: str) -> Literal["private", "public"] | None:
        if not path.startswith(wire.BASE):
            return None
        return "public" if f"GET {path.removeprefix(wire.BASE)}" in PUBLIC else "private"

    @override
    def key_id(self, request: Request) -> str:
        return request.headers.get(wire.KEY, "")

    @override
    def endpoint_named(self, request: Request) -> str:
        return wire.endpoint_of(request)

    @override
    def decode(self, request: Request) -> Decoded:
        return wire.decode(request)

    @override
    def claimed_proof(self, request: Request) -> Proof:
        return wire.claimed_proof(request)

    @override
    def call_of(self, endpoint: str, fields: Mapping[str, str]) -> Call:
        return self.parse(Decoded(endpoint, 0, Proof((), b""), dict(fields)))

    @override
    def parse(self, decoded: Decoded) -> Call:
        endpoint, fields = decoded.endpoint, decoded.fields
        if endpoint in {PLACE, PLACE_ALL}:
            call = orders.place(endpoint, fields)
            if unlisted := [order for order in call.orders if order.pair not in self._pairs.by_id]:
                raise NotUnderstood(RefusalKind.UNKNOWN_PAIR, f"{unlisted[0].pair[:40]} is not listed")
            return call
        if endpoint in {CANCEL, CANCEL_ALL}:
            return orders.cancel(endpoint, fields)
        if endpoint in READS:
            return Call(endpoint, Action.READ, fields, (READ,))
        if endpoint == CONFIG.endpoint:
            return replace(CONFIG, local=True)
        if endpoint in NEVER:
            return Call(endpoint, Action.WRITE, fields, never=True)
        raise NotUnderstood(RefusalKind.UNKNOWN_ENDPOINT)

    @override
    def require_timely(self, call: Call, at_us: int) -> None:
        """Do nothing: no call states a deadline."""

    @override
    def changed_by_id(self, call: Call, venue_id: str) -> Call:
        raise AssertionError("no call changes an order")

    @override
    def cancel(self, refs: Sequence[OrderRef]) -> Call:
        return orders.cancel_of(refs)

    @override
    def read_cancel(self, answer: WireAnswer, result: VenueResult) -> CancelAnswer:
        return orders.read_cancel(answer, result)

    @override
    def cancel_answer(self, ended: Ended) -> Response:
        if ended.left:
            raise NotServed(RefusalKind.NOT_CANCELLED, venue_words=tuple(ended.left.values()))
        if not ended.count:
            raise NotServed(RefusalKind.UNKNOWN_ORDER)
        rows = [{"ordId": ref.value.split("/")[1], "sCode": "0", "sMsg": ""} for ref in ended.done]
        return _answer(200, "0", "", rows)

    @override
    def read_open(self, answer: WireAnswer) -> frozenset[str] | None:
        listing = orders.read_orders(answer)
        return None if listing is None else frozenset(listing.sightings)

    @override
    def encode(self, call: Call, fresh: int, api_key: str) -> tuple[WireRequest, bytes]:
        request, message = wire.encode(replace(call, fields=orders.fields_on_the_wire(call)), fresh, api_key)
        return replace(request, answer_headers=request.answer_headers | self.relayed_headers), message

    @override
    def signed(self, request: WireRequest, signature: bytes, passphrase: Secret | None) -> WireRequest:
        return wire.signed(request, signature, passphrase)

    @override
    def read_cost(self, call: Call) -> float:
        return 0.0 if call.action in {Action.ORDER, Action.CANCEL} else 1.0

    @override
    def asked_for_quiet(self, call: Call, answer: WireAnswer, result: VenueResult, now_us: int) -> QuietAsked | None:
        return QuietAsked(("50011",), Reach.CALLS, True, 2.0) if answer.status == 429 else None

    @override
    def order_costs(self, call: Call, targets: Sequence[PlacedOrder], now_us: int) -> Mapping[str, float]:
        return {order.pair: 1.0 for order in call.orders}

    @override
    def read_answer(self, call: Call, answer: WireAnswer) -> VenueResult:
        return orders.read_answer(call, answer)

    @override
    def key_info_call(self) -> Call:
        return CONFIG

    @override
    def read_key_info(self, answer: WireAnswer) -> KeyInfo:
        try:
            (row,) = wire.told(answer)["data"]
            addresses = tuple(filter(None, row["ip"].split(",")))
            return KeyInfo(row["label"], tuple(sorted(row["perm"].split(","))), None, 0, 0, addresses)
        except (KeyError, ValueError):
            raise VenueError("account/config was answered with no configuration") from None

    @override
    def reach(self, permissions: frozenset[str]) -> Sequence[Call]:
        reads = [Call(each, Action.READ, {}, (READ,)) for each in sorted(READS)]
        trades = [Call(PLACE, Action.ORDER, {}, (orders.TRADE,)), Call(CANCEL, Action.CANCEL, {}, (orders.TRADE,))]
        return [call for call in (*reads, *trades) if call.needs[0] & permissions]

    @override
    def lookup_reach(self) -> Sequence[Call]:
        return [self.open_orders(), self.closed_orders(0, 0)]

    @override
    def open_orders(self) -> Call:
        return Call(OPEN, Action.READ, {"instType": "SPOT"}, (READ,))

    @override
    def closed_orders(self, since_us: int, skip: int) -> Call:
        return Call(CLOSED, Action.READ, {"instType": "SPOT", "begin": str(since_us // 1000)}, (READ,))

    @override
    def orders_by_id(self, venue_ids: Sequence[str]) -> Call:
        return self.open_orders()

    @override
    def read_orders(self, answer: WireAnswer) -> Listing | None:
        return orders.read_orders(answer)

    @override
    def is_alike(self, intent: Intent, order: Order, seen: Sighting) -> bool | None:
        return orders.is_alike(order, seen)

    @override
    def amended_id(self, intent: Intent) -> str | None:
        return None

    @override
    def is_amended(self, order: Order, seen: Sighting) -> bool:
        raise AssertionError("no call amends an order")

    @override
    def pairs_requests(self) -> Sequence[WireRequest]:
        return [WireRequest("GET", f"{wire.BASE}public/instruments?instType=SPOT", (), b"")]

    @override
    def read_pairs(self, answers: Sequence[WireAnswer | None], before: Mapping[str, Json] | None) -> Mapping[str, Json]:
        rows = wire.told(answers[0])["data"] if answers[0] else []
        if not rows:
            raise VenueError("the venue lists no instruments")
        return {row["instId"]: row for row in rows}

    @override
    def tier(self, name: str) -> Tier:
        return Tier(None, None)

    @override
    def time_request(self) -> WireRequest:
        return WireRequest("GET", f"{wire.BASE}public/time", (), b"")

    @override
    def read_time(self, answer: WireAnswer) -> int:
        try:
            return int(wire.told(answer)["data"][0]["ts"]) * 1000
        except (KeyError, IndexError, ValueError):
            raise VenueError("public/time was answered with no time") from None

    @override
    def public_request(self, request: Request) -> tuple[WireRequest, tuple[str, ...]]:
        if wire.endpoint_of(request) not in PUBLIC or request.body:
            raise NotUnderstood(RefusalKind.UNKNOWN_ENDPOINT)
        return WireRequest("GET", request.target.decode("ascii"), (), b""), ()

    @override
    def is_public_answer(self, answer: WireAnswer) -> bool:
        return bool(wire.told(answer))

    @override
    def words(self, refused: Refused, call: Call | None = None) -> tuple[str, ...]:
        return (_code(refused)[1], refused.reason)

    @override
    def refusal(self, refused: Refused, call: Call | None = None) -> Response:
        status, code = _code(refused)
        why = f"signer: {refused.reason or refused.kind}"
        if call is None or not call.orders or status != 200:
            return _answer(status, code, why, [])
        row = {"ordId": "", "sCode": code, "sMsg": why}
        return _answer(200, "1", "", [{**row, "clOrdId": order.client_id or ""} for order in call.orders])

    @override
    def own_answer(self, call: Call, client: ClientInfo, permissions: frozenset[str]) -> Response:
        row = {"label": client.name, "perm": ",".join(sorted(permissions)), "ip": "", "acctLv": "1"}
        return _answer(200, "0", "", [row])

    @override
    def with_own_names(self, call: Call, bits: Callable[[int], int], is_taken: Callable[[str], bool]) -> Call:
        return orders.with_own_names(call, bits)

    @override
    def restored(self, call: Call, body: bytes, names: NamesOf) -> bytes:
        return orders.restored(body, names)


def _code(refused: Refused) -> tuple[int, str]:
    return CODES.get(refused.kind, DENIED)


def _answer(status: int, code: str, why: str, rows: Sequence[Mapping[str, Any]]) -> Response:
    body = json.dumps({"code": code, "msg": why, "data": list(rows)}, separators=(",", ":")).encode()
    return Response(status, "application/json", body, ours=True)
