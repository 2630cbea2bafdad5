"""The orders in the checkpoint's file: the open ones, and the closed ones of the last 90 days."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, final

import orjson

from signer.book.orders import OrderKey
from signer.book.questions import NEWEST_CLOSED
from signer.book.reading import BookOrder, document_of
from signer.ledger.book_format import checksum, damage, require_sound
from signer.model import OrderRef, PlacedOrder, one_name

KEPT_US: Final = 90 * 24 * 3600 * 1_000_000
"""A closed order is forgotten this long after it was placed. One that may be open never is."""

DELETED_AT_ONCE: Final = 20
"""How many orders one statement deletes, so that it takes a fraction of a slice."""

DELETE_IT: Final = "stop the gateway and delete the file; the next start makes it anew from the audit log"

_NAMED: Final = {"client-tag": "client_tag", "client-id": "client_id", "own": "own"}


def keep(db: sqlite3.Connection, orders: Iterable[tuple[OrderKey, BookOrder]]) -> None:
    """Store orders as they are now."""
    write = """INSERT INTO orders
        (account, venue_id, client, client_tag, client_id, own, placed_us, document, closed, crc)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account, venue_id) DO UPDATE
        SET client = excluded.client, client_tag = excluded.client_tag, client_id = excluded.client_id,
        own = excluded.own, placed_us = excluded.placed_us, document = excluded.document, closed = excluded.closed,
        crc = excluded.crc"""
    db.executemany(write, [_row_of(*one) for one in orders])


def _row_of(key: OrderKey, order: BookOrder) -> tuple[object, ...]:
    document, closed = orjson.dumps(dict(order.order)), int(order.closed)
    crc = checksum(*key, order.client, order.placed_us, document, closed)
    given = (order.order.get(name) for name in _NAMED.values())
    names = [one_name(name) if isinstance(name, str) else None for name in given]
    return (*key, order.client, *names, order.placed_us, document, closed, crc)


def forget_open(db: sqlite3.Connection) -> Iterator[None]:
    """Delete all open orders, a few at each step."""
    delete = "DELETE FROM orders WHERE id IN (SELECT id FROM orders WHERE closed = 0 LIMIT ?)"
    while db.execute(delete, (DELETED_AT_ONCE,)).rowcount == DELETED_AT_ONCE:
        yield


def forget_old(db: sqlite3.Connection, now_us: int, limit: int) -> Iterator[None]:
    """Delete closed orders that were placed more than 90 days ago, a few at each step, and ``limit`` or so in all."""
    delete = """DELETE FROM orders WHERE id IN (
        SELECT id FROM orders WHERE closed = 1 AND placed_us < ? ORDER BY placed_us LIMIT ?)"""
    for _ in range(0, limit, DELETED_AT_ONCE):
        if db.execute(delete, (now_us - KEPT_US, DELETED_AT_ONCE)).rowcount < DELETED_AT_ONCE:
            break
        yield


def open_orders(db: sqlite3.Connection) -> Iterator[tuple[OrderKey, BookOrder]]:
    """Yield the open orders, oldest first. Raises what `UNREADABLE` names for one that is damaged."""
    return map(_read, db.execute("SELECT * FROM orders WHERE closed = 0 ORDER BY placed_us, id"))


def _read(row: tuple[Any, ...]) -> tuple[OrderKey, BookOrder]:
    _, account, venue_id, client, _, _, _, placed_us, document, closed, crc = row
    require_sound(crc, account, venue_id, client, placed_us, document, closed)
    return (account, venue_id), BookOrder(client, placed_us, document_of(orjson.loads(document)), bool(closed))


@final
class KeptOrders:
    """Finds closed orders in the file (`signer.book.questions.ClosedOrders`). It waits for nobody who writes."""

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self._path = path
        self._db = db

    def closed(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        """Return closed orders that a name means, the 16 newest of each client, newest first."""
        if ref.kind == "venue-id":
            return self.closed_among(account, [ref.value])
        with damage(self._path, DELETE_IT):
            rows = [row for client in self._clients(account, ref) for row in self._newest(account, ref, client)]
            return sorted(_placed(rows), key=lambda order: order.placed_us, reverse=True)

    def closed_among(self, account: str, venue_ids: Sequence[str]) -> Sequence[PlacedOrder]:
        """Return those of these orders that are closed."""
        query = """SELECT * FROM orders WHERE account = ? AND closed = 1
            AND venue_id IN (SELECT value FROM json_each(?)) ORDER BY placed_us, id"""
        with damage(self._path, DELETE_IT):
            return _placed(self._db.execute(query, (account, orjson.dumps(list(venue_ids)).decode())))

    def close(self) -> None:
        """Close the connection."""
        with damage(self._path):
            self._db.close()

    def _clients(self, account: str, ref: OrderRef) -> Iterator[str]:
        # Hops along the index from one client to the next instead of reading all of their orders.
        query = f"""SELECT min(client) FROM orders
            WHERE closed = 1 AND account = ? AND {_NAMED[ref.kind]} = ? AND client > ?"""  # noqa: S608
        (client,) = self._db.execute(query, (account, one_name(ref.value), "")).fetchone()
        while client is not None:
            yield client
            (client,) = self._db.execute(query, (account, one_name(ref.value), client)).fetchone()

    def _newest(self, account: str, ref: OrderRef, client: str) -> Iterable[tuple[Any, ...]]:
        query = f"""SELECT * FROM orders WHERE closed = 1 AND account = ? AND {_NAMED[ref.kind]} = ? AND client = ?
            ORDER BY placed_us DESC LIMIT ?"""  # noqa: S608
        return self._db.execute(query, (account, one_name(ref.value), client, NEWEST_CLOSED))


def _placed(rows: Iterable[tuple[Any, ...]]) -> Sequence[PlacedOrder]:
    return [order.placed(*key) for key, order in map(_read, rows)]
