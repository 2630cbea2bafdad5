"""The control interface: what a test sees and sets, and how it complains."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

import pytest

from signer.sandbox.arrivals import Arrival
from tests.unit.sandbox.edge import START, Edge, errors


@pytest.fixture
def edge() -> Edge:
    """A sandbox without sockets, on a toy engine."""
    return Edge()


def _arrivals(edge: Edge, query: str = "") -> list[dict[str, Any]]:
    return list(edge.control.get("/arrivals" + query).get_json()["arrivals"])


def test_arrivals_hold_the_raw_bytes_in_order(edge: Edge) -> None:
    """Every request is listed as it came, with its key, its answer, and whether the engine acted on it."""
    edge.send("AddOrder", b"nonce=1&close[price]=%C3%A9\xff", "1")
    edge.bots.get("/0/public/Time?pair=X%2FY")
    edge.bots.post("/0/private/Balance", data=b"nonce=2")
    first, second, third = _arrivals(edge)
    assert [first["seq"], second["seq"], third["seq"]] == [1, 2, 3]
    assert base64.b64decode(first["body_base64"]) == b"nonce=1&close[price]=%C3%A9\xff"
    assert (first["key"], first["acted"], first["status"], first["errors"]) == ("key-1", True, 200, [])
    assert ["Api-Key", edge.key.settings.api_key] in first["headers"]
    assert (second["method"], second["path"], second["endpoint"]) == ("GET", "/0/public/Time?pair=X%2FY", "Time")
    assert (third["key"], third["acted"], third["errors"]) == (None, False, ["EAPI:Invalid key"])
    assert first["time"] == START


def test_arrivals_are_filtered_and_forgotten(edge: Edge) -> None:
    """Arrivals are filtered by number and endpoint; their numbers go on after a clearing."""
    for _ in range(3):
        edge.call("Balance")
    edge.bots.get("/0/public/Time")
    assert [listed["seq"] for listed in _arrivals(edge, "?after=1&endpoint=Balance")] == [2, 3]
    assert edge.control.delete("/arrivals").status_code == 200
    assert _arrivals(edge) == []
    edge.call("Balance")
    assert [listed["seq"] for listed in _arrivals(edge, "?answered=true&wait_s=5")] == [5]


def test_an_arrival_survives_its_json(edge: Edge) -> None:
    """What is listed reads back as the arrival that it was."""
    edge.send("AddOrder", b"nonce=1&x=\x00\xff", "1")
    kept = edge.simulation.arrivals.listed()[0]
    assert Arrival.from_json(_arrivals(edge)[0]) == kept


def test_keys_are_made_with_their_account(edge: Edge) -> None:
    """A new account opens with the balances given; its key works at once; lists show no secret."""
    wanted = {"account": "bot", "permissions": ["query-funds"], "balances": {"ZUSD": "12.5"}, "nonce_window": 3}
    made = edge.control.post("/keys", json=wanted).get_json()
    assert edge.engine.accounts["bot"] == {"ZUSD": Decimal("12.5")}
    assert (made["account"], made["permissions"], made["nonce_window"]) == ("bot", ["query-funds"], 3)
    key = next(key for key in edge.simulation.all_keys() if key.name == made["name"])
    assert edge.call("Balance", key=key).get_json()["result"] == {"ZUSD": "12.5"}
    listed = edge.control.get("/keys").get_json()["keys"]
    assert [key["account"] for key in listed] == ["demo", "bot"]
    assert made["api_secret"] not in str(listed)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ({}, "account: Field required"),
        ({"account": "a", "permissions": ["query-fund"]}, "permissions: Value error, unknown query-fund; Kraken's are"),
        ({"account": "a", "tier": "gold"}, "tier: Value error, unknown 'gold'; choose one of starter"),
        ({"account": "a", "colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"account": "a", "api_secret": "?"}, "api_secret: Value error, not base64"),
        (
            {"account": "demo", "tier": "pro"},
            "account 'demo' has the tier 'unlimited', and so have all its keys; leave",
        ),
        ({"account": "demo", "balances": {"ZUSD": "1"}}, "account 'demo' is open already; leave balances out"),
        ({"account": "demo", "name": "key-1"}, "there is a key 'key-1' already"),
    ],
)
def test_wrong_keys_are_refused(edge: Edge, body: dict[str, object], complaint: str) -> None:
    """The answer says which field is wrong and what would be right."""
    answer = edge.control.post("/keys", json=body)
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith(complaint)


def test_the_tier_of_an_account_is_changed(edge: Edge) -> None:
    """The account's order counters and all its keys get the new tier; another account keeps its own."""
    edge.make_key(name="second")
    edge.make_key(name="other", account="other")
    assert edge.control.post("/accounts/demo/tier", json={"tier": "starter"}).status_code == 200
    tiers = {key["name"]: key["tier"] for key in edge.control.get("/keys").get_json()["keys"]}
    assert tiers == {"key-1": "starter", "second": "starter", "other": "unlimited"}
    assert edge.engine.tiers == {"demo": "starter", "other": "unlimited"}
    assert [errors(edge.call("Balance")) for _ in range(16)] == [[]] * 15 + [["EAPI:Rate limit exceeded"]]


