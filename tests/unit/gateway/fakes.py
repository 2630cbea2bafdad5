"""The line on fakes: each writes down what it is asked, in order, and fails at the step that a test names."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

from signer.book.book import Book
from signer.book.questions import BookQuestions
from signer.contracts import Journal, LookUps, Throttle, Venue
from signer.errors import Refused
from signer.gateway.authenticate import Authenticator
from signer.gateway.forward import Account, Journey, VenueTime
from signer.gateway.line import Gateway
from signer.gateway.snapshot import Client, Snapshot
from signer.gateway.trace import Trace
from signer.lanes.shares import PairCounters
from signer.model import (
    Call,
    ClientInfo,
    Decoded,
    Halt,
    Intent,
    Json,
    NamesOf,
    Order,
    OrderRef,
    Outcome,
    PlacedOrder,
    Proof,
    Request,
    Response,
    VenueResult,
    WireAnswer,
)
from signer.model.ended import CancelAnswer, Ended
from signer.policy import Policy
from tests.harness.virtual import VirtualClock
from tests.unit.policy.examples import PAIRS, placed

REQUEST = Request("toy", "POST", b"/orders", {}, b"{}", "127.0.0.1")
ACCEPTED = VenueResult(Outcome.ACCEPTED, venue_ids=("V1",))
REJECTED = VenueResult(Outcome.REJECTED, ("no money",))
UNCLEAR = VenueResult(Outcome.UNKNOWN)
INFO = ClientInfo("bot", "main", "trader", "KEY", "print", (), None, "window", revoked=False, created_us=1)


async def nothing_found() -> None:
    """Find nothing out."""


class Fakes:
    """All that a gateway stands on. ``done`` lists the steps; ``fails`` has what a step raises, by its name."""

    def __init__(self, call: Call, policy: Policy, result: VenueResult = ACCEPTED) -> None:
        self.call, self.result = call, result
        self.done: list[str] = []
        self.fails: dict[str, Exception] = {}
        self.meanwhile: Callable[[], None] = lambda: None
        """What happens while the call waits for its turn."""
        self.halt: Halt | None = None
        self.asked_for: list[Order] = []
        self.known: tuple[PlacedOrder, ...] = (placed(),)
        """The orders that are on record, whatever is asked."""
        self.look_up: Callable[[], Awaitable[None]] = nothing_found
        """What a look-up finds out."""
        self.admits = self.healthy = True
        self.alarms: list[str] = []
        self.intent: Intent | None = None
        self.trace: Trace | None = None
        self.journal = FakeJournal(self)
        self.client = Client(INFO, cast("object", None), policy)  # type: ignore[arg-type]
        self.accounts = {"main": cast("Account", FakeAccount(self))}
        self.gateway = Gateway(
            self.snapshot(),
            cast("Authenticator", FakeAuthenticator(self)),
            cast("Journal", self.journal),
            cast("Throttle", SimpleNamespace(admit=lambda *_: self.admits)),
            cast("VenueTime", SimpleNamespace(earliest_us=lambda *_, **__: 0)),
            clock=VirtualClock(),
            randomness=random.Random(1),  # noqa: S311 - repeatable
            watch=self,
            look_ups=cast("LookUps", FakeLookUps(self)),
        )

    def snapshot(self, *, revoked: bool = False) -> Snapshot:
        """Return what the gateway knows of its one client."""
        client = replace(self.client, info=replace(self.client.info, revoked=revoked))
        return Snapshot({"toy": cast("Venue", FakeVenue(self))}, {"KEY": client}, self.accounts)

    def step(self, name: str) -> None:
        """Write down a step, or fail at it."""
        self.done.append(name)
        if name in self.fails:
            raise self.fails[name]

    async def answer(self) -> str:
        """Make the call; return the answer's text."""
        response = await self.gateway.answer(REQUEST)
        self.done.append("answer")
        return response.body.decode()

    def finished(self, trace: Trace) -> None:
        """Keep the trace."""
        self.trace = trace

    def dropped(self, client: str, endpoint: str, parameters: int) -> None:
        """Take no notice."""

    def warn(self, kind: str, text: str) -> None:
        """Take no notice."""

    def alarm(self, kind: str, text: str) -> None:
        """Keep the kind of an alarm."""
        self.alarms.append(kind)


class FakeAuthenticator:
    """Step 1, which lets the one client in."""

    def __init__(self, fakes: Fakes) -> None:
        self._fakes = fakes

    async def authenticate(self, request: Request, snapshot: Snapshot) -> tuple[Client, Decoded]:
        """Let the client in."""
        self._fakes.step("authenticate")
        return snapshot.clients["KEY"], Decoded("orders", 1, Proof((), b""), {})

    def author(self, request: Request, snapshot: Snapshot) -> Client | None:
        """Return who sent a request that was not understood."""
        return None


