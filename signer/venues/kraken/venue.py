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
from signer.venues.kraken import (
    answers,
    cancels,
    changes,
    deadlines,
    encode,
    key_info,
    limits,
    local,
    lookups,
    naming,
    orders,
    public,
    quiet,
    server_time,
    verdict,
)
from signer.venues.kraken.answers import unknown_method, unknown_pair
from signer.venues.kraken.decode import KEY_HEADER, PRIVATE, SIGN_HEADER, claimed_proof, decode, form_request
from signer.venues.kraken.endpoints import EARNING, ENDPOINTS, PERMISSIONS, WITHDRAWING, Endpoint
from signer.venues.kraken.extras import passed_on, without_debris
from signer.venues.kraken.pairs import PairTable, pairs_requests, read_pairs
from signer.venues.kraken.values import read_fields
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
    headers = frozenset({KEY_HEADER, SIGN_HEADER, "content-type"})
    bases = (PRIVATE, public.PUBLIC)
    vocabulary = WORDS
    permissions = frozenset(PERMISSIONS)
    withdrawing = WITHDRAWING
    earning = EARNING
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

    def decode(self, request: Request) -> Decoded:
        """Take a private request apart. Raises `NotUnderstood`, or `NotAuthentic` where there is no usable nonce."""
        return decode(request)

    @override
    def claimed_proof(self, request: Request) -> Proof | None:
        return claimed_proof(request)

    @override
    def call_of(self, endpoint: str, fields: Mapping[str, str]) -> Call:
        return self.parse(decode(form_request(endpoint, fields)))

    def parse(self, decoded: Decoded) -> Call:
        """The call, understood completely. Raises `NotUnderstood` naming what is not."""
        endpoint = ENDPOINTS.get(decoded.endpoint)
        if endpoint is None:
            raise unknown_method()
        fields, dropped = without_debris(endpoint.name, decoded.fields)
        call = _PARSERS.get(endpoint.name, _plain)(endpoint, fields, self.pairs)
        return replace(call, dropped=call.dropped + dropped) if dropped else call

    def require_timely(self, call: Call, at_us: int) -> None:
        """Raises `NotUnderstood` if ``call``, which came at ``at_us``, has a deadline that is over or too far off."""
        deadlines.require_timely(call, at_us)

    def changed_by_id(self, call: Call, txid: str) -> Call:
        """The edit or amend ``call`` of exactly that order, whatever name the client gave it."""
        return naming.changed_by_id(call, txid)

    def cancel(self, refs: Sequence[OrderRef]) -> Call:
        """The call that cancels the order of one name of any kind, or 2 to 50 orders by their txids."""
        return cancels.cancel(refs)

    def read_cancel(self, answer: WireAnswer, verdict: VenueResult) -> CancelAnswer:
        """What an answer that was read as ``verdict`` says of the orders of its cancel."""
        return cancels.read(answer, verdict)

    def cancel_answer(self, ended: Ended) -> Response:
        """The answer to a cancel after which nothing is left. Raises `NotServed` that names what is."""
        return cancels.answered(ended)

    def open_call(self, ref: OrderRef | None) -> Call:
        """The read that lists the account's open orders of that name, or all."""
        return cancels.open_call(ref)

    def read_open(self, answer: WireAnswer) -> frozenset[str] | None:
        """Txids of all open orders in the answer to `open_call`; None if they are not there."""
        return cancels.read_open(answer)

    def encode(self, call: Call, nonce: int) -> tuple[WireRequest, bytes]:
        """The canonical request for ``call``, unsigned, and the message that must be signed."""
        return encode.encode(call, nonce)

    def signed(self, request: WireRequest, api_key: str, signature: bytes) -> WireRequest:
        """``request`` with its authentication headers."""
        return encode.signed(request, api_key, signature)

    def read_cost(self, call: Call) -> float:
        """What ``call`` adds to the counter of the key that signs it; 0 for calls that concern orders."""
        return limits.read_cost(call)

    def asked_for_quiet(self, call: Call, answer: WireAnswer, verdict: VenueResult, now_us: int) -> QuietAsked | None:
        """The request for quiet in the answer to ``call``; None if there is none."""
        return quiet.asked_for_quiet(call, answer, verdict, now_us) if verdict.errors or answer.status == 429 else None

    def order_costs(self, call: Call, targets: Sequence[PlacedOrder], now_us: int) -> Mapping[str, float]:
        """What ``call`` adds to the counters of orders, by pair; ``targets`` is what it changes or cancels."""
        return limits.order_costs(call, targets, now_us)

    def read_answer(self, call: Call, answer: WireAnswer) -> VenueResult:
        """What the venue's answer means for ``call``. Whatever does not read as a clear yes or no is unknown."""
        return verdict.read_answer(call, answer)

    def key_info_call(self) -> Call:
        """The read that asks what the key that signs it may do."""
        return key_info.CALL

    def read_key_info(self, answer: WireAnswer) -> KeyInfo:
        """What the answer to `key_info_call` says. Raises `VenueError` if it does not."""
        return key_info.read(answer)

    def reach(self, permissions: frozenset[str]) -> Sequence[Call]:
        """The kinds of calls that a policy granting ``permissions`` may let through to the venue: without fields."""
        forwarded = (each for each in ENDPOINTS.values() if not each.never and not each.local)
        return [
            Call(each.name, each.action, {}, each.needs)
            for each in forwarded
            if all(need & permissions for need in each.needs)
        ]

    def lookup_reach(self) -> Sequence[Call]:
        """The kinds of reads that list orders."""
        return lookups.KINDS

    def open_orders(self) -> Call:
        """The read that lists every open order of the account."""
        return lookups.open_orders()

    def closed_orders(self, since_us: int, skip: int) -> Call:
        """The read that lists a page of the closed orders that were opened since then, newest first, after ``skip``."""
        return lookups.closed_orders(since_us, skip)

    def orders_by_id(self, txids: Sequence[str]) -> Call:
        """The read that shows exactly these orders, at most 50."""
        return lookups.orders_by_id(txids)

    def read_orders(self, answer: WireAnswer) -> Listing | None:
        """The orders that an answer to one of these reads lists; None if it is not whole."""
        return lookups.read_orders(answer, self.pairs)

    def is_alike(self, intent: Intent, order: Order, seen: Sighting) -> bool | None:
        """Whether a listed order that bears the same reference is in all else, but its time, what ``intent`` placed."""
        return lookups.is_alike(intent, order, seen, self.pairs)

    def amended_id(self, intent: Intent) -> str | None:
        """The order that ``intent`` changes in place, empty if it has no txid there; None if it places orders."""
        return lookups.amended_id(intent)

    def is_amended(self, order: Order, seen: Sighting) -> bool:
        """Whether the one order that an amend named shows what it was to become."""
        return lookups.is_amended(order, seen)

    @override
    def pairs_requests(self) -> Sequence[WireRequest]:
        return pairs_requests()

    @override
    def read_pairs(self, answers: Sequence[WireAnswer | None], before: Mapping[str, Json] | None) -> Mapping[str, Json]:
        return read_pairs(answers, before)

    @override
    def tier(self, name: str) -> Tier:
        return limits.tier(name)

    def time_request(self) -> WireRequest:
        """The public Time."""
        return server_time.REQUEST

    def read_time(self, answer: WireAnswer) -> int:
        """The time that the answer says, cut to whole seconds. Raises `VenueError` if it does not."""
        return server_time.read(answer) * 1_000_000

    def public_request(self, request: Request) -> tuple[WireRequest, tuple[str, ...]]:
        """A public call from the allowlist, as a request of our own, and the names of the parameters that it lacks.

        Raises `NotUnderstood`.
        """
        return public.public_request(request)

    def is_public_answer(self, answer: WireAnswer) -> bool:
        """Kraken answers everything with status 200."""
        return answer.status == 200

    def words(self, refused: Refused, call: Call | None = None) -> tuple[str, ...]:
        """The errors that tell a client of ``refused``."""
        return answers.words(refused, call)

    def refusal(self, refused: Refused, call: Call | None = None) -> Response:
        """Our own answer that says no, in Kraken's envelope."""
        return answers.refusal(refused, call)

    def own_answer(self, call: Call, client: ClientInfo, permissions: frozenset[str]) -> Response:
        """The answer to a local call."""
        return answers.answer_with(local.api_key_info(client, permissions))

    def with_own_refs(self, call: Call, bits: Callable[[int], int]) -> Call:
        """``call`` in which each order that bears no name of the client has one of ours, made of random ``bits``."""
        return lookups.with_own_refs(call, bits)


def _plain(endpoint: Endpoint, fields: Mapping[str, Json], pairs: PairTable) -> Call:
    """A call that touches no order: its fields alone say it."""
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
    return Call(endpoint.name, endpoint.action, given | extras, endpoint.needs, local=endpoint.local, dropped=dropped)


def _pair_id(text: str, pairs: PairTable) -> str:
    pair = pairs.find(text)
    if pair is None:
        raise unknown_pair(text)
    return pair.id
