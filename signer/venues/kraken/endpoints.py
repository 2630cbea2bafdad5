"""Every private endpoint that we know: what it does, which permissions it needs, which parameters it takes.

From docs/kraken.md §1b to §1g. A name that is not here does not exist for us. Permissions are Kraken's own thirteen
words (§1i); where Kraken's page asks for none, we ask for the permission of what the answer discloses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from signer.model import Action
from signer.venues.kraken.models import ORDER, agreement, order_rows, pairs, rows, text
from signer.venues.kraken.values import (
    Model,
    amount,
    asset,
    assets,
    boolean,
    cl_ord_id,
    deadline,
    dry_run,
    flag,
    ids,
    integer,
    matching,
    moment,
    one_of,
    order_id,
    pair_text,
    price,
    some_of,
    title,
    unix_time,
    userref,
    word,
    word_list,
    words,
)

PERMISSIONS = (
    "query-funds",
    "add-funds",
    "withdraw-funds",
    "earn-funds",
    "query-open-trades",
    "query-closed-trades",
    "modify-trades",
    "close-trades",
    "query-ledger",
    "export-data",
    "create-ws-token",
    "add-withdraw-address",
    "update-withdraw-address",
)
"""Kraken's words for what a key may do (docs/kraken.md §1i)."""

WITHDRAWING = frozenset({"withdraw-funds", "add-withdraw-address", "update-withdraw-address"})
"""Permissions with which a thief of the key takes the money away (docs/kraken.md §1i)."""
EARNING = frozenset({"earn-funds"})
"""Permissions with which a thief of the key locks the money up for weeks (docs/kraken.md §1i)."""

