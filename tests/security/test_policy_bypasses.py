"""Threat: a malicious bot does with allowed calls what its policy forbids (docs/kraken.md §11, the policy half).

*Must hold* 5 and 7: a cap is never exceeded, however an order is spelled, split, changed or timed; a denial names its
rule, and nothing of it reaches the exchange. The parsing half is in test_parse_bypasses.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import parse_qs

import pytest

from signer.sandbox.faults import CloseAfterActing, CloseBeforeReading, Errors
from tests.harness.bots import LIMIT, Bot
from tests.harness.policies import NARROW
from tests.harness.rig import Rig
from tests.harness.wire import Wire

PRICE = 20_000
ALL_SIDES = NARROW.replace('sides = ["buy"]', 'sides = ["buy", "sell"]')
ALIASES = ["XBTUSD", "XXBTZUSD", "XBT/USD", "BTC/USD", "btcusd", "xBt/uSd"]


@pytest.fixture
def bot(rig: Rig) -> Bot:
    """A client that may buy XBT for USD: 0.05 XBT and 1000 USD at once, 1500 USD a day."""
    return rig.bot("narrow")


def worth(usd: int, **more: str) -> dict[str, str]:
    """A limit order of that value."""
    return {**LIMIT, "price": str(PRICE), "volume": str(Decimal(usd) / PRICE), **more}


def denied(rig: Rig, bot: Bot, endpoint: str, fields: Mapping[str, str], rule: str) -> None:
    """Assert that the call is refused by ``rule``, and that nothing arrives."""
    with rig.nothing_arrives():
        errors = rig.call(bot, endpoint, fields)
    assert rule in " ".join(errors), errors


def full(rig: Rig, bot: Bot, usd: int = 200) -> None:
    """Assert that the cap has no room for that much."""
    denied(rig, bot, "AddOrder", worth(usd), "cap")


# How an order is spelled


@pytest.mark.parametrize(
    "pair", ["ETHUSD", "XETHZUSD", "ETH/USD", "eth/usd", "XBTEUR", "XXBTZEUR", "BTC/EUR", "DOGEUSD"]
)
def test_no_alias_reaches_a_pair_that_is_not_listed(rig: Rig, bot: Bot, pair: str) -> None:
    """A pair that is not listed is denied in every spelling of policy and order."""
    denied(rig, bot, "AddOrder", worth(100, pair=pair), "pairs")


def test_every_alias_of_a_pair_fills_the_same_cap(rig: Rig, bot: Bot) -> None:
    """Six spellings are one market."""
    for alias in ALIASES:
        rig.place(bot, **worth(250, pair=alias))
    full(rig, bot)


@pytest.mark.parametrize("price", ["+5", "-5", "#5", "+1%", "-1%", "#1%", "5%"])
def test_relative_prices_are_refused(rig: Rig, bot: Bot, price: str) -> None:
    """What they come to is the market's to say."""
    with rig.nothing_arrives():
        assert rig.call(bot, "AddOrder", {**LIMIT, "price": price})


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"ordertype": "market"}, "unpriced"),
        ({"ordertype": "stop-loss", "price": "1"}, "unpriced"),
        ({"ordertype": "trailing-stop", "price": "+1"}, "relative-prices"),
    ],
    ids=["market", "stop-loss", "trailing-stop"],
)
def test_an_order_without_a_worst_price_is_refused_under_a_notional_cap(
    rig: Rig, bot: Bot, fields: dict[str, str], rule: str
) -> None:
    """Though its type is allowed: a trigger is not what it fills at."""
    denied(rig, bot, "AddOrder", {"pair": "XBTUSD", "type": "buy", "volume": "0.0001", **fields}, rule)


def test_a_stop_limit_is_worth_its_limit_not_its_trigger(rig: Rig, bot: Bot) -> None:
    """``price`` is the trigger there, ``price2`` the limit."""
    order = {**LIMIT, "ordertype": "stop-loss-limit", "volume": "0.01", "price": "1"}
    denied(rig, bot, "AddOrder", {**order, "price2": "100001"}, "order-notional")


def test_an_iceberg_counts_whole(rig: Rig, bot: Bot) -> None:
    """What it displays is not what it buys."""
    order = {"ordertype": "iceberg", "displayvol": "0.004"}
    denied(rig, bot, "AddOrder", {**LIMIT, **order, "volume": "0.06"}, "order-size")
    for _ in range(3):
        rig.place(bot, **{**worth(500), **order})
    full(rig, bot)


