"""What orders a call would place, typed, and which it must not be."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from signer.errors import Refused
from signer.model import Action, Moment, Order, Price
from tests.unit.venues.kraken.asking import LIMIT, NONCE, as_json, form, refused, refused_form, says

STOP = {**LIMIT, "ordertype": "stop-loss-limit", "price2": "37000"}
ROW = {"type": "buy", "ordertype": "limit", "price": "1", "volume": "2"}


def test_a_limit_order_is_read_whole() -> None:
    """The published example, as an `Order` with decimals."""
    call = form("AddOrder", LIMIT)
    expected = Order("XXBTZUSD", "buy", "limit", Decimal("1.25"), Price(Decimal(37500)))
    assert call.orders == (expected,)
    assert (call.action, call.needs, call.dry_run) == (Action.ORDER, (frozenset({"modify-trades"}),), False)


def test_every_parameter_of_an_order_is_read() -> None:
    """Nothing that an order says is lost on the way to the policy."""
    fields = {
        **LIMIT, "ordertype": "iceberg", "displayvol": "0.25", "leverage": "5:1", "reduce_only": "true",
        "stptype": "cancel-both", "oflags": "post,fciq", "timeinforce": "GTD", "starttm": "+5",
        "expiretm": "1800000000", "userref": "-7",
        "close[ordertype]": "stop-loss-limit", "close[price]": "38000", "close[price2]": "#1.5%",
        "deadline": "2026-11-23T13:00:00.123456789Z", "trigger": "index",
    }  # fmt: skip
    close = Order(
        "XXBTZUSD", "sell", "stop-loss-limit", Decimal("1.25"), Price(Decimal(38000)),
        Price(Decimal("1.5"), "#", True), leverage=Decimal(5),
    )  # fmt: skip
    assert form("AddOrder", fields).orders == (
        Order(
            "XXBTZUSD", "buy", "iceberg", Decimal("1.25"), Price(Decimal(37500)), display_volume=Decimal("0.25"),
            leverage=Decimal(5), reduce_only=True, post_only=True, flags=frozenset({"fciq"}), time_in_force="GTD",
            trigger="index", starts=Moment(5, True), ends=Moment(1800000000, False), client_tag="-7",
            attached=(close,),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("spelling", ["XBTUSD", "XXBTZUSD", "XBT/USD", "BTC/USD", "BTCUSD", "xbtusd", "btc/usd"])
def test_every_spelling_of_a_pair_is_forwarded_as_its_id(spelling: str) -> None:
    """Policies compare one spelling; the venue is sent the same."""
    call = form("AddOrder", {**LIMIT, "pair": spelling})
    assert call.orders[0].pair == call.fields["pair"] == "XXBTZUSD"


@pytest.mark.parametrize("pair", ["FOOUSD", "XBT-USD", "XBTUSD.d", "XBTUSD:BTNL", " XBTUSD", "XBTU\u017fD", "XBTUSD,"])
def test_an_unknown_pair_is_refused_as_such(pair: str) -> None:
    """The refusal has Kraken's own text, and the reason names the pair."""
    first, second = refused_form("AddOrder", {**LIMIT, "pair": pair})
    assert first == "EQuery:Unknown asset pair"
    assert second.startswith("EQuery:Policy the pair ")


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("0.5", Price(Decimal("0.5"))),
        ("+5", Price(Decimal(5), "+")),
        ("-5", Price(Decimal(5), "-")),
        ("#5", Price(Decimal(5), "#")),
        ("+1.5%", Price(Decimal("1.5"), "+", True)),
        ("#2%", Price(Decimal(2), "#", True)),
    ],
)
def test_prices_are_read_with_their_signs(text: str, price: Price) -> None:
    """A relative price is told apart from an absolute one."""
    order = form("AddOrder", {**LIMIT, "price": text}).orders[0]
    assert order.price == price
    assert str(price) == text


BAD_NUMBERS = [
    "0", "0.0", "-1", "+1", "007", "00.5", ".5", "5.", "1e5", "1E5", "1e400", "NaN", "Infinity", "inf", "1_000",
    "1,000", " 1", "1 ", "\u0661", "\uff11", "0x10", "1" * 21, "0." + "1" * 19, "1.2.3", "1%", "true", "--1", "1\n",
]  # fmt: skip


@pytest.mark.parametrize("number", BAD_NUMBERS)
def test_a_volume_that_is_not_plain_is_refused(number: str) -> None:
    """Whatever `Decimal` would take and another parser could take for something else."""
    assert refused_form("AddOrder", {**LIMIT, "volume": number})[0] == "EGeneral:Invalid arguments"


