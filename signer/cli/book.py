"""`signer book`: accept that the book lacks records that the log has lost."""

from __future__ import annotations

import click

from signer.cli.options import MOST_REASON, in_session, reading_reason
from signer.model.gaps import lacking
from signer.operator.gaps import accept_gaps
from signer.operator.session import Session


@click.command()
@click.option("--reason", required=True, callback=reading_reason(MOST_REASON), help="Why, for the audit log.")
@in_session
def accept(session: Session, *, reason: str) -> int:
    """Let orders pass again although the book lacks records.

    A gateway whose log has lost records sends no order, because nobody knows what these records said: calls may have
    used caps, halts may have begun, and orders may be open that the book does not know. Look at the open orders at the
    exchange first, cancel those that nobody knows, and halt again those who were halted. If there is a copy of the
    missing segments, put them back instead. Exit status 1 if the book lacks no record.
    """
    gaps = accept_gaps(session, reason)
    if not gaps:
        click.echo("The book lacks no record.", err=True)
        return 1
    click.echo(f"Accepted: {lacking(gaps)}. Orders pass again.", err=True)
    click.echo("Its caps and halts do not count what those records said; orders may be open that it lacks.", err=True)
    return 0
