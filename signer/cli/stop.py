"""`signer stop`: end the gateway that runs on a home, after the calls under way."""

from __future__ import annotations

import click

from signer.cli.options import in_session, reason_option
from signer.operator.session import Session
from signer.operator.stop import stop_gateway


@click.command()
@reason_option
@in_session
def stop(session: Session, *, reason: str) -> None:
    """Stop the gateway that runs on this home.

    It takes no new call. Calls under way are answered and recorded.
    """
    stop_gateway(session, reason)
