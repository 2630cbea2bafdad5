"""How one exchange speaks: the contract that each folder of `signer.venues` fulfils."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from signer.errors import Refused
from signer.model import (
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
from signer.model.quiet import QuietAsked
from signer.model.sightings import Listing, Sighting
from signer.secret import Secret


class Pairs(Protocol):
    """The pairs that a venue lists."""

    complete: bool
    """Whether these are all that the venue lists, so that a name which is not found is not listed."""
    by_id: Mapping[str, Pair]
    """All of them by their canonical id."""

    def find(self, text: Json) -> Pair | None:
        """Return the pair that ``text`` means in any spelling; None if it means none or more than one."""


class Venue(Protocol):
    """How one exchange speaks. Pure: no sockets, no clock."""

    name: str
    """The name of its folder, as signer.toml writes it."""

    @property
    def pairs(self) -> Pairs:
        """Return the pairs that it lists."""

    client_algorithm: Algorithm
    """How a client's credential signs, by which we verify it."""
    key_algorithm: Algorithm
    """How a real key signs."""
    lane: Literal["serial", "parallel"]
    """Whether the calls of one key leave one by one, each with a higher nonce, or several at a time without nonces."""
    has_passphrase: bool
    """Whether a credential shows a passphrase beside its signature."""
    secret_bytes: int | None
    """How many bytes the base64 of a shared secret stands for; None where its text is the secret itself."""
    time_unit_us: int
    """The unit that the venue cuts its time to, in microseconds."""
    headers: frozenset[str]
    """The headers that it reads of a client's request, in lower case. No other reaches it."""
    bases: tuple[str, ...]
    """What the paths of its endpoints begin with."""
    vocabulary: Vocabulary
    """The words that policies and their reasons use."""
    permissions: frozenset[str]
    """Every word that we know for what a key may do."""
    withdrawing: frozenset[str]
    """The permissions with which money can leave the account."""
    earning: frozenset[str]
    """The permissions with which money can be locked up."""
    endpoints: frozenset[str]
    """The names of its private endpoints."""
    cancels_at_once: int
    """How many orders one cancel may name."""
    reads_at_once: int
    """How many orders one read may name."""
    relayed_headers: frozenset[str]
    """Names, in small letters, of the headers of the venue's answers that clients get."""

    def access(self, path: str) -> Literal["private", "public"] | None:
        """Return whether a call of that path needs a credential; None if no endpoint can have it."""

    def key_id(self, request: Request) -> str:
        """Return the API key that a private request shows, not yet believed; empty if it shows none."""

    def endpoint_named(self, request: Request) -> str:
        """Return the endpoint that a private request asks for, for the log; it need not exist."""

    def decode(self, request: Request) -> Decoded:
        """Take a private request apart. Raises `NotUnderstood`, or `NotAuthentic` where there is no usable nonce."""

    def claimed_proof(self, request: Request) -> Proof | None:
        """Return the proof in a request that cannot be taken apart; None if it has none that reads."""

    def call_of(self, endpoint: str, fields: Mapping[str, str]) -> Call:
        """Return the call that a client makes with these fields, given as text. Raises `NotUnderstood`."""

    def parse(self, decoded: Decoded) -> Call:
        """Return the call, understood completely. Raises `NotUnderstood` naming what is not."""

    def require_timely(self, call: Call, at_us: int) -> None:
        """Raise `NotUnderstood` if ``call``, which came at ``at_us``, is too late by its own fields."""

    def changed_by_id(self, call: Call, venue_id: str) -> Call:
        """Return the edit or amend ``call`` of exactly that order, whatever name the client gave it."""

    def cancel(self, refs: Sequence[OrderRef]) -> Call:
        """Return the call that cancels the order of one name of any kind, or 2 to 50 orders by their ids."""

    def read_cancel(self, answer: WireAnswer, result: VenueResult) -> CancelAnswer:
        """Return what an answer that was read as ``result`` says of the orders of its cancel."""

    def cancel_answer(self, ended: Ended) -> Response:
        """Return the answer to a cancel after which nothing is left. Raises `NotServed` that names what is."""

    def read_open(self, answer: WireAnswer) -> frozenset[str] | None:
        """Read the venue ids of all open orders in the answer to `open_orders`; None if they are not there."""

    def encode(self, call: Call, fresh: int, api_key: str) -> tuple[WireRequest, bytes]:
        """Return the canonical request for ``call``, unsigned, and the message that must be signed.

        ``fresh`` is the nonce, or our time in microseconds where the venue's lanes are parallel. Raises `NotAllowed`
        for a call that names other orders than its targets.
        """

    def signed(self, request: WireRequest, signature: bytes, passphrase: Secret | None) -> WireRequest:
        """Return ``request`` with the signature, wherever the venue wants it, and with the passphrase if it has one."""

    def read_cost(self, call: Call) -> float:
        """Return what ``call`` adds to the counter of the key that signs it; 0 for calls that concern orders."""

    def asked_for_quiet(self, call: Call, answer: WireAnswer, result: VenueResult, now_us: int) -> QuietAsked | None:
        """Return the request for quiet in the answer to ``call``; None if there is none."""

    def order_costs(self, call: Call, targets: Sequence[PlacedOrder], now_us: int) -> Mapping[str, float]:
        """Return what ``call`` adds to the counters of orders, by pair; it changes or cancels the orders ``targets``.

        Empty for calls that do not concern orders.
        """

    def read_answer(self, call: Call, answer: WireAnswer) -> VenueResult:
        """Return what the venue's answer means for ``call``. Whatever does not read as a clear yes or no is unknown."""

    def key_info_call(self) -> Call:
        """Return the read that asks what the key that signs it may do."""

    def read_key_info(self, answer: WireAnswer) -> KeyInfo:
        """Return what the answer to `key_info_call` says. Raises `VenueError` if it does not."""

    def reach(self, permissions: frozenset[str]) -> Sequence[Call]:
        """Return the kinds of calls, without fields, that a policy with these ``permissions`` may let through."""

    def lookup_reach(self) -> Sequence[Call]:
        """Return the kinds of reads that list orders: without fields."""

    def open_orders(self) -> Call:
        """Return the read that lists every open order of the account."""

    def closed_orders(self, since_us: int, skip: int) -> Call:
        """Build the read of the closed orders that were opened since then, newest first, after the first ``skip``."""

    def orders_by_id(self, venue_ids: Sequence[str]) -> Call:
        """Return the read that shows exactly these orders."""

    def read_orders(self, answer: WireAnswer) -> Listing | None:
        """Return the orders that an answer to one of these reads lists; None if it is not whole."""

    def is_alike(self, intent: Intent, order: Order, seen: Sighting) -> bool | None:
        """Tell whether a listed order with the same reference equals what ``intent`` placed, apart from its time.

        None if that cannot be told.
        """

    def amended_id(self, intent: Intent) -> str | None:
        """Return the order that ``intent`` changes in place, empty if its id is not known; None if it places orders."""

    def is_amended(self, order: Order, seen: Sighting) -> bool:
        """Return whether the one order that an amend named shows what it was to become."""

    def pairs_requests(self) -> Sequence[WireRequest]:
        """Return the public calls that together list all pairs, the indispensable one first."""

    def read_pairs(self, answers: Sequence[WireAnswer | None], before: Mapping[str, Json] | None) -> Mapping[str, Json]:
        """Return the properties of all pairs by id, from the answers to `pairs_requests`; None where a call failed.

        Takes what a missing list would have said from ``before``. Raises `VenueError` if the first answer is no list.
        """

    def tier(self, name: str) -> Tier:
        """Return what the counters of an account of that level take. Raises `ConfigError` for an unknown level."""

    def time_request(self) -> WireRequest:
        """Return the public call that asks for the venue's time."""

    def read_time(self, answer: WireAnswer) -> int:
        """Read the time in the answer, in microseconds, cut to `time_unit_us`. Raises `VenueError` without one."""

    def public_request(self, request: Request) -> tuple[WireRequest, tuple[str, ...]]:
        """Build our own request of a public call from the allowlist, and name the parameters that it leaves out.

        Raises `NotUnderstood`.
        """

    def is_public_answer(self, answer: WireAnswer) -> bool:
        """Return whether an answer to a public call is the venue's own, and not that of something before it."""

    def words(self, refused: Refused, call: Call | None = None) -> tuple[str, ...]:
        """Return the errors, in the venue's words, that tell a client of ``refused``, for the record."""

    def refusal(self, refused: Refused, call: Call | None = None) -> Response:
        """Return our own answer that says no, in the venue's envelope.

        ``call`` is what was refused; None for a public call, and for one that was not understood.
        """

    def own_answer(self, call: Call, client: ClientInfo, permissions: frozenset[str]) -> Response:
        """Return the answer to a local call."""

    def with_own_names(self, call: Call, bits: Callable[[int], int], is_taken: Callable[[str], bool]) -> Call:
        """Give each order that ``call`` places a name of ours, made of random ``bits`` and not taken.

        `encode` writes it in the place of the client's names.
        """

    def restored(self, call: Call, body: bytes, names: NamesOf) -> bytes:
        """Return the answer to ``call`` with the client's names in the place of ours, all else as the venue wrote it.

        A read that seeks names has only their rows. Raises `VenueError` if the answer does not read.
        """
