"""What `decide` answers to cancels, edits and amends."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal

import pytest

from signer.model import Call, OrderRef, Price
from signer.policy import decide
from tests.unit.policy.deciding import D, amounts, changing, closing, denied_by
from tests.unit.policy.examples import (
    TXID,
    add,
    amend,
    cancel,
    edit,
    facts,
    order,
    placed,
    policy,
)


def test_a_cancel_names_its_orders() -> None:
    """A cancel that names nothing could reach anything."""
    assert denied_by(decide(policy(order_scope="account"), "bot", cancel(), facts())) == ["ownership"]


def test_cancels_of_own_orders() -> None:
    """A client cancels what it placed, free of charge, and nothing else."""
    call = cancel(TXID)
    own = decide(policy(), "bot", call, facts({TXID: (placed(),)}))
    assert own.allowed
    assert not own.charges
    assert denied_by(decide(policy(), "bot", call, facts({TXID: (placed(by="other"),)}))) == ["ownership"]
    assert denied_by(decide(policy(), "bot", call, facts())) == ["ownership"]


def test_each_target_is_owned() -> None:
    """One order of another client denies the whole batch and is named."""
    other = OrderRef("venue-id", "OBBBBB-BBBBB-BBBBBB")
    known = {TXID: (placed(),), other: (placed(by="other", txid=other.value),)}
    decision = decide(policy(), "bot", cancel(TXID, other), facts(known))
    assert denied_by(decision) == ["ownership"]
    assert other.value in decision.denials[0].reason


def test_account_scope_cancels_anything() -> None:
    """With order_scope = "account" another's orders, unknown ones and all of them may be cancelled."""
    wide = policy(order_scope="account")
    assert decide(wide, "bot", cancel(TXID), facts({TXID: (placed(by="other"),)})).allowed
    assert decide(wide, "bot", cancel(TXID), facts()).allowed
    everything = replace(cancel(), endpoint="CancelAll", whole_account=True)
    assert decide(wide, "bot", everything, facts()).allowed
    assert denied_by(decide(policy(), "bot", everything, facts())) == ["ownership"]


@pytest.mark.parametrize("kind", ["client-tag", "client-id"])
def test_a_name_means_the_clients_own_orders(kind: Literal["client-tag", "client-id"]) -> None:
    """Other bearers of a name decide nothing, and a name that only others bear reaches no order."""
    ref = OrderRef(kind, "7")
    mine, theirs = placed(), placed(by="other", txid="OBBBBB-BBBBB-BBBBBB")
    for known in ((mine,), (mine, mine), (mine, theirs), (theirs, mine)):
        assert decide(policy(), "bot", cancel(ref), facts({ref: known})).allowed
    assert denied_by(decide(policy(), "bot", cancel(ref), facts({ref: (theirs,)}))) == ["ownership"]
    assert denied_by(decide(policy(), "bot", amend(ref, volume=Decimal("0.02")), facts({ref: (theirs,)})))


def test_a_change_is_reckoned_from_the_clients_own_order() -> None:
    """A newer order of another client under the same name is not the one that is changed."""
    ref = OrderRef("client-id", "x-1")
    mine, theirs = placed(was=order("0.01")), placed(by="other", was=order("0.04"), txid="OBBBBB-BBBBB-BBBBBB")
    decided = decide(policy(), "bot", amend(ref, volume=Decimal("0.02")), facts({ref: (theirs, mine)}))
    assert {charge.unit: charge.amount for charge in decided.charges} == {"USD": 500, "orders": 1}


@pytest.mark.parametrize("rows", [1, 2])
def test_a_cl_ord_id_is_of_one_open_order_of_a_client(rows: int) -> None:
    """It is free once that order is closed, and two clients may use the same."""
    ref = OrderRef("client-id", "x-1")
    call = add(*[order() for _ in range(rows - 1)], order(client_id="x-1"))
    assert denied_by(decide(policy(), "bot", call, facts({ref: (placed(),)}))) == ["cl-ord-id"]
    assert decide(policy(), "bot", call, facts({ref: (replace(placed(), closed=True),)})).allowed
    assert decide(policy(), "bot", call, facts({ref: (placed(by="other"),)})).allowed


