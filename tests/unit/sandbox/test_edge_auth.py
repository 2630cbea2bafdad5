"""Who is let through: keys, signatures, nonces, counters, permissions, lockouts, in Kraken's words."""

from __future__ import annotations

import pytest

from signer.sandbox import limits
from signer.sandbox.exchange import PRIVATE_METHODS
from signer.sandbox.key_limits import FAILURES_BEFORE_LOCKOUT, LARGEST_NONCE, LOCKOUT_S, REST_TIERS, Nonces, RestCounter
from signer.sandbox.permissions import NEEDS, PERMISSIONS, permits
from signer.sandbox.signing import api_sign
from signer.sandbox.simulation import OWN_METHODS
from tests.unit.sandbox.edge import Edge, errors


@pytest.fixture
def edge() -> Edge:
    """A sandbox without sockets, on a toy engine."""
    return Edge()


def test_a_signed_call_reaches_the_engine_without_its_nonce(edge: Edge) -> None:
    """The engine gets account, endpoint and parameters; the nonce stays at the edge."""
    assert errors(edge.send("AddOrder", b"nonce=1&pair=XBTUSD&close%5Bprice%5D=5", "1")) == []
    assert edge.engine.called == [("demo", "AddOrder", {"pair": "XBTUSD", "close": {"price": "5"}})]


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain", ""])
def test_json_is_read_under_any_content_type(edge: Edge, content_type: str) -> None:
    """A JSON body with a number as nonce is signed over its digits as written."""
    body = b'{"nonce": 1700000000001, "orders": [{"volume": 1.0}]}'
    assert errors(edge.send("AddOrderBatch", body, "1700000000001", content_type=content_type)) == []
    assert edge.engine.called[0][2] == {"orders": [{"volume": "1.0"}]}


def test_the_query_is_neither_signed_nor_read(edge: Edge) -> None:
    """What stands behind the question mark of a private call means nothing."""
    assert errors(edge.send("Balance", b"nonce=1", "1", query="?asset=XBT")) == []
    assert edge.engine.called[0][2] == {}


def test_a_stranger_is_told_so(edge: Edge) -> None:
    """An unknown key, or none, is invalid, whatever the body."""
    assert errors(edge.bots.post("/0/private/Balance", data=b"{")) == ["EAPI:Invalid key"]
    assert edge.engine.called == []


def test_the_signature_is_over_the_raw_bytes(edge: Edge) -> None:
    """A body that says the same in other bytes does not match the signature."""
    settings = edge.key.settings
    signature = api_sign(settings.api_secret, "/0/private/Balance", "5", b"nonce=5&asset=X%2CY")
    headers = {"API-Key": settings.api_key, "API-Sign": signature}
    assert errors(edge.bots.post("/0/private/Balance", data=b"nonce=5&asset=X,Y", headers=headers)) == [
        "EAPI:Invalid signature"
    ]
    assert errors(edge.bots.post("/0/private/Balance", data=b"nonce=5&asset=X%2CY", headers=headers)) == []


@pytest.mark.parametrize("nonce", ["", "-1", "1.5", "0x10", "٣", "0", str(LARGEST_NONCE + 1), "9" * 30])
def test_what_is_no_nonce(edge: Edge, nonce: str) -> None:
    """A nonce is an unsigned 64-bit number in plain digits."""
    assert errors(edge.call("Balance", nonce=nonce)) == ["EAPI:Invalid nonce"]


def test_nonces_rise_strictly_for_each_key(edge: Edge) -> None:
    """The same or a lower nonce is refused; another key counts for itself."""
    assert errors(edge.call("Balance", nonce=10)) == []
    assert errors(edge.call("Balance", nonce=10)) == ["EAPI:Invalid nonce"]
    assert errors(edge.call("Balance", nonce=9)) == ["EAPI:Invalid nonce"]
    assert errors(edge.call("Balance", nonce=1, key=edge.make_key())) == []
    assert errors(edge.call("Balance", nonce=LARGEST_NONCE)) == []


def test_a_bad_signature_uses_up_no_nonce(edge: Edge) -> None:
    """Only whoever holds the secret can move a key's nonce."""
    headers = {"API-Key": edge.key.settings.api_key, "API-Sign": "AAAA"}
    edge.bots.post("/0/private/Balance", data=b"nonce=99999999999999", headers=headers)
    assert edge.key.nonces.highest == 0


