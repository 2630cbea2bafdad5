"""Places orders: AddOrder and AddOrderBatch (docs/kraken.md §1c)."""

from __future__ import annotations

from datetime import datetime

from signer.sandbox.admission import dry_run
from signer.sandbox.fields import Fields
from signer.sandbox.limits import ADD, batch_cost
from signer.sandbox.matching import place
from signer.sandbox.orders import description
from signer.sandbox.rejected import Rejected, invalid
from signer.sandbox.state import Methods, SimulatedAccount, SimulatedCall, State
from signer.sandbox.terms import Terms, read_terms
from signer.sandbox.wording import short_description

_BATCH = range(2, 16)
_DEADLINE_AHEAD = 60.0
"""The seconds from now in which a deadline may lie."""


def check_deadline(state: State, fields: Fields) -> None:
    """Raise `Rejected` if the call's ``deadline`` (RFC 3339) has passed."""
    if not fields.has("deadline"):
        return
    try:
        deadline = datetime.fromisoformat(fields.text("deadline"))
    except ValueError:
        raise invalid("deadline") from None
    if deadline.tzinfo is None or deadline.timestamp() > state.now() + _DEADLINE_AHEAD:
        raise invalid("deadline")
    if deadline.timestamp() <= state.now():
        raise Rejected("EService:Deadline elapsed")


def _add_order(call: SimulatedCall) -> object:
    pair = call.state.instruments.asked_pair(call.fields)
    dry = call.fields.flag("validate")
    if not dry:  # counted even if the order is refused afterwards
        call.account.counters.charge(pair.id, ADD, call.state.now())
    terms = read_terms(call.fields, pair, call.state.now())
    check_deadline(call.state, call.fields)
    dry_answer = {"descr": _dry(call.state, terms)}
    if dry:
        return dry_answer
    order = place(call.state, call.account, terms)
    return {"descr": description(order), "txid": [order.txid]}


def _add_order_batch(call: SimulatedCall) -> object:
    pair = call.state.instruments.asked_pair(call.fields)
    dry = call.fields.flag("validate")
    rows = call.fields.rows("orders")
    if len(rows) not in _BATCH:
        raise invalid("orders")
    if not dry:
        call.account.counters.charge(pair.id, batch_cost(len(rows)), call.state.now())
    check_deadline(call.state, call.fields)
    batch = [read_terms(row, pair, call.state.now()) for row in rows]
    dry_rows = [{"descr": _dry(call.state, terms)} for terms in batch]
    return {"orders": dry_rows if dry else [_row(call.state, call.account, terms) for terms in batch]}


def _dry(state: State, terms: Terms) -> dict[str, str]:
    return short_description(terms, terms.volume, *dry_run(state, terms))


def _row(state: State, account: SimulatedAccount, terms: Terms) -> dict[str, object]:
    """Place one order of a batch. A refusal by the engine goes into its row and leaves the other orders alone."""
    try:
        order = place(state, account, terms)
    except Rejected as refusal:
        return {"error": refusal.errors[0]}
    return {"descr": description(order), "txid": order.txid}


METHODS: Methods = {"AddOrder": _add_order, "AddOrderBatch": _add_order_batch}
