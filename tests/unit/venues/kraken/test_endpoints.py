"""The table of private endpoints, and how calls that touch no order are read."""

from __future__ import annotations

from typing import Any

import pytest

from signer.errors import Refused
from signer.model import Action
from signer.venues.kraken.endpoints import ENDPOINTS, PERMISSIONS
from tests.unit.venues.kraken.asking import KRAKEN, as_json, form, refused, refused_form, says

NEVER = [
    "Withdraw", "WithdrawCancel", "WalletTransfer", "AccountTransfer", "CreateSubaccount", "Earn/Allocate",
    "Earn/Deallocate", "Stake", "Unstake", "AddStrategy", "CancelStrategy", "GetWebSocketsToken",
    "CreateOtcQuoteRequest", "UpdatePrimeApiUserKey", "GetCustodyVault", "CreateUser",
]  # fmt: skip


@pytest.mark.parametrize("name", NEVER)
def test_what_moves_money_or_makes_accounts_is_never(name: str) -> None:
    """Whatever its parameters, which are kept for the record only."""
    call = form(name, {"asset": "XBT", "amount": "1", "anything": "else"})
    assert call.never
    assert call.fields["asset"] == "XBT"


@pytest.mark.parametrize("name", ["Nonsense", "addorder", "AddOrder2", "Earn/Nonsense", "Earn", "balance"])
def test_an_unknown_name_is_an_unknown_method(name: str) -> None:
    """Names are compared exactly."""
    assert refused(name, "nonce=1") == ("EGeneral:Unknown method",)


def test_permissions_are_kraken_s_thirteen_words() -> None:
    """Every need of every endpoint is one of them, and every endpoint but the local one needs some."""
    assert len(PERMISSIONS) == len(set(PERMISSIONS)) == 13
    for endpoint in ENDPOINTS.values():
        assert endpoint.local or endpoint.needs, endpoint.name
        assert all(need and need <= set(PERMISSIONS) for need in endpoint.needs), endpoint.name


@pytest.mark.parametrize("name", ["GetApiKeyInfo", "GetAPIKeyInfo"])
def test_key_information_is_answered_by_us(name: str) -> None:
    """Both spellings of the call are local."""
    call = form(name, {})
    assert call.local
    assert call.endpoint == "GetApiKeyInfo"


@pytest.mark.parametrize(
    ("endpoint", "given", "fields"),
    [
        ("Balance", {}, {}),
        ("TradeBalance", {"asset": "ZUSD"}, {"asset": "ZUSD"}),
        ("OpenOrders", {"trades": "True", "userref": "5"}, {"trades": True, "userref": 5}),
        ("OpenOrders", {"trades": "False"}, {}),
        ("ClosedOrders", {"start": "1616663618.1234", "closetime": "both", "consolidate_taker": "0"},
         {"start": "1616663618.1234", "closetime": "both", "consolidate_taker": False}),
        ("ClosedOrders", {"start": "OAAAAA-BBBBB-CCCCCC"}, {"start": "OAAAAA-BBBBB-CCCCCC"}),
        ("ClosedOrders", {"start": "1616663618000", "end": "1616663618000123456"},
         {"start": "1616663618000", "end": "1616663618000123456"}),
        ("OpenOrders", {"start": "1616663618"}, {"start": "1616663618"}),
        ("Balance", {"account_id": "ACC-1", "assetVersion": "1"}, {"account_id": "ACC-1", "assetVersion": "1"}),
        ("TradeBalance", {"aclass": "currency"}, {"aclass": "currency"}),
        ("Ledgers", {"type": "deposit,withdrawal"}, {"type": "deposit,withdrawal"}),
        ("TradesHistory", {"type": "no position", "ofs": "50"}, {"type": "no position", "ofs": "50"}),
        ("OpenPositions", {"docalcs": "true", "consolidation": "market"},
         {"docalcs": True, "consolidation": "market"}),
        ("Ledgers", {"asset": "XXBT,ZUSD", "type": "all"}, {"asset": "XXBT,ZUSD", "type": "all"}),
        ("TradeVolume", {"pair": "XBT/USD,ETHUSD"}, {"pair": "XXBTZUSD,XETHZUSD"}),
        ("Earn/AllocateStatus", {"strategy_id": "ESRFUO3-Q62XD-WIOIL7"}, {"strategy_id": "ESRFUO3-Q62XD-WIOIL7"}),
        ("GetOpenStrategies", {"strategy_ids": "AS1,AS2"}, {"strategy_ids": "AS1,AS2"}),
        ("Level3", {"pair": "BTC/USD", "depth": "10"}, {"pair": "XXBTZUSD", "depth": "10"}),
        ("AddExport", {"report": "trades", "fields": "all", "starttm": "1"},
         {"report": "trades", "fields": "all", "starttm": "1"}),
        ("DepositAddresses", {"asset": "XBT", "method": "Bitcoin", "new": "true"},
         {"asset": "XBT", "method": "Bitcoin", "new": True}),
    ],
)  # fmt: skip
def test_a_call_without_orders_is_its_canonical_fields(
    endpoint: str, given: dict[str, str], fields: dict[str, Any]
) -> None:
    """The model of the endpoint reads the fields, and they are sent as it read them."""
    call = form(endpoint, given)
    assert call.fields == fields
    assert (call.orders, call.targets, call.change, call.never, call.local) == ((), (), None, False, False)


