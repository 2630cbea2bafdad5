"""What is known of one request so far: what its audit records, metrics and log line are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from signer.contracts import Venue
from signer.errors import Refused
from signer.gateway.forward import Journey
from signer.gateway.snapshot import Client, Snapshot
from signer.model import Call, Decision, Intent, Outcome, Request, VenueResult


@dataclass(slots=True)
class Trace:
    """Filled in step by step; a field that a refused call never reached keeps its default."""

    id: str
    request: Request
    snapshot: Snapshot
    started_us: int
    client: Client | None = None
    call: Call | None = None
    decision: Decision | None = None
    named: tuple[str, ...] = ()
    """Ids of the existing orders that a change or cancel names to the venue, in place of the client's names."""
    intent: Intent | None = None
    reservation: int | None = None
    recorded: bool = False
    """Whether the intent is durable in the audit log, so that an outcome must follow it."""
    owed: bool = False
    """Whether it is a cancel that the log could not take: it goes out, and its records follow when they can."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """What the call adds to the venue's counters of orders, by pair."""
    journey: Journey = field(default_factory=Journey)
    outcome: Outcome | None = None
    verdict: VenueResult | None = None
    errors: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    detail: str = ""
    """For the operator only."""
    counted_only: bool = False
    """One of so many calls of which nothing was sent that it has no record and no line of its own."""

    def note_outcome(self) -> None:
        """How the call ended, as far as is known now: bytes that left without an answer mean *unknown*."""
        if self.verdict is not None:
            self.outcome = self.verdict.outcome
        else:
            self.outcome = Outcome.UNKNOWN if self.journey.sent else Outcome.NOT_SENT

    def refused(self, refused: Refused, cause: Exception | None = None) -> None:
        """Note why the request is refused; the operator's detail is that of the first cause."""
        self.errors, self.rules = self.venue.words(refused, self.call), refused.rules
        self.detail = self.detail or refused.detail or str(cause or refused.__cause__ or "")

    @property
    def venue(self) -> Venue:
        """Return the venue that the request is for."""
        return self.snapshot.venues[self.request.venue]

    @property
    def client_name(self) -> str:
        """The client's name, or empty before it has proved who it is."""
        return self.client.info.name if self.client else ""

    @property
    def endpoint(self) -> str:
        """The endpoint as asked for, bounded, for a request that was not understood."""
        return self.call.endpoint if self.call else self.venue.endpoint_named(self.request)[:64]


class Watch(Protocol):
    """Whoever watches over the gateway: metrics, the log line, alarms."""

    def finished(self, trace: Trace) -> None:
        """A request has its answer."""

    def dropped(self, client: str, endpoint: str, parameters: int) -> None:
        """So many parameters of a call were not sent on; ``client`` is empty for a public call."""

    def warn(self, kind: str, text: str) -> None:
        """Something works, and should be known."""

    def alarm(self, kind: str, text: str) -> None:
        """Something needs an operator's eye; ``kind`` is a short stable word."""