@pytest.mark.parametrize(
    ("account", "body", "complaint"),
    [
        ("demo", {"tier": "gold"}, "unknown 'gold'; choose one of starter"),
        ("nobody", {"tier": "pro"}, "there is no account 'nobody'"),
        ("demo", {"level": "pro"}, "tier: Field required"),
    ],
)
def test_wrong_tiers_are_refused(edge: Edge, account: str, body: dict[str, str], complaint: str) -> None:
    """The answer says what is wrong, and the tier stays."""
    answer = edge.control.post(f"/accounts/{account}/tier", json=body)
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith(complaint)
    assert edge.engine.tiers == {"demo": "unlimited"}


def test_prices_are_set(edge: Edge) -> None:
    """A price stands exactly as it was written."""
    assert edge.control.post("/prices", json={"XXBTZUSD": "50000.1"}).status_code == 200
    assert edge.engine.prices == {"XXBTZUSD": Decimal("50000.1")}


@pytest.mark.parametrize("body", [{"XXBTZUSD": "dear"}, {"XXBTZUSD": "-1"}, {"XXBTZUSD": "NaN"}, {"NOPE": "1"}, []])
def test_wrong_prices_are_refused(edge: Edge, body: object) -> None:
    """What is no price or no pair changes nothing."""
    answer = edge.control.post("/prices", json=body)
    assert answer.status_code == 400
    assert answer.get_json()["error"]
    assert edge.engine.prices == {}


def test_the_clock_is_shifted(edge: Edge) -> None:
    """A skew moves the time that callers are told, and nothing else tells them."""
    assert edge.control.post("/clock", json={"skew_s": -90}).get_json() == {"now": START - 90, "skew_s": -90}
    assert edge.bots.get("/0/public/Time").get_json()["result"] == {"unixtime": START - 90}
    assert edge.control.get("/clock").get_json()["skew_s"] == -90
    assert edge.control.post("/clock", json={"skew": 5}).status_code == 400


def test_faults_are_ordered_listed_and_cleared(edge: Edge) -> None:
    """A fault given here meets a bot's request."""
    fault = {"kind": "errors", "endpoint": "AddOrder", "errors": ["EService:Busy"], "count": 2}
    assert edge.control.post("/faults", json=fault).get_json() == {"number": 1}
    assert errors(edge.call("AddOrder")) == ["EService:Busy"]
    listed = edge.control.get("/faults").get_json()["faults"]
    assert listed == [{"number": 1, "met": 1, "skip": 0, "chance": 1.0, "seed": 1, "acts": False, **fault}]
    edge.control.delete("/faults")
    assert errors(edge.call("AddOrder")) == []


@pytest.mark.parametrize(
    ("fault", "complaint"),
    [
        ({"kind": "explode"}, "Input tag 'explode' found using 'kind' does not match any of the expected tags: 'laten"),
        ({"kind": "hang", "endpoint": "addorder"}, "unknown endpoint 'addorder'; write it as in the path (AddOrder)"),
        ({"kind": "latency"}, "latency.seconds: Field required"),
    ],
)
def test_wrong_faults_are_named(edge: Edge, fault: dict[str, object], complaint: str) -> None:
    """A typo in a fault is an error, not a test that passes for nothing."""
    answer = edge.control.post("/faults", json=fault)
    assert answer.status_code == 400
    assert answer.get_json()["error"].startswith(complaint)