@pytest.mark.parametrize(
    "number", [*(n for n in BAD_NUMBERS if n not in {"-1", "+1"}), "+", "%", "+%", "1%", "+-1", "++1", "+1%%", "5:1"]
)
def test_a_price_that_is_not_plain_is_refused(number: str) -> None:
    """A price with a sign or an exponent in the wrong place is refused, and so is a percentage without a sign."""
    assert refused_form("AddOrder", {**LIMIT, "price": number})[0] == "EGeneral:Invalid arguments"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"margin": "true"}, '"margin"'),
        ({"account_id": "1"}, '"account_id"'),
        ({"Price": "1"}, '"Price"'),
        ({"close[leverage]": "5"}, '"close[leverage]"'),
        ({"close%5Bprice%5D": "5"}, '"close%5Bprice%5D"'),
        ({"ordertype": "Limit"}, "ordertype"),
        ({"type": "BUY"}, "type"),
        ({"timeinforce": "gtc"}, "timeinforce"),
        ({"oflags": "post,post"}, "oflags"),
        ({"oflags": "post,unknown"}, "oflags"),
        ({"oflags": "fcib,fciq"}, "oflags"),
        ({"oflags": "viqc"}, "oflags"),
        ({"trigger": "mark"}, "trigger"),
        ({"stptype": "cancel_newest"}, "stptype"),
        ({"leverage": "5:2"}, "leverage"),
        ({"leverage": "2.5"}, "leverage"),
        ({"leverage": "-5"}, "leverage"),
        ({"reduce_only": "yes"}, "reduce_only"),
        ({"starttm": "soon"}, "starttm"),
        ({"starttm": "-5"}, "starttm"),
        ({"expiretm": "1.5"}, "expiretm"),
        ({"deadline": "tomorrow"}, "deadline"),
        ({"deadline": "2026-13-45T00:00:00Z"}, "deadline"),
        ({"userref": "2147483648"}, "userref"),
        ({"userref": "-2147483649"}, "userref"),
        ({"userref": "1.0"}, "userref"),
        ({"userref": "+1"}, "userref"),
        ({"cl_ord_id": "nineteen-characters"}, "cl_ord_id"),
        ({"cl_ord_id": " ab"}, "cl_ord_id"),
        ({"cl_ord_id": "ab "}, "cl_ord_id"),
        ({"cl_ord_id": "caf\u00e9"}, "cl_ord_id"),
        ({"position": "1"}, '"position"'),
        ({"trading_agreement": "no"}, "trading_agreement"),
        ({"cl_ord_id": "x", "userref": "1"}, "cl_ord_id"),
        ({"displayvol": "1"}, "displayvol"),
        ({"price2": "1"}, "price2"),
        ({"close[price]": "1"}, "close[ordertype]"),
        ({"close[ordertype]": "market"}, "close[ordertype]"),
        ({"close[ordertype]": "limit"}, "close[price]"),
        ({"close": "limit"}, "close must be an object"),
        ({"asset_class": "derivatives"}, "asset_class"),
        ({"ordertype": "stop-loss", "price2": "1"}, "price2"),
        ({"ordertype": "iceberg"}, "displayvol"),
        ({"ordertype": "stop-loss-limit"}, "price2"),
        ({"ordertype": "trailing-stop"}, "price"),
        ({"ordertype": "trailing-stop", "price": "-5"}, "price"),
        ({"ordertype": "trailing-stop-limit", "price": "+5", "price2": "5"}, "price2"),
        ({"ordertype": ""}, "ordertype"),
        ({"volume": ""}, "volume"),
    ],
)
def test_what_an_order_may_not_say_is_refused_by_name(change: dict[str, str], named: str) -> None:
    """A parameter that is unknown, undecided or does not fit is refused by its name."""
    first, second = refused_form("AddOrder", {**LIMIT, **change})
    assert first == "EGeneral:Invalid arguments"
    assert second.startswith("EGeneral:Policy ")
    assert named in second


@pytest.mark.parametrize("name", ["pair", "type", "ordertype", "volume", "price"])
def test_a_missing_parameter_is_named(name: str) -> None:
    """What decides an order's size and price has no default."""
    fields = {key: value for key, value in LIMIT.items() if key != name}
    assert name in refused_form("AddOrder", fields)[1]


@pytest.mark.parametrize("value", [True, "true", "True", "TRUE", "1", 1])
def test_a_literal_true_is_a_dry_run(value: Any) -> None:
    """A validate of true is forwarded as an unambiguous true."""
    call = as_json("AddOrder", {**LIMIT, "validate": value})
    assert call.dry_run
    assert call.fields["validate"] is True


@pytest.mark.parametrize("value", [False, "false", "False", "FALSE", "0", 0])
def test_a_literal_false_is_a_real_order(value: Any) -> None:
    """A validate of false is not forwarded, since Kraken once took any value for true."""
    call = as_json("AddOrder", {**LIMIT, "validate": value})
    assert not call.dry_run
    assert "validate" not in call.fields


@pytest.mark.parametrize("value", ["", "yes", "null", " true", "on", "2", "t", "tRUE", "{}"])
def test_any_other_validate_is_refused(value: str) -> None:
    """Whether money moves is not guessed."""
    assert "validate" in refused_form("AddOrder", {**LIMIT, "validate": value})[1]


