"""What `decide` answers, rule by rule."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import pytest

from signer.model import Action, Call, Decision, Moment, Order, OrderRef, Price
from signer.policy import decide
from tests.unit.policy.examples import (
    MODIFY,
    TXID,
    add,
    amend,
    cancel,
    edit,
    facts,
    order,
    placed,
    policy,
    read,
)

D = Decimal


def denied_by(decision: Decision) -> list[str]:
    """The rules that deny, in their order; nothing is charged then."""
    assert decision.allowed == (not decision.denials)
    assert decision.allowed or not decision.charges
    return [hit.rule for hit in decision.denials]


def placing(*orders: Order, dry_run: bool = False, **changes: Any) -> Decision:
    """The decision on placing ``orders`` under TRADER with ``changes``."""
    return decide(policy(**changes), "bot", add(*orders, dry_run=dry_run), facts())


def amounts(decision: Decision) -> list[tuple[str, str, int]]:
    """Charges as cap, amount and leg."""
    return [(charge.cap, f"{charge.amount:f}", charge.leg) for charge in decision.charges]


def test_an_order_within_everything() -> None:
    """An allow says which rules allowed, and charges notional and count to the client."""
    decision = placing(order())
    assert decision.allowed
    assert [hit.rule for hit in decision.hits] == [
        "permissions", "pairs", "sides", "order-types", "time-in-force", "order-size", "order-notional",
    ]  # fmt: skip
    assert amounts(decision) == [("notional 10000 USD / 24h", "500.00", 0), ("orders 60 / 1m", "1", 0)]
    assert {charge.scope for charge in decision.charges} == {"client/bot"}
    assert [(charge.unit, charge.window_s, charge.limit) for charge in decision.charges] == [
        ("USD", 86_400, D(10_000)),
        ("orders", 60, D(60)),
    ]


def test_every_rule_speaks() -> None:
    """All rules that deny are named, most important first, each once for this order."""
    bad = order(
        "9", pair="XDGEUR", side="sell", order_type="market", price=None, leverage=D(2), time_in_force="FOK",
        post_only=True,
    )  # fmt: skip
    decision = placing(bad, permissions=["query-funds"], sides=["buy"], order_types=["limit"])
    assert denied_by(decision) == [
        "permissions", "pairs", "sides", "order-types", "leverage", "time-in-force", "oflags",
    ]  # fmt: skip
    assert {hit.kind for hit in decision.denials} == {"feature"}


def test_limits_apply_to_pairs_not_listed_too() -> None:
    """An order of a pair that is not listed still hears of every cap that its assets have."""
    decision = placing(order("9", "50000", pair="XXBTZUSD"), pairs=["ETH/USD"], max_order_size=["10 ETH"])
    assert denied_by(decision) == ["pairs", "order-notional"]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"side": "sell"}, "sides"),
        ({"order_type": "iceberg"}, "order-types"),
        ({"leverage": D(2)}, "leverage"),
        ({"reduce_only": True}, "leverage"),
        ({"time_in_force": "IOC"}, "time-in-force"),
        ({"post_only": True, "flags": frozenset({"fcib"})}, "oflags"),
        ({"pair": "UNHEARDOF"}, "pairs"),
    ],
)
def test_default_deny_of_features(changes: dict[str, Any], rule: str) -> None:
    """What a policy does not state, it does not allow, and a bot hears that it is not permitted."""
    decision = placing(order(**changes), sides=["buy"], order_types=["limit"])
    assert denied_by(decision) == [rule]
    assert decision.denials[0].kind == "feature"


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        (order("0.6", "1000"), "order-size"),
        (order("0.05", "50000.01"), "order-notional"),
        (order("0"), "amounts"),
        (order("-1"), "amounts"),
        (order("0.1", "0"), "amounts"),
        (order("0.1", None), "unpriced"),
        (order("0.1", None, order_type="market"), "unpriced"),
        (order("0.1", order_type="stop-loss"), "unpriced"),
        (order("0.1", order_type="trailing-stop"), "unpriced"),
        (order("0.1", order_type="stop-loss-limit"), "unpriced"),
    ],
)
def test_limits_of_one_order(bad: Order, rule: str) -> None:
    """An order beyond a limit is an invalid order, which bots skip, rather than a missing permission."""
    decision = placing(bad)
    assert denied_by(decision) == [rule]
    assert decision.denials[0].kind == "limit"


@pytest.mark.parametrize("volume", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none(volume: str) -> None:
    """NaN and infinity do not slip through a comparison, as a volume or as a price."""
    assert "amounts" in denied_by(placing(order(volume)))
    assert "amounts" in denied_by(placing(order("0.01", volume)))
    assert denied_by(placing(order(leverage=D(volume)), leverage=5)) in ([], ["leverage"])


def test_size_and_notional_at_the_limit() -> None:
    """A limit may be met exactly."""
    assert placing(order("0.5", "5000")).allowed


def test_products_are_exact() -> None:
    """A product of more digits than Python's default precision is charged to its last digit."""
    volume, price = "0.049999999999999999", "50000.000000000000999999"
    charged = placing(order(volume, price)).charges[0].amount
    assert Fraction(charged) == Fraction(volume) * Fraction(price)


