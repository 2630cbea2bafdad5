"""Finds the open orders of a halted or revoked client, and cancels them through the gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from signer.errors import SignerError
from signer.gateway.trace import order_row
from signer.home.layout import Home
from signer.home.lock import holder
from signer.model import Halt, HaltScope
from signer.model.halts import whom
from signer.operator.reading_book import read_book
from signer.operator.session import Session
from signer.serving.admin import ask, ask_within

LIST_S = 10.0
"""How long a brake that has worked waits for the list of open orders."""


@dataclass(frozen=True, slots=True)
class OpenOrders:
    """Lists the orders of ``who`` that may be open."""

    who: str
    rows: Sequence[Mapping[str, Any]]
    """A row for each order in the gateway's answer."""
    count: int
    """The number of orders in all."""
    unsettled: Sequence[str] = ()
    """Names of orders that may exist: the outcome of their call is not known."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """Holds the result of cancelling the open orders of ``who``."""

    who: str
    count: int = 0
    """How many were cancelled."""
    left: Mapping[str, str] = field(default_factory=dict)
    """Why an order may still be open, by its id at the venue."""
    unsettled: Sequence[str] = ()
    gateway: bool = True
    """Whether a gateway serves. Only a gateway can cancel."""
    why_not: str = ""
    """Why the gateway did not confirm any cancel; empty if it did."""

    @property
    def all_closed(self) -> bool:
        """Whether no order is left open, as far as the gateway knows."""
        return not (self.why_not or self.left or self.unsettled)


def open_orders(session: Session, scope: HaltScope) -> OpenOrders | None:
    """List the orders that may be open, by the gateway or else the book; None, with a warning, if neither answers."""
    home, who, told = session.home, whom(scope), None
    try:
        if serves(home):
            told = ask_within(LIST_S, home.admin, "open_orders", scope=list(scope))
    except SignerError as error:
        session.person.warn(f"what is open is told from the audit log: {error}")
    if told:
        return OpenOrders(who, told["orders"], told["count"], told["unsettled"])
    try:
        with read_book(home) as book:
            halt = next((one for one in book.halts() if one.scope == scope), Halt(scope, "", "", 0))
            placed = book.open_orders(scope.account, scope.client)
            rows = [dict(order_row(one)) for one in placed if halt.stops(one.client, one.account, [one.order.pair])]
    except SignerError as error:
        session.person.warn(f"what {who} has open cannot be told: {error}")
        return None
    return OpenOrders(who, rows, len(rows))


def cancel_open(session: Session, scope: HaltScope) -> Cleared:
    """Make the gateway cancel the open orders. Raises nothing: `Cleared.why_not` says why it did not."""
    home, who = session.home, whom(scope)
    try:
        if not serves(home):
            hint = "start it and repeat this, or cancel at the exchange"
            return Cleared(who, gateway=False, why_not=f"NOTHING WAS CANCELLED: no gateway serves on this home; {hint}")
        told = ask(home.admin, "cancel_orders", scope=list(scope))
    except SignerError as error:
        what = "the running gateway does not say that they are cancelled"
        return Cleared(who, why_not=f"ORDERS OF {who} MAY STILL BE OPEN: {what} ({error})")
    return Cleared(who, told["count"], told["left"], told["unsettled"])


def serves(home: Home) -> bool:
    """Tell whether a gateway serves on ``home``."""
    running = holder(home.lock)
    return running is not None and running.serves
