"""The canonical bytes of a call, and the message that signs them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from urllib.parse import parse_qs

import pytest

from signer import __version__
from signer.errors import NotAllowed
from signer.model import Action, Call, Json, OrderRef
from signer.secret import Secret
from tests.harness.vectors import VECTORS, message_of
from tests.unit.venues.kraken.asking import KRAKEN, LIMIT, as_json, form, named, parse


def test_the_published_vector_is_signed_as_published() -> None:
    """Our message is the documented one, over our own body."""
    vector = VECTORS["valid"][0]
    request, message = KRAKEN.encode(named(parse("AddOrder", vector["body"])), int(vector["nonce"]), "KEY")
    assert message == message_of({**vector, "body": request.body.decode()})


def test_the_published_balance_vector_comes_out_byte_for_byte() -> None:
    """Our body for Balance is the vector's, so our signature must be too."""
    vector = VECTORS["valid"][1]
    request, message = KRAKEN.encode(parse("Balance", vector["body"]), int(vector["nonce"]), "KEY")
    assert request.body.decode() == vector["body"]
    key = Secret(base64.b64decode(vector["secret"])).key()
    assert key.matches(message, base64.b64decode(vector["signature"]))


def test_a_flat_call_is_a_form_with_the_nonce_first() -> None:
    """Signs are escaped, names of nested fields too, booleans are in small letters."""
    fields = {**LIMIT, "price": "+5%", "validate": "True", "close[ordertype]": "limit", "close[price]": "#2%"}
    request, _ = KRAKEN.encode(named(form("AddOrder", fields)), 7, "KEY")
    assert request.body == (
        b"nonce=7&pair=XXBTZUSD&validate=true&ordertype=limit&type=buy&volume=1.25&price=%2B5%25"
        b"&close%5Bordertype%5D=limit&close%5Bprice%5D=%232%25&userref=1"
    )
    assert (request.method, request.target) == ("POST", "/0/private/AddOrder")
    assert request.headers == (
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("User-Agent", f"signer/{__version__}"),
        ("API-Key", "KEY"),
    )


def test_a_batch_is_json() -> None:
    """Kraken takes lists in JSON only (docs/kraken.md §2c)."""
    request, _ = KRAKEN.encode(as_json("CancelOrderBatch", {"orders": ["A", "B"]}), 7, "KEY")
    assert json.loads(request.body) == {"nonce": "7", "orders": ["A", "B"]}
    assert request.headers[0] == ("Content-Type", "application/json")


def test_trade_volume_with_objects_is_json() -> None:
    """The same call with names is a form."""
    objects = as_json("TradeVolume", {"pair": [{"asset": "BTC/USD", "aclass": "derivatives"}]})
    assert json.loads(KRAKEN.encode(objects, 7, "KEY")[0].body)["pair"] == [
        {"asset": "BTC/USD", "aclass": "derivatives"}
    ]
    assert KRAKEN.encode(form("TradeVolume", {"pair": "XBTUSD"}), 7, "KEY")[0].body == b"nonce=7&pair=XXBTZUSD"


def test_signing_adds_one_header_only() -> None:
    """The body stays as it was signed."""
    request, _ = KRAKEN.encode(form("Balance", {}), 7, "KEY")
    signed = KRAKEN.signed(request, b"\x00\x01", None)
    assert signed.headers == (*request.headers, ("API-Sign", "AAE="))
    assert signed.body == request.body


@pytest.mark.parametrize("name", ["Withdraw", "GetApiKeyInfo", "GetWebSocketsToken", "Earn/Allocate"])
def test_what_must_never_leave_has_no_bytes(name: str) -> None:
    """Such a call has no bytes, even if a policy error let it come so far."""
    with pytest.raises(NotAllowed):
        KRAKEN.encode(form(name, {}), 7, "KEY")


OWN, OTHER = OrderRef("venue-id", "OAAAAA-AAAAA-AAAAAA"), OrderRef("venue-id", "OBBBBB-BBBBB-BBBBBB")
USERREF, CL_ORD_ID = OrderRef("client-tag", "7"), OrderRef("client-id", "x-1")


