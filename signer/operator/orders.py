"""Lists the calls whose outcome is unknown, and ends one on record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from signer.home.layout import Home
from signer.model import OpenIntent
from signer.operator.open_orders import serves
from signer.operator.operation import on_record
from signer.operator.reading_book import read_book, require_home
from signer.operator.session import Session
from signer.serving.admin import ask

NOT_PLACED = "-"
"""Stands for the id of an order that was not placed."""


class UnknownCall(NamedTuple):
    """Describes a call whose outcome is unknown."""

    call: OpenIntent
    tries: int
    """How often the running gateway has asked the venue about it."""
    why: str
    """Why the gateway does not know the outcome yet."""


def unknown_calls(home: Home) -> Sequence[UnknownCall]:
    """List the calls whose outcome is unknown; without a gateway, every call that is open. Raises `SignerError`."""
    require_home(home)
    tries: Mapping[str, Any] | None = ask(home.admin, "unknown") if serves(home) else None
    calls = _open_intents(home)
    if tries is None:
        return [UnknownCall(one, 0, "no gateway runs") for one in calls]
    told = [(one, tries[str(one.reservation)]) for one in calls if str(one.reservation) in tries]
    return [UnknownCall(one, tried["tries"], tried["why"]) for one, tried in told]


def close_unknown(session: Session, act: str, number: int, venue_ids: Sequence[str | None], reason: str) -> bool:
    """End an unknown call with the ids of its orders at the venue; without ids, as one that placed nothing.

    None stands for an order that was not placed. Whether there is an unknown call of that ``number``. Raises
    `SignerError`.
    """
    require_home(session.home)
    found = next((one for one in _open_intents(session.home) if one.reservation == number), None)
    if found is None:
        return False
    intent = found.intent
    with on_record(session, act, reason, client=intent.client, account=intent.account) as operation:
        closed = operation.close_unknown(number, venue_ids, reason)
        what = f"call {number} ({intent.record})"
        operation.detail = f"{what}: {listed(venue_ids) or 'nothing was placed'}" if closed else f"{what} was closed"
    return closed


def listed(venue_ids: Sequence[str | None]) -> str:
    """Write the ids of a call's orders as a person gives them."""
    return ", ".join(venue_id or NOT_PLACED for venue_id in venue_ids)


def _open_intents(home: Home) -> Sequence[OpenIntent]:
    with read_book(home) as book:
        return book.open_intents()
