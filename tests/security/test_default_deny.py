"""Threat: an endpoint or parameter that nobody thought of moves money past the policy.

*Must hold* 1 and 7, over every endpoint of docs/kraken.md §1 and some that do not exist, under the widest policy that
can be written. The table is written out here, apart from the code's own: whoever adds an endpoint has to say here what
it is.
"""

from __future__ import annotations

import json

import pytest

from signer.venues.kraken.endpoints import ENDPOINTS
from tests.harness.bots import FORM, Bot, Nonces
from tests.harness.rig import Rig
from tests.harness.wire import ask, http

PASSED = [
    # §1b, reads
    *("Balance", "BalanceEx", "CreditLines", "TradeBalance", "OpenOrders", "ClosedOrders", "QueryOrders"),
    *("OrderAmends", "TradesHistory", "QueryTrades", "OpenPositions", "Ledgers", "QueryLedgers", "TradeVolume"),
    *("AddExport", "ExportStatus", "RetrieveExport", "RemoveExport", "Level3", "ListWalletAccounts"),
    *("GetApiKeyInfo", "GetAPIKeyInfo"),
    *("GetOpenStrategies", "GetClosedStrategies", "QueryStrategies", "WithdrawStatus"),
    *("Earn/Strategies", "Earn/Allocations", "Earn/AllocateStatus", "Earn/DeallocateStatus"),
    # §1c, trading
    *("AddOrder", "AddOrderBatch", "AmendOrder", "EditOrder", "CancelOrder", "CancelOrderBatch", "CancelAll"),
    "CancelAllOrdersAfter",
    # §1d, funding in
    *("DepositMethods", "DepositAddresses", "DepositStatus"),
]
"""What a policy can allow."""

UNGRANTED = ["WithdrawMethods", "WithdrawAddresses", "WithdrawInfo"]
"""Reads that want ``withdraw-funds``, which no policy can grant: they would show where money may go (§1e)."""

NEVER = [
    # §1b: its token trades past every policy
    "GetWebSocketsToken",
    # §1c: runs on the exchange's servers, out of reach of every cap
    *("AddStrategy", "CancelStrategy"),
    # §1e, funding out
    *("Withdraw", "WithdrawCancel", "WalletTransfer", "AccountTransfer"),
    # §1f
    *("Earn/Allocate", "Earn/Deallocate"),
    *("Stake", "Unstake", "Staking/Assets", "Staking/Pending", "Staking/Transactions"),
    # §1g
    "CreateSubaccount",
    *("CreateOtcQuoteRequest", "UpdateOtcQuote", "GetOtcPairs", "GetOtcActiveQuotes", "GetOtcHistoricalQuotes"),
    *("GetOtcExposures", "CheckOtcClient"),
    *("ListCustodyVaults", "GetCustodyVault", "ListCustodyTransactions", "GetCustodyTransaction"),
    *("ListCustodyTasks", "GetCustodyTask", "ListCustodyActivities", "GetCustodyActivity"),
    *("ListPrimeApiUserKeys", "UpdatePrimeApiUserKey"),
    *("CreateUser", "UpdateUser", "GetUser", "VerifyUser"),
]
"""Refused whatever a policy says."""

UNKNOWN = [
    *("Nothing", "withdraw", "WITHDRAW", "Withdraw2", "AddOrder2", "Earn", "Earn/", "Earn/allocate", "earn/Allocate"),
    *("Earn/Allocate/Now", "Balance/Ex", "AddOrders", "Transfer", "SubaccountTransfer", "ApiKeys", "Logout"),
]
"""Names that are on no list of the exchange, or not in this spelling."""

ELSEWHERE = [
    *(
        "/funding/v1/addresses",
        "/funding/v1/withdrawals",
        "/funding/v1/deposit/address",
        "/funding/v1/methods/withdraw",
    ),
    *(
        "/oauth/fast-api-key",
        "/oauth/fast-api-keys",
        "/b2b/users",
        "/derivatives/api/v3/sendorder",
        "/0/Private/Balance",
    ),
    *("/", "/0", "/0/", "/0/private", "/1/private/Balance", "/0/public", "/-/", "/-/admin", "/-/reload", "/v2"),
]
"""Paths under the same host that the same key may open (§1h, §13), and ours that do not exist."""


@pytest.fixture(scope="module")
def bot(rig: Rig) -> Bot:
    """A client under the widest policy."""
    return rig.bot("wide")


def test_every_endpoint_that_the_code_knows_is_in_this_table() -> None:
    """The table has every endpoint of the code, and none twice."""
    listed = [*PASSED, *UNGRANTED, *NEVER]
    assert sorted(listed) == sorted(ENDPOINTS)
    assert not set(UNKNOWN) & set(ENDPOINTS)