class FakeVenue:
    """A venue of plain words, which reads every request as the call that the test gives."""

    pairs = SimpleNamespace(by_id=PAIRS)
    relayed_headers: frozenset[str] = frozenset()
    cancels_at_once = 50

    def __init__(self, fakes: Fakes) -> None:
        self._fakes = fakes

    def parse(self, decoded: Decoded) -> Call:
        """Read the request as the call of the test."""
        self._fakes.step("parse")
        return self._fakes.call

    def require_timely(self, call: Call, at_us: int) -> None:
        """Let every call pass."""

    def with_own_names(self, call: Call, bits: Callable[[int], int], is_taken: Callable[[str], bool]) -> Call:
        """Leave the call as it is."""
        return call

    def restored(self, call: Call, body: bytes, names: NamesOf) -> bytes:
        """Leave the answer as it is."""
        return body

    def order_costs(self, call: Call, targets: Sequence[PlacedOrder], now_us: int) -> Mapping[str, float]:
        """Count nothing."""
        return {}

    def changed_by_id(self, call: Call, venue_id: str) -> Call:
        """Name the order by its id."""
        return replace(call, targets=(OrderRef("venue-id", venue_id),))

    def cancel(self, refs: Sequence[OrderRef]) -> Call:
        """Return the call that cancels these orders."""
        return replace(self._fakes.call, targets=tuple(refs))

    def read_cancel(self, answer: WireAnswer, result: VenueResult) -> CancelAnswer:
        """Return that one order was cancelled, or none."""
        return CancelAnswer(count=1) if result.outcome is Outcome.ACCEPTED else CancelAnswer(error="no", final=True)

    def cancel_answer(self, ended: Ended) -> Response:
        """Answer how many were cancelled."""
        return Response(200, "text/plain", f"cancelled {ended.count}".encode(), ours=True)

    def own_answer(self, call: Call, client: ClientInfo, permissions: frozenset[str]) -> Response:
        """Answer a local call."""
        return Response(200, "text/plain", b"by us", ours=True)

    def words(self, refused: Refused, call: Call | None = None) -> tuple[str, ...]:
        """Return the kind of the refusal."""
        return (refused.kind.value,)

    def refusal(self, refused: Refused, call: Call | None = None) -> Response:
        """Answer with kind and reason."""
        return Response(400, "text/plain", f"{refused.kind.value}: {refused.reason}".encode(), ours=True)

    def endpoint_named(self, request: Request) -> str:
        """Return the only endpoint."""
        return "orders"


class FakeJournal(BookQuestions):
    """A journal without a log: a book in memory, and the kinds of the records that it was given."""

    def __init__(self, fakes: Fakes) -> None:
        self.book = Book()
        super().__init__(self.book, None, lambda: 5)
        self._fakes = fakes

    def find_orders(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        """Return the known orders."""
        self._fakes.step("find")
        return self._fakes.known

    async def begin(self, intent: Intent, entry: Mapping[str, Json]) -> int:
        """Hold the charges, and record the call."""
        self._fakes.intent = intent
        self.book.fit(intent, self.now_us())
        self._fakes.step("begin")
        number = self.book.last + 1
        self.book.apply({**entry, "reservation": number, "at": self.now_us()})
        return number

    def conclude(self, entry: Mapping[str, Json]) -> None:
        """Apply how a call ended."""
        self._fakes.step(f"conclude {entry['outcome']}")
        self.book.apply(entry)

    async def record(self, entry: Mapping[str, Json], *, urgent: bool = False) -> None:
        """Write down the kind of a durable record."""
        self._fakes.step(f"record {'urgent ' * urgent}{entry['kind']}")

    def has_own_name(self, account: str, name: str) -> bool:
        """Return that no order has the name."""
        return False

    def note(self, entry: Mapping[str, Json]) -> None:
        """Note a record in the background."""
        self._fakes.step(f"note {entry['kind']}")

    def halted(self, client: str, account: str, orders: Sequence[Order] = ()) -> Halt | None:
        """Return the halt of the test, and remember which orders it was asked for."""
        self._fakes.asked_for = list(orders)
        return self._fakes.halt

    @property
    def healthy(self) -> bool:
        """Whether the log takes records."""
        return self._fakes.healthy

    @property
    def spent(self) -> bool:
        """Whether a charge is held or spent."""
        return any(amount for window in self.book.windows.values() for amount in window.slots.values())

    @property
    def under_way(self) -> list[bool]:
        """Whether the outcome is unknown, of each call without an end."""
        return [one.unknown for one in self.open_intents()]


class FakeLookUps:
    """Look-ups that find what the test says."""

    def __init__(self, fakes: Fakes) -> None:
        self._fakes = fakes

    async def look_up(self, account: str) -> None:
        """Find out."""
        self._fakes.step("look up")
        await self._fakes.look_up()


class FakeAccount:
    """An account with one lane, before a venue that says what the test wants."""

    name = "main"
    call_seconds = 10.0

    def __init__(self, fakes: Fakes) -> None:
        self._fakes = fakes
        self.pairs = PairCounters()

    def require_place(self, call: Call, client: str) -> None:
        """Have a place, unless the test says no."""
        self._fakes.step("place")

    async def forward(
        self, venue: Venue, call: Call, client: str, journey: Journey, check: Callable[[], None]
    ) -> tuple[WireAnswer, VenueResult]:
        """Wait for a turn, ask once more whether the call may go, send it, and hear the answer."""
        self._fakes.step("turn")
        self._fakes.meanwhile()
        check()
        journey.sent = True
        self._fakes.step(f"send {' '.join([call.endpoint, *(ref.value for ref in call.targets)])}")
        self._fakes.step("hear")
        return WireAnswer(200, "text/plain", b"the venue's words"), self._fakes.result
