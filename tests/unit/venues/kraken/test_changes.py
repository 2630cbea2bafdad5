"""What a call does to orders that exist."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from signer.errors import Refused
from signer.model import Action, Change, OrderRef, Price
from tests.unit.venues.kraken.asking import as_json, form, refused_form, says

TXID = "OQCLML-BW3P3-BUCMWZ"


def test_an_edit_replaces_its_target() -> None:
    """All that it can change is in the change, and the pair is canonical."""
    fields = {
        "pair": "XBT/USD", "txid": TXID, "volume": "2", "displayvol": "1", "price": "100", "price2": "+1%",
        "oflags": "post", "userref": "9", "cancel_response": "false", "validate": "false",
    }  # fmt: skip
    call = form("EditOrder", fields)
    assert call.targets == (OrderRef("venue-id", TXID),)
    assert call.change == Change(
        replaces=True, pair="XXBTZUSD", volume=Decimal(2), price=Price(Decimal(100)),
        price2=Price(Decimal(1), "+", True), display_volume=Decimal(1), post_only=True, flags=frozenset(),
        client_tag="9",
    )  # fmt: skip
    assert call.needs == (frozenset({"modify-trades"}), frozenset({"close-trades"}))


def test_an_edit_may_name_its_target_by_userref() -> None:
    """Digits are a userref, which may be several orders: the policy must know."""
    assert form("EditOrder", {"pair": "XBTUSD", "txid": "42"}).targets == (OrderRef("client-tag", "42"),)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"txid": TXID}, "pair"),
        ({"pair": "XBTUSD"}, "txid"),
        ({"pair": "XBTUSD", "txid": f"{TXID},{TXID}"}, "txid"),
        ({"pair": "XBTUSD", "txid": TXID.lower()}, "txid"),
        ({"pair": "XBTUSD", "txid": TXID, "volume": "0"}, "volume"),
        ({"pair": "XBTUSD", "txid": TXID, "oflags": "viqc"}, "oflags"),
        ({"pair": "XBTUSD", "txid": TXID, "leverage": "5"}, "leverage"),
    ],
)
def test_an_edit_that_is_not_understood_is_refused_by_name(fields: dict[str, str], named: str) -> None:
    """The refusal names the parameter, as for a new order."""
    assert named in refused_form("EditOrder", fields)[1]


def test_an_amend_s_limit_is_the_second_price() -> None:
    """Whatever the type, which the call does not say."""
    call = form("AmendOrder", {"txid": TXID, "order_qty": "3", "limit_price": "50", "post_only": "true"})
    assert call.change == Change(replaces=False, volume=Decimal(3), price2=Price(Decimal(50)))
    assert call.targets == (OrderRef("venue-id", TXID),)
    assert call.fields == {"txid": TXID, "order_qty": "3", "limit_price": "50", "post_only": True}


def test_an_amend_may_set_both_prices() -> None:
    """Which order types have both is for the decision, which knows the order."""
    call = form("AmendOrder", {"txid": TXID, "limit_price": "50", "trigger_price": "+1%"})
    assert call.change == Change(replaces=False, price=Price(Decimal(1), "+", True), price2=Price(Decimal(50)))


def test_an_amend_of_the_trigger_is_the_first_price() -> None:
    """Whatever the type, the trigger is `price`."""
    call = form("AmendOrder", {"cl_ord_id": "bot-1", "trigger_price": "40", "display_qty": "1"})
    assert call.change == Change(replaces=False, price=Price(Decimal(40)), display_volume=Decimal(1))
    assert call.targets == (OrderRef("client-id", "bot-1"),)
    assert call.needs == (frozenset({"modify-trades", "close-trades"}),)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "txid"),
        ({"txid": TXID, "cl_ord_id": "x"}, "txid"),
        ({"txid": "42"}, "txid"),
        ({"txid": TXID, "volume": "1"}, "volume"),
        ({"txid": TXID, "pair": "FOO"}, "FOO"),
    ],
)
def test_an_amend_that_is_not_understood_is_refused_by_name(fields: dict[str, str], named: str) -> None:
    """An amend has one target and one meaning of its price."""
    assert named in refused_form("AmendOrder", fields)[1]


@pytest.mark.parametrize(
    ("fields", "targets"),
    [
        ({"txid": TXID}, [OrderRef("venue-id", TXID)]),
        ({"txid": "42"}, [OrderRef("client-tag", "42")]),
        ({"txid": "-42"}, [OrderRef("client-tag", "-42")]),
        (
            {"txid": f"{TXID},42,A"},
            [OrderRef("venue-id", TXID), OrderRef("client-tag", "42"), OrderRef("venue-id", "A")],
        ),
        ({"cl_ord_id": "bot-1"}, [OrderRef("client-id", "bot-1")]),
        ({"txid": "", "cl_ord_id": "bot-1"}, [OrderRef("client-id", "bot-1")]),
    ],
)
def test_a_cancel_names_its_targets(fields: dict[str, str], targets: list[OrderRef]) -> None:
    """Each kind of name, and lists of them."""
    call = form("CancelOrder", fields)
    assert list(call.targets) == targets
    assert (call.action, call.whole_account) == (Action.CANCEL, False)


def test_a_cancel_by_a_json_number_is_by_userref() -> None:
    """A JSON client sends the userref as a number."""
    assert as_json("CancelOrder", {"txid": 42}).targets == (OrderRef("client-tag", "42"),)


@pytest.mark.parametrize("spelled", ["7", "007", "0000000000000000007"])
def test_a_userref_is_a_number_however_it_is_spelled(spelled: str) -> None:
    """Zeros before it make no other name."""
    assert form("CancelOrder", {"txid": spelled}).targets == (OrderRef("client-tag", "7"),)
    assert form("OpenOrders", {"userref": spelled}).sought == (OrderRef("client-tag", "7"),)


@pytest.mark.parametrize(
    "fields",
    [{"txid": TXID, "cl_ord_id": "x"}, {"txid": f"{TXID},"}, {"txid": ",".join(["A"] * 51)},
     {"txid": "99999999999"}, {"txid": "2147483648"}, {"txid": "-2147483649"},
     {"txid": "+7"}, {"txid": "000"}, {"txid": "*"}, {"txid": TXID, "pair": "XBTUSD"}],
)  # fmt: skip
def test_a_cancel_that_names_no_order_clearly_is_refused(fields: dict[str, str]) -> None:
    """A cancel that names nothing, one thing twice, or one of two things is refused."""
    assert refused_form("CancelOrder", fields)[0] == "EGeneral:Invalid arguments"


@pytest.mark.parametrize("fields", [{}, {"txid": ""}, {"txid": "", "cl_ord_id": ""}])
def test_a_cancel_that_names_nothing_has_no_target(fields: dict[str, str]) -> None:
    """Bots test their key with it: the decision refuses it in the words that they know."""
    call = form("CancelOrder", fields)
    assert (call.action, call.targets, call.fields, call.whole_account) == (Action.CANCEL, (), {}, False)


def test_a_batch_cancel_names_each_target() -> None:
    """Userrefs go on as numbers, ids as text."""
    call = as_json("CancelOrderBatch", {"orders": [TXID, 42, "43"], "cl_ord_ids": ["bot-1"]})
    assert call.targets == (
        OrderRef("venue-id", TXID), OrderRef("client-tag", "42"), OrderRef("client-tag", "43"),
        OrderRef("client-id", "bot-1"),
    )  # fmt: skip
    assert call.fields == {"orders": [TXID, 42, 43], "cl_ord_ids": ["bot-1"]}


@pytest.mark.parametrize(
    "fields",
    [{}, {"orders": []}, {"orders": ["A"] * 51}, {"orders": ["A"] * 26, "cl_ord_ids": ["b"] * 25}, {"orders": "A"},
     {"orders": [True]}, {"orders": [["A"]]}, {"cl_ord_ids": [" ab"]}, {"orders": ["A,B"]}],
)  # fmt: skip
def test_a_batch_cancel_that_is_not_understood_is_refused(fields: dict[str, Any]) -> None:
    """A batch cancel has one to fifty single names."""
    with pytest.raises(Refused, check=says("EGeneral:Invalid arguments")):
        as_json("CancelOrderBatch", fields)


def test_cancelling_all_reaches_the_whole_account() -> None:
    """The policy must know that it is not only the client's own orders."""
    assert form("CancelAll", {}).whole_account
    call = form("CancelAllOrdersAfter", {"timeout": "60"})
    assert call.whole_account
    assert call.fields == {"timeout": "60"}


@pytest.mark.parametrize("timeout", [None, "", "-1", "86401", "60.0", "060"])
def test_the_dead_man_s_switch_takes_whole_seconds_of_a_day(timeout: str | None) -> None:
    """Zero turns it off; it has no default."""
    fields = {} if timeout is None else {"timeout": timeout}
    assert "timeout" in refused_form("CancelAllOrdersAfter", fields)[1]
