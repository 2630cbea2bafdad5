"""Collects what is known of one call, and makes the audit records from it (docs/audit-record.schema.json)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from signer.contracts import Venue
from signer.errors import ConfigError, NotAuthentic, Refused
from signer.gateway.credential import KeyStatus
from signer.gateway.forward import Journey
from signer.gateway.snapshot import Client, Snapshot
from signer.model import Call, Charge, Decision, Intent, Json, Order, Outcome, PlacedOrder, Request, VenueResult
from signer.model.wire import as_json


@dataclass(slots=True)
class Trace:
    """What is known of one call. Each step fills in its fields. A call that ends early leaves the others empty."""

    id: str
    request: Request
    snapshot: Snapshot
    started_us: int
    client: Client | None = None
    call: Call | None = None
    decision: Decision | None = None
    named: tuple[str, ...] = ()
    """The venue ids by which a change or cancel names its orders to the venue."""
    intent: Intent | None = None
    reservation: int | None = None
    """The number of the call in the book; None if it holds nothing."""
    recorded: bool = False
    """Whether the intent is in the audit log or owed to it, so that an outcome record must follow."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """What the call adds to the venue's order counters, by pair."""
    journey: Journey = field(default_factory=Journey)
    outcome: Outcome | None = None
    result: VenueResult | None = None
    errors: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    detail: str = ""
    """The reason, for the operator only."""
    counted_only: bool = False
    """Whether the call is only counted: it was one of a flood, was not sent, and has no record and no log line."""

    def note_outcome(self) -> None:
        """Set the outcome from what is known now. Bytes that left without an answer mean *unknown*."""
        if self.result is not None:
            self.outcome = self.result.outcome
        else:
            self.outcome = Outcome.UNKNOWN if self.journey.sent else Outcome.NOT_SENT

    def refused(self, refused: Refused, cause: Exception | None = None) -> None:
        """Note why the request is refused. The first cause gives the operator's detail."""
        self.errors, self.rules = self.venue.words(refused, self.call), refused.rules
        self.detail = self.detail or refused.detail or str(cause or refused.__cause__ or "")

    @property
    def venue(self) -> Venue:
        """Return the venue that the request is for."""
        return self.snapshot.venues[self.request.venue]

    @property
    def client_name(self) -> str:
        """The client's name; empty until it has proved who it is."""
        return self.client.info.name if self.client else ""

    @property
    def orders(self) -> Sequence[Order]:
        """Return the orders that the call would leave: those it places, or its target as changed."""
        return self.decision.orders if self.decision else ()

    @property
    def endpoint(self) -> str:
        """The call's endpoint. If the request was not understood, the start of what it asked for."""
        return self.call.endpoint if self.call else self.venue.endpoint_named(self.request)[:64]


class Watch(Protocol):
    """Takes in what happens in the gateway, for metrics, log lines and alarms."""

    def finished(self, trace: Trace) -> None:
        """Note that a request is answered."""

    def dropped(self, client: str, endpoint: str, parameters: int) -> None:
        """Count the parameters of a call that were not sent on. ``client`` is empty for a public call."""

    def warn(self, kind: str, text: str) -> None:
        """Tell the operator of something that still works."""

    def alarm(self, kind: str, text: str) -> None:
        """Tell the operator of something to act on. ``kind`` is a short stable word."""


MOST_DROPPED = 20
"""How many dropped parameters a record names. The metric counts all."""


def intent_record(trace: Trace) -> dict[str, Json]:
    """Return the record of a call that is about to be sent. It must be durable before the call leaves.

    The journal adds the number of a call that holds charges, and the moment by which these are dated.
    """
    held = _charges(trace) if trace.intent is None else held_fields(trace.intent)
    return {"kind": "intent", **_who(trace), **_what(trace), **held}


def outcome_record(trace: Trace, now_us: int) -> dict[str, Json]:
    """Return the record of an intent's outcome. The intent's record of the same id holds the call.

    ``now_us`` is the moment by which what the call spent is dated.
    """
    time_us = trace.journey.answered_us or trace.started_us
    entry: dict[str, Json] = {"kind": "outcome", **_who(trace), "time": time_us, **_result(trace)}
    return entry if trace.reservation is None else entry | {"at": now_us}


def read_record(trace: Trace) -> dict[str, Json]:
    """Return the record of a call that changed nothing, with its outcome."""
    return {"kind": "read", **_who(trace), **_what(trace), **_charges(trace), **_result(trace)}


def refusal_record(trace: Trace, refused: Refused) -> dict[str, Json]:
    """Return the record of a call that we refused before anything left, with the rules that refused it."""
    entry: dict[str, Json] = {"kind": refusal_kind(refused), **_who(trace)}
    if trace.call is not None:
        entry |= {**_what(trace), **_charges(trace)}
    return entry | {"rules": list(trace.rules), "errors": list(trace.errors), "detail": trace.detail[:200]}