def test_a_volume_in_quote_currency_is_not_taken_for_a_small_one(rig: Rig, bot: Bot) -> None:
    """``viqc``: 0.04 would be four cents, and 40000 would be 40000 USD."""
    order = {"pair": "XBTUSD", "type": "buy", "ordertype": "market", "oflags": "viqc"}
    denied(rig, bot, "AddOrder", {**order, "volume": "0.04"}, "order-size")
    denied(rig, bot, "AddOrder", {**order, "volume": "40000"}, "order-")


@pytest.mark.parametrize("more", [{"leverage": "2"}, {"leverage": "5:1"}, {"reduce_only": "true"}, {"volume": "0"}])
def test_nothing_on_margin(rig: Rig, bot: Bot, more: dict[str, str]) -> None:
    """Leverage in both spellings, reduce-only, and the volume of nothing that closes a whole position."""
    with rig.nothing_arrives():
        assert rig.call(bot, "AddOrder", {**worth(100), **more})


def test_a_conditional_close_is_an_order_of_its_own(rig: Rig) -> None:
    """The closing order's side, price and value count, in each spelling."""
    close = {"close[ordertype]": "limit", "close[price]": "20001"}
    buyer, trader = rig.bot("narrow"), rig.bot(rig.policy(ALL_SIDES))
    denied(rig, buyer, "AddOrder", {**worth(100), **close}, "sides")
    denied(rig, trader, "AddOrder", {**worth(900), **close, "close[price]": "40000"}, "order-notional")
    denied(rig, trader, "AddOrder", {**worth(100), "close[ordertype]": "stop-loss", "close[price]": "1"}, "unpriced")
    rig.place(trader, **worth(700), **close)
    full(rig, trader)


@pytest.mark.parametrize("validate", ["False", "false"])
def test_only_true_is_a_dry_run(rig: Rig, bot: Bot, validate: str) -> None:
    """An order with any other ``validate`` than true counts (quirk 10)."""
    rig.place(bot, **worth(1000, validate=validate))
    full(rig, bot, 600)


def test_a_dry_run_spends_nothing_and_stays_one(rig: Rig, bot: Bot) -> None:
    """A dry run is forwarded as an unambiguous true, so that it cannot be an order there and free here."""
    for _ in range(3):
        assert rig.call(bot, "AddOrder", worth(1000, validate="true")) == []
        assert b"validate=true" in rig.arrivals()[-1].body
    rig.place(bot, **worth(1000))


# How orders are split


def batch(*values: int, **odd: str) -> dict[str, str]:
    """A batch of orders of these values; ``odd`` changes the last one."""
    rows = [worth(value) for value in values]
    rows[-1] |= odd
    names = ("ordertype", "type", "price", "volume")
    return {"pair": "XBTUSD"} | {f"orders[{n}][{name}]": row[name] for n, row in enumerate(rows) for name in names}


def test_a_batch_is_the_sum_of_its_orders(rig: Rig, bot: Bot) -> None:
    """Each is small enough; together they are past the cap, and none is placed."""
    denied(rig, bot, "AddOrderBatch", batch(800, 800), "cap")
    denied(rig, bot, "AddOrderBatch", batch(*[110] * 14), "cap")
    assert rig.call(bot, "AddOrderBatch", batch(*[100] * 15)) == []
    full(rig, bot, 100)


@pytest.mark.parametrize(
    ("odd", "rule"),
    [({"volume": "0.06"}, "order-size"), ({"type": "sell"}, "sides"), ({"ordertype": "take-profit"}, "order-types")],
    ids=["size", "side", "type"],
)
def test_one_bad_order_denies_the_batch(rig: Rig, bot: Bot, odd: dict[str, str], rule: str) -> None:
    """The bad order denies the batch wherever it stands."""
    denied(rig, bot, "AddOrderBatch", batch(100, 100, **odd), rule)


def test_many_small_orders_are_one_large_one(rig: Rig, bot: Bot) -> None:
    """Orders pass up to the cap exactly, and not a cent beyond."""
    for _ in range(15):
        rig.place(bot, **worth(100))
    denied(rig, bot, "AddOrder", {**LIMIT, "price": "100", "volume": "0.0001"}, "cap")