@pytest.mark.parametrize("kind", ["limit", "iceberg"])
def test_worst_price_is_the_limit(kind: str) -> None:
    """Limit and iceberg orders are worth their limit price."""
    assert amounts(placing(order("0.01", "40000", order_type=kind)))[0][1] == "400.00"


def test_worst_price_of_a_triggered_limit() -> None:
    """The trigger of a stop-loss-limit says nothing of its worth; its limit does, even if the trigger is relative."""
    triggered = order("0.01", "100", order_type="stop-loss-limit", price2=Price(D(45_000)))
    assert amounts(placing(triggered))[0][1] == "450.00"
    relative = replace(triggered, price=Price(D(5), "-", True))
    assert denied_by(placing(relative)) == ["relative-prices"]
    assert amounts(placing(relative, relative_prices=True))[0][1] == "450.00"


@pytest.mark.parametrize("price", [Price(D(5), "+"), Price(D(5), "-"), Price(D(5), "#"), Price(D(5), "", True)])
def test_relative_prices_bound_nothing(price: Price) -> None:
    """A price that moves with the market is refused, and where allowed is still no bound for a notional cap."""
    assert denied_by(placing(order("0.01", price))) == ["relative-prices", "unpriced"]
    assert denied_by(placing(order("0.01", price), relative_prices=True)) == ["unpriced"]
    free: dict[str, Any] = {"max_order_notional": [], "cap": [], "uncapped": "test"}
    assert placing(order("0.01", price), relative_prices=True, **free).allowed


def test_market_orders_without_a_notional_cap() -> None:
    """A market order passes where nothing needs its price; its size is still bounded."""
    free: dict[str, Any] = {"max_order_notional": [], "cap": [], "uncapped": "test"}
    assert placing(order("0.5", None, order_type="market"), **free).allowed
    assert denied_by(placing(order("0.6", None, order_type="market"), **free)) == ["order-size"]


def test_a_rolling_cap_alone_needs_a_price() -> None:
    """A rolling notional cap is enough to refuse an order without a price."""
    decision = placing(order("0.1", None, order_type="market"), max_order_notional=[], uncapped="test")
    assert denied_by(decision) == ["unpriced"]


def test_volume_by_quote_amount() -> None:
    """With viqc the volume is the notional, priced or not, and the size is not known."""
    by_quote = order("900", None, order_type="market", quote_sized=True)
    assert denied_by(placing(by_quote)) == ["oflags", "order-size"]
    free: dict[str, Any] = {"max_order_size": [], "oflags": ["viqc"], "uncapped": "test"}
    assert amounts(placing(by_quote, **free))[0] == ("notional 10000 USD / 24h", "900", 0)
    assert denied_by(placing(replace(by_quote, volume=D(2501)), **free)) == ["order-notional"]
    priced = order("900", "10", quote_sized=True)
    assert amounts(placing(priced, **free))[0] == ("notional 10000 USD / 24h", "900", 0)