def test_a_nonce_window_lets_calls_overtake_each_other_once() -> None:
    """Within the window below the highest each nonce is good once; below it none."""
    nonces = Nonces(window=10)
    accepted = [nonce for nonce in (100, 95, 95, 90, 89, 111, 101, 100) if nonces.accept(str(nonce))]
    assert accepted == [100, 95, 90, 111, 101]


def test_an_otp_that_nobody_asked_for(edge: Edge) -> None:
    """A second factor on a key without one is answered as Kraken was seen to (npm-kraken-api 64)."""
    assert errors(edge.call("Balance", otp="123456")) == ["EAPI:Invalid key"]


def test_a_method_that_is_not_there(edge: Edge) -> None:
    """Unknown names, another case, a GET, and a trailing slash are unknown methods."""
    for endpoint in ("Nope", "balance", "Balance/", "", "../public/Time"):
        assert errors(edge.call(endpoint)) == ["EGeneral:Unknown method"]
    assert errors(edge.bots.get("/0/private/Balance")) == ["EGeneral:Unknown method"]
    assert errors(edge.bots.get("/0/public/Balance")) == ["EGeneral:Unknown method"]
    assert edge.bots.get("/0//public/Time").status_code == 404
    assert edge.bots.get("/").status_code == 404


def test_permissions_are_asked_for_each_endpoint(edge: Edge) -> None:
    """A key may do what its permissions say and no more, as official pages list it."""
    reader = edge.make_key(permissions={"query-funds"})
    assert errors(edge.call("Balance", key=reader)) == []
    assert errors(edge.call("AddOrder", key=reader)) == ["EGeneral:Permission denied"]
    assert errors(edge.call("Withdraw")) == ["EGeneral:Permission denied"]
    assert permits(frozenset({"close-trades"}), "CancelOrder")
    assert not permits(frozenset({"modify-trades"}), "AddOrderBatch")
    assert not permits(PERMISSIONS, "NeverHeardOf")


def test_every_method_of_the_engine_has_its_permission() -> None:
    """The engine serves nothing that the permission table does not know."""
    assert NEEDS.keys() >= PRIVATE_METHODS | OWN_METHODS
    assert {word for needs in NEEDS.values() for any_of in needs for word in any_of} <= PERMISSIONS


def test_both_counters_know_the_same_tiers() -> None:
    """A tier chosen for a sandbox is one for calls and for orders."""
    assert REST_TIERS.keys() == limits.TIERS.keys()


def test_the_rest_counter_fills_and_decays(edge: Edge) -> None:
    """A key's calls count one or two, orders nothing, and time takes them away."""
    key = edge.make_key(account="pro", tier="pro", permissions=PERMISSIONS)
    answers = [errors(edge.call("Balance", key=key)) for _ in range(21)]
    assert answers == [[]] * 20 + [["EAPI:Rate limit exceeded"]]
    assert errors(edge.call("AddOrder", key=key)) == []
    edge.time += 2
    assert errors(edge.call("Ledgers", key=key)) == []
    assert errors(edge.call("Balance", key=key)) == ["EAPI:Rate limit exceeded"]
    assert errors(edge.call("Balance")) == []


@pytest.mark.parametrize(
    ("tier", "most", "decay"), [("starter", 15, 0.33), ("intermediate", 20, 0.5), ("pro", 20, 1.0)]
)
def test_each_key_of_an_account_has_its_own_counter(edge: Edge, tier: str, most: int, decay: float) -> None:
    """The tier is the account's and sets the maximum and the decay; the count is each key's own."""
    first = edge.make_key(account="bot", tier=tier)
    second = edge.make_key(account="bot")
    for key in (first, second):
        answers = [errors(edge.call("Balance", key=key)) for _ in range(most + 1)]
        assert answers == [[]] * most + [["EAPI:Rate limit exceeded"]]
    edge.time += 0.9 / decay
    assert errors(edge.call("Balance", key=first)) == ["EAPI:Rate limit exceeded"]
    edge.time += 0.2 / decay
    assert errors(edge.call("Balance", key=first)) == []


def test_a_clock_set_back_does_not_refill_the_counter() -> None:
    """Time that runs backwards takes nothing away, and adds nothing."""
    counter = RestCounter("starter")
    assert [counter.spend("Balance", now) for now in range(100, 85, -1)] == [True] * 15
    assert not counter.spend("Balance", 80)