def test_a_cl_ord_id_is_of_one_order_of_a_batch() -> None:
    """With dashes and without them, a UUID is one name."""
    name = "9e2f1f0e-1a2b-4c3d-8e4f-0123456789ab"
    call = add(order(client_id=name), order(client_id=name.replace("-", "")))
    assert denied_by(decide(policy(), "bot", call, facts({}))) == ["cl-ord-id"]


def test_an_edit_is_checked_and_charged_in_full() -> None:
    """The order that an edit makes of its target is judged whole, and counted as new."""
    decision = changing(edit(TXID, pair="XXBTZUSD", price=Price(D(60_000))), placed())
    assert decision.orders == (order("0.01", "60000"),)
    assert amounts(decision) == [("notional 10000 USD / 24h", "600.00", 0), ("orders 60 / 1m", "1", 0)]
    assert denied_by(changing(edit(TXID, volume=D("0.6")), placed())) == ["order-size", "order-notional"]
    assert denied_by(changing(edit(TXID, volume=D("0.02")), placed(), sides=["sell"])) == ["sides"]
    assert denied_by(changing(edit(TXID, post_only=True), placed())) == ["oflags"]
    assert denied_by(changing(edit(TXID, price=Price(D(5), "-", True)), placed())) == ["relative-prices", "unpriced"]


def test_an_amend_is_charged_for_the_increase() -> None:
    """What an amend adds is counted; what it takes away is not given back."""
    up = changing(amend(TXID, volume=D("0.03")), placed())
    assert amounts(up) == [("notional 10000 USD / 24h", "1000.00", 0), ("orders 60 / 1m", "1", 0)]
    down = changing(amend(TXID, volume=D("0.001")), placed())
    assert amounts(down) == [("orders 60 / 1m", "1", 0)]
    assert denied_by(changing(amend(TXID, volume=D("0.6")), placed())) == ["order-size", "order-notional"]


def test_an_amend_of_an_order_of_unknown_worth() -> None:
    """An order that had no price counted nothing, so giving it one counts in full."""
    was = order("0.01", Price(D(5), "-", True))
    assert amounts(changing(limit_to("50000"), placed(was=was)))[0][1] == "500.00"


def limit_to(price: str) -> Call:
    """AmendOrder with a limit_price."""
    return amend(TXID, price2=Price(D(price)))


def trigger_at(price: str) -> Call:
    """AmendOrder with a trigger_price."""
    return amend(TXID, price=Price(D(price)))


def test_an_amend_sets_the_price_that_it_names() -> None:
    """limit_price is the limit wherever the type has it, and leaves the trigger alone; and the other way round."""
    assert changing(limit_to("60000"), placed()).orders == (order("0.01", "60000"),)
    stop = order("0.01", "100", order_type="stop-loss-limit", price2=Price(D(45_000)))
    limited = changing(limit_to("60000"), placed(was=stop))
    assert limited.orders == (replace(stop, price2=Price(D(60_000))),)
    assert amounts(limited)[0][1] == "150.00"
    triggered = changing(trigger_at("200"), placed(was=stop))
    assert triggered.orders == (replace(stop, price=Price(D(200))),)
    assert amounts(triggered) == [("orders 60 / 1m", "1", 0)]


def test_an_amend_sets_both_prices_of_an_order_that_has_both() -> None:
    """The order's type is known, so it is known which is which, also where both are the same."""
    stop = order("0.01", "100", order_type="stop-loss-limit", price2=Price(D(45_000)))
    for trigger, limit in (("200", "60000"), ("60000", "60000")):
        both = changing(amend(TXID, price=Price(D(trigger)), price2=Price(D(limit))), placed(was=stop))
        assert both.orders == (replace(stop, price=Price(D(trigger)), price2=Price(D(limit))),)
        assert amounts(both)[0][1] == "150.00"
    high = changing(amend(TXID, price=Price(D(1)), price2=Price(D(6_000_000))), placed(was=stop))
    assert denied_by(high) == ["order-notional"]


