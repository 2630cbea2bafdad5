"""`signer orders`: calls whose outcome is unknown, and how a person ends one; whether a gateway runs or not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from signer.cli.key_store import Row, show_rows
from signer.cli.keys import utc
from signer.cli.ledger import require_home, with_ledger
from signer.cli.operation import MOST_REASON, on_record
from signer.cli.reasons import reading_reason
from signer.home.layout import Home
from signer.home.lock import holder
from signer.ledger.sqlite import SqliteLedger
from signer.model import OpenIntent, Order
from signer.serving.admin import ask
from signer.venues.kraken.vocabulary import WORDS

NOT_PLACED = "-"
"""Stands in the place of the id of an order that was not placed."""


@click.group()
def orders() -> None:
    """List and close the calls whose outcome is unknown.

    What they charge stays held until it is known.
    """


@orders.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def unknown(home: Home, as_json: bool) -> None:
    """List the calls whose outcome is unknown, with their orders and what was tried."""
    require_home(home)
    tries = _tries(home)
    rows = [_row(one, tries) for one in with_ledger(home, _open) if tries is None or str(one.reservation) in tries]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    show_rows([{**row, "orders": "; ".join(row["orders"])} for row in rows], none="No outcome is unknown.")


def _reason_option(function: click.decorators.FC) -> click.decorators.FC:
    read = reading_reason(MOST_REASON)
    return click.option("--reason", required=True, callback=read, help="Why, for the audit log.")(function)


def _read_venue_ids(_ctx: click.Context, _param: click.Parameter, text: str) -> tuple[str | None, ...]:
    venue_ids = tuple(None if venue_id.strip() == NOT_PLACED else venue_id.strip() for venue_id in text.split(","))
    if not any(venue_ids) or "" in venue_ids:
        raise click.BadParameter("write the txid of each order with commas between, and - for one that was not placed")
    return venue_ids


@orders.command()
@click.argument("number", metavar="ID", type=click.IntRange(min=1))
@click.option("--txid", "venue_ids", required=True, callback=_read_venue_ids, help="Of each order, commas between.")
@_reason_option
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def settle(home: Home, number: int, venue_ids: Sequence[str | None], reason: str, as_json: bool) -> int:
    """Say that the exchange has the orders of the unknown call ID. Exit status 1 if there is none such."""
    return _close(home, "orders settle", number, venue_ids, reason, as_json=as_json)


@orders.command()
@click.argument("number", metavar="ID", type=click.IntRange(min=1))
@_reason_option
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def release(home: Home, number: int, reason: str, as_json: bool) -> int:
    """Say that nothing came of the unknown call ID: what it holds is given back. Exit status 1 if there is none."""
    return _close(home, "orders release", number, (), reason, as_json=as_json)


def _close(home: Home, act: str, number: int, venue_ids: Sequence[str | None], reason: str, *, as_json: bool) -> int:
    if not reason:
        raise click.BadParameter("write why; it goes on record", param_hint="--reason")
    require_home(home)
    found = next((one for one in with_ledger(home, _open) if one.reservation == number), None)
    closed = False
    if found is not None:
        with on_record(home, act, reason, client=found.intent.client, account=found.intent.account) as operation:
            closed = operation.close_unknown(number, venue_ids, reason)
            what = f"call {number} ({found.intent.record})"
            operation.detail = (
                f"{what}: {_listed(venue_ids) or 'nothing was placed'}" if closed else f"{what} was closed"
            )
    if as_json:
        click.echo(json.dumps({"id": number, "closed": closed, "txids": list(venue_ids)}))
    elif not closed:
        click.echo(f"There is no unknown call {number}; `signer orders unknown` lists them.", err=True)
    else:
        done = f"Settled as {_listed(venue_ids)}" if venue_ids else "Released; what it held is free again"
        click.echo(f"{done}.", err=True)
    return 0 if closed else 1


def _listed(venue_ids: Sequence[str | None]) -> str:
    return ", ".join(venue_id or NOT_PLACED for venue_id in venue_ids)


async def _open(ledger: SqliteLedger) -> Sequence[OpenIntent]:
    return await ledger.open_intents()


def _tries(home: Home) -> Mapping[str, Any] | None:
    """What the running gateway has tried, by reservation; None if none runs, so that every open call is unknown."""
    running = holder(home.lock)
    return ask(home.admin, "unknown") if running is not None and running.serves else None


def _row(one: OpenIntent, tries: Mapping[str, Any] | None) -> dict[str, Any]:
    tried = (tries or {}).get(str(one.reservation), {"tries": 0, "why": "no gateway runs"})
    row: Row = {
        "id": one.reservation,
        "client": one.intent.client,
        "account": one.intent.account,
        "endpoint": one.intent.endpoint,
        "orders": [order_text(order) for order in one.intent.orders],
        "since": utc(one.intent.at_us),
        "tries": tried["tries"],
        "why": tried["why"],
        "record": one.intent.record,
    }
    return row


def order_text(order: Order) -> str:
    """An order as a person looks for it at the exchange."""
    prices = [str(price) for price in (order.price, order.price2) if price is not None]
    parts = [order.side, f"{order.volume:f}", order.pair, order.order_type, *prices]
    if order.client_tag is not None:
        parts.append(f"{WORDS.refs['client-tag']} {order.client_tag}")
    if order.client_id:
        parts.append(f"{WORDS.refs['client-id']} {order.client_id}")
    return " ".join(parts)
