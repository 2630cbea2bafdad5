"""Answers an account's balances, ledgers and volume (docs/kraken.md §1b)."""

from __future__ import annotations

from decimal import Decimal

from signer.sandbox.history import counted, named, page, times
from signer.sandbox.margin import equity
from signer.sandbox.money import StatementEntry, amount_text
from signer.sandbox.pairs import MAKER, TAKER, Schedule, asset_of
from signer.sandbox.rejected import invalid
from signer.sandbox.state import Methods, SimulatedCall

_MONTH = 30 * 86_400
_MOST_ENTRIES = 20


def _balance(call: SimulatedCall) -> object:
    return {asset: amount_text(asset, amount) for asset, amount in call.account.wallet.balances.items()}


def _balance_ex(call: SimulatedCall) -> object:
    wallet = call.account.wallet
    return {
        asset: {"balance": amount_text(asset, amount), "hold_trade": amount_text(asset, wallet.held(asset))}
        for asset, amount in wallet.balances.items()
    }


def _trade_balance(call: SimulatedCall) -> object:
    worth = call.state.market.worth(call.state.instruments.asset(call.fields.text("asset", "ZUSD")))
    now = equity(call.state, call.account)
    letters = {
        "eb": now.balance,
        "tb": now.balance,
        "m": now.used,
        "n": now.profit,
        "c": now.cost,
        "v": now.value,
        "e": now.total,
        "mf": now.free,
    }
    answer = {letter: f"{amount / worth:.4f}" for letter, amount in letters.items()}
    if now.used:
        answer["ml"] = f"{now.total / now.used * 100:.2f}"
    return answer


def _ledgers(call: SimulatedCall) -> object:
    assets = {call.state.instruments.asset(name).id for name in call.fields.words("asset") if name != "all"}
    kind = call.fields.text("type", "all")
    entries = [
        entry
        for entry in call.account.wallet.entries.values()
        if (not assets or asset_of(entry.asset).id in assets) and kind in {"all", entry.type}
    ]
    rows, count = page(call, entries, _posted_at, times(call.account.wallet.entries, _posted_at))
    return counted(call.fields, "ledger", {entry.id: entry_json(entry) for entry in rows}, count)


def _posted_at(entry: StatementEntry) -> float:
    return entry.time


def _query_ledgers(call: SimulatedCall) -> object:
    ids = call.fields.words("id")
    entries = named(call, ids, call.account.wallet.entries, _posted_at)
    if not 0 < len(ids) <= _MOST_ENTRIES or entries is None:
        raise invalid("id")
    return {entry.id: entry_json(entry) for entry in entries}


def entry_json(entry: StatementEntry) -> dict[str, object]:
    """Answer a ledger entry in Kraken's form."""
    return {
        "refid": entry.refid,
        "time": entry.time,
        "type": entry.type,
        "subtype": entry.subtype,
        "aclass": "currency",
        "asset": entry.asset,
        "amount": amount_text(entry.asset, entry.amount),
        "fee": amount_text(entry.asset, entry.fee),
        "balance": amount_text(entry.asset, entry.balance),
    }


def _trade_volume(call: SimulatedCall) -> object:
    """Answer the 30-day volume in USD. The sandbox charges the first tier's fees for any volume."""
    since = call.state.now() - _MONTH
    volume = sum(
        (t.cost * call.state.market.worth(t.pair.quote) for t in call.account.trades.values() if t.time > since),
        Decimal(0),
    )
    answer: dict[str, object] = {"currency": "ZUSD", "volume": f"{volume:.4f}"}
    pairs = [call.state.instruments.any_pair(name) for name in call.fields.words("pair")]
    if pairs:
        answer["fees"] = {pair.id: _fee(TAKER) for pair in pairs}
        answer["fees_maker"] = {pair.id: _fee(MAKER) for pair in pairs}
    return answer


def _fee(schedule: Schedule) -> dict[str, str]:
    (_, fee), (next_volume, next_fee) = schedule[0], schedule[1]
    return {
        "fee": f"{fee:.4f}",
        "minfee": f"{schedule[-1][1]:.4f}",
        "maxfee": f"{fee:.4f}",
        "nextfee": f"{next_fee:.4f}",
        "nextvolume": f"{next_volume:.4f}",
        "tiervolume": "0.0000",
    }


def _credit_lines(_call: SimulatedCall) -> object:
    """Answer as Kraken does for an account without a credit line."""
    return {"asset_details": {}, "limits_monitor": {"total_credit_usd": None, "total_credit_used_usd": None}}


METHODS: Methods = {
    "Balance": _balance,
    "BalanceEx": _balance_ex,
    "TradeBalance": _trade_balance,
    "Ledgers": _ledgers,
    "QueryLedgers": _query_ledgers,
    "TradeVolume": _trade_volume,
    "CreditLines": _credit_lines,
}
