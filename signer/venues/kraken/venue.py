"""Kraken as a venue: the one class that the rest of the program knows, over the questions in this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, final

from typing_extensions import override

from signer.contracts import Venue
from signer.errors import Refused
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
    PlacedOrder,
    Proof,
    Request,
    Response,
    VenueResult,
    WireAnswer,
    WireRequest,
)
from signer.model.allowances import Tier
from signer.model.ended import CancelAnswer, Ended
from signer.model.quiet import QuietAsked
from signer.model.sightings import Listing, Sighting
from signer.secret import SECRET_BYTES, Secret
from signer.venues.kraken import (
    answers,
    cancels,
    changes,
    encode,
    key_info,
    lookups,
    orders,
    own_names,
    public,
    results,
)
from signer.venues.kraken.answers import unknown_method, unknown_pair
from signer.venues.kraken.decode import KEY_HEADER, PRIVATE, SIGN_HEADER, claimed_proof, decode, form_request
from signer.venues.kraken.endpoints import EARNING, ENDPOINTS, PERMISSIONS, WITHDRAWING, Endpoint
from signer.venues.kraken.models import passed_on, without_debris
from signer.venues.kraken.orders import PairTable, pairs_requests, read_pairs
from signer.venues.kraken.values import BATCH_MOST, read_fields
from signer.venues.kraken.vocabulary import WORDS

_Parser = Callable[[Endpoint, Mapping[str, Json], PairTable], Call]

_PARSERS: Mapping[str, _Parser] = {
    "AddOrder": orders.add_order,
    "AddOrderBatch": orders.add_order_batch,
    "AmendOrder": changes.amend_order,
    "EditOrder": changes.edit_order,
    "CancelOrder": changes.cancel_order,
    "CancelOrderBatch": changes.cancel_order_batch,
    "CancelAll": changes.cancel_all,
    "CancelAllOrdersAfter": changes.cancel_all,
}


def opened(listed: Mapping[str, Json] | None) -> Kraken:
    """Return Kraken with the pairs of an AssetPairs result, or with the best known ones if None.

    Raises `VenueError` if ``listed`` has no readable pair.
    """
    return Kraken(PairTable.built_in() if listed is None else PairTable.from_asset_pairs(dict(listed)))


@final
class Kraken(Venue):
    """How Kraken's spot REST interface speaks; see `signer.contracts.Venue`.

    Immutable: when the venue's pairs change, a new one takes its place.
    """

    name = "kraken"
    client_algorithm = key_algorithm = Algorithm.HMAC_SHA512
    has_passphrase = False
    secret_bytes = SECRET_BYTES
    time_unit_us = 1_000_000
    lane: Literal["serial", "parallel"] = "serial"
    headers = frozenset({KEY_HEADER, SIGN_HEADER, "content-type"})
    bases = (PRIVATE, public.PUBLIC)
    vocabulary = WORDS
    permissions = frozenset(PERMISSIONS)
    withdrawing = WITHDRAWING
    earning = EARNING
    endpoints = frozenset(ENDPOINTS)
    cancels_at_once = reads_at_once = BATCH_MOST
    relayed_headers = frozenset[str]()

    def __init__(self, pairs: PairTable) -> None:
        self._pairs = pairs

    @property
    @override
    def pairs(self) -> PairTable:
        return self._pairs

    @override
    def access(self, path: str) -> Literal["private", "public"] | None:
        if path.startswith(PRIVATE):
            return "private"
        return "public" if path.startswith(public.PUBLIC) else None

    @override
    def key_id(self, request: Request) -> str:
        return request.headers.get(KEY_HEADER, "")

    @override
    def endpoint_named(self, request: Request) -> str:
        return request.path.removeprefix(PRIVATE)

    @override
    def decode(self, request: Request) -> Decoded:
        return decode(request)

    @override
    def claimed_proof(self, request: Request) -> Proof | None:
        return claimed_proof(request)

    @override
    def call_of(self, endpoint: str, fields: Mapping[str, str]) -> Call:
        return self.parse(decode(form_request(endpoint, fields)))

    @override
    def parse(self, decoded: Decoded) -> Call:
        endpoint = ENDPOINTS.get(decoded.endpoint)
        if endpoint is None:
            raise unknown_method()
        fields, dropped = without_debris(endpoint.name, decoded.fields)
        call = _PARSERS.get(endpoint.name, _plain)(endpoint, fields, self.pairs)
        return replace(call, dropped=call.dropped + dropped) if dropped else call

    @override
    def require_timely(self, call: Call, at_us: int) -> None:
        orders.require_timely(call, at_us)

    @override
    def changed_by_id(self, call: Call, txid: str) -> Call:
        return encode.changed_by_id(call, txid)

    @override
    def cancel(self, refs: Sequence[OrderRef]) -> Call:
        return cancels.cancel(refs)

    @override
    def read_cancel(self, answer: WireAnswer, result: VenueResult) -> CancelAnswer:
        return cancels.read(answer, result)

    @override
    def cancel_answer(self, ended: Ended) -> Response:
        return cancels.answered(ended)

    @override
    def read_open(self, answer: WireAnswer) -> frozenset[str] | None:
        return cancels.read_open(answer)

    @override
    def encode(self, call: Call, fresh: int, api_key: str) -> tuple[WireRequest, bytes]:
        return encode.encode(call, fresh, api_key)

    @override
    def signed(self, request: WireRequest, signature: bytes, passphrase: Secret | None) -> WireRequest:
        return encode.signed(request, signature)

    @override
    def read_cost(self, call: Call) -> float:
        return encode.read_cost(call)

    @override
    def asked_for_quiet(self, call: Call, answer: WireAnswer, result: VenueResult, now_us: int) -> QuietAsked | None:
        if not result.errors and answer.status != 429:
            return None
        return results.asked_for_quiet(call, answer, result, now_us)

    @override
    def order_costs(self, call: Call, targets: Sequence[PlacedOrder], now_us: int) -> Mapping[str, float]:
        return encode.order_costs(call, targets, now_us)

    @override
    def read_answer(self, call: Call, answer: WireAnswer) -> VenueResult:
        return results.read_answer(call, answer)

    @override
    def key_info_call(self) -> Call:
        return key_info.CALL

    @override
    def read_key_info(self, answer: WireAnswer) -> KeyInfo:
        return key_info.read(answer)

    @override
    def reach(self, permissions: frozenset[str]) -> Sequence[Call]:
        forwarded = (each for each in ENDPOINTS.values() if not each.never and not each.local)
        return [
            Call(each.name, each.action, {}, each.needs)
            for each in forwarded
            if all(need & permissions for need in each.needs)
        ]

    @override
    def lookup_reach(self) -> Sequence[Call]:
        return lookups.KINDS

    @override
    def open_orders(self) -> Call:
        return lookups.open_orders()

    @override
    def closed_orders(self, since_us: int, skip: int) -> Call:
        return lookups.closed_orders(since_us, skip)

    @override
    def orders_by_id(self, txids: Sequence[str]) -> Call:
        return lookups.orders_by_id(txids)

    @override
    def read_orders(self, answer: WireAnswer) -> Listing | None:
        return lookups.read_orders(answer, self.pairs)

    @override
    def is_alike(self, intent: Intent, order: Order, seen: Sighting) -> bool | None:
        return lookups.is_alike(intent, order, seen, self.pairs)

    @override
    def amended_id(self, intent: Intent) -> str | None:
        return lookups.amended_id(intent)

    @override
    def is_amended(self, order: Order, seen: Sighting) -> bool:
        return lookups.is_amended(order, seen)

    @override
    def pairs_requests(self) -> Sequence[WireRequest]:
        return pairs_requests()

    @override
    def read_pairs(self, answers: Sequence[WireAnswer | None], before: Mapping[str, Json] | None) -> Mapping[str, Json]:
        return read_pairs(answers, before)

    @override
    def tier(self, name: str) -> Tier:
        return encode.tier(name)

    @override
    def time_request(self) -> WireRequest:
        return public.TIME

    @override
    def read_time(self, answer: WireAnswer) -> int:
        return public.read_time(answer) * 1_000_000

    @override
    def public_request(self, request: Request) -> tuple[WireRequest, tuple[str, ...]]:
        return public.public_request(request)

    @override
    def is_public_answer(self, answer: WireAnswer) -> bool:
        return answer.status == 200

    @override
    def words(self, refused: Refused, call: Call | None = None) -> tuple[str, ...]:
        return answers.words(refused, call)

    @override
    def refusal(self, refused: Refused, call: Call | None = None) -> Response:
        return answers.refusal(refused, call)

    @override
    def own_answer(self, call: Call, client: ClientInfo, permissions: frozenset[str]) -> Response:
        return answers.answer_with(key_info.of_client(client, permissions))

    @override
    def with_own_names(self, call: Call, bits: Callable[[int], int], is_taken: Callable[[str], bool]) -> Call:
        return encode.with_own_names(call, bits, is_taken)

    @override
    def restored(self, call: Call, body: bytes, names: NamesOf) -> bytes:
        named = call.sought or any(word in body for word in own_names.WORDS)
        return own_names.restored(call, body, names) if named else body


def _plain(endpoint: Endpoint, fields: Mapping[str, Json], pairs: PairTable) -> Call:
    """Return the call of an endpoint that touches no order: its fields alone say it."""
    if endpoint.never:
        # Refused whatever its parameters are, so they are kept only for the audit record.
        return Call(endpoint.name, endpoint.action, dict(fields), endpoint.needs, never=True)
    extras: dict[str, Json] = {}
    dropped: tuple[str, ...] = ()
    if endpoint.action is Action.READ:
        extras, dropped = passed_on(endpoint.model, fields)
        fields = {name: value for name, value in fields.items() if name in endpoint.model}
    given = read_fields(endpoint.model, fields)
    if isinstance(given.get("pair"), str):
        given["pair"] = ",".join(_pair_id(name, pairs) for name in str(given["pair"]).split(","))
    return Call(
        endpoint.name,
        endpoint.action,
        given | extras,
        endpoint.needs,
        local=endpoint.local,
        sees_account=endpoint.sees == "account" or "account_id" in given,
        sought=own_names.sought_by(endpoint.name, given),
        dropped=dropped,
    )


def _pair_id(text: str, pairs: PairTable) -> str:
    pair = pairs.find(text)
    if pair is None:
        raise unknown_pair(text)
    return pair.id
