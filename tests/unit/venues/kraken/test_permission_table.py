"""The permissions of every private endpoint, typed from docs/kraken.md §1b to §1f, against gateway and sandbox."""

from __future__ import annotations

import pytest

from signer.model import Action
from signer.sandbox.permissions import NEEDS
from signer.venues.kraken.endpoints import ENDPOINTS
from signer.venues.kraken.vocabulary import WORDS

DOCUMENTED = {
    # §1b, reads
    "Balance": "query-funds",
    "BalanceEx": "query-funds",
    "CreditLines": "query-funds",
    "TradeBalance": "query-funds",
    "OpenOrders": "query-open-trades",
    "ClosedOrders": "query-closed-trades",
    "QueryOrders": "query-open-trades or query-closed-trades",
    "OrderAmends": "query-open-trades or query-closed-trades",
    "TradesHistory": "query-closed-trades",
    "QueryTrades": "query-open-trades or query-closed-trades",
    "OpenPositions": "query-open-trades",
    "Ledgers": "query-ledger",
    "QueryLedgers": "query-ledger",
    "TradeVolume": "query-funds",
    "AddExport": "export-data",
    "ExportStatus": "export-data",
    "RetrieveExport": "export-data",
    "RemoveExport": "export-data",
    "Level3": "query-open-trades",
    "GetWebSocketsToken": "create-ws-token",
    "GetApiKeyInfo": "",
    "ListWalletAccounts": "",
    # §1c, trading
    "AddOrder": "modify-trades",
    "AddOrderBatch": "modify-trades and close-trades",
    "AmendOrder": "modify-trades or close-trades",
    "EditOrder": "modify-trades and close-trades",
    "CancelOrder": "modify-trades or close-trades",
    "CancelOrderBatch": "modify-trades or close-trades",
    "CancelAll": "modify-trades or close-trades",
    "CancelAllOrdersAfter": "modify-trades or close-trades",
    "AddStrategy": "modify-trades",
    "CancelStrategy": "close-trades",
    "GetOpenStrategies": "query-open-trades",
    "GetClosedStrategies": "query-closed-trades",
    "QueryStrategies": "query-open-trades or query-closed-trades",
    # §1d, funding in
    "DepositMethods": "add-funds",
    "DepositAddresses": "add-funds",
    "DepositStatus": "query-funds",
    # §1e, funding out
    "WithdrawMethods": "query-funds and withdraw-funds",
    "WithdrawAddresses": "query-funds and withdraw-funds",
    "WithdrawInfo": "query-funds and withdraw-funds",
    "Withdraw": "withdraw-funds",
    "WithdrawStatus": "withdraw-funds or query-ledger",
    "WithdrawCancel": "withdraw-funds",
    "WalletTransfer": "query-funds",
    "AccountTransfer": "withdraw-funds",
    "CreateSubaccount": "withdraw-funds",
    # §1f, Earn
    "Earn/Allocate": "earn-funds",
    "Earn/Deallocate": "earn-funds",
    "Earn/AllocateStatus": "earn-funds or query-funds",
    "Earn/DeallocateStatus": "earn-funds or query-funds",
    "Earn/Strategies": "",
    "Earn/Allocations": "query-funds",
}
"""By endpoint: of words with ``or`` between one is needed, of words with ``and`` between all."""

STRICTER = {
    # Kraken asks for nothing; we ask for the permission of what the answer tells.
    "ListWalletAccounts": "query-funds",
    "Earn/Strategies": "query-funds",
    # The other word is one that no policy grants: with it here, a key that has it would look needed.
    "WithdrawStatus": "query-ledger",
    "Earn/AllocateStatus": "query-funds",
    "Earn/DeallocateStatus": "query-funds",
    # Never sent; it moves money.
    "WalletTransfer": "query-funds and withdraw-funds",
}
"""Where the gateway asks for more than Kraken, and why."""

CHANGES = {
    "AddOrder", "AddOrderBatch", "AmendOrder", "EditOrder", "CancelOrder", "CancelOrderBatch", "CancelAll",
    "CancelAllOrdersAfter", "AddExport", "RemoveExport", "DepositAddresses",
}  # fmt: skip
"""Of what the gateway sends, the calls that change something."""

NEVER_SENT = {
    "GetWebSocketsToken", "AddStrategy", "CancelStrategy", "Withdraw", "WithdrawCancel", "WalletTransfer",
    "AccountTransfer", "CreateSubaccount", "Earn/Allocate", "Earn/Deallocate",
}  # fmt: skip


def words(needs: str) -> set[frozenset[str]]:
    """A cell of the table as sets: of each one word is needed."""
    return {frozenset(each.split(" or ")) for each in needs.split(" and ")} if needs else set()


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_gateway_asks_for_what_kraken_asks_for(name: str) -> None:
    """The gateway asks for neither less nor more, but where the table says why."""
    assert set(ENDPOINTS[name].needs) == words(STRICTER.get(name, DOCUMENTED[name]))


def test_the_sandbox_asks_for_what_kraken_asks_for() -> None:
    """Row by row, and it serves nothing besides."""
    assert {name: set(needs) for name, needs in NEEDS.items()} == {
        name: words(text) for name, text in DOCUMENTED.items()
    }


@pytest.mark.parametrize("name", DOCUMENTED)
def test_each_endpoint_reads_changes_or_is_never_sent(name: str) -> None:
    """A read that is classed with what moves money is refused without need."""
    endpoint = ENDPOINTS[name]
    assert endpoint.never == (name in NEVER_SENT)
    if not endpoint.never:
        assert (endpoint.action is not Action.READ) == (name in CHANGES)


def test_permissions_of_which_every_call_shows_the_account() -> None:
    """What a policy check says of them is true: no call that one of them opens alone shows only the client's own."""
    opened = {
        word: {each.sees for each in ENDPOINTS.values() if not each.never and frozenset({word}) in each.needs}
        for word in WORDS.permissions
    }
    placing = {WORDS.placing, WORDS.cancelling}
    assert {word for word, sees in opened.items() if sees == {"account"} and word not in placing} == WORDS.sees_account