def test_the_truth_of_an_account(edge: Edge) -> None:
    """An account is asked past its keys, permissions and faults, and leaves no arrival."""
    edge.control.post("/faults", json={"kind": "not-json"})
    assert edge.control.get("/accounts/demo/Balance").get_json()["result"]["ZUSD"] == "100000"
    assert _arrivals(edge) == []
    assert "no account 'nobody'" in edge.control.get("/accounts/nobody/Balance").get_json()["error"]
    assert edge.control.get("/accounts/demo/AddOrder?pair=NOPE").get_json() == {"error": "EQuery:Unknown asset pair"}
    assert "unknown method 'Nope'" in edge.control.get("/accounts/demo/Nope").get_json()["error"]


def test_calls_are_made_by_hand(edge: Edge) -> None:
    """A call by hand has the parameters as a bot may write them in JSON, and leaves no arrival."""
    body = {"pair": "XBTUSD", "volume": 0.5, "close": {"price": "1"}, "close[ordertype]": "limit", "orders": ["O"]}
    assert edge.control.post("/accounts/demo/AddOrder", json=body).status_code == 200
    params = {"pair": "XBTUSD", "volume": "0.5", "close": {"price": "1", "ordertype": "limit"}, "orders": ["O"]}
    assert edge.engine.called == [("demo", "AddOrder", params)]
    assert _arrivals(edge) == []
    answer = edge.control.post("/accounts/demo/AddOrder", json=["pair"])
    assert answer.get_json() == {
        "error": "the JSON body is not an object; write the call's parameters as a JSON object"
    }
    assert edge.control.post("/accounts/demo/AddOrder", data=b"pair=XBTUSD").status_code == 400


def test_an_order_is_filled_and_close_orders_are_set(edge: Edge) -> None:
    """The engine gets the account, the order and the volume, None for all of it; a wrong fill is refused."""
    assert edge.control.post("/accounts/demo/fills", json={"txid": "O", "volume": "0.1"}).status_code == 200
    assert edge.control.post("/accounts/demo/fills", json={"txid": "O"}).status_code == 200
    assert edge.engine.filled == [("demo", "O", Decimal("0.1")), ("demo", "O", None)]
    for path, body in (
        ("/accounts/demo/fills", {"txid": "O", "volume": "0"}),
        ("/accounts/nobody/fills", {"txid": "O"}),
        ("/close-orders", {"keep": True}),
    ):
        assert edge.control.post(path, json=body).status_code == 400
    assert len(edge.engine.filled) == 2
    assert edge.control.post("/close-orders", json={"keep_userref": True}).status_code == 200
    assert edge.engine.close_keeps_userref


def test_a_pair_is_delisted(edge: Edge) -> None:
    """The engine is told which pair; an unknown one is refused."""
    assert edge.control.post("/delistings", json={"pair": "XXBTZUSD"}).status_code == 200
    assert edge.engine.delisted == ["XXBTZUSD"]
    assert edge.control.post("/delistings", json={"pair": "NOPE"}).get_json() == {"error": "EQuery:Unknown asset pair"}


def test_bodies_must_be_json(edge: Edge) -> None:
    """A form, as a web page could post, is refused; so is an unknown path, in JSON too."""
    answer = edge.control.post("/faults", data={"kind": "hang"})
    assert (answer.status_code, answer.get_json()["error"]) == (
        400,
        "send the body as JSON, with Content-Type: application/json",
    )
    assert edge.control.get("/nothing").get_json()["error"]


def test_bots_cannot_reach_it(edge: Edge) -> None:
    """No path of the bots' listener is the control interface."""
    for path in ("/arrivals", "/keys", "/faults", "/prices", "/clock", "/accounts/demo/Balance"):
        assert edge.bots.get(path).status_code == 404
        assert edge.bots.post(path, json={}).status_code == 404
