"""Shows a halted or revoked client's open orders, or cancels them. Each function returns an exit status."""

from __future__ import annotations

from collections.abc import Sequence

import click

from signer.cli.showing import show_rows
from signer.cli.terminal import warn
from signer.model import HaltScope
from signer.operator.open_orders import cancel_open, open_orders
from signer.operator.session import Session

NOT_ALL = 5
"""Exit status if orders that had to be cancelled may still be open (docs/cli.md)."""
MOST_SHOWN = 50


def show_open(session: Session, scope: HaltScope) -> int:
    """Show orders that may be open. Always 0, because the brake itself has worked."""
    found = open_orders(session, scope)
    if found is None:
        return 0
    told = f"{found.count}; --cancel-orders cancels them" if found.count else "none known"
    click.echo(f"Open orders of {found.who}: {told}.", err=True)
    if found.rows:
        show_rows(found.rows[:MOST_SHOWN])
    if found.count > MOST_SHOWN:
        click.echo(f"… and {found.count - MOST_SHOWN} more.", err=True)
    _warn_unsettled(found.unsettled)
    return 0


def clear(session: Session, scope: HaltScope) -> int:
    """Cancel orders that may be open, and name those that could not be cancelled."""
    cleared = cancel_open(session, scope)
    if cleared.why_not:
        warn(cleared.why_not)
        if not cleared.gateway:
            show_open(session, scope)
        return NOT_ALL
    click.echo(f"Cancelled {_orders(cleared.count)} of {cleared.who}.", err=True)
    for venue_id, why in cleared.left.items():
        warn(f"{venue_id} may still be open: {why}")
    _warn_unsettled(cleared.unsettled)
    return 0 if cleared.all_closed else NOT_ALL


def _warn_unsettled(names: Sequence[str]) -> None:
    for name in names:
        warn(f"an order with {name} may exist: its outcome is not known; see `signer status`")


def _orders(count: int) -> str:
    return "1 order" if count == 1 else f"{count} orders"
