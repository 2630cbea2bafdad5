"""Ends the gateway that runs on a home, after the calls under way."""

from __future__ import annotations

import os
import secrets
import signal
import time

from signer.errors import HomeBusy, HomeError, SignerError
from signer.home.layout import Home
from signer.home.lock import Holder, holder
from signer.operator.session import Session
from signer.serving.admin import BRAKE_S, ask_within
from signer.serving.clock import SystemClock

STOP_S = 90.0
"""How long a stop may take, because a gateway first answers calls in flight. systemd waits as long (TimeoutStopSec)."""
LOOK_EVERY_S = 0.05


def stop_gateway(session: Session, reason: str) -> None:
    """Stop the gateway: it takes no new call, and answers and records those under way.

    Raises `HomeError` if none runs, `HomeBusy` if it does not end in time.
    """
    home = session.home
    running = holder(home.lock)
    if running is None:
        raise HomeError("no gateway runs on this home", where=str(home.folder), hint="there is nothing to stop")
    _record(session, running, reason)
    _send(running, home)
    _await_end(home, running)
    which = f"The gateway on {running.told}" if running.serves else "The gateway"
    session.person.say(f"{which} has stopped.")


def _record(session: Session, running: Holder, reason: str) -> None:
    """Record in the gateway's own log who stops it. A gateway that does not answer is stopped all the same."""
    if not running.serves:
        return
    told = {"id": f"{SystemClock().now_us():014x}{secrets.token_hex(4)}", "act": "stop", "stage": "begun"}
    try:
        ask_within(BRAKE_S, session.home.admin, "record", **told, **({"reason": reason} if reason else {}))
    except SignerError as error:
        session.person.warn(f"who stops the gateway is not in the audit log: {error}")


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
