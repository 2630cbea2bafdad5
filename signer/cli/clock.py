"""`signer clock`: say that the machine's clock is right, where nobody else can."""

from __future__ import annotations

import click

from signer.cli.options import MOST_REASON, in_session, reading_reason
from signer.operator.clock import accept_clock
from signer.operator.moments import utc
from signer.operator.session import Session


@click.command()
@click.option("--reason", required=True, callback=reading_reason(MOST_REASON), help="Why, for the audit log.")
@in_session
def accept(session: Session, *, reason: str) -> None:
    """Say that this machine's clock is right, though it is far ahead of the last record.

    A gateway that starts more than an hour after the last record sends no order before the exchange's clock agrees
    with its own. This is for an exchange that does not answer, or whose clock is wrong.
    """
    now_us = accept_clock(session, reason)
    click.echo(f"The clock is accepted: it is {utc(now_us)}.", err=True)