@pytest.mark.parametrize(("volume", "price"), [("0.01234567", "20000.1"), ("0.00010000", "19999.9"), ("0.03", "20001")])
def test_amounts_arrive_digit_by_digit(rig: Rig, bot: Bot, volume: str, price: str) -> None:
    """*Must hold* 6: no binary fraction comes between what was checked and what is sent."""
    rig.place(bot, volume=volume, price=price)
    sent = parse_qs(rig.arrivals()[-1].body.decode())
    assert [Decimal(text) for text in (*sent["volume"], *sent["price"])] == [Decimal(volume), Decimal(price)]
    assert len(sent["volume"][0]) <= len(volume)


# How an order is changed


def test_an_amend_cannot_raise_an_order_past_its_bounds(rig: Rig, bot: Bot) -> None:
    """An amend is held to the bounds of an order in size, in price, and in both together."""
    txid = rig.place(bot, **worth(500))
    denied(rig, bot, "AmendOrder", {"txid": txid, "order_qty": "0.06"}, "order-size")
    denied(rig, bot, "AmendOrder", {"txid": txid, "limit_price": "40001"}, "order-notional")
    denied(rig, bot, "AmendOrder", {"txid": txid, "order_qty": "0.05", "limit_price": "20001"}, "order-notional")


def test_a_cancel_that_names_nothing_reaches_nothing(rig: Rig, bot: Bot) -> None:
    """A bot tests its key with it: one that may cancel hears Kraken's words, another that it may not."""
    with rig.nothing_arrives():
        for fields in ({}, {"txid": "", "cl_ord_id": ""}):
            assert rig.call(bot, "CancelOrder", fields)[0] == "EOrder:Invalid order"
            assert rig.call(rig.bot("tracker"), "CancelOrder", fields)[0] == "EGeneral:Permission denied"


def test_both_prices_of_an_own_stop_are_amended_at_once(rig: Rig, bot: Bot) -> None:
    """The type of an own stop is known, so that its new limit is judged as a limit."""
    fields = {"ordertype": "stop-loss-limit", "type": "buy", "price": "90000", "price2": "20000", "volume": "0.01"}
    txid = rig.place(bot, **fields)
    amend = {"txid": txid, "trigger_price": "95000", "limit_price": "21000"}
    assert rig.call(bot, "AmendOrder", amend) == []
    shown = rig.sandbox.control.orders(rig.sandbox.account)[txid]
    assert (shown["descr"]["price"], shown["descr"]["price2"]) == ("95000.0", "21000.0")
    denied(rig, bot, "AmendOrder", {"txid": txid, "trigger_price": "1", "limit_price": "400000"}, "order-notional")


def test_amends_fill_the_cap(rig: Rig, bot: Bot) -> None:
    """What an amend adds is charged, and what it takes away is not given back."""
    txid = rig.place(bot, **worth(500))
    rig.place(bot, **worth(500))
    assert rig.call(bot, "AmendOrder", {"txid": txid, "order_qty": "0.045"}) == []  # + 400 USD
    assert rig.call(bot, "AmendOrder", {"txid": txid, "order_qty": "0.01"}) == []
    denied(rig, bot, "AmendOrder", {"txid": txid, "order_qty": "0.02"}, "cap")  # + 200 USD on 1400
    full(rig, bot)


def test_an_edit_is_a_new_order(rig: Rig, bot: Bot) -> None:
    """Bounded and charged whole; it cannot move to another pair either."""
    txid = rig.place(bot, **worth(700))
    denied(rig, bot, "EditOrder", {"txid": txid, "pair": "XBTUSD", "price": "40000"}, "order-notional")
    denied(rig, bot, "EditOrder", {"txid": txid, "pair": "ETHUSD", "price": "100"}, "change")
    assert rig.call(bot, "EditOrder", {"txid": txid, "pair": "XBTUSD", "price": "20001"}) == []
    full(rig, bot)


# Other people's orders


@pytest.mark.parametrize("reference", ["txid", "userref", "cl_ord_id"])
def test_a_client_reaches_its_own_orders_only(rig: Rig, bot: Bot, reference: str) -> None:
    """Cancel, amend and edit of another client's order, however it is named."""
    owner = rig.bot("narrow")
    own = {"userref": {"userref": "4711"}, "cl_ord_id": {"cl_ord_id": "owners-order"}}.get(reference, {})
    txid = rig.place(owner, **worth(200), **own)
    named = {"txid": txid, **own} if reference != "userref" else {"txid": "4711"}
    named = own if reference == "cl_ord_id" else named
    denied(rig, bot, "CancelOrder", named, "ownership")
    if reference != "userref":
        denied(rig, bot, "AmendOrder", {**named, "order_qty": "0.02"}, "ownership")
    if reference != "cl_ord_id":
        denied(rig, bot, "EditOrder", {**named, "pair": "XBTUSD", "volume": "0.02"}, "ownership")
    assert rig.call(owner, "CancelOrder", named) == []


