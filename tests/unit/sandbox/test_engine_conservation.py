"""Whatever customers do and the market does, money is neither made nor lost, and holds are exactly what is needed."""

from __future__ import annotations

from contextlib import suppress
from decimal import ROUND_UP, Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from signer.sandbox.conditions import Conditions
from signer.sandbox.exchange import Rejected
from tests.unit.sandbox.desk import Desk

OPENING = {"ZUSD": Decimal(100_000), "XXBT": Decimal(2)}
DECIMALS = {"ZUSD": Decimal("0.0001"), "XXBT": Decimal("0.0000000001")}
TAKER = Decimal("0.004")

WITHOUT_PAIR = {"CancelOrder", "AmendOrder", "CancelAll"}
Step = tuple[tuple[str, dict[str, object]], Conditions]

volumes = st.sampled_from(["0.0001", "0.01", "0.33333333", "1", "3"])
prices = st.sampled_from(["20000", "59000.7", "59999.9", "60000.1", "60500", "64000", "90000"])
moves = st.sampled_from(["+100", "+7.77%", "-3%", "#1%", "#500"])
fees = st.sampled_from(["", "fcib", "fciq"])


@st.composite
def placements(draw: st.DrawFn) -> dict[str, object]:
    """Fields of an order, sensible or not."""
    ordertype = draw(
        st.sampled_from(["market", "limit", "iceberg", "stop-loss", "take-profit", "stop-loss-limit", "trailing-stop"])
    )
    fields: dict[str, object] = {"ordertype": ordertype, "type": draw(st.sampled_from(["buy", "sell"]))}
    fields |= {"volume": draw(volumes), "oflags": draw(fees)}
    fields |= {"price": draw(prices | moves), "price2": draw(prices | moves), "userref": draw(st.sampled_from("12"))}
    if ordertype == "iceberg":
        fields["displayvol"] = fields["volume"]
    if ordertype in {"limit", "iceberg"}:
        fields["timeinforce"] = draw(st.sampled_from(["GTC", "IOC", "FOK"]))
    fields["expiretm"] = draw(st.sampled_from(["0", "+30"]))
    fields["starttm"] = draw(st.sampled_from(["0", "+15"]))
    if draw(st.booleans()):
        fields["close"] = {"ordertype": draw(st.sampled_from(["limit", "stop-loss"])), "price": draw(moves)}
    return fields


calls = st.one_of(
    st.tuples(st.just("AddOrder"), placements()),
    st.tuples(st.just("AddOrder"), placements()),
    st.tuples(
        st.just("AddOrder"),
        st.builds(
            lambda cost: {"ordertype": "market", "type": "buy", "volume": cost, "oflags": "viqc"}, st.just("777")
        ),
    ),
    st.tuples(st.just("AddOrderBatch"), st.builds(lambda one, two: {"orders": [one, two]}, placements(), placements())),
    st.tuples(st.just("CancelOrder"), st.builds(lambda ref: {"txid": ref}, st.sampled_from("12"))),
    st.tuples(
        st.just("EditOrder"),
        st.builds(lambda v, p: {"volume": v, "price": p}, volumes, prices),
    ),
    st.tuples(
        st.just("AmendOrder"),
        st.builds(lambda v, p: {"order_qty": v, "limit_price": p}, volumes, prices | moves),
    ),
    st.tuples(st.just("CancelAll"), st.just({})),
    st.tuples(st.just("price"), st.builds(lambda p: {"price": p}, prices)),
    st.tuples(st.just("wait"), st.builds(lambda s: {"seconds": s}, st.integers(1, 20))),
)


shares = st.sampled_from([None, None, Decimal("0.3"), Decimal(1)])
met_conditions = st.builds(
    Conditions, filled_before=shares, filled_after=shares, cancel_late_s=st.sampled_from([0.0, 0.0, 10.0])
)
steps = st.tuples(calls, met_conditions)


def _take(desk: Desk, step: Step) -> None:
    (method, fields), met = step
    if method == "price":
        desk.price(str(fields["price"]))
    elif method == "wait":
        desk.time += float(str(fields["seconds"]))
        desk.exchange.tick()
    else:
        if method in {"EditOrder", "AmendOrder"}:
            fields = fields | {"txid": next(iter(desk.ask("OpenOrders")["open"]), "none")}
        # The generator makes bad orders too, which the exchange refuses.
        with suppress(Rejected):
            desk.ask_under(met, method, **({} if method in WITHOUT_PAIR else {"pair": "XBTUSD"}), **fields)


def _all(desk: Desk, method: str, name: str) -> list[Any]:
    rows: list[Any] = []
    while len(page := desk.ask(method, ofs=str(len(rows)))[name]):
        rows += page.values()
    return rows


def _needed(order: dict[str, Any]) -> tuple[str, Decimal]:
    """Answer what an open order must hold, from nothing but its public face."""
    left = Decimal(order["vol"]) - Decimal(order["vol_exec"])
    in_base = "fcib" in order["oflags"]
    if order["descr"]["type"] == "sell":
        return "XXBT", left * (1 + TAKER if in_base else 1)
    ordertype = order["descr"]["ordertype"]
    if ordertype == "market":  # only until its start: the ask as it was when it came in, which the test cannot see
        return "ZUSD", Decimal("NaN")
    if ordertype in {"limit", "iceberg"}:
        price = order["descr"]["price"]
    else:
        price = order["descr"]["price2"] if ordertype == "stop-loss-limit" else order["stopprice"]
    return "ZUSD", left * Decimal(price) * (1 if in_base else 1 + TAKER)


@given(st.lists(steps, min_size=1, max_size=25))
def test_money_is_conserved_and_holds_are_what_open_orders_need(script: list[Step]) -> None:
    """After every step balances are what trades make of them, and holds neither too much, too little, nor uncovered."""
    desk = Desk()
    for step in script:
        _take(desk, step)
        balances = {asset: (Decimal(b), Decimal(h)) for asset, (b, h) in desk.money().items()}
        expected = dict(OPENING)
        for trade in _all(desk, "TradesHistory", "trades"):
            sign = 1 if trade["type"] == "buy" else -1
            expected["XXBT"] += sign * Decimal(trade["vol"])
            expected["ZUSD"] -= sign * Decimal(trade["cost"])
        paid = dict.fromkeys(OPENING, Decimal(0))
        for entry in _all(desk, "Ledgers", "ledger"):
            paid[entry["asset"]] += Decimal(entry["fee"])
        assert {asset: balance for asset, (balance, _) in balances.items()} == {
            asset: amount - paid[asset] for asset, amount in expected.items()
        }
        needs: dict[str, Decimal] = dict.fromkeys(OPENING, Decimal(0))
        for order in desk.ask("OpenOrders")["open"].values():
            asset, amount = _needed(order)
            needs[asset] += amount if amount.is_nan() else amount.quantize(DECIMALS[asset], ROUND_UP)
        for asset, (balance, held) in balances.items():
            assert 0 <= held <= balance
            assert needs[asset].is_nan() or held == needs[asset]


@given(st.lists(steps, min_size=1, max_size=25))
def test_when_all_is_cancelled_nothing_is_held(script: list[Step]) -> None:
    """No path through an order's life leaves money behind in a hold."""
    desk = Desk()
    for step in script:
        _take(desk, step)
    desk.ask("CancelAll")
    desk.time += 10
    desk.exchange.tick()
    assert {held for _, held in desk.money().values()} == {"0.0000", "0.0000000000"}