def test_what_changes_something_is_no_read() -> None:
    """A write is recorded before it leaves; a new deposit address is one."""
    assert form("DepositAddresses", {"asset": "XBT"}).action is Action.WRITE
    assert form("RemoveExport", {"id": "ABCD", "type": "delete"}).action is Action.WRITE
    assert form("ExportStatus", {"report": "trades"}).action is Action.READ


@pytest.mark.parametrize(
    ("endpoint", "given"),
    [
        ("Balance", {"account_id": "1 or 2"}),
        ("AddExport", {"report": "trades", "surprise": "1"}),
        ("DepositAddresses", {"asset": "XBT", "surprise": "1"}),
        ("RemoveExport", {"id": "ABCD", "type": "delete", "surprise": "1"}),
        ("OpenOrders", {"trades": "maybe"}),
        ("ClosedOrders", {"start": "yesterday"}),
        ("ClosedOrders", {"ofs": "-1"}),
        ("ClosedOrders", {"closetime": "never"}),
        ("QueryOrders", {"txid": ",".join(["A"] * 51)}),
        ("QueryTrades", {"txid": ",".join(["A"] * 21)}),
        ("Level3", {"pair": "XBTUSD", "depth": "1001"}),
        ("RetrieveExport", {"id": "../x"}),
        ("AddExport", {"report": "trades", "description": "a\u2028b"}),
        ("WithdrawInfo", {"asset": "XBT", "amount": "1e5"}),
    ],
)
def test_a_value_that_does_not_fit_its_parameter_is_refused(endpoint: str, given: dict[str, str]) -> None:
    """Typed parameters stay typed in reads too, and a write has no unknown ones."""
    assert refused_form(endpoint, given)[0] == "EGeneral:Invalid arguments"


def test_a_list_that_kraken_documents_stays_a_list() -> None:
    """The lock types of Earn/Strategies go out as JSON; a word that is none is refused."""
    call = as_json("Earn/Strategies", {"lock_type": ["instant", "bonded"], "limit": 5})
    assert call.fields == {"limit": "5", "lock_type": ["instant", "bonded"]}
    assert KRAKEN.encode(call, 5, "KEY")[0].body == b'{"nonce":"5","limit":"5","lock_type":["instant","bonded"]}'
    for bad in ([], ["a b"], [["instant"]], {"0": "instant"}):
        with pytest.raises(Refused, match="lock_type"):
            as_json("Earn/Strategies", {"lock_type": bad})


def test_a_list_of_types_is_one_text() -> None:
    """Ledgers takes several types with commas between, and a JSON list of them means the same."""
    assert as_json("Ledgers", {"type": ["deposit", "withdrawal"]}).fields == {"type": "deposit,withdrawal"}
    for bad in ([], [1, True, None], ["a,b", "c d"], [["deposit"]]):
        with pytest.raises(Refused, match="type must be"):
            as_json("Ledgers", {"type": bad})


@pytest.mark.parametrize("pair", [["XBTUSD"], [1], {"asset": "XBT"}, [{"asset": "BTC/USD", "more": "x"}], True])
def test_trade_volume_takes_names_or_whole_objects(pair: Any) -> None:
    """A list that mixes names and objects is refused."""
    with pytest.raises(Refused, check=says("EGeneral:Invalid arguments")):
        as_json("TradeVolume", {"pair": pair})


@pytest.mark.parametrize(
    ("endpoint", "given"),
    [
        ("CancelAllOrdersAfter", {"timeout": "0"}),
        ("CancelAllOrdersAfter", {"timeout": "86400"}),
        ("QueryTrades", {"txid": ",".join(["A"] * 20)}),
        ("QueryOrders", {"txid": ",".join(["A"] * 50)}),
    ],
)
def test_the_limits_of_a_value_are_within_them(endpoint: str, given: dict[str, str]) -> None:
    """The largest and smallest that Kraken documents are taken."""
    assert form(endpoint, given).fields == given


@pytest.mark.parametrize("pair", ["FOO", "XBTUSD,FOO", "XBTUSD,"])
def test_an_unknown_pair_of_a_read_is_refused(pair: str) -> None:
    """One unknown pair of a list is enough."""
    assert refused_form("TradeVolume", {"pair": pair})[0] in {
        "EQuery:Unknown asset pair",
        "EGeneral:Invalid arguments",
    }
