"""`signer halt`, `resume` and `status`: brake, and look at the home. They need no running gateway."""

from __future__ import annotations

import click

from signer.cli.main import CANNOT
from signer.cli.open_orders import clear, show_open
from signer.cli.options import (
    cancel_orders_option,
    in_session,
    json_option,
    reading_reason,
    reason_option,
    scope_options,
)
from signer.cli.readiness import lines
from signer.cli.showing import Row, show_json, show_rows
from signer.home.layout import Home
from signer.home.lock import Holder
from signer.model import HaltScope, HaltState
from signer.model.escaping import printable
from signer.model.halts import whom
from signer.operator.halts import halt_orders, no_halt, resume_orders, scopes_named, ways_to_resume
from signer.operator.moments import utc
from signer.operator.session import Session
from signer.operator.status import HomeStatus, status_of

MOST_REASON = 120
"""Characters of a reason, which is part of a halted bot's answer (`Halted.because`)."""


@click.command()
@scope_options
@click.option("--cancel-only", is_flag=True, help="Refuse orders and their changes alone, as a market in that mode.")
@click.option("--reason", default="", callback=reading_reason(MOST_REASON), help="Why; the bots see it.")
@cancel_orders_option
@in_session
def halt(session: Session, *, scope: HaltScope, cancel_only: bool, reason: str, cancel_orders: bool) -> int:
    """Refuse orders at once, and say which ones are open.

    The halt is of a client, an account, a group, a pair, or everybody. Reads and cancels always pass. Exit status 5 if
    a gateway serves and does not confirm within 3 seconds, if the halt is in memory only, or if --cancel-orders could
    not cancel all that is open.
    """
    state: HaltState = "cancel_only" if cancel_only else "halted"
    scopes = scopes_named(session, scope)
    certain = all(halt_orders(session, one, reason, state) for one in scopes)
    left = max((clear if cancel_orders else show_open)(session, one) for one in scopes)
    return left or (0 if certain else CANNOT)


@click.command()
@scope_options
@click.option("--all", "every", is_flag=True, help="Every halt that is in force.")
@reason_option
@in_session
def resume(session: Session, *, scope: HaltScope, every: bool, reason: str) -> int:
    """End a halt.

    Name its client, account, group or pair, or give --all. Exit status 1 if there is none.
    """
    if every and any(scope):
        raise click.UsageError("--all and the name of a halt exclude each other.")
    if not (every or any(scope)):
        raise click.UsageError(f"Say which halt is to end. {_in_force(session.home)}")
    ended, left = resume_orders(session, scope, reason, every=every)
    none = no_halt(scope)
    click.echo(f"Resumed {', '.join(ended)}." if ended else f"{none[0].upper()}{none[1:]}.", err=True)
    if left:
        click.echo(f"Still halted: {', '.join(left)}.", err=True)
    return 0 if ended else 1


def _in_force(home: Home) -> str:
    ways = ", ".join(f"`{way}`" for way in ways_to_resume(home))
    return f"In force, and ended by: {ways}." if ways else "There is no halt."


@click.command()
@json_option
@click.pass_obj
def status(home: Home, *, as_json: bool) -> None:
    """Show the gateway, whether orders pass, halts and caps in use.

    Also the calls whose outcome is unknown.
    """
    found = status_of(home)
    gateway, halts, unsettled, usage = _gateway(found), _halts(found), _open_calls(found), _usage(found)
    if as_json:
        orders = found.readiness.as_json()
        show_json({"gateway": gateway, "orders": orders, "halts": halts, "open": unsettled, "usage": usage})
        return
    click.echo("No gateway runs on this home." if found.gateway is None else f"A gateway runs: {_told(found.gateway)}.")
    click.echo("\n".join(lines(found.readiness)))
    for title, rows in (("Halts", halts), ("Calls without a known outcome", unsettled), ("Caps in use", usage)):
        click.echo(f"\n{title}: {'' if rows else 'none'}".rstrip())
        if rows:
            show_rows(rows)


def _gateway(found: HomeStatus) -> Row | None:
    if found.gateway is None:
        return None
    gateway = found.gateway
    return {
        "pid": gateway.pid,
        "since": utc(gateway.since_us),
        "listen": gateway.listen,
        "venues": list(gateway.venues),
    }


def _told(gateway: Holder) -> str:
    return f"pid {gateway.pid}, since {utc(gateway.since_us)}, listen {gateway.told}"


def _halts(found: HomeStatus) -> list[Row]:
    return [
        {
            "whom": whom(halt.scope),
            "state": halt.state,
            "reason": printable(halt.reason),
            "by": halt.by,
            "at": utc(halt.at_us),
        }
        for halt in found.halts
    ]


def _open_calls(found: HomeStatus) -> list[Row]:
    return [
        {
            "reservation": one.reservation,
            "client": one.intent.client,
            "account": one.intent.account,
            "endpoint": one.intent.endpoint,
            "at": utc(one.intent.at_us),
            "record": one.intent.record,
            "state": "unknown" if one.unknown else "open",
        }
        for one in found.open_calls
    ]


def _usage(found: HomeStatus) -> list[Row]:
    return [
        {"scope": used.scope, "cap": used.cap, "used": f"{used.used:f}", "limit": f"{used.limit:f}", "unit": used.unit}
        for used in found.usage
    ]
