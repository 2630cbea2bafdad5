"""Threat: a bot changes or cancels an order that is not its own, by a name that both orders bear.

A userref and a cl_ord_id are no ids: other bots of the account and its owner's hand may give them too. The rig's
exchange does what Kraken does with such a name: it takes whichever open order bears it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from urllib.parse import parse_qs

import pytest

from signer.sandbox.faults import CloseBeforeReading
from tests.harness.bots import LIMIT, Bot
from tests.harness.policies import NARROW
from tests.harness.rig import Rig

ALL_SIDES = NARROW.replace('sides = ["buy"]', 'sides = ["buy", "sell"]').replace("0.05 XBT", "5 XBT")
SMALL = {**LIMIT, "price": "20000", "volume": "0.001"}


@pytest.fixture
def bot(rig: Rig) -> Bot:
    """A client with caps of its own."""
    return rig.bot(rig.policy(ALL_SIDES))


def by_hand(rig: Rig, **more: str) -> str:
    """A sell order of the account's owner; its txid."""
    return rig.place_by_hand(**{"price": "79000", "type": "sell", "volume": "0.01", **more})


def price_of(rig: Rig, txid: str) -> str:
    """The limit of an open order."""
    row = rig.sandbox.control.ask(rig.sandbox.account, "OpenOrders")["open"][txid]
    return str(row["descr"]["price"])


def fresh() -> str:
    """A userref that no other test uses."""
    return str(secrets.randbelow(2**30) + 1)


def denied(rig: Rig, bot: Bot, endpoint: str, fields: Mapping[str, str]) -> str:
    """The refusal of a call of which nothing may arrive."""
    with rig.nothing_arrives():
        errors = rig.call(bot, endpoint, fields)
    assert errors
    return " ".join(errors)


# Edits and amends: what was decided is what is sent


def test_an_edit_by_a_userref_moves_no_order_of_the_owners(rig: Rig, bot: Bot) -> None:
    """The bot's own order with that userref is closed: the exchange would find the owner's."""
    userref = fresh()
    own = rig.place(bot, **SMALL, userref=userref)
    owners = by_hand(rig, userref=userref)
    assert rig.call(bot, "CancelOrder", {"txid": own}) == []
    assert rig.call(bot, "EditOrder", {"txid": userref, "pair": "XBTUSD", "price": "19000"}) == ["EOrder:Unknown order"]
    assert parse_qs(rig.arrivals()[-1].body.decode())["txid"] == [own]
    assert float(price_of(rig, owners)) == 79000


def test_an_edit_by_a_userref_is_sent_with_the_txid(rig: Rig, bot: Bot) -> None:
    """The bot's own order moves, and the owner's of the same userref stays."""
    userref = fresh()
    own, owners = rig.place(bot, **SMALL, userref=userref), by_hand(rig, userref=userref)
    assert rig.call(bot, "EditOrder", {"txid": userref, "pair": "XBTUSD", "price": "19000"}) == []
    assert parse_qs(rig.arrivals()[-1].body.decode())["txid"] == [own]
    assert (rig.is_open(own), rig.is_open(owners)) == (False, True)


def test_an_edit_by_another_clients_userref_is_of_ones_own_order(rig: Rig, bot: Bot) -> None:
    """The bot's own order moves, and the other bot's of the same userref stays."""
    userref = fresh()
    other = rig.place(rig.bot("narrow"), **SMALL, userref=userref)
    own = rig.place(bot, **SMALL, userref=userref)
    assert rig.call(bot, "EditOrder", {"txid": userref, "pair": "XBTUSD", "price": "19000"}) == []
    assert parse_qs(rig.arrivals()[-1].body.decode())["txid"] == [own]
    assert rig.is_open(other)


def test_an_edit_by_a_userref_of_two_own_orders_is_refused(rig: Rig, bot: Bot) -> None:
    """Such an edit is refused, since nobody can tell which order is meant."""
    userref = fresh()
    rig.place(bot, **SMALL, userref=userref)
    rig.place(bot, **SMALL, userref=userref)
    assert "ownership" in denied(rig, bot, "EditOrder", {"txid": userref, "pair": "XBTUSD", "price": "19000"})


