"""Threat: a bot learns the name by which the exchange knows an order, or reaches another's order by a name of its own.

A canary: whatever a bot does with names, no name of ours is in a byte that it reads, and no name of its own is in a
byte that the exchange reads. Each bot sees its own names again, and nobody else's.
"""

from __future__ import annotations

import json
import re
import secrets
from typing import Any
from urllib.parse import unquote_plus

import pytest

from tests.harness.bots import LIMIT, Bot
from tests.harness.policies import NARROW
from tests.harness.rig import Rig
from tests.harness.wire import ask

ROOMY = NARROW.replace("1500 USD", "150000 USD").replace('"query-open', '"query-closed-trades", "query-open')
SMALL = {**LIMIT, "volume": "0.001"}
READS = ("OpenOrders", "ClosedOrders")


class Ear:
    """A bot and all that it was answered."""

    def __init__(self, rig: Rig) -> None:
        self.bot: Bot = rig.bot(rig.policy(ROOMY))
        self.userref = str(secrets.randbelow(2**29) + 2**30)
        self.cl_ord_id = f"c-{secrets.token_hex(6)}"
        self.given = [self.userref, self.cl_ord_id]
        self.heard: list[bytes] = []
        self._rig = rig

    def ask(self, endpoint: str, **fields: str) -> Any:
        """The whole answer to a call."""
        answer = ask(self._rig.url, self.bot.request(endpoint, fields))
        assert answer is not None
        self.heard.append(answer.body)
        return json.loads(answer.body)

    def place(self, **name: str) -> str:
        """A small order; its txid."""
        return str(self.ask("AddOrder", **SMALL, **name)["result"]["txid"][0])

    def rows(self, endpoint: str, **fields: str) -> dict[str, Any]:
        """The rows of a read."""
        result: dict[str, Any] = self.ask(endpoint, **fields)["result"]
        found = next((result[key] for key in ("open", "closed") if key in result), result)
        return dict(found)

    def trade(self) -> None:
        """Do everything that has to do with names."""
        tagged, named = self.place(userref=self.userref), self.place(cl_ord_id=self.cl_ord_id)
        self.place()
        self.ask("AddOrder", **SMALL, userref=self.userref, validate="true")
        rows = {f"orders[{n}][{key}]": value for n in (0, 1) for key, value in SMALL.items() if key != "pair"}
        self.ask("AddOrderBatch", pair="XBTUSD", **rows, **{"orders[1][userref]": self.userref})
        self.ask("AmendOrder", cl_ord_id=self.cl_ord_id, limit_price="19000")
        edited = self.ask("EditOrder", txid=tagged, pair="XBTUSD", price="19500", userref=self.userref)["result"]
        assert (edited["newuserref"], edited["olduserref"]) == (self.userref, self.userref)
        unnamed = self.ask("EditOrder", txid=edited["txid"], pair="XBTUSD", price="19600")["result"]
        assert (unnamed["newuserref"], unnamed["olduserref"]) == ("", self.userref)
        self.ask("AddOrder", **SMALL, cl_ord_id=self.cl_ord_id)  # in use
        self.ask("AddOrder", **{**SMALL, "volume": "0.0000001"}, userref=self.userref)  # below the least
        for name in ({"userref": self.userref}, {"cl_ord_id": self.cl_ord_id}):
            for endpoint in READS:
                self.ask(endpoint, **name)
            self.ask("QueryOrders", txid=f"{tagged},{named}", **name)
            self.ask("TradesHistory", **name)
        self.ask("CancelOrder", cl_ord_id=self.cl_ord_id)
        self.ask("CancelOrder", txid=self.userref)
        for endpoint in READS:
            self.ask(endpoint, trades="true")


def own_names(rig: Rig) -> set[str]:
    """Every name that an order has had at the exchange."""
    return {str(order["own"]) for record in rig.made.records(kind="intent") for order in record.get("orders", [])}


