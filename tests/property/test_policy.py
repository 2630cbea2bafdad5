"""Properties of decisions that hold for every policy and every call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from signer.model import Call, Decision, Order, Price
from signer.policy import Policy, decide
from signer.policy.orders import notional_of
from tests.unit.policy.examples import PAIRS, SPELLINGS, TXID, add, amend, edit, facts, make, placed, read

ORDER_TYPES = ["limit", "market", "iceberg", "stop-loss-limit", "trailing-stop", "settle-position"]
SIDES = ["buy", "sell"]
TIMES = ["GTC", "IOC", "GTD", "FOK"]
FLAGS = ["post", "fciq", "viqc"]
PERMISSIONS = ["query-funds", "modify-trades", "close-trades"]

volumes = st.decimals(min_value=0, max_value=20, places=4)
prices = st.builds(
    Price, st.decimals(min_value=0, max_value=90_000, places=2), st.sampled_from(["", "", "", "+", "#"]), st.booleans()
)


def orders(closes: bool = True) -> st.SearchStrategy[Order]:
    """Orders of every kind, most of them wrong somewhere."""
    return st.builds(
        Order,
        pair=st.sampled_from(sorted(PAIRS)),
        side=st.sampled_from(SIDES),
        order_type=st.sampled_from(ORDER_TYPES),
        volume=volumes,
        price=st.none() | prices,
        price2=st.none() | prices,
        quote_sized=st.booleans(),
        leverage=st.none() | st.decimals(min_value=1, max_value=6, places=1),
        reduce_only=st.booleans(),
        post_only=st.booleans(),
        flags=st.frozensets(st.sampled_from(["fcib", "fciq", "nompp"]), max_size=1),
        time_in_force=st.sampled_from(TIMES),
        attached=st.lists(orders(closes=False), max_size=2).map(tuple) if closes else st.just(()),
    )


def some(words: list[str], least: int = 1) -> st.SearchStrategy[list[str]]:
    """All of ``words``, or some; all is often, so that many calls are allowed."""
    return st.just(words) | st.lists(st.sampled_from(words), min_size=least, unique=True)


NOTIONALS = st.sampled_from(["100 USD", "5000 USD", "100000 USD"])

uncapped_policies: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "permissions": some(PERMISSIONS),
        "pairs": some([pair.wsname for pair in PAIRS.values()]).map(lambda pairs: sorted({*pairs, "XBT/USD"})),
        "sides": some(SIDES),
        "order_types": some(ORDER_TYPES),
        "time_in_force": some(TIMES),
        "oflags": some(FLAGS, least=0),
        "leverage": st.none() | st.integers(1, 5),
        "close_orders": st.booleans(),
        "relative_prices": st.booleans(),
        "order_scope": st.sampled_from(["own", "account"]),
        "sees": st.sampled_from(["own", "account"]),
        "max_order_size": st.none() | st.sampled_from([["0.5 XBT"], ["15 XBT"]]),
        "max_order_notional": st.none() | st.lists(NOTIONALS, max_size=1),
        "cap": st.none() | st.builds(lambda most: [{"max_notional": most, "window": "1d"}], NOTIONALS),
        "uncapped": st.just("a property test"),
    }
)

RESTRICTIONS: Mapping[str, Mapping[str, Any]] = {
    "no permission": {"permissions": []},
    "fewer permissions": {"permissions": ["query-funds"]},
    "one side": {"sides": ["buy"]},
    "one type": {"order_types": ["limit"]},
    "one time": {"time_in_force": ["GTC"]},
    "no flags": {"oflags": []},
    "no leverage": {"leverage": None},
    "no close": {"close_orders": False},
    "no relative price": {"relative_prices": False},
    "own orders": {"order_scope": "own"},
    "own sight": {"sees": "own"},
    "a size": {"max_order_size": ["0.1 XBT"]},
    "a notional": {"max_order_notional": ["50 USD"]},
    "a rolling cap": {"cap": [{"max_notional": "50 USD", "window": "1d"}]},
    "an order cap": {"cap": [{"max_orders": 1, "window": "1d"}]},
}


def built(tables: Mapping[str, Any]) -> Policy:
    """The policy of ``tables``."""
    made, problems = make(**tables)
    assert made is not None, problems
    return made


def stricter(tables: Mapping[str, Any], restriction: Mapping[str, Any]) -> dict[str, Any]:
    """``tables`` with a restriction added: lists become what both allow, limits are added to what has none."""
    result = dict(tables)
    for key, value in restriction.items():
        if key in {"max_order_size", "max_order_notional", "cap"}:
            result[key] = value if key != "cap" else [*(tables[key] or []), *_new_caps(tables[key] or [], value)]
        elif isinstance(value, list):
            result[key] = [word for word in tables[key] if word in value]
        else:
            result[key] = value
    # A list that has become empty is one that no policy that trades may have; it allows nothing then.
    if not (result["sides"] and result["order_types"]):
        result["permissions"] = [word for word in result["permissions"] if word != "modify-trades"]
    return result


def _new_caps(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    taken = {cap["window"] for cap in old if "max_notional" in cap}
    return [cap if "max_orders" in cap or "1d" not in taken else {**cap, "window": "7d"} for cap in new]


def judged(tables: Mapping[str, Any], call: Call) -> Decision:
    """The decision under the policy of ``tables``, the target being the client's."""
    return decide(built(tables), "bot", call, facts({TXID: (placed(),)}))