@pytest.mark.parametrize("endpoint", ["AddOrder", "AddOrderBatch", "EditOrder"])
@pytest.mark.parametrize("value", [None, [], {}, [True], {"0": True}, [[]], 2])
def test_a_validate_that_is_no_clear_scalar_is_refused(endpoint: str, value: Any) -> None:
    """A list, an object and JSON's null are refusals, not defects."""
    fields: Any = {"AddOrder": LIMIT, "AddOrderBatch": {"orders": [ROW, ROW]}, "EditOrder": {"txid": "OA"}}[endpoint]
    with pytest.raises(Refused, match="validate must be true or false"):
        as_json(endpoint, {"pair": "XBTUSD", **fields, "validate": value})


@pytest.mark.parametrize(
    "nothing",
    [{"leverage": "none"}, {"leverage": "0"}, {"starttm": "0"}, {"expiretm": "0"}, {"reduce_only": "False"},
     {"userref": "0"}, {"oflags": ""}, {"close[price]": "", "close[ordertype]": ""}, {"asset_class": "currency"}],
)  # fmt: skip
def test_a_value_that_means_its_absence_is_left_out(nothing: dict[str, str]) -> None:
    """What we forward says each thing in one way."""
    assert form("AddOrder", {**LIMIT, **nothing}) == form("AddOrder", LIMIT)


def test_a_market_order_by_quote_amount_says_so() -> None:
    """``viqc`` changes the unit of the volume, so it must reach the policy."""
    fields = {"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": "100", "oflags": "viqc"}
    order = form("AddOrder", fields).orders[0]
    assert order.quote_sized
    assert order.price is None


@pytest.mark.parametrize("more", [{"leverage": "2"}, {"close[ordertype]": "limit", "close[price]": "1"}])
def test_a_quote_amount_goes_with_neither_leverage_nor_close(more: dict[str, str]) -> None:
    """How much either would then trade in the base asset is not known."""
    fields = {"pair": "XBTUSD", "type": "buy", "ordertype": "market", "volume": "100", "oflags": "viqc", **more}
    assert "viqc" in refused_form("AddOrder", fields)[1]


def test_json_that_is_not_text_where_text_belongs_is_refused() -> None:
    """A boolean or a list is no price."""
    for value in (True, ["1"], {"a": "1"}):
        with pytest.raises(Exception, match="price must be"):
            as_json("AddOrder", {**LIMIT, "price": value})


def test_a_batch_has_the_orders_of_one_pair() -> None:
    """The pair stands at the top, each row is an order of its own."""
    call = as_json("AddOrderBatch", {"pair": "BTC/USD", "orders": [ROW, {**ROW, "type": "sell", "userref": 5}]})
    assert [order.pair for order in call.orders] == ["XXBTZUSD"] * 2
    assert [(order.side, order.client_tag) for order in call.orders] == [("buy", None), ("sell", "5")]
    assert call.needs == (frozenset({"modify-trades"}), frozenset({"close-trades"}))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"orders": [ROW]}, "orders"),
        ({"orders": [ROW] * 16}, "orders"),
        ({"orders": "x"}, "orders"),
        ({"orders": [ROW, "x"]}, "orders[1] must be an object"),
        ({"orders": [ROW, {**ROW, "pair": "ETHUSD"}]}, "orders[1][pair]"),
        ({"orders": [ROW, {**ROW, "validate": True}]}, "orders[1][validate]"),
        ({"orders": [ROW, {**ROW, "volume": "0"}]}, "orders[1][volume]"),
        ({"orders": [ROW, {**ROW, "close": {"ordertype": "limit"}}]}, "orders[1][close][price]"),
        ({}, "orders"),
    ],
)
def test_a_batch_is_refused_by_the_row_that_is_wrong(fields: dict[str, Any], named: str) -> None:
    """A limit that looked at the first row only would be none."""
    with pytest.raises(Refused, check=says("EGeneral:Invalid arguments")) as caught:
        as_json("AddOrderBatch", {"pair": "XBTUSD", **fields})
    assert named in str(caught.value)


def test_a_batch_with_a_form_s_brackets_is_the_same_batch() -> None:
    """The Rust SDK sends it so."""
    rows = {f"orders[{index}][{name}]": value for index in range(2) for name, value in ROW.items()}
    assert form("AddOrderBatch", {"pair": "XBTUSD", **rows}) == as_json(
        "AddOrderBatch", {"pair": "XBTUSD", "orders": [ROW, ROW]}
    )


def test_the_reason_quotes_the_caller_safely() -> None:
    """The caller's text is cut, on one line and without quotation marks in an answer."""
    answer = refused("AddOrder", f"nonce={NONCE}&pair=XBTUSD&evil%22name%3A{'x' * 500}=1")
    assert len(answer[1]) < 250
    assert answer[1].count('"') == 2