def test_names_of_ours_stay_here_and_names_of_clients_too(rig: Rig) -> None:
    """Two bots and the owner's hand on one account, by every call that has to do with names."""
    ears, before = [Ear(rig), Ear(rig)], max((one.seq for one in rig.sandbox.control.arrivals()), default=0)
    rig.place_by_hand(userref="4711")
    for ear in ears:
        ear.trade()
    ours = own_names(rig)
    assert len(ours) >= 14
    for ear in ears:
        for body in ear.heard:
            assert ours.isdisjoint(re.findall(r"[0-9a-f-]{36}|[0-9]+", body.decode()))
    told = b"".join(one.body for one in rig.sandbox.control.arrivals(after=before))
    sent = unquote_plus(told.decode())
    assert not [name for ear in ears for name in ear.given if name in sent]


def test_each_sees_its_own_names_and_nobody_else_s(rig: Rig) -> None:
    """An order without a name has none, another client's shows none, and the owner's shows what the owner gave."""
    one, other = Ear(rig), Ear(rig)
    tagged, named, plain = one.place(userref=one.userref), one.place(cl_ord_id=one.cl_ord_id), one.place()
    theirs = [other.place(userref=one.userref), other.place(cl_ord_id=one.cl_ord_id)]
    by_hand = rig.place_by_hand(userref=one.userref)
    rows = one.rows("OpenOrders")
    assert (rows[tagged]["userref"], rows[by_hand]["userref"]) == (int(one.userref), int(one.userref))
    assert (rows[named]["userref"], rows[named]["cl_ord_id"]) == (None, one.cl_ord_id)
    assert rows[plain]["userref"] is None
    assert [rows[txid].get("cl_ord_id") or rows[txid]["userref"] for txid in theirs] == [None, None]
    assert one.rows("OpenOrders", userref=one.userref).keys() == {tagged}
    assert one.rows("OpenOrders", cl_ord_id=one.cl_ord_id).keys() == {named}
    assert one.rows("QueryOrders", txid=f"{tagged},{named},{plain}", userref=one.userref).keys() == {tagged}
    assert other.rows("OpenOrders", userref=one.userref).keys() == {theirs[0]}
    assert one.ask("CancelOrder", txid=one.userref)["result"] == {"count": 1}
    assert one.rows("ClosedOrders", userref=one.userref).keys() == {tagged}
    assert rig.is_open(by_hand)


def test_names_come_back_after_a_restart(rig: Rig) -> None:
    """The log has both names of each order."""
    ear = Ear(rig)
    tagged, named = ear.place(userref=ear.userref), ear.place(cl_ord_id=ear.cl_ord_id)
    assert ear.ask("CancelOrder", cl_ord_id=ear.cl_ord_id)["result"] == {"count": 1}
    rig.restart()
    assert ear.rows("OpenOrders", userref=ear.userref)[tagged]["userref"] == int(ear.userref)
    assert ear.rows("ClosedOrders")[named]["cl_ord_id"] == ear.cl_ord_id
    assert ear.ask("CancelOrder", txid=ear.userref)["result"] == {"count": 1}


@pytest.mark.parametrize("kind", ["userref", "cl_ord_id"])
def test_a_name_of_ours_is_no_name_to_a_client(rig: Rig, kind: str) -> None:
    """Who learned it, as from the exchange's own pages, reaches nothing by it."""
    ear = Ear(rig)
    txid = ear.place(**{kind: ear.userref if kind == "userref" else ear.cl_ord_id})
    row = rig.sandbox.control.ask(rig.sandbox.account, "OpenOrders")["open"][txid]
    own = str(row.get("cl_ord_id") or row["userref"])
    assert own in own_names(rig)
    with rig.nothing_arrives():
        answer = ear.ask("CancelOrder", **({"cl_ord_id": own} if kind == "cl_ord_id" else {"txid": own}))
    assert answer["error"]
    assert ear.rows("OpenOrders", **{kind: own}) == {}
    assert rig.is_open(txid)