def refusal_kind(refused: Refused) -> str:
    """Return ``login-failed`` if the caller did not prove to be a client, else ``denied``."""
    return "login-failed" if isinstance(refused, NotAuthentic) else "denied"


def most_bytes(trace: Trace) -> int:
    """Return the largest size in bytes of the record of a call that was not sent.

    JSON writes a letter in up to twice its bytes in the body. Our own part of the record is bounded.
    """
    return 2 * len(trace.request.body) + 2048


def reconciled_record(
    intent: Intent, outcome: Outcome, venue_ids: Sequence[str | None], at_us: int, *, part: bool = False
) -> dict[str, Json]:
    """Return the record of what was found out about an intent of unknown outcome.

    ``at_us`` is the moment by which what was spent is dated. ``part``: orders without an id stay open.
    """
    return {
        "kind": "reconciled",
        "time": at_us,
        "at": at_us,
        "part": part,
        "id": intent.record,
        "client": intent.client,
        "account": intent.account,
        "endpoint": intent.endpoint,
        "outcome": outcome.value,
        "venue_ids": list(venue_ids),
    }


def closed_record(
    account: str, venue_ids: Sequence[str], reappeared: Sequence[PlacedOrder], now_us: int
) -> dict[str, Json]:
    """Return the record of orders that the venue lists as open no more, and of closed ones that it lists again."""
    listed: list[Json] = [
        {
            "venue_id": placed.venue_id,
            "client": placed.client,
            "placed": placed.placed_us,
            "order": as_json(placed.order),
        }
        for placed in reappeared
    ]
    return {
        "kind": "closed",
        "time": now_us,
        "account": account,
        "venue_ids": list(venue_ids),
        "reappeared": listed,
    }


def credential_record(account: str, name: str, status: KeyStatus, now_us: int) -> dict[str, Json]:
    """Return the record of a real key's new status, with the findings behind it."""
    return {
        "kind": "credential",
        "time": now_us,
        "account": account,
        "credential": name,
        "standing": status.word,
        "findings": [finding.kind for finding in status.findings],
    }


def lane_record(account: str, credential: str, state: str, text: str, now_us: int) -> dict[str, Json]:
    """Return the record of a lane's new state; of all lanes of the account if ``credential`` is empty."""
    return {
        "kind": "lane",
        "time": now_us,
        "account": account,
        "credential": credential,
        "state": state,
        "text": text,
    }


_TOLD = {
    "id": 32, "act": 32, "stage": 8, "unit": 32, "client": 64, "account": 64, "group": 64, "pair": 64, "credential": 64,
    "reason": 200, "detail": 300,
}  # fmt: skip
"""The fields that a command may add to the log, and how many characters each may have."""


def operator_record(uid: int, name: str, told: Mapping[str, Json], now_us: int) -> dict[str, Json]:
    """Return the record of an operator's command.

    The operating system says who runs it; the command itself says what it does and why. Raises `ConfigError` if
    ``told`` holds anything else.
    """
    if not all(isinstance(text, str) and len(text) <= _TOLD.get(key, 0) for key, text in told.items()):
        what = "the command sent a field that the audit log does not take"
        raise ConfigError(what, hint="use the version of signer that the gateway runs")
    return {"kind": "operator", "time": now_us, "by": name, "uid": uid, **told}


def order_row(placed: PlacedOrder) -> dict[str, str]:
    """Return an open order as a row of the command line's lists."""
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
    """Return the record of an operator's cancel of a client's open orders.

    The first record lists the named orders, the second one the closed orders.
    """
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
    return entry


def _charges(trace: Trace) -> dict[str, Json]:
    """Return the charges of a call that holds none of them."""
    return {} if trace.decision is None else {"charges": [_charge(charge) for charge in trace.decision.charges]}


def held_fields(intent: Intent) -> dict[str, Json]:
    """Return what the book holds of a call: with the rest of the record it reads back as the same intent."""
    return {
        "charges": [_charge(charge) for charge in intent.charges],
        "venue_time": intent.venue_us,
        "orders": as_json(intent.orders),
        "targets": as_json(intent.targets),
        "replaces": intent.replaces,
    }


def _result(trace: Trace) -> dict[str, Json]:
    journey, result = trace.journey, trace.result
    return {
        "credential": journey.credential,
        "nonce": str(journey.nonce),
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
    """Return the microseconds since the request came; 0 if it did not happen, or if the clock was set back."""
    return max(0, at_us - trace.started_us) if at_us else 0


def _charge(charge: Charge) -> dict[str, Json]:
    return {
        "cap": charge.cap,
        "scope": charge.scope,
        "unit": charge.unit,
        "window_s": charge.window_s,
        "limit": f"{charge.limit:f}",
        "amount": f"{charge.amount:f}",
        "leg": charge.leg,
    }
