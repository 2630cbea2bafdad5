"""Records what an operator says of a call whose outcome is unknown, with the operator's name and reason."""

from __future__ import annotations

import re
from collections.abc import Sequence

from signer.contracts import Journal
from signer.errors import AuditError, ConfigError
from signer.gateway.trace import reconciled_record
from signer.model import Json, OpenIntent, OrderRef, Outcome

_VENUE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


async def record_by_hand(
    journal: Journal,
    one: OpenIntent,
    venue_ids: Sequence[str | None],
    by: str,
    uid: int,
    reason: str,
) -> None:
    """Conclude the intent by an id for each of its orders, or as not sent if no id is given.

    None stands for an order that was not placed. Raises `ConfigError` if the ids do not fit, `LedgerError` if closed
    orders cannot be read, and `AuditError` if the outcome is in effect and not on record yet.
    """
    if any(venue_ids):
        _require_fit(journal, one, venue_ids)
    outcome = Outcome.ACCEPTED if any(venue_ids) else Outcome.NOT_SENT
    said: dict[str, Json] = {"by": by, "uid": uid, "reason": reason}
    try:
        await journal.record({**reconciled_record(one.intent, outcome, venue_ids, journal.now_us()), **said})
    except AuditError as error:
        what = f"the call {one.reservation} is ended, and that is in effect, not on record: {error.what}"
        raise AuditError(what, hint="it is recorded as soon as the log can be written") from error


def _require_fit(journal: Journal, one: OpenIntent, venue_ids: Sequence[str | None]) -> None:
    number, given = len(one.intent.orders), [venue_id for venue_id in venue_ids if venue_id is not None]
    if len(venue_ids) != number:
        hint = "give one id for each, in their order, and - for one that was not placed"
        raise ConfigError(f"ids are given for {len(venue_ids)} orders, the call has {number}", hint=hint)
    if len(set(given)) != len(given):
        raise ConfigError("an order id is given twice", hint="each order at the exchange has its own")
    amended = set() if one.intent.replaces else {ref.value for ref in one.intent.targets}
    for venue_id in given:
        if not _VENUE_ID.fullmatch(venue_id):
            raise ConfigError(
                f"{venue_id[:64]!r} is no order id", hint="copy it from the exchange, as OABCDE-FGHIJ-KLMNOP"
            )
        known = journal.find_orders(one.intent.account, OrderRef("venue-id", venue_id))
        if amended and venue_id not in amended:
            raise ConfigError(f"the call {one.reservation} amends {', '.join(amended)}, not {venue_id}")
        if known and not amended:
            what = f"{venue_id} is an order of {known[0].client} already"
            raise ConfigError(what, hint="give the id of an order of this call")