@pytest.mark.parametrize(
    ("endpoint", "fields", "decided"),
    [
        ("EditOrder", {"pair": "XXBTZUSD", "txid": "7", "price": "1"}, [OWN]),
        ("EditOrder", {"pair": "XXBTZUSD", "txid": "7", "price": "1"}, [USERREF]),
        ("EditOrder", {"pair": "XXBTZUSD", "txid": OTHER.value, "price": "1"}, [OWN]),
        ("EditOrder", {"pair": "XXBTZUSD", "txid": OWN.value, "price": "1"}, []),
        ("EditOrder", {"pair": "XXBTZUSD", "txid": f"{OWN.value},{OTHER.value}"}, [OWN, OTHER]),
        ("AmendOrder", {"cl_ord_id": "x-1", "limit_price": "1"}, [OWN]),
        ("AmendOrder", {"cl_ord_id": "x-1", "limit_price": "1"}, [CL_ORD_ID]),
        ("AmendOrder", {"txid": OWN.value, "cl_ord_id": "x-1", "limit_price": "1"}, [OWN]),
        ("AmendOrder", {"limit_price": "1"}, [OWN]),
        ("CancelOrder", {"txid": "7"}, [OWN]),
        ("CancelOrder", {"cl_ord_id": "x-1"}, [OWN]),
        ("CancelOrder", {"txid": f"{OWN.value},{OTHER.value}"}, [OWN, OTHER]),
        ("CancelOrder", {}, []),
        ("CancelOrderBatch", {"orders": [OWN.value]}, [OWN]),
        ("CancelOrderBatch", {"orders": [OWN.value, OTHER.value]}, [OWN]),
        ("CancelOrderBatch", {"orders": [OWN.value, 7]}, [OWN, OTHER]),
        ("CancelOrderBatch", {"orders": [OWN.value], "cl_ord_ids": ["x-1"]}, [OWN, OTHER]),
        ("CancelOrderBatch", {"orders": ["OA"] * 51}, [OrderRef("venue-id", "OA")] * 51),
    ],
)
def test_what_names_other_orders_than_were_decided_has_no_bytes(
    endpoint: str, fields: Mapping[str, Json], decided: list[OrderRef]
) -> None:
    """An edit or amend names one order by its txid; a cancel names all of its targets, in a form that Kraken takes."""
    call = Call(endpoint, Action.CANCEL, fields, targets=tuple(decided))
    with pytest.raises(NotAllowed):
        KRAKEN.encode(call, 7, "KEY")


@pytest.mark.parametrize("client", [OWN, USERREF, CL_ORD_ID])
def test_a_change_is_named_by_the_txid_of_the_decision(client: OrderRef) -> None:
    """Whatever name the client gave; the new userref of an edit is ours."""
    edit = form(
        "EditOrder",
        {"pair": "XBTUSD", "txid": OWN.value if client is CL_ORD_ID else client.value, "price": "5", "userref": "9"},
    )
    body = parse_qs(KRAKEN.encode(named(KRAKEN.changed_by_id(edit, OTHER.value)), 7, "KEY")[0].body.decode())
    assert (body["txid"], body["userref"]) == ([OTHER.value], ["1"])
    by = {"cl_ord_id": client.value} if client is CL_ORD_ID else {"txid": OWN.value}
    amend = form("AmendOrder", {**by, "limit_price": "5"})
    body = parse_qs(KRAKEN.encode(KRAKEN.changed_by_id(amend, OTHER.value), 7, "KEY")[0].body.decode())
    assert body == {"nonce": ["7"], "txid": [OTHER.value], "limit_price": ["5"]}


def test_cancels_have_the_forms_that_kraken_takes() -> None:
    """A single cancel is a form with any name; several are JSON with their txids."""
    one = {ref: KRAKEN.encode(KRAKEN.cancel([ref]), 7, "KEY")[0].body for ref in (OWN, USERREF, CL_ORD_ID)}
    names = {OWN: b"txid=OAAAAA-AAAAA-AAAAAA", USERREF: b"txid=7", CL_ORD_ID: b"cl_ord_id=x-1"}
    assert one == {ref: b"nonce=7&" + name for ref, name in names.items()}
    request, _ = KRAKEN.encode(KRAKEN.cancel([OWN, OTHER]), 7, "KEY")
    assert (request.target, request.headers[0][1]) == ("/0/private/CancelOrderBatch", "application/json")
    assert json.loads(request.body) == {"nonce": "7", "orders": [OWN.value, OTHER.value]}