FUNDS = frozenset({"query-funds"})
changes = st.builds(
    lambda make_call, **fields: make_call(TXID, **fields),
    st.sampled_from([edit, amend]),
    volume=st.none() | volumes,
    price=st.none() | prices,
    post_only=st.none() | st.booleans(),
    flags=st.none() | st.frozensets(st.sampled_from(FLAGS[1:]), max_size=1),
)
plain_order: st.SearchStrategy[Order] = st.builds(
    Order,
    pair=st.just("XXBTZUSD"),
    side=st.just("buy"),
    order_type=st.just("limit"),
    volume=st.decimals(min_value="0.0001", max_value="0.2", places=4),
    price=st.builds(Price, st.decimals(min_value=1, max_value=4000, places=1)),
)
calls: st.SearchStrategy[Call] = (
    st.builds(add, orders(), dry_run=st.booleans())
    | st.builds(add, plain_order)
    | changes
    | st.builds(lambda wide: replace(read("TradeVolume", FUNDS), sees_account=wide), st.booleans())
    | st.builds(lambda given: add(*given), st.lists(orders(), min_size=2, max_size=4))
)


@given(uncapped_policies, calls, st.sampled_from(sorted(RESTRICTIONS)))
def test_a_restriction_never_allows_more(tables: dict[str, Any], call: Call, name: str) -> None:
    """Whatever is added to deny or to limit, no call is allowed that was denied, and every old denial stays."""
    # A number that replaces a looser one must not be looser itself: the restrictions state the least of all.
    before, after = judged(tables, call), judged(stricter(tables, RESTRICTIONS[name]), call)
    assert before.allowed or not after.allowed
    assert {hit.rule for hit in before.denials} <= {hit.rule for hit in after.denials}
    if after.allowed:
        assert {charge.cap for charge in before.charges} <= {charge.cap for charge in after.charges}


@given(uncapped_policies, st.lists(orders() | plain_order, min_size=1, max_size=4), orders() | plain_order)
def test_an_order_more_never_turns_a_denial(tables: dict[str, Any], batch: list[Order], more: Order) -> None:
    """A denied order is not allowed by the company of another, before or after it."""
    # Both calls need the same permissions, so that only the orders differ.
    few = replace(add(*batch), needs=())
    few = replace(few, needs=(frozenset({"modify-trades"}),))
    if not judged(tables, few).allowed:
        assert not judged(tables, replace(few, orders=(*batch, more))).allowed
        assert not judged(tables, replace(few, orders=(more, *batch))).allowed


@given(uncapped_policies, st.data(), calls)
def test_spelling_of_pairs_makes_no_difference(tables: dict[str, Any], data: st.DataObject, call: Call) -> None:
    """However a policy spells its pairs, it has the same hash and gives the same decision."""
    spelled = [
        data.draw(st.sampled_from(SPELLINGS[next(pair for pair in PAIRS.values() if pair.wsname == name)]))
        for name in tables["pairs"]
    ]
    assert judged({**tables, "pairs": spelled}, call) == judged(tables, call)


@given(st.lists(plain_order, min_size=1, max_size=5), st.booleans())
def test_charges_cover_the_notional(batch: list[Order], with_close: bool) -> None:
    """What is charged to a notional cap is the value of all orders and their closes, to the last digit."""
    if with_close:
        batch = [replace(order, attached=(replace(order, side="sell"),)) for order in batch]
    decision = decide(built({"close_orders": True}), "bot", add(*batch), facts())
    assert decision.allowed
    every = [*batch, *(each for order in batch for each in order.attached)]
    worth = sum(Fraction(order.volume) * Fraction(order.price.amount) for order in every if order.price)
    assert sum(Fraction(charge.amount) for charge in decision.charges if charge.unit == "USD") == worth
    assert sum(charge.amount for charge in decision.charges if charge.unit == "orders") == len(every)


@given(uncapped_policies, calls)
def test_an_allow_has_a_permission_and_its_charges(tables: dict[str, Any], call: Call) -> None:
    """Nothing is allowed without a granted permission, nothing denied without a rule, nothing denied is charged."""
    decision = judged(tables, call)
    assert decision.allowed == (not decision.denials)
    assert not decision.allowed or any(hit.rule == "permissions" for hit in decision.hits)
    assert decision.allowed or not decision.charges
    assert all(charge.amount > 0 for charge in decision.charges)
    assert list(decision.hits) == sorted(decision.hits, key=lambda hit: hit.allows)


@given(st.decimals(min_value="0.001", max_value=1, places=3), st.decimals(min_value="0.001", max_value=1, places=3))
def test_amends_in_turn_charge_at_least_the_highest(first: Decimal, second: Decimal) -> None:
    """However an order is amended up and down, its charges sum up to at least the most that it ever was."""
    free = built({"max_order_size": None, "max_order_notional": None, "uncapped": "test"})
    order = placed()
    charged = notional_of(order.order) or Decimal(0)
    worth = [charged]
    for volume in (first, second):
        decision = decide(free, "bot", amend(TXID, volume=volume), facts({TXID: (order,)}))
        charged += sum(charge.amount for charge in decision.charges if charge.unit == "USD")
        order = placed(was=decision.orders[0])
        worth.append(notional_of(order.order) or Decimal(0))
    assert charged >= max(worth)
