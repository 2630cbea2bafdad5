"""Orders that were placed through us: whose they are, and what they were last known to be."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence

from signer.ledger.documents import from_order, to_order
from signer.model import Intent, OrderRef, PlacedOrder

KEPT_US = 90 * 24 * 3600 * 1_000_000
"""A closed order is forgotten this long after it was placed. One that may be open never is."""

PRUNED_AT_ONCE = 4
"""How many old orders each new one sweeps out at most: faster than they come, and bounded."""

CLOSED_AT_ONCE = 1000
"""How many orders one transaction marks as closed at most: some 10 ms."""

NEWEST = 16
"""A client that gives all its orders the same userref is answered with so many of its closed ones."""

MOST_OPEN = 5_000
"""And with so many of those that may be open: Kraken allows 225 for each pair (docs/kraken.md §4), and its list tells
every few minutes at least which of the others are closed (`signer.gateway.reconcile`)."""


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
    """The orders that ``ref`` names, newest first: of each client all that may be open, and its 16 newest others.

    A userref may name every order that a bot ever placed. What is closed can be neither changed nor cancelled, so of
    that each client's newest are enough.
    """
    rows = [row for client in _clients(db, account, ref) for row in _newest(db, account, ref, client)]
    rows.sort(reverse=True)
    return [
        PlacedOrder(account, client, txid, to_order(text), placed_us, bool(closed))
        for _, client, txid, placed_us, text, closed in rows
    ]


def close_absent(db: sqlite3.Connection, account: str, listed: Sequence[str], placed_before_us: int) -> bool:
    """The venue lists ``listed`` as open: all other orders of the account that were placed before then are closed.

    Whatever it lists is open, also if it was taken for closed before. Closes so many at once that a reserve need not
    wait long; whether there may be more.
    """
    names = json.dumps(list(listed))
    close = """UPDATE orders SET closed = 1 WHERE id IN (
        SELECT id FROM orders WHERE account = ? AND closed = 0 AND placed_us < ?
        AND txid NOT IN (SELECT value FROM json_each(?)) LIMIT ?)"""
    closed = db.execute(close, (account, placed_before_us, names, CLOSED_AT_ONCE)).rowcount
    reopen = """UPDATE orders SET closed = 0 WHERE account = ? AND closed = 1
        AND txid IN (SELECT value FROM json_each(?))"""
    db.execute(reopen, (account, names))
    return closed == CLOSED_AT_ONCE


def may_be_open(db: sqlite3.Connection, account: str) -> int:
    """How many orders the account has that are not known to be closed."""
    (count,) = db.execute("SELECT count(*) FROM orders WHERE account = ? AND closed = 0", (account,)).fetchone()
    return int(count)


def open_orders(db: sqlite3.Connection, account: str, client: str) -> Sequence[PlacedOrder]:
    """Orders of ``client`` on ``account`` (of any, where empty) that are not known to be closed, newest first.

    All of them, however many: a brake that left out the oldest would leave them open and say nothing.
    """
    query = """SELECT account, client, txid, document, placed_us FROM orders
        WHERE closed = 0 AND ?1 IN ('', account) AND ?2 IN ('', client) ORDER BY id DESC"""
    rows = db.execute(query, (account, client)).fetchall()
    return [PlacedOrder(where, who, txid, to_order(text), placed_us) for where, who, txid, text, placed_us in rows]


def _clients(db: sqlite3.Connection, account: str, ref: OrderRef) -> Iterator[str]:
    # Hops along the index from one client to the next instead of reading all of their orders.
    query = f"SELECT min(client) FROM orders WHERE account = ? AND {ref.kind} = ? AND client > ?"  # noqa: S608
    (client,) = db.execute(query, (account, ref.value, "")).fetchone()
    while client is not None:
        yield client
        (client,) = db.execute(query, (account, ref.value, client)).fetchone()


def _newest(
    db: sqlite3.Connection, account: str, ref: OrderRef, client: str
) -> list[tuple[int, str, str, int, str, int]]:
    found = []
    for closed, limit in ((0, MOST_OPEN), (1, NEWEST)):
        query = f"""SELECT id, client, txid, placed_us, document, closed FROM orders
            WHERE account = ? AND {ref.kind} = ? AND client = ? AND closed = ? ORDER BY id DESC LIMIT ?"""  # noqa: S608
        found += db.execute(query, (account, ref.value, client, closed, limit)).fetchall()
    return found


def _prune(db: sqlite3.Connection, before_us: int) -> None:
    prune = """DELETE FROM orders WHERE id IN (
        SELECT id FROM orders WHERE closed = 1 AND placed_us < ? ORDER BY placed_us LIMIT ?)"""
    db.execute(prune, (before_us, PRUNED_AT_ONCE))
