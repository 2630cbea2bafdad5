"""`signer orders`: list calls of unknown outcome, and close one by hand. They need no running gateway."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from signer.cli.options import MOST_REASON, in_session, json_option, reading_reason
from signer.cli.showing import Row, show_json, show_rows
from signer.home.layout import Home
from signer.model import Order, Vocabulary
from signer.operator.moments import utc
from signer.operator.orders import NOT_PLACED, UnknownCall, close_unknown, listed, unknown_calls
from signer.operator.session import Session
from signer.serving.loaded import words_of


@click.command()
@json_option
@click.pass_obj
def unknown(home: Home, *, as_json: bool) -> None:
    """List the calls whose outcome is unknown, with their orders and what was tried."""
    rows = [_row(one, words_of(home, one.call.intent.account)) for one in unknown_calls(home)]
    if as_json:
        show_json(rows)
    else:
        show_rows([{**row, "orders": "; ".join(row["orders"])} for row in rows], none="No outcome is unknown.")


def _closes(function: Callable[..., int]) -> Callable[..., int]:
    """Declare the argument and the options of a command that ends an unknown call."""
    text = "Why, for the audit log."
    reason = click.option("--reason", required=True, callback=reading_reason(MOST_REASON), help=text)
    number = click.argument("number", metavar="ID", type=click.IntRange(min=1))
    return number(reason(json_option(in_session(function))))


def _read_venue_ids(_ctx: click.Context, _param: click.Parameter, text: str) -> tuple[str | None, ...]:
    venue_ids = tuple(None if venue_id.strip() == NOT_PLACED else venue_id.strip() for venue_id in text.split(","))
    if not any(venue_ids) or "" in venue_ids:
        raise click.BadParameter("write the txid of each order with commas between, and - for one that was not placed")
    return venue_ids


@click.command()
@click.option("--txid", "venue_ids", required=True, callback=_read_venue_ids, help="Of each order, commas between.")
@_closes
def settle(session: Session, *, number: int, venue_ids: Sequence[str | None], reason: str, as_json: bool) -> int:
    """Say that the exchange has the orders of the unknown call ID. Exit status 1 if there is none such."""
    return _close(session, "orders settle", number, venue_ids, reason, as_json=as_json)


@click.command()
@_closes
def release(session: Session, *, number: int, reason: str, as_json: bool) -> int:
    """Say that nothing came of the unknown call ID, and free what it holds. Exit status 1 if there is none."""
    return _close(session, "orders release", number, (), reason, as_json=as_json)


def _close(
    session: Session, act: str, number: int, venue_ids: Sequence[str | None], reason: str, *, as_json: bool
) -> int:
    if not reason:
        raise click.BadParameter("write why; it goes on record", param_hint="--reason")
    closed = close_unknown(session, act, number, venue_ids, reason)
    if as_json:
        show_json({"id": number, "closed": closed, "txids": list(venue_ids)})
    elif not closed:
        click.echo(f"There is no unknown call {number}; `signer orders unknown` lists them.", err=True)
    else:
        done = f"Settled as {listed(venue_ids)}" if venue_ids else "Released; what it held is free again"
        click.echo(f"{done}.", err=True)
    return 0 if closed else 1


def _row(one: UnknownCall, words: Vocabulary) -> dict[str, Any]:
    intent = one.call.intent
    row: Row = {
        "id": one.call.reservation,
        "client": intent.client,
        "account": intent.account,
        "endpoint": intent.endpoint,
        "orders": [order_text(order, words) for order in intent.orders],
        "since": utc(intent.at_us),
        "tries": one.tries,
        "why": one.why,
        "record": intent.record,
    }
    return dict(row)


def order_text(order: Order, words: Vocabulary) -> str:
    """Describe an order as a person looks for it at the exchange."""
    prices = [str(price) for price in (order.price, order.price2) if price is not None]
    parts = [order.side, f"{order.volume:f}", order.pair, order.order_type, *prices]
    if order.client_tag is not None:
        parts.append(f"{words.refs['client-tag']} {order.client_tag}")
    if order.client_id:
        parts.append(f"{words.refs['client-id']} {order.client_id}")
    if order.own is not None:
        parts.append(f"{words.refs['own']} {order.own}")
    return " ".join(parts)
