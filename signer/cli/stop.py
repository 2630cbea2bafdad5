"""`signer stop`: end the gateway that runs on a home, after what is under way."""

from __future__ import annotations

import os
import secrets
import signal
import time

import click

from signer.cli.key_store import warn
from signer.cli.operation import reason_option
from signer.errors import HomeBusy, HomeError, SignerError
from signer.home.layout import Home
from signer.home.lock import Holder, holder
from signer.serving.admin import BRAKE_S, ask_within
from signer.serving.clock import SystemClock

STOP_S = 90.0
"""How long a stop may take: a gateway answers what is in flight first. As long as systemd waits (TimeoutStopSec)."""
LOOK_EVERY_S = 0.05


@click.command()
@reason_option
@click.pass_obj
def stop(home: Home, reason: str) -> None:
    """Stop the gateway that runs on this home.

    No new call is taken; those under way are answered and recorded.
    """
    running = holder(home.lock)
    if running is None:
        raise HomeError("no gateway runs on this home", where=str(home.folder), hint="there is nothing to stop")
    _record(home, running, reason)
    _send(running, home)
    _await_end(home, running)
    click.echo(f"The gateway on {running.listen} has stopped." if running.serves else "The gateway has stopped.")


def _record(home: Home, running: Holder, reason: str) -> None:
    """Who stops it, in its own log. A gateway that does not answer is stopped all the same."""
    if not running.serves:
        return
    told = {"id": f"{SystemClock().now_us():014x}{secrets.token_hex(4)}", "act": "stop", "stage": "begun"}
    try:
        ask_within(BRAKE_S, home.admin, "record", **told, **({"reason": reason} if reason else {}))
    except SignerError as error:
        warn(f"who stops the gateway is not in the audit log: {error}")


def _send(running: Holder, home: Home) -> None:
    if not running.pid:
        raise HomeBusy("the home is held, and not yet said by whom", where=str(home.folder), hint="try again")
    try:
        os.kill(running.pid, signal.SIGTERM)
    except ProcessLookupError:
        return  # it has just ended; its worker ends with it
    except PermissionError:
        what = f"the gateway (process {running.pid}) belongs to another user"
        raise HomeError(what, where=str(home.folder), hint="run this as the gateway's user, or as root") from None


def _await_end(home: Home, running: Holder) -> None:
    """Wait until nobody holds the home, or somebody else does: a supervisor may start the gateway again."""
    until = time.monotonic() + STOP_S
    while (now := holder(home.lock)) is not None and (now.pid == running.pid or not now.pid):
        if time.monotonic() >= until:
            what = f"the gateway (process {running.pid}) has not stopped within {STOP_S:.0f} s"
            raise HomeBusy(what, where=str(home.folder), hint="it answers calls in flight first; look at its log")
        time.sleep(LOOK_EVERY_S)
