"""An operator says what became of a call whose outcome is unknown; on record, with who and why."""

from __future__ import annotations

import re
from collections.abc import Sequence

from signer.contracts import AuditLog, Ledger
from signer.errors import ConfigError
from signer.gateway.records import reconciled_record
from signer.model import Json, OpenIntent, OrderRef, Outcome

_TXID = re.compile(r"[A-Za-z0-9._-]{1,64}")


async def record_by_hand(
    ledger: Ledger,
    audit: AuditLog,
    one: OpenIntent,
    txids: Sequence[str | None],
    by: str,
    uid: int,
    reason: str,
    now_us: int,
) -> None:
    """Settle the intent by a txid for each of its orders (None for one that was not placed), or release it if there is
    none at all. Raises `ConfigError` if the txids do not fit; `AuditError` or `LedgerError` if that cannot be stored.
    """
    if any(txids):
        await _require_fit(ledger, one, txids)
    outcome = Outcome.ACCEPTED if any(txids) else Outcome.NOT_SENT
    said: dict[str, Json] = {"by": by, "uid": uid, "reason": reason}
    await audit.record({**reconciled_record(one.intent, outcome, txids, now_us), **said})
    if any(txids):
        await ledger.settle(one.reservation, txids)
    else:
        await ledger.release(one.reservation)


async def _require_fit(ledger: Ledger, one: OpenIntent, txids: Sequence[str | None]) -> None:
    number, given = len(one.intent.orders), [txid for txid in txids if txid is not None]
    if len(txids) != number:
        hint = "give one txid for each, in their order, and - for one that was not placed"
        raise ConfigError(f"txids are given for {len(txids)} orders, the call has {number}", hint=hint)
    if len(set(given)) != len(given):
        raise ConfigError("a txid is given twice", hint="each order at the exchange has its own")
    amended = {ref.value for ref in one.intent.targets} if one.intent.endpoint == "AmendOrder" else set()
    for txid in given:
        if not _TXID.fullmatch(txid):
            raise ConfigError(f"{txid[:64]!r} is no txid", hint="copy it from the exchange, as OABCDE-FGHIJ-KLMNOP")
        known = await ledger.find_orders(one.intent.account, OrderRef("txid", txid))
        if amended and txid not in amended:
            raise ConfigError(f"the call {one.reservation} amends {', '.join(amended)}, not {txid}")
        if known and not amended:
            raise ConfigError(f"{txid} is an order of {known[0].client} already", hint="see that it is the right one")
