"""Lists the permissions that each private endpoint needs, of Kraken's thirteen (docs/kraken.md §1)."""

from __future__ import annotations

from typing import TypeAlias

PERMISSIONS = frozenset(
    {
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
    }
)
"""Every permission that a key can have."""

TRADING = frozenset(
    {
        "query-funds",
        "query-open-trades",
        "query-closed-trades",
        "modify-trades",
        "close-trades",
    }
)
"""The permissions of a trading bot's key: none that moves money off the account or locks it up, and none unused."""

Needs: TypeAlias = tuple[frozenset[str], ...]
"""A call needs one permission of each set."""


def _needs(*words: str) -> Needs:
    return tuple(frozenset(word.split("|")) for word in words)


_FUNDS = _needs("query-funds")
_OPEN_OR_CLOSED = _needs("query-open-trades|query-closed-trades")
_CHANGE = _needs("modify-trades|close-trades")
_BOTH = _needs("modify-trades", "close-trades")
_WITHDRAW_READ = _needs("query-funds", "withdraw-funds")
_EARN_READ = _needs("earn-funds|query-funds")

NEEDS: dict[str, Needs] = {
    "Balance": _FUNDS,
    "BalanceEx": _FUNDS,
    "CreditLines": _FUNDS,
    "TradeBalance": _FUNDS,
    "TradeVolume": _FUNDS,
    "OpenOrders": _needs("query-open-trades"),
    "OpenPositions": _needs("query-open-trades"),
    "Level3": _needs("query-open-trades"),
    "ClosedOrders": _needs("query-closed-trades"),
    "TradesHistory": _needs("query-closed-trades"),
    "QueryOrders": _OPEN_OR_CLOSED,
    "QueryTrades": _OPEN_OR_CLOSED,
    "OrderAmends": _OPEN_OR_CLOSED,
    "Ledgers": _needs("query-ledger"),
    "QueryLedgers": _needs("query-ledger"),
    "AddExport": _needs("export-data"),
    "ExportStatus": _needs("export-data"),
    "RetrieveExport": _needs("export-data"),
    "RemoveExport": _needs("export-data"),
    "GetWebSocketsToken": _needs("create-ws-token"),
    "GetApiKeyInfo": (),
    "ListWalletAccounts": (),
    "AddOrder": _needs("modify-trades"),
    "AddOrderBatch": _BOTH,
    "AmendOrder": _CHANGE,
    "EditOrder": _BOTH,
    "CancelOrder": _CHANGE,
    "CancelOrderBatch": _CHANGE,
    "CancelAll": _CHANGE,
    "CancelAllOrdersAfter": _CHANGE,
    "AddStrategy": _needs("modify-trades"),
    "CancelStrategy": _needs("close-trades"),
    "GetOpenStrategies": _needs("query-open-trades"),
    "GetClosedStrategies": _needs("query-closed-trades"),
    "QueryStrategies": _OPEN_OR_CLOSED,
    "DepositMethods": _needs("add-funds"),
    "DepositAddresses": _needs("add-funds"),
    "DepositStatus": _FUNDS,
    "WithdrawMethods": _WITHDRAW_READ,
    "WithdrawAddresses": _WITHDRAW_READ,
    "WithdrawInfo": _WITHDRAW_READ,
    "WithdrawStatus": _needs("withdraw-funds|query-ledger"),
    "Withdraw": _needs("withdraw-funds"),
    "WithdrawCancel": _needs("withdraw-funds"),
    # The official page demands no other permission to move money to the futures wallet.
    "WalletTransfer": _FUNDS,
    "AccountTransfer": _needs("withdraw-funds"),
    "CreateSubaccount": _needs("withdraw-funds"),
    "Earn/Allocate": _needs("earn-funds"),
    "Earn/Deallocate": _needs("earn-funds"),
    "Earn/AllocateStatus": _EARN_READ,
    "Earn/DeallocateStatus": _EARN_READ,
    "Earn/Allocations": _FUNDS,
    "Earn/Strategies": (),
}
"""The permissions by endpoint. The sandbox serves exactly these endpoints; a test compares the two."""


def permits(granted: frozenset[str], endpoint: str) -> bool:
    """Answer whether a key with these permissions may call ``endpoint``."""
    needs = NEEDS.get(endpoint)
    return needs is not None and all(granted & any_of for any_of in needs)