def test_an_edit_by_a_userref_is_of_the_only_own_order_that_may_be_open(rig: Rig, bot: Bot) -> None:
    """The bot's other orders of that userref were cancelled or replaced, which their answers have told."""
    userref, edit = fresh(), {"pair": "XBTUSD", "price": "19000"}
    cancelled, own = (rig.place(bot, **SMALL, userref=userref) for _ in range(2))
    assert rig.call(bot, "CancelOrder", {"txid": cancelled}) == []
    replaced = rig.result(bot, "EditOrder", {**edit, "txid": userref, "userref": userref})["txid"]
    assert parse_qs(rig.arrivals()[-1].body.decode())["txid"] == [own]
    edited = rig.result(bot, "EditOrder", {**edit, "txid": userref, "price": "18000"})["txid"]
    assert parse_qs(rig.arrivals()[-1].body.decode())["txid"] == [replaced]
    assert [rig.is_open(txid) for txid in (cancelled, own, replaced, edited)] == [False, False, False, True]


def test_a_dry_run_of_an_edit_closes_nothing(rig: Rig, bot: Bot) -> None:
    """The order that it names is cancelled by its userref afterwards."""
    userref = fresh()
    own = rig.place(bot, **SMALL, userref=userref)
    edit = {"txid": userref, "pair": "XBTUSD", "price": "19000", "validate": "true"}
    assert rig.call(bot, "EditOrder", edit) == []
    assert rig.result(bot, "CancelOrder", {"txid": userref}) == {"count": 1}
    assert not rig.is_open(own)


@pytest.mark.parametrize("zeros", ["+7", " 7", "7.0", "0x7"])
def test_a_userref_has_one_spelling(rig: Rig, bot: Bot, zeros: str) -> None:
    """A userref that the exchange could read as another number is refused."""
    by_hand(rig, userref="7")
    rig.place(bot, **SMALL, userref="7")
    denied(rig, bot, "EditOrder", {"txid": zeros, "pair": "XBTUSD", "price": "19000"})
    denied(rig, bot, "CancelOrder", {"txid": zeros})


def test_an_amend_by_a_cl_ord_id_moves_no_order_of_the_owners(rig: Rig, bot: Bot) -> None:
    """The bot's own order of that name is closed: the exchange would find the owner's."""
    name = f"x-{secrets.token_hex(4)}"
    own = rig.place(bot, **SMALL, cl_ord_id=name)
    assert rig.call(bot, "CancelOrder", {"txid": own}) == []
    owners = by_hand(rig, cl_ord_id=name)
    assert rig.call(bot, "AmendOrder", {"cl_ord_id": name, "limit_price": "19000"}) == ["EOrder:Unknown order"]
    sent = parse_qs(rig.arrivals()[-1].body.decode())
    assert (sent["txid"], "cl_ord_id" in sent) == ([own], False)
    assert float(price_of(rig, owners)) == 79000


def test_an_amend_by_ones_own_cl_ord_id_is_sent_with_the_txid(rig: Rig, bot: Bot) -> None:
    """The request names the txid and no other name."""
    name = f"x-{secrets.token_hex(4)}"
    own = rig.place(bot, **SMALL, cl_ord_id=name)
    assert rig.call(bot, "AmendOrder", {"cl_ord_id": name, "limit_price": "19000"}) == []
    sent = parse_qs(rig.arrivals()[-1].body.decode())
    assert (sent["txid"], "cl_ord_id" in sent) == ([own], False)
    assert float(price_of(rig, own)) == 19000


@pytest.mark.parametrize("kind", ["userref", "cl_ord_id"])
def test_an_order_without_a_txid_is_not_changed(rig: Rig, bot: Bot, kind: str) -> None:
    """An order whose answer was lost is not changed, since the owner's order may bear the same name."""
    name = fresh() if kind == "userref" else f"x-{secrets.token_hex(4)}"
    owners = by_hand(rig, **{kind: name})
    rig.sandbox.control.add_fault(CloseBeforeReading(endpoint="AddOrder"))
    assert rig.call(bot, "AddOrder", {**SMALL, kind: name})[0] == "EService:Unavailable"
    named = {"txid": name, "pair": "XBTUSD"} if kind == "userref" else {"cl_ord_id": name}
    endpoint, price = ("EditOrder", "price") if kind == "userref" else ("AmendOrder", "limit_price")
    assert denied(rig, bot, endpoint, {**named, price: "19000"}).startswith("EService:Unavailable")
    assert float(price_of(rig, owners)) == 79000
