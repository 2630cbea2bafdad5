"""What `decide` answers, rule by rule."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from signer.model import Action, Call, Moment, Order, Price
from signer.policy import decide
from tests.unit.policy.deciding import D, amounts, closing, denied_by, placing
from tests.unit.policy.examples import (
    MODIFY,
    TXID,
    add,
    edit,
    facts,
    order,
    placed,
    policy,
    read,
)


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


def test_what_shows_the_account_needs_more_than_its_permission() -> None:
    """A policy must say that its clients see the account, and grant the permission as well."""
    own = read("TradeBalance", frozenset({"query-funds"}))
    wide = replace(own, endpoint="TradeVolume", sees_account=True)
    assert denied_by(decide(policy(), "bot", wide, facts())) == ["sees"]
    assert decide(policy(), "bot", own, facts()).allowed
    assert decide(policy(sees="account"), "bot", wide, facts()).allowed
    ungranted = policy(sees="account", permissions=["query-ledger"])
    assert denied_by(decide(ungranted, "bot", wide, facts())) == ["permissions"]


def test_no_permission_named_is_none_granted() -> None:
    """Only reads and what we answer ourselves may need no permission."""
    nothing = Call("Mystery", Action.WRITE, {})
    assert denied_by(decide(policy(), "bot", nothing, facts())) == ["permissions"]
    assert denied_by(decide(policy(), "bot", replace(nothing, action=Action.ORDER), facts())) == ["permissions"]
    assert decide(policy(), "bot", replace(nothing, local=True), facts()).allowed
    assert decide(policy(), "bot", read("ListWalletAccounts"), facts()).allowed


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


def test_needs_of_a_batch() -> None:
    """A batch needs close-trades as well, as at Kraken."""
    assert denied_by(placing(order(), order(), permissions=["modify-trades"])) == ["permissions"]


def test_decision_names_its_policy() -> None:
    """The audit log can tell under which policy, to the letter, a decision was made."""
    made = policy()
    decision = decide(made, "bot", read("Balance", MODIFY), facts())
    assert (decision.policy, decision.policy_hash) == ("trader", made.hash)