def test_an_order_that_we_did_not_place_is_nobodys(rig: Rig, bot: Bot) -> None:
    """An order placed at the exchange itself, and one that does not exist, belong to no client."""
    for txid in ("OAAAAA-AAAAA-AAAAAA", "1234567"):
        denied(rig, bot, "CancelOrder", {"txid": txid}, "ownership")


def test_one_foreign_order_denies_a_batch_of_cancels(rig: Rig, bot: Bot) -> None:
    """Another client's order between the client's own denies the batch."""
    mine, theirs = rig.place(bot, **worth(100)), rig.place(rig.bot("narrow"), **worth(100))
    denied(rig, bot, "CancelOrderBatch", {"orders[0]": mine, "orders[1]": theirs}, "ownership")
    denied(rig, bot, "CancelOrder", {"txid": f"{mine},{theirs}"}, "ownership")


@pytest.mark.parametrize(("endpoint", "fields"), [("CancelAll", {}), ("CancelAllOrdersAfter", {"timeout": "1"})])
def test_nobody_cancels_everybodys_orders(rig: Rig, bot: Bot, endpoint: str, fields: dict[str, str]) -> None:
    """A dead man's switch in one client's hands would go off in everyone's face."""
    denied(rig, bot, endpoint, fields, "ownership")


# How calls are timed


@pytest.mark.parametrize(("each", "fit", "sent"), [(800, 1, 2), (200, 7, 12), (1000, 1, 8)])
def test_calls_at_the_same_moment_share_one_cap(rig: Rig, bot: Bot, each: int, fit: int, sent: int) -> None:
    """Each is under the cap, together they are over: exactly as many go through as fit."""
    wires = [Wire(rig.url) for _ in range(sent)]
    before = len(rig.arrivals())
    for wire in wires:
        wire.send(bot.request("AddOrder", worth(each)))
    answers = [wire.answer() for wire in wires]
    for wire in wires:
        wire.close()
    errors = [json.loads(answer.body)["error"] for answer in answers if answer is not None]
    assert len(errors) == sent
    assert sum(not error for error in errors) == fit
    assert len(rig.arrivals()) == before + fit


def test_a_restart_forgets_no_charge(rig: Rig, bot: Bot) -> None:
    """What was spent before it is spent after it."""
    rig.place(bot, **worth(1000))
    rig.restart()
    full(rig, bot, 600)
    rig.place(bot, **worth(500))


@pytest.mark.parametrize("fault", [CloseAfterActing(endpoint="AddOrder"), CloseBeforeReading(endpoint="AddOrder")])
def test_an_order_whose_answer_was_lost_stays_charged(
    rig: Rig, bot: Bot, fault: CloseAfterActing | CloseBeforeReading
) -> None:
    """*Must hold* 4: whether it was placed or not, its charge is held, now and after a restart; and it is sent once."""
    before = len([a for a in rig.arrivals() if a.endpoint == "AddOrder"])
    rig.sandbox.control.add_fault(fault)
    answer = rig.call(bot, "AddOrder", worth(1000))
    assert answer[0] == "EService:Unavailable"
    full(rig, bot, 600)
    rig.restart()
    full(rig, bot, 600)
    assert len([a for a in rig.arrivals() if a.endpoint == "AddOrder"]) == before + 1


def test_a_new_credential_is_no_new_cap(rig: Rig, bot: Bot) -> None:
    """Caps belong to the client's name: revoking it and issuing another credential under it forgets nothing."""
    rig.place(bot, **worth(1000))
    rig.update(bot, revoked=True)
    full(rig, rig.bot("narrow", name=bot.name), 600)


def test_what_a_client_may_not_do_costs_it_nothing(rig: Rig, bot: Bot) -> None:
    """Denials and rejected orders leave the cap as it was: nobody is starved by being refused."""
    for _ in range(3):
        denied(rig, bot, "AddOrder", worth(1001), "order-size")
        rig.sandbox.control.add_fault(Errors(endpoint="AddOrder", errors=("EOrder:Insufficient funds",)))
        assert rig.call(bot, "AddOrder", worth(1000)) == ["EOrder:Insufficient funds"]
    rig.place(bot, **worth(1000))
    rig.place(bot, **worth(500))
