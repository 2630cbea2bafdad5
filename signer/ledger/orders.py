"""Orders that were placed through us: whose they are, and what they were last known to be."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from signer.ledger.documents import from_order, to_order
from signer.model import Intent, OrderRef, PlacedOrder

KEPT_US = 90 * 24 * 3600 * 1_000_000
"""An order is forgotten this long after it was placed."""

PRUNED_AT_ONCE = 4
"""How many old orders each new one sweeps out at most: faster than they come, and bounded."""

NEWEST = 16
"""A client that gives all its orders the same userref is answered with so many of them."""


def placed_by(intent: Intent, txids: Sequence[str | None], now_us: int) -> Sequence[PlacedOrder]:
    """The orders of ``intent`` that the venue accepted."""
    return [
        PlacedOrder(intent.account, intent.client, txid, order, now_us)
        for order, txid in zip(intent.orders, txids, strict=False)
        if txid is not None
    ]


def remember(db: sqlite3.Connection, placed: PlacedOrder) -> None:
    """Store an order; where its txid is known already (an amend), what it is now. Who placed it stays."""
    write = """INSERT INTO orders (account, client, txid, userref, cl_ord_id, placed_us, document)
        VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, txid) DO UPDATE
        SET userref = excluded.userref, cl_ord_id = excluded.cl_ord_id, document = excluded.document"""
    order = placed.order
    row = (placed.account, placed.client, placed.txid, order.userref, order.cl_ord_id, placed.placed_us)
    db.execute(write, (*row, from_order(order)))
    _prune(db, placed.placed_us - KEPT_US)


def find(db: sqlite3.Connection, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
    """The orders that ``ref`` names, newest first: of each client that has any, its newest 16.

    A userref may name every order that a bot ever placed. Each client's newest are enough to tell whose orders a call
    would touch and what they are.
    """
    rows = [row for client in _clients(db, account, ref) for row in _newest(db, account, ref, client)]
    rows.sort(reverse=True)
    return [PlacedOrder(account, client, txid, to_order(text), placed) for _, client, txid, placed, text in rows]


def _clients(db: sqlite3.Connection, account: str, ref: OrderRef) -> Iterator[str]:
    # Hops along the index from one client to the next instead of reading all of their orders.
    query = f"SELECT min(client) FROM orders WHERE account = ? AND {ref.kind} = ? AND client > ?"  # noqa: S608
    (client,) = db.execute(query, (account, ref.value, "")).fetchone()
    while client is not None:
        yield client
        (client,) = db.execute(query, (account, ref.value, client)).fetchone()


def _newest(
    db: sqlite3.Connection, account: str, ref: OrderRef, client: str
) -> Sequence[tuple[int, str, str, int, str]]:
    query = f"""SELECT id, client, txid, placed_us, document FROM orders
        WHERE account = ? AND {ref.kind} = ? AND client = ? ORDER BY id DESC LIMIT {NEWEST}"""  # noqa: S608
    return db.execute(query, (account, ref.value, client)).fetchall()


def _prune(db: sqlite3.Connection, before_us: int) -> None:
    # Numbers grow with time, so the oldest orders are the first rows.
    prune = "DELETE FROM orders WHERE placed_us < ? AND id IN (SELECT id FROM orders ORDER BY id LIMIT ?)"
    db.execute(prune, (before_us, PRUNED_AT_ONCE))
