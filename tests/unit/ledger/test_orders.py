"""Remembering orders: for a bounded time, and exactly."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from signer.gateway.trace import held_fields
from signer.ledger.caps import from_intent, from_order, to_intent, to_order
from signer.ledger.database import absent, connect, find, mark
from signer.ledger.writer import KEPT_US, PRUNED_AT_ONCE, remember
from signer.model import Moment, OrderRef, PlacedOrder, Price
from tests.unit.ledger.calls import START_US, charge, intent, order


def placed(txid: str, at_us: int = START_US) -> PlacedOrder:
    """An order of ``bot`` on the account ``main``."""
    return PlacedOrder("main", "bot", txid, order(), at_us)


def test_old_orders_are_swept_out_a_few_at_a_time(tmp_path: Path) -> None:
    """Each new order removes at most four that are closed and older than 90 days, and none that is younger or may be
    open."""
    db = connect(tmp_path / "ledger.db")
    for number in range(6):
        remember(db, placed(f"OLD{number}"))
    remember(db, placed("YOUNG", START_US + 1))
    remember(db, placed("OPEN"))
    mark(db, "main", absent(db, "main", ["OPEN"], START_US + 2), closed=True)

    def left() -> int:
        return int(db.execute("SELECT count(*) FROM orders").fetchone()[0])

    remember(db, placed("NEW0", START_US + KEPT_US + 1))
    assert left() == 9 - PRUNED_AT_ONCE
    remember(db, placed("NEW1", START_US + KEPT_US + 1))
    kept = [bool(find(db, "main", OrderRef("venue-id", txid))) for txid in ("OLD5", "YOUNG", "OPEN", "NEW0")]
    assert kept == [False, True, True, True]
    db.close()


def test_documents_are_exact() -> None:
    """An intent reads back as it was, to the last zero of an amount."""
    whole = order(
        attached=(order(side="sell", post_only=True, flags=frozenset({"fciq"})),), client_tag="-1", client_id="ä"
    )
    call = intent(charge("1E-8"), charge("610.00100"), orders=(whole, order()))
    assert to_intent(from_intent(call)) == call
    assert str(to_intent(from_intent(call)).charges[1].amount) == "610.00100"
    assert to_order(from_order(whole)) == whole


def test_a_record_reads_back_as_the_same_intent() -> None:
    """The record of a call that is about to be sent holds all that the ledger holds, to the last zero of an amount."""
    whole = order(
        attached=(order(side="sell", price=Price(Decimal("2"), "+", percent=True)),),
        flags=frozenset({"viqc", "fciq"}),
        ends=Moment(60, from_now=True),
        leverage=Decimal(5),
        client_id="\u00e4",
    )
    call = replace(
        intent(charge("1E-8"), charge("610.00100", leg=1), orders=(whole, order())),
        targets=(OrderRef("client-tag", "7"),),
        replaces=True,
        venue_us=3,
        held_us=START_US,
    )
    record = json.loads(json.dumps(held_fields(call, 1)))
    names = {"at_us": START_US, "record": "r1", "client": "bot", "account": "main", "endpoint": "AddOrder"}
    fields = {name: record[name] for name in ("orders", "targets", "charges", "replaces")}
    again = {**names, **fields, "venue_us": record["venue_time"], "held_us": record["at"]}
    assert to_intent(json.dumps(again)) == call
    assert record["charges"][1]["amount"] == "610.00100"
