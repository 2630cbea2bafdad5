"""The words of Kraken that policy files list, and what policies grant to nobody."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from signer.model import Vocabulary

WITHHELD: Final = MappingProxyType(
    {
        "withdraw-funds": "money never leaves through signer",
        "earn-funds": "moving funds into and out of Earn is never signed",
        "add-withdraw-address": "withdrawal addresses are never touched",
        "update-withdraw-address": "withdrawal addresses are never touched",
        "create-ws-token": "whoever holds a WebSocket token trades past every policy",
    }
)
"""Five of Kraken's thirteen permissions (docs/kraken.md §1i), with the reason why no policy grants them."""

WORDS: Final = Vocabulary(
    venue="kraken",
    permissions=(
        "query-funds",
        "add-funds",
        "query-open-trades",
        "query-closed-trades",
        "modify-trades",
        "close-trades",
        "query-ledger",
        "export-data",
    ),
    withheld=WITHHELD,
    sees_account=frozenset({"export-data", "add-funds"}),
    placing="modify-trades",
    cancelling="close-trades",
    place_call="AddOrder",
    order_types=(
        "market",
        "limit",
        "iceberg",
        "stop-loss",
        "take-profit",
        "stop-loss-limit",
        "take-profit-limit",
        "trailing-stop",
        "trailing-stop-limit",
        "settle-position",
    ),
    times_in_force=("GTC", "IOC", "GTD", "FOK"),
    ending="GTD",
    flags=("post", "fcib", "fciq", "nompp", "viqc"),
    post_only="post",
    quote_sized="viqc",
    starts="starttm",
    ends="expiretm",
    refs=MappingProxyType({"venue-id": "txid", "client-id": "cl_ord_id", "client-tag": "userref", "own": "own name"}),
    assets=MappingProxyType(
        {
            "BTC": "XBT",
            "DOGE": "XDG",
            **{
                f"X{each}": each
                for each in ("ETC", "ETH", "LTC", "MLN", "REP", "XBT", "XDG", "XLM", "XMR", "XRP", "ZEC")
            },
            **{f"Z{each}": each for each in ("AUD", "CAD", "EUR", "GBP", "JPY", "USD")},
        }
    ),
)
"""``assets`` is a list (docs/kraken.md §5), because some assets' names begin with X or Z."""