def test_strangers_in_a_row_lock_the_address_out(edge: Edge) -> None:
    """After too many invalid keys good ones are refused too, and each try begins the time again."""
    for _ in range(FAILURES_BEFORE_LOCKOUT):
        assert errors(edge.bots.post("/0/private/Balance")) == ["EAPI:Invalid key"]
    assert errors(edge.call("Balance")) == ["EGeneral:Temporary lockout"]
    edge.time += LOCKOUT_S - 1
    assert errors(edge.call("Balance")) == ["EGeneral:Temporary lockout"]
    edge.time += LOCKOUT_S - 1
    assert errors(edge.call("Balance")) == ["EGeneral:Temporary lockout"]
    edge.time += LOCKOUT_S
    assert errors(edge.call("Balance")) == []


def test_a_good_key_ends_the_row(edge: Edge) -> None:
    """Only failures in a row count."""
    for _ in range(2):
        for _ in range(FAILURES_BEFORE_LOCKOUT - 1):
            edge.bots.post("/0/private/Balance")
        assert errors(edge.call("Balance")) == []


def test_bad_nonces_in_a_row_lock_the_key_out(edge: Edge) -> None:
    """A key that keeps repeating a nonce is locked; others are not."""
    other = edge.make_key()
    edge.call("Balance", nonce=5)
    for _ in range(FAILURES_BEFORE_LOCKOUT):
        assert errors(edge.call("Balance", nonce=5)) == ["EAPI:Invalid nonce"]
    assert errors(edge.call("Balance")) == ["EGeneral:Temporary lockout"]
    assert errors(edge.call("Balance", key=other)) == []


def test_a_key_tells_about_itself(edge: Edge) -> None:
    """GetApiKeyInfo needs no permission and shows name, permissions and the highest nonce."""
    key = edge.make_key(name="bare", permissions=frozenset(), nonce_window=7)
    info = edge.call("GetApiKeyInfo", key=key, nonce=1234).get_json()["result"]
    assert info["apiKeyName"] == "bare"
    assert info["permissions"] == []
    assert info["nonce"] == "1234"
    assert info["nonceWindow"] == "7"
    assert info["apiKey"] == key.settings.api_key
    assert info["ipAllowlist"] == []


def test_a_websocket_token_needs_its_permission(edge: Edge) -> None:
    """GetWebSocketsToken answers a token for 900 seconds to keys that may have one."""
    streamer = edge.make_key(permissions={"create-ws-token"})
    token = edge.call("GetWebSocketsToken", key=streamer).get_json()["result"]
    assert token["expires"] == 900
    assert token["token"]
    bare = edge.make_key(permissions=frozenset())
    assert errors(edge.call("GetWebSocketsToken", key=bare)) == ["EGeneral:Permission denied"]


def test_the_shapes_of_keys_are_krakens(edge: Edge) -> None:
    """A key has 56 characters, a secret 88, and a repr shows no secret."""
    settings = edge.key.settings
    assert (len(settings.api_key), len(settings.api_secret)) == (56, 88)
    assert settings.api_secret not in repr(settings)


def test_refusals_have_no_result(edge: Edge) -> None:
    """An error's envelope is the error array alone, with HTTP 200 and JSON (docs/kraken.md §8.17)."""
    answer = edge.call("AddOrder", pair="NOPE")
    assert answer.get_json() == {"error": ["EQuery:Unknown asset pair"]}
    assert answer.content_type == "application/json"


def test_an_export_is_bytes(edge: Edge) -> None:
    """RetrieveExport answers the raw archive."""
    answer = edge.call("RetrieveExport", key=edge.make_key(permissions={"export-data"}), id="X")
    assert answer.content_type == "application/octet-stream"
    assert answer.data == b"PK\x03\x04"


@pytest.mark.parametrize("method", ["get", "post"])
def test_public_calls_need_no_key(edge: Edge, method: str) -> None:
    """Public calls are read from the query or a form, with or without a needless nonce."""
    send = getattr(edge.bots, method)
    assert send("/0/public/Time?pair=XBTUSD").get_json()["result"] == {"unixtime": int(edge.time)}
    assert edge.bots.post("/0/public/Time", data=b"nonce=1&pair=ETHUSD").status_code == 200
    assert edge.engine.called == [("", "Time", {"pair": "XBTUSD"}), ("", "Time", {"pair": "ETHUSD"})]