def test_leverage_up_to_what_is_stated() -> None:
    """Leverage is allowed up to the stated number."""
    assert placing(order(leverage=D(3)), leverage=3).allowed
    assert placing(order(leverage=D(3), reduce_only=True), leverage=3).allowed
    assert denied_by(placing(order(leverage=D("3.1")), leverage=3)) == ["leverage"]


def test_settling_a_position_is_margin() -> None:
    """settle-position without leverage is refused even where the type is listed, and closing all of it always."""
    settle = order("0", None, order_type="settle-position")
    types: dict[str, Any] = {"order_types": ["settle-position"]}
    assert denied_by(placing(settle, **types)) == ["leverage", "amounts", "unpriced"]
    assert denied_by(placing(settle, leverage=2, **types)) == ["amounts", "unpriced"]


def closing(side: str = "sell", price: str = "60000", volume: str = "0.01", **fields: Any) -> Order:
    """A limit buy of 0.01 XBT with a conditional close."""
    return order(volume, attached=(order(volume, price, side=side),), **fields)


def test_a_close_is_an_order_like_any() -> None:
    """The closing order is refused by each rule that would refuse it alone, and is charged with its order."""
    assert denied_by(placing(closing())) == ["close-orders"]
    assert denied_by(placing(closing(), sides=["buy"], close_orders=True)) == ["sides"]
    assert denied_by(placing(closing(price="250001"), close_orders=True)) == ["order-notional"]
    decision = placing(closing(), close_orders=True)
    assert amounts(decision) == [
        ("notional 10000 USD / 24h", "500.00", 0),
        ("orders 60 / 1m", "1", 0),
        ("notional 10000 USD / 24h", "600.00", 0),
        ("orders 60 / 1m", "1", 0),
    ]


def test_a_close_of_what_was_bought_by_quote_amount() -> None:
    """How much such a close would sell is not known, so no cap can let it pass."""
    by_quote = closing(volume="900", quote_sized=True)
    free: dict[str, Any] = {"max_order_size": [], "oflags": ["viqc"], "uncapped": "test", "close_orders": True}
    assert denied_by(placing(by_quote, **free)) == ["unpriced"]


def test_a_batch_is_as_bad_as_its_worst_order() -> None:
    """Each order of a batch is judged alone, named in the reason, and charged to its own leg."""
    decision = placing(order(), order("0.02"))
    assert [charge[1:] for charge in amounts(decision)] == [("500.00", 0), ("1", 0), ("1000.00", 1), ("1", 1)]
    bad = placing(order(), order("1", side="sell"), sides=["buy"])
    assert denied_by(bad) == ["sides", "order-size", "order-notional"]
    assert all(hit.reason.startswith("order 2: ") for hit in bad.denials)


def test_dry_runs() -> None:
    """validate=true meets the rules of features but no limit, and charges nothing (docs/kraken.md §8.11)."""
    grid_bot = placing(order("10", None, order_type="market"), dry_run=True)
    assert grid_bot.allowed
    assert not grid_bot.charges
    decision = placing(order("10", pair="XDGEUR", side="sell"), dry_run=True, sides=["buy"])
    assert denied_by(decision) == ["pairs", "sides"]
    assert denied_by(placing(order("10"), dry_run=True, permissions=["query-funds"])) == ["permissions"]


def test_never_list_beats_every_policy() -> None:
    """A call on the never-list is refused though its permission is granted (WalletTransfer needs only query-funds)."""
    call = replace(read("WalletTransfer", frozenset({"query-funds"})), action=Action.WRITE, never=True)
    assert denied_by(decide(policy(order_scope="account"), "bot", call, facts())) == ["never-list"]


