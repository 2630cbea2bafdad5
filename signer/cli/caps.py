"""`signer caps`: give a client the whole of its caps back."""

from __future__ import annotations

import click

from signer.cli.options import MOST_REASON, in_session, reading_reason
from signer.operator.caps import reset_caps
from signer.operator.session import Session


@click.command()
@click.argument("name")
@click.option("--unit", default="", metavar="UNIT", help="Only the caps that count this, as USD or orders.")
@click.option("--reason", required=True, callback=reading_reason(MOST_REASON), help="Why, for the audit log.")
@in_session
def reset(session: Session, *, name: str, unit: str, reason: str) -> int:
    """Forget what client NAME has spent of its caps.

    What its open calls hold stays held. Exit status 1 if it has spent nothing.
    """
    found = reset_caps(session, name, unit, reason)
    click.echo(f"Reset {', '.join(found)}." if found else f"{name} has spent nothing of any such cap.", err=True)
    return 0 if found else 1