@pytest.mark.parametrize("endpoint", NEVER)
def test_the_never_list_never_reaches_the_exchange(rig: Rig, bot: Bot, endpoint: str) -> None:
    """Such a call is denied by name, with plausible parameters, none, or strange ones, and nothing is sent."""
    plausible = {"asset": "XBT", "key": "out", "amount": "1", "from": "Spot Wallet", "to": "Futures Wallet"}
    with rig.nothing_arrives():
        for fields in (plausible, {}, {"validate": "true", "surprise": "1"}):
            first, *reasons = rig.call(bot, endpoint, fields)
            assert first == "EGeneral:Permission denied"
            assert "never-list" in reasons[0]


@pytest.mark.parametrize("endpoint", UNGRANTED)
def test_what_no_policy_can_grant_never_reaches_the_exchange(rig: Rig, bot: Bot, endpoint: str) -> None:
    """A call that shows where money may go is denied under every policy."""
    with rig.nothing_arrives():
        first, *reasons = rig.call(bot, endpoint)
    assert first == "EGeneral:Permission denied"
    assert "permissions" in reasons[0]


@pytest.mark.parametrize("endpoint", UNKNOWN)
def test_an_unknown_endpoint_never_reaches_the_exchange(rig: Rig, bot: Bot, endpoint: str) -> None:
    """Names are compared whole and exactly."""
    with rig.nothing_arrives():
        assert rig.call(bot, endpoint) == ["EGeneral:Unknown method"]


@pytest.mark.parametrize("path", ELSEWHERE)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_other_path_exists(rig: Rig, bot: Bot, method: str, path: str) -> None:
    """A path that the exchange has beside its API is not found here."""
    body, own = bot.signed(path)
    with rig.nothing_arrives():
        answer = ask(rig.url, http(method, path, body, *own))
    assert answer is not None
    assert answer.status == 404


CHANGES = [
    *("AddOrder", "AddOrderBatch", "AmendOrder", "EditOrder", "CancelOrder", "CancelOrderBatch", "CancelAll"),
    *("CancelAllOrdersAfter", "AddExport", "RemoveExport", "DepositAddresses"),
]
"""Of `PASSED`, what changes something."""


@pytest.mark.parametrize("endpoint", CHANGES)
def test_an_unknown_parameter_of_a_change_is_refused_by_name(rig: Rig, bot: Bot, endpoint: str) -> None:
    """*Must hold* 1: in a form and in JSON, for each call that changes something: neither dropped nor let through."""
    path, nonce = f"/0/private/{endpoint}", Nonces.fresh()
    as_json = json.dumps({"nonce": nonce, "surprise": "1"}).encode()
    own = [f"API-Key: {bot.api_key}", f"API-Sign: {bot.sign(path, nonce, as_json)}", "Content-Type: application/json"]
    with rig.nothing_arrives():
        for data in (bot.request(endpoint, {"surprise": "1"}), http("POST", path, as_json, *own)):
            answer = ask(rig.url, data)
            assert answer is not None
            assert answer.errors[0] == "EGeneral:Invalid arguments"
            assert "surprise" in answer.errors[1]


@pytest.mark.parametrize("content_type", ["text/plain", "multipart/form-data; boundary=x", "application/xml", "a;b;c"])
def test_an_unknown_content_type_is_refused(rig: Rig, bot: Bot, content_type: str) -> None:
    """What it might mean is not guessed at."""
    body, own = bot.signed("/0/private/Balance")
    with rig.nothing_arrives():
        answer = ask(rig.url, http("POST", "/0/private/Balance", body, *own[:2], f"Content-Type: {content_type}"))
    assert answer is not None
    assert answer.errors[0] == "EGeneral:Invalid arguments"


@pytest.mark.parametrize("pair", ["XBTJPY", "AAPLxUSD", "XBTUSD.d", "XBTUSD:BTNL", "NOPE", "", "XXBTZUSD,XETHZUSD"])
def test_an_unknown_pair_is_refused(rig: Rig, bot: Bot, pair: str) -> None:
    """New listings, tokenised assets, dark pools and lists included: an order names one listed pair."""
    fields = {"pair": pair, "type": "buy", "ordertype": "limit", "price": "1", "volume": "1"}
    with rig.nothing_arrives():
        assert rig.call(bot, "AddOrder", fields)


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/0/public/Nfts", b""),
        ("/0/public/time", b""),
        ("/0/public/Time/", b""),
        ("/0/public/Ticker?pair[0]=XBTUSD", b""),
        ("/0/public/Ticker?pair=XBTUSD&pair=ETHUSD", b""),
        ("/0/public/Ticker?pair=XBTUSD", b"pair=ETHUSD"),
        ("/0/public/Ticker", b'{"pair":"XBTUSD"}'),
        ("/0/public/../private/Balance", b""),
    ],
)
def test_public_calls_are_an_allowlist_too(rig: Rig, target: str, body: bytes) -> None:
    """Endpoints and parameters both; nothing else goes out, even without a key."""
    before = len(rig.arrivals_of_callers())
    answer = ask(rig.url, http("POST", target, body, f"Content-Type: {FORM}"))
    assert answer is not None
    assert answer.errors[0] in {"EGeneral:Unknown method", "EGeneral:Invalid arguments"}
    assert len(rig.arrivals_of_callers()) == before
