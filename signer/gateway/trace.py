"""What is known of one call so far, and the audit records made from it (docs/audit-record.schema.json)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from signer.contracts import Venue
from signer.errors import ConfigError, NotAuthentic, Refused
from signer.gateway.credential import KeyStatus
from signer.gateway.forward import Journey
from signer.gateway.snapshot import Client, Snapshot
from signer.model import Call, Charge, Decision, Intent, Json, Outcome, PlacedOrder, Request, VenueResult


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
    result: VenueResult | None = None
    errors: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    detail: str = ""
    """The reason that only the operator is told."""
    counted_only: bool = False
    """One of so many calls of which nothing was sent that it has no record and no line of its own."""

    def note_outcome(self) -> None:
        """How the call ended, as far as is known now: bytes that left without an answer mean *unknown*."""
        if self.result is not None:
            self.outcome = self.result.outcome
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
        """Count parameters of a call that were not sent on; ``client`` is empty for a public call."""

    def warn(self, kind: str, text: str) -> None:
        """Something works, and should be known."""

    def alarm(self, kind: str, text: str) -> None:
        """Something needs an operator's eye; ``kind`` is a short stable word."""


MOST_DROPPED = 20
"""Dropped parameters that a record names; the metric counts all."""


def intent_record(trace: Trace) -> dict[str, Json]:
    """What is about to be sent: durable before it leaves."""
    return {"kind": "intent", **_who(trace), **_what(trace)}


def outcome_record(trace: Trace) -> dict[str, Json]:
    """What became of an intent, and when; its call stands in the intent's record of the same id."""
    at_us = trace.journey.answered_us or trace.started_us
    return {"kind": "outcome", **_who(trace), "time": at_us, **_result(trace)}


def read_record(trace: Trace) -> dict[str, Json]:
    """A call that changed nothing, and how it ended."""
    return {"kind": "read", **_who(trace), **_what(trace), **_result(trace)}


def refusal_record(trace: Trace, refused: Refused) -> dict[str, Json]:
    """A call that we refused before anything left, by the rules named."""
    entry: dict[str, Json] = {"kind": refusal_kind(refused), **_who(trace)}
    if trace.call is not None:
        entry |= _what(trace)
    return entry | {"rules": list(trace.rules), "errors": list(trace.errors), "detail": trace.detail[:200]}


def refusal_kind(refused: Refused) -> str:
    """``login-failed`` for whoever did not prove to be a client, else ``denied``."""
    return "login-failed" if isinstance(refused, NotAuthentic) else "denied"


def most_bytes(trace: Trace) -> int:
    """How long the record of a call of which nothing was sent can be at most: JSON writes a letter with up to three
    times its bytes in the body, and what we add ourselves is bounded."""
    return 3 * len(trace.request.body) + 2048


def reconciled_record(
    intent: Intent, outcome: Outcome, venue_ids: Sequence[str | None], now_us: int
) -> dict[str, Json]:
    """What a look-up at the venue found out about an intent whose outcome was lost."""
    return {
        "kind": "reconciled",
        "time": now_us,
        "id": intent.record,
        "client": intent.client,
        "account": intent.account,
        "endpoint": intent.endpoint,
        "outcome": outcome.value,
        "venue_ids": list(venue_ids),
    }


def credential_record(account: str, name: str, status: KeyStatus, now_us: int) -> dict[str, Json]:
    """What was found out about a real key: which calls may go by it from now on, and why."""
    return {
        "kind": "credential",
        "time": now_us,
        "account": account,
        "credential": name,
        "standing": status.word,
        "findings": [finding.kind for finding in status.findings],
    }


def lane_record(account: str, credential: str, state: str, text: str, now_us: int) -> dict[str, Json]:
    """What the venue's answers have made of the lane of a key, or of all lanes of an account."""
    return {
        "kind": "lane",
        "time": now_us,
        "account": account,
        "credential": credential,
        "state": state,
        "text": text,
    }


_TOLD = {
    "id": 32, "act": 32, "stage": 8, "client": 64, "account": 64, "credential": 64, "reason": 200, "detail": 300
}  # fmt: skip
"""What a command may say of itself in the log, and at how many characters each."""


def operator_record(uid: int, name: str, told: Mapping[str, Json], now_us: int) -> dict[str, Json]:
    """What an operator does with a command: who by the system's word, what and why by the command's.

    Raises `ConfigError` if it says what no command says.
    """
    if not all(isinstance(text, str) and len(text) <= _TOLD.get(key, 0) for key, text in told.items()):
        raise ConfigError("this is not what a command says of itself", hint="use the signer that the gateway runs")
    return {"kind": "operator", "time": now_us, "by": name, "uid": uid, **told}


def order_row(placed: PlacedOrder) -> dict[str, str]:
    """An open order as lists show it."""
    order = placed.order
    return {
        "txid": placed.venue_id,
        "client": placed.client,
        "account": placed.account,
        "pair": order.pair,
        "side": order.side,
        "type": order.order_type,
        "volume": f"{order.volume:f}",
        "price": str(order.price or order.price2 or ""),
    }


def clearing_record(
    uid: int, name: str, whom: Mapping[str, Json], venue_ids: Sequence[str], now_us: int
) -> dict[str, Json]:
    """Cancels of a client's open orders on an operator's word: what is named before, what is closed after."""
    act: dict[str, Json] = {"kind": "operator", "time": now_us, "by": name, "uid": uid, "act": "cancel orders"}
    return act | dict(whom) | {"named" if whom["stage"] == "begun" else "venue_ids": list(venue_ids)}


def _who(trace: Trace) -> dict[str, Json]:
    return {
        "time": trace.started_us,
        "id": trace.id,
        "client": trace.client_name,
        "account": trace.client.info.account if trace.client else "",
        "source": trace.request.source,
        "endpoint": trace.endpoint,
    }


def _what(trace: Trace) -> dict[str, Json]:
    call, decision = trace.call, trace.decision
    entry: dict[str, Json] = {"fields": dict(call.fields) if call else {}}
    if call is not None and call.dropped:
        entry["dropped"] = [name[:64] for name in call.dropped[:MOST_DROPPED]]
    if trace.named:
        entry["named"] = list(trace.named)
    if decision is not None:
        entry["decision"] = "allow" if decision.allowed else "deny"
        entry["policy"] = decision.policy
        entry["policy_hash"] = decision.policy_hash
        entry["rules"] = [hit.rule for hit in decision.hits if hit.allows == decision.allowed]
        entry["charges"] = [_charge(charge) for charge in decision.charges]
    return entry


def _result(trace: Trace) -> dict[str, Json]:
    journey, result = trace.journey, trace.result
    return {
        "credential": journey.credential,
        "nonce": journey.nonce,
        "outcome": trace.outcome.value if trace.outcome else Outcome.NOT_SENT.value,
        "venue_ids": list(result.venue_ids) if result else [],
        "errors": list(trace.errors),
        "timings_us": {
            "turn": _since(trace, journey.turn_us),
            "sent": _since(trace, journey.sent_us),
            "answered": _since(trace, journey.answered_us),
        },
    }


def _since(trace: Trace, at_us: int) -> int:
    """Microseconds after the request came; 0 for what did not happen (or if the clock was set back)."""
    return max(0, at_us - trace.started_us) if at_us else 0


def _charge(charge: Charge) -> dict[str, Json]:
    return {"cap": charge.cap, "scope": charge.scope, "amount": f"{charge.amount:f}", "unit": charge.unit}