def test_permissions_of_each_set_one() -> None:
    """One permission of each set must be granted, and the denial names the missing set."""
    both = read("Ledgers", frozenset({"query-funds"}), frozenset({"query-ledger"}))
    either = read("QueryOrders", frozenset({"query-open-trades", "query-closed-trades"}))
    decision = decide(policy(), "bot", both, facts())
    assert [hit.reason for hit in decision.denials] == ["Ledgers needs query-ledger"]
    decision = decide(policy(), "bot", either, facts())
    assert [hit.reason for hit in decision.denials] == ["QueryOrders needs query-closed-trades or query-open-trades"]
    granted = policy(permissions=["query-funds", "query-ledger", "query-closed-trades"])
    assert decide(granted, "bot", both, facts()).allowed
    assert decide(granted, "bot", either, facts()).allowed


def test_no_permission_named_is_none_granted() -> None:
    """Only reads and what we answer ourselves may need no permission."""
    nothing = Call("Mystery", Action.WRITE, {})
    assert denied_by(decide(policy(), "bot", nothing, facts())) == ["permissions"]
    assert denied_by(decide(policy(), "bot", replace(nothing, action=Action.ORDER), facts())) == ["permissions"]
    assert decide(policy(), "bot", replace(nothing, local=True), facts()).allowed
    assert decide(policy(), "bot", read("ListWalletAccounts"), facts()).allowed


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


NOW_S = 1_800_000_000


@pytest.mark.parametrize(
    ("times", "stated", "allowed"),
    [
        ({}, None, True),
        ({"starts": Moment(60, True)}, None, False),
        ({"ends": Moment(60, True)}, None, False),
        ({"starts": Moment(0, True)}, None, False),
        ({"starts": Moment(2592000, True)}, "7d", False),
        ({"ends": Moment(604800, True)}, "7d", True),
        ({"ends": Moment(604801, True)}, "7d", False),
        ({"starts": Moment(NOW_S + 60, False)}, "1m", True),
        ({"starts": Moment(NOW_S + 61, False)}, "1m", False),
        ({"starts": Moment(1, True), "ends": Moment(NOW_S + 61, False)}, "1m", False),
        ({"starts": Moment(NOW_S - 5, False)}, "1m", True),
        ({"starts": Moment(99999999999, False)}, "30d", False),
    ],
)
def test_a_start_and_an_end_are_bounded(times: dict[str, str], stated: str | None, allowed: bool) -> None:
    """Alone, as the last of a batch, and as what an edit goes on with."""
    known = facts({TXID: (placed(was=order(**times)),)})
    calls = [add(order(**times)), add(order(), order(**times)), edit(TXID, price=Price(D(49_000)))]
    for call in calls:
        decision = decide(policy(schedule=stated), "bot", call, replace(known, now_us=NOW_S * 1_000_000))
        assert denied_by(decision) == ([] if allowed else ["schedule"])


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
def test_a_cl_ord_id_of_another_clients_order_is_not_taken(rows: int) -> None:
    """Another client's cl_ord_id is not taken, in a batch as alone; a client's own duplicate is left to the
    exchange."""
    ref = OrderRef("client-id", "x-1")
    call = add(*[order() for _ in range(rows - 1)], order(client_id="x-1"))
    theirs = decide(policy(), "bot", call, facts({ref: (placed(by="other"),)}))
    assert denied_by(theirs) == ["cl-ord-id"]
    assert decide(policy(), "bot", call, facts({ref: (placed(),)})).allowed


def changing(call: Call, *known: Any, **changes: Any) -> Decision:
    """The decision on an edit or amend of the order TXID, which is ``known``."""
    return decide(policy(**changes), "bot", call, facts({TXID: known}))


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


def test_needs_of_a_batch() -> None:
    """A batch needs close-trades as well, as at Kraken."""
    assert denied_by(placing(order(), order(), permissions=["modify-trades"])) == ["permissions"]


def test_decision_names_its_policy() -> None:
    """The audit log can tell under which policy, to the letter, a decision was made."""
    made = policy()
    decision = decide(made, "bot", read("Balance", MODIFY), facts())
    assert (decision.policy, decision.policy_hash) == ("trader", made.hash)
