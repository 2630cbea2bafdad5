"""What a halted or revoked client has open at the exchange: shown by the brakes, and cancelled where told to."""

from __future__ import annotations

from collections.abc import Sequence

import click

from signer.cli.key_store import Row, show_rows, warn
from signer.cli.ledger import with_ledger
from signer.errors import SignerError
from signer.gateway.records import order_row
from signer.home.layout import Home
from signer.home.lock import holder
from signer.ledger.database import whom
from signer.serving.admin import ask, ask_within

NOT_ALL = 5
"""Exit status where orders may still be open that were to be cancelled (docs/cli.md)."""
MOST_SHOWN = 50
LIST_S = 10.0
"""How long a brake that has worked waits to be told what is open."""


def cancel_orders_option(function: click.decorators.FC) -> click.decorators.FC:
    """``--cancel-orders``."""
    text = "Also cancel what is open, through the running gateway."
    return click.option("--cancel-orders", is_flag=True, help=text)(function)


def show_open(home: Home, client: str, account: str) -> int:
    """Say what may be open; always 0, for the brake itself has worked."""
    told = None
    try:
        if _serves(home):
            told = ask_within(LIST_S, home.admin, "open_orders", client=client, account=account)
    except SignerError as error:
        warn(f"what is open is told from the ledger: {error}")
    try:
        rows = told["orders"] if told else _from_ledger(home, client, account)
    except SignerError as error:
        warn(f"what {whom(client, account)} has open cannot be told: {error}")
        return 0
    _show(rows, told["count"] if told else len(rows), whom(client, account))
    _warn_unsettled(told["unsettled"] if told else ())
    return 0


def clear(home: Home, client: str, account: str) -> int:
    """Cancel what may be open, and say what could not be; the command's exit status."""
    who = whom(client, account)
    try:
        if not _serves(home):
            hint = "start it and repeat this, or cancel at the exchange"
            warn(f"NOTHING WAS CANCELLED: no gateway serves on this home; {hint}")
            show_open(home, client, account)
            return NOT_ALL
        told = ask(home.admin, "cancel_orders", client=client, account=account)
    except SignerError as error:
        warn(f"ORDERS OF {who} MAY STILL BE OPEN: the running gateway does not say that they are cancelled ({error})")
        return NOT_ALL
    click.echo(f"Cancelled {_orders(told['count'])} of {who}.", err=True)
    for venue_id, why in told["left"].items():
        warn(f"{venue_id} may still be open: {why}")
    _warn_unsettled(told["unsettled"])
    return NOT_ALL if told["left"] or told["unsettled"] else 0


def _serves(home: Home) -> bool:
    running = holder(home.lock)
    return running is not None and running.serves


def _from_ledger(home: Home, client: str, account: str) -> list[Row]:
    """As the gateway last knew it."""
    return [dict(order_row(one)) for one in with_ledger(home, lambda ledger: ledger.open_orders(account, client))]


def _show(rows: list[Row], count: int, who: str) -> None:
    click.echo(
        f"Open orders of {who}: {f'{count}; --cancel-orders cancels them' if count else 'none known'}.", err=True
    )
    if rows:
        show_rows(rows[:MOST_SHOWN], none="")
    if count > MOST_SHOWN:
        click.echo(f"… and {count - MOST_SHOWN} more.", err=True)


def _warn_unsettled(names: Sequence[str]) -> None:
    for name in names:
        warn(f"an order with {name} may exist: its outcome is not known; see `signer status`")


def _orders(count: int) -> str:
    return "1 order" if count == 1 else f"{count} orders"