Needs = tuple[frozenset[str], ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One private endpoint."""

    name: str
    action: Action
    needs: Needs
    """Sets of permissions; one of each set is needed."""
    model: Model = field(default_factory=dict)
    never: bool = False
    """Refused whatever a policy says: it moves money out, makes accounts, or hands out a way past us."""
    local: bool = False
    """Answered by us."""
    sees: Literal["own", "account"] = "account"
    """What it shows: what can be narrowed to the client's own, or the whole account."""
    as_json: bool = False
    """Sent as JSON, because Kraken does not take it as a form (docs/kraken.md §2c)."""


def _needs(*any_of: str) -> Needs:
    """Read ``"a|b", "c"`` as: one of a and b, and c."""
    return tuple(frozenset(names.split("|")) for names in any_of)


_rebase = one_of("rebased", "base")
_ofs = integer(0, 10**9)
_asset_class = one_of("currency", "tokenized_asset")
_cursor = matching(re.compile(r"[A-Za-z0-9+/=_-]{1,256}"), "a cursor from the answer before")
_page: Model = {"start": moment, "end": moment, "cursor": _cursor, "limit": integer(1, 1000)}

_OPEN, _CLOSED = "query-open-trades", "query-closed-trades"
_CANCEL = _needs("modify-trades|close-trades")

_ORDERS = (
    Endpoint(
        "AddOrder", Action.ORDER, _needs("modify-trades"),
        {"pair": text, "asset_class": _asset_class, "deadline": deadline, "validate": dry_run, **ORDER},
    ),
    Endpoint(
        "AddOrderBatch", Action.ORDER, _needs("modify-trades", "close-trades"),
        {"pair": text, "asset_class": _asset_class, "deadline": deadline, "validate": dry_run, "orders": order_rows,
         "trading_agreement": agreement},
        as_json=True,
    ),
    Endpoint(
        "AmendOrder", Action.ORDER, _CANCEL,
        {"txid": order_id, "cl_ord_id": cl_ord_id, "pair": text, "order_qty": amount, "display_qty": amount,
         "limit_price": price, "trigger_price": price, "post_only": flag, "deadline": deadline},
    ),
    Endpoint(
        "EditOrder", Action.ORDER, _needs("modify-trades", "close-trades"),
        {"pair": text, "asset_class": _asset_class, "txid": text, "volume": amount, "displayvol": amount,
         "price": price, "price2": price,
         "oflags": some_of("post", "fcib", "fciq", "nompp"), "deadline": deadline, "cancel_response": flag,
         "validate": dry_run, "userref": userref},
    ),
    Endpoint("CancelOrder", Action.CANCEL, _CANCEL, {"txid": text, "cl_ord_id": cl_ord_id}),
    Endpoint("CancelOrderBatch", Action.CANCEL, _CANCEL, {"orders": rows, "cl_ord_ids": rows}, as_json=True),
    Endpoint("CancelAll", Action.CANCEL, _CANCEL),
    Endpoint("CancelAllOrdersAfter", Action.CANCEL, _CANCEL, {"timeout": integer(0, 86_400)}),
)  # fmt: skip

_READS = (
    Endpoint(
        "Balance", Action.READ, _needs("query-funds"),
        {"asset_class": _asset_class, "account_id": word, "rebase_multiplier": _rebase}, sees="own",
    ),
    Endpoint(
        "BalanceEx", Action.READ, _needs("query-funds"),
        {"asset_class": _asset_class, "account_id": word, "rebase_multiplier": _rebase}, sees="own",
    ),
    Endpoint("CreditLines", Action.READ, _needs("query-funds"), {"rebase_multiplier": _rebase}),
    Endpoint("TradeBalance", Action.READ, _needs("query-funds"),
             {"asset": asset, "aclass": word, "rebase_multiplier": _rebase}, sees="own"),
    Endpoint(
        "OpenOrders", Action.READ, _needs(_OPEN),
        {"trades": flag, "userref": userref, "cl_ord_id": cl_ord_id, "rebase_multiplier": _rebase}, sees="own",
    ),
    Endpoint(
        "ClosedOrders", Action.READ, _needs(_CLOSED),
        {"trades": flag, "userref": userref, "cl_ord_id": cl_ord_id, "start": moment, "end": moment, "ofs": _ofs,
         "closetime": one_of("open", "close", "both"), "consolidate_taker": boolean, "without_count": flag,
         "rebase_multiplier": _rebase}, sees="own",
    ),
    Endpoint(
        "QueryOrders", Action.READ, _needs(f"{_OPEN}|{_CLOSED}"),
        {"trades": flag, "userref": userref, "txid": ids(50), "consolidate_taker": boolean,
         "rebase_multiplier": _rebase}, sees="own",
    ),
    Endpoint(
        "OrderAmends", Action.READ, _needs(f"{_OPEN}|{_CLOSED}"),
        {"order_id": order_id, "rebase_multiplier": _rebase}, sees="own",
    ),
    Endpoint(
        "TradesHistory", Action.READ, _needs(_CLOSED),
        {"type": one_of("all", "any position", "closed position", "closing position", "no position"), "trades": flag,
         "start": moment, "end": moment, "ofs": _ofs, "without_count": flag, "consolidate_taker": boolean,
         "ledgers": flag, "rebase_multiplier": _rebase}, sees="own",
    ),
    Endpoint(
        "QueryTrades", Action.READ, _needs(f"{_OPEN}|{_CLOSED}"),
        {"txid": ids(20), "trades": flag, "rebase_multiplier": _rebase}, sees="own",
    ),
    Endpoint(
        "OpenPositions", Action.READ, _needs(_OPEN),
        {"txid": ids(50), "docalcs": flag, "consolidation": one_of("market"), "rebase_multiplier": _rebase}, sees="own",
    ),
    Endpoint(
        "Ledgers", Action.READ, _needs("query-ledger"),
        {"asset": assets, "aclass": word, "type": words, "start": moment, "end": moment, "ofs": _ofs,
         "without_count": flag, "rebase_multiplier": _rebase}, sees="own",
    ),
    Endpoint(
        "QueryLedgers", Action.READ, _needs("query-ledger"),
        {"id": ids(20), "trades": flag, "rebase_multiplier": _rebase}, sees="own",
    ),
    Endpoint(
        "TradeVolume", Action.READ, _needs("query-funds"),
        {"pair": pairs, "fee-info": boolean, "fee_schedule": flag, "rebase_multiplier": _rebase},
    ),
    Endpoint(
        "Level3", Action.READ, _needs(_OPEN), {"pair": pair_text, "depth": integer(0, 1000)}, as_json=True, sees="own",
    ),
    Endpoint("ExportStatus", Action.READ, _needs("export-data"), {"report": one_of("trades", "ledgers")}),
    Endpoint(
        "RetrieveExport", Action.READ, _needs("export-data"), {"id": word}
    ),
    Endpoint("ListWalletAccounts", Action.READ, _needs("query-funds")),
    Endpoint("DepositMethods", Action.READ, _needs("add-funds"),
             {"asset": asset, "aclass": word, "rebase_multiplier": _rebase}),
    Endpoint("DepositStatus", Action.READ, _needs("query-funds"),
             {"asset": asset, "aclass": word, "method": title, **_page, "rebase_multiplier": _rebase}),
    Endpoint("WithdrawMethods", Action.READ, _needs("query-funds", "withdraw-funds"),
             {"asset": asset, "aclass": word, "network": title, "rebase_multiplier": _rebase}),
    Endpoint("WithdrawAddresses", Action.READ, _needs("query-funds", "withdraw-funds"),
             {"asset": asset, "aclass": word, "method": title, "key": title, "verified": boolean}),
    Endpoint("WithdrawInfo", Action.READ, _needs("query-funds", "withdraw-funds"),
             {"asset": asset, "key": title, "amount": amount}),
    # Kraken lets withdraw-funds do as well, which no policy grants.
    Endpoint("WithdrawStatus", Action.READ, _needs("query-ledger"),
             {"asset": asset, "aclass": word, "method": title, **_page, "rebase_multiplier": _rebase}),
    Endpoint("Earn/Strategies", Action.READ, _needs("query-funds"),
             {"asset": asset, "ascending": flag, "cursor": _cursor, "limit": integer(1, 1000), "lock_type": word_list},
             as_json=True),
    Endpoint("Earn/Allocations", Action.READ, _needs("query-funds"),
             {"ascending": flag, "converted_asset": asset, "hide_zero_allocations": flag}),
    # Kraken lets earn-funds do as well, which no policy grants.
    Endpoint("Earn/AllocateStatus", Action.READ, _needs("query-funds"), {"strategy_id": word}),
    Endpoint("Earn/DeallocateStatus", Action.READ, _needs("query-funds"), {"strategy_id": word}),
    Endpoint("GetOpenStrategies", Action.READ, _needs(_OPEN), {"strategy_ids": words}),
    Endpoint("GetClosedStrategies", Action.READ, _needs(_CLOSED), {"strategy_ids": words}),
    Endpoint("QueryStrategies", Action.READ, _needs(f"{_OPEN}|{_CLOSED}"), {"strategy_ids": words}),
    # The real key's name, permissions and allowed addresses are nobody's business (docs/kraken.md §8.13).
    Endpoint("GetApiKeyInfo", Action.READ, (), local=True, sees="own"),
)  # fmt: skip

_WRITES = (
    Endpoint(
        "AddExport", Action.WRITE, _needs("export-data"),
        {"report": one_of("trades", "ledgers"), "format": one_of("CSV", "TSV"), "description": title,
         "fields": words, "starttm": unix_time, "endtm": unix_time},
    ),
    Endpoint("RemoveExport", Action.WRITE, _needs("export-data"), {"id": word, "type": one_of("cancel", "delete")}),
    # ``new=true`` makes an address, so the call is a write even where it only lists.
    Endpoint(
        "DepositAddresses", Action.WRITE, _needs("add-funds"),
        {"asset": asset, "aclass": word, "method": title, "new": flag, "amount": amount},
    ),
)  # fmt: skip

_NEVER: Mapping[str, Needs] = {
    **dict.fromkeys(("Withdraw", "WithdrawCancel", "AccountTransfer", "CreateSubaccount"), _needs("withdraw-funds")),
    # Kraken's page asks for Query only, although it moves money (docs/kraken.md §1e).
    "WalletTransfer": _needs("query-funds", "withdraw-funds"),
    **dict.fromkeys(
        (
            "Earn/Allocate", "Earn/Deallocate", "Stake", "Unstake", "Staking/Assets", "Staking/Pending",
            "Staking/Transactions",
        ),
        _needs("earn-funds"),
    ),
    # It runs at Kraken for up to 30 days, past every cap.
    "AddStrategy": _needs("modify-trades"),
    "CancelStrategy": _needs("close-trades"),
    # Its token trades directly on Kraken's WebSocket, past every policy (docs/kraken.md §7b).
    "GetWebSocketsToken": _needs("create-ws-token"),
    **dict.fromkeys(
        (
            "CreateOtcQuoteRequest", "UpdateOtcQuote", "GetOtcPairs", "GetOtcActiveQuotes", "GetOtcHistoricalQuotes",
            "GetOtcExposures", "CheckOtcClient", "ListCustodyVaults", "GetCustodyVault", "ListCustodyTransactions",
            "GetCustodyTransaction", "ListCustodyTasks", "GetCustodyTask", "ListCustodyActivities",
            "GetCustodyActivity", "ListPrimeApiUserKeys", "UpdatePrimeApiUserKey", "CreateUser", "UpdateUser",
            "GetUser", "VerifyUser",
        ),
        _needs("withdraw-funds"),
    ),
}  # fmt: skip


def _table() -> Mapping[str, Endpoint]:
    known = {endpoint.name: endpoint for endpoint in (*_ORDERS, *_READS, *_WRITES)}
    known |= {name: Endpoint(name, Action.WRITE, needs, never=True) for name, needs in _NEVER.items()}
    known["GetAPIKeyInfo"] = known["GetApiKeyInfo"]  # mcp-kraken's spelling
    return MappingProxyType(known)


ENDPOINTS: Mapping[str, Endpoint] = _table()
"""The endpoints, keyed by the name in the path."""