@pytest.mark.parametrize("order_type", ["limit", "stop-loss"])
def test_an_amend_of_both_prices_needs_an_order_with_both(order_type: str) -> None:
    """A limit order has no trigger, and a stop has no limit."""
    was = order("0.01", "100", order_type=order_type)
    assert "change" in denied_by(changing(amend(TXID, price=Price(D(1)), price2=Price(D(2))), placed(was=was)))


def test_an_edit_drops_the_flags_and_the_userref_that_it_does_not_state() -> None:
    """Kraken's new order has only what the edit says."""
    was = order("0.01", post_only=True, client_tag="7")
    bare = changing(edit(TXID, volume=D("0.02")), placed(was=was))
    assert bare.orders == (order("0.02"),)
    stated = changing(edit(TXID, post_only=True, client_tag="8"), placed(was=was), oflags=["post"])
    assert stated.orders == (order("0.01", post_only=True, client_tag="8"),)


def test_an_amend_keeps_flags_and_userref() -> None:
    """An amended order keeps its flags and its userref."""
    was = order("0.01", post_only=True, client_tag="7")
    assert changing(amend(TXID, volume=D("0.02")), placed(was=was), oflags=["post"]).orders[0].client_tag == "7"


def test_an_amend_sets_no_price_that_the_type_lacks() -> None:
    """A trigger for a limit order would make us believe in another price than the venue does."""
    assert denied_by(changing(trigger_at("1"), placed())) == ["change"]
    stop = order("0.01", "100", order_type="stop-loss")
    assert "change" in denied_by(changing(limit_to("1"), placed(was=stop)))


def test_an_amend_takes_its_close_along() -> None:
    """The closing order grows with the order that it closes."""
    decision = changing(amend(TXID, volume=D("0.03")), placed(was=closing()), close_orders=True)
    assert [charge[1] for charge in amounts(decision)] == ["1000.00", "1", "1200.00", "1"]
    large = changing(amend(TXID, volume=D("0.6")), placed(was=closing()), close_orders=True)
    assert [hit.reason.startswith("close: ") for hit in large.denials] == [False, True, False, True]


@pytest.mark.parametrize("change", [edit, amend])
@pytest.mark.parametrize("scope", ["own", "account"])
def test_changes_of_unknown_orders(change: Any, scope: str) -> None:
    """What an order would become is not known if the order is not; no scope makes up for that."""
    assert denied_by(changing(change(TXID, volume=D("0.01")), order_scope=scope)) == ["ownership"]


@pytest.mark.parametrize("change", [edit, amend])
def test_changes_of_another_clients_order(change: Any) -> None:
    """Another client's order is changed only with account scope, and within this policy then."""
    theirs = placed(by="other")
    assert denied_by(changing(change(TXID, volume=D("0.02")), theirs)) == ["ownership"]
    assert changing(change(TXID, volume=D("0.02")), theirs, order_scope="account").allowed
    denied = changing(change(TXID, volume=D("0.6")), theirs, order_scope="account")
    assert denied_by(denied) == ["order-size", "order-notional"]


def test_a_userref_must_name_one_order_to_change() -> None:
    """Which of several orders the venue would edit is not known."""
    ref = OrderRef("client-tag", "7")
    second = placed(txid="OBBBBB-BBBBB-BBBBBB")
    call = edit(ref, volume=D("0.02"))
    assert decide(policy(), "bot", call, facts({ref: (placed(),)})).allowed
    assert denied_by(decide(policy(), "bot", call, facts({ref: (placed(), second)}))) == ["ownership"]


def test_an_edit_names_the_pair_of_its_order() -> None:
    """Naming another pair, allowed or not, does not change which order is meant."""
    assert denied_by(changing(edit(TXID, pair="XETHZUSD", volume=D("0.01")), placed())) == ["change"]


def test_orders_by_quote_amount_do_not_change() -> None:
    """A volume whose unit may differ before and after is refused."""
    free: dict[str, Any] = {"max_order_size": [], "oflags": ["viqc"], "uncapped": "test"}
    was = order("900", quote_sized=True)
    assert denied_by(changing(edit(TXID, volume=D(1)), placed(was=was), **free)) == ["change"]
    into = edit(TXID, quote_sized=True, post_only=False, flags=frozenset({"viqc"}))
    assert denied_by(changing(into, placed(), **free)) == ["change"]
