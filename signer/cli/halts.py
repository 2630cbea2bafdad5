"""`signer halt`, `resume` and `status`: the operator's brake, and what is going on; whether a gateway runs or not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from signer.cli.key_store import Row, show_rows, warn
from signer.cli.keys import utc
from signer.cli.ledger import require_home, with_ledger
from signer.cli.open_orders import cancel_orders_option, clear, show_open
from signer.cli.operation import on_record, reason_option
from signer.cli.passing import lines, readiness_of
from signer.cli.reasons import reading_reason
from signer.errors import ConfigError, KeyStoreError
from signer.home.layout import Home
from signer.home.lock import holder
from signer.home.private_file import read_private
from signer.home.settings import load_config
from signer.keys.envelope import MOST_BYTES, AboutClient, parse
from signer.ledger.database import resumed_by, whom
from signer.ledger.sqlite import SqliteLedger
from signer.model import Halt
from signer.model.escaping import printable
from signer.serving.admin import Operator
from signer.serving.clock import SystemClock

Function = TypeVar("Function", bound=Callable[..., Any])

MOST_REASON = 120
"""Characters; the reason is part of the answer that a halted bot gets (`Halted.because`)."""


def whom_options(function: Function) -> Function:
    """``--client`` and ``--account``."""
    client = click.option("--client", default="", metavar="NAME", help="Only this client.")
    account = click.option("--account", default="", metavar="NAME", help="Every client of this account.")
    return client(account(function))


@click.command()
@whom_options
@click.option("--reason", default="", callback=reading_reason(MOST_REASON), help="Why; the bots see it.")
@cancel_orders_option
@click.pass_obj
def halt(home: Home, client: str, account: str, reason: str, cancel_orders: bool) -> int:
    """Refuse orders at once, and say which ones are open.

    The halt is of a client, of an account, or of everybody.

    Exit status 5 if --cancel-orders could not cancel all of it.
    """
    _require_one(client, account)
    if account:
        _require_account(home, account)
    if client:
        _require_client(home, client)
    by = Operator.of(os.getuid()).name
    reason = reason or f"by {by}"
    placed = Halt(client, account, reason, by, SystemClock().now_us())
    # In force before it is on record: a gateway that hangs, or a full disk, must not keep the brake waiting.
    with_ledger(home, lambda ledger: ledger.halt(placed))
    click.echo(f"Halted {whom(client, account)}; `{resumed_by(client, account)}` ends it.", err=True)
    with on_record(home, "halt", reason, proceed_unrecorded=True, client=client, account=account):
        pass
    return clear(home, client, account) if cancel_orders else show_open(home, client, account)


@click.command()
@whom_options
@click.option("--all", "every", is_flag=True, help="Every halt that is in force.")
@reason_option
@click.pass_obj
def resume(home: Home, client: str, account: str, every: bool, reason: str) -> int:
    """End a halt.

    It is that of a client, of an account, or every one. Exit status 1 if there is none.
    """
    _require_one(client, account, every)
    require_home(home)
    if not (client or account or every):
        raise click.UsageError(f"Say which halt is to end. {with_ledger(home, _in_force)}")

    async def end(ledger: SqliteLedger) -> tuple[Sequence[str], Sequence[Halt]]:
        named = [(one.client, one.account) for one in await ledger.halts()] if every else [(client, account)]
        ended = [whom(*each) for each in named if await ledger.resume(*each)]
        return ended, await ledger.halts()

    meant = "there is no halt" if every else f"there is no halt of {whom(client, account)}"
    with on_record(home, "resume", reason, client=client, account=account) as operation:
        ended, left = with_ledger(home, end)
        operation.detail = (f"ended: {', '.join(ended)}" if every else "") if ended else meant
    click.echo(f"Resumed {', '.join(ended)}." if ended else f"{meant[0].upper()}{meant[1:]}.", err=True)
    if left:
        click.echo(f"Still halted: {', '.join(whom(halt.client, halt.account) for halt in left)}.", err=True)
    return 0 if ended else 1


async def _in_force(ledger: SqliteLedger) -> str:
    """The command that ends each halt."""
    commands = [f"`{resumed_by(halt.client, halt.account)}`" for halt in await ledger.halts()]
    return f"In force, and ended by: {', '.join(commands)}." if commands else "There is no halt."


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def status(home: Home, as_json: bool) -> None:
    """Show the gateway, whether orders pass, halts and caps in use.

    Also the calls whose outcome is unknown.
    """
    require_home(home)
    gateway, ready = _gateway(home), readiness_of(home)
    halts, unsettled, usage = with_ledger(home, _tables)
    if as_json:
        answer = {"gateway": gateway, "orders": ready.as_json(), "halts": halts, "open": unsettled, "usage": usage}
        click.echo(json.dumps(answer, indent=2))
        return
    told = "" if gateway is None else ", ".join(f"{key} {value}" for key, value in gateway.items())
    click.echo("No gateway runs on this home." if gateway is None else f"A gateway runs: {told}.")
    click.echo("\n".join(lines(ready)))
    for title, rows in (("Halts", halts), ("Calls without a known outcome", unsettled), ("Caps in use", usage)):
        click.echo(f"\n{title}: {'' if rows else 'none'}".rstrip())
        if rows:
            show_rows(rows, none="")


def _gateway(home: Home) -> Row | None:
    held_by = holder(home.lock)
    if held_by is None:
        return None
    return {"pid": held_by.pid, "since": utc(held_by.since_us), "listen": held_by.listen}


async def _tables(ledger: SqliteLedger) -> tuple[list[Row], list[Row], list[Row]]:
    halts: list[Row] = [
        {
            "whom": whom(halt.client, halt.account),
            "reason": printable(halt.reason),
            "by": halt.by,
            "at": utc(halt.at_us),
        }
        for halt in await ledger.halts()
    ]
    unsettled: list[Row] = [
        {
            "reservation": found.reservation,
            "client": found.intent.client,
            "account": found.intent.account,
            "endpoint": found.intent.endpoint,
            "at": utc(found.intent.at_us),
            "record": found.intent.record,
            "state": "unknown" if found.unknown else "open",
        }
        for found in await ledger.open_intents()
    ]
    usage: list[Row] = [
        {"scope": used.scope, "cap": used.cap, "used": f"{used.used:f}", "limit": f"{used.limit:f}", "unit": used.unit}
        for scope in await ledger.scopes()
        for used in await ledger.usage(scope)
    ]
    return halts, unsettled, usage


def _require_one(client: str, account: str, every: bool = False) -> None:
    if [bool(client), bool(account), every].count(True) > 1:
        raise click.UsageError("--client, --account and --all exclude each other.")


def _require_account(home: Home, account: str) -> None:
    """Raises `ConfigError` unless signer.toml names ``account``."""
    try:
        known = load_config(home.config).accounts
    except ConfigError as error:
        # A brake must work when other things are broken.
        warn(f"the account's name is not checked: {error}")
        return
    if account not in known:
        hint = f"known are: {', '.join(sorted(known))}"
        raise ConfigError(f"there is no account {account!r}", where=str(home.config), hint=hint)


def _require_client(home: Home, client: str) -> None:
    """Raises `ConfigError` unless the key store lists ``client``; its list of names needs no passphrase."""
    try:
        raw = read_private(home.keys, limit=MOST_BYTES, missing="run `signer init`")
        entries = parse(raw, where=str(home.keys)).entries
    except KeyStoreError as error:
        # A brake must work when other things are broken.
        warn(f"the client's name is not checked: {error}")
        return
    known = sorted(entry.about.name for entry in entries if isinstance(entry.about, AboutClient))
    if client not in known:
        hint = f"known are: {', '.join(known)}" if known else "there are no clients yet"
        raise ConfigError(f"there is no client {client!r}", where=str(home.keys), hint=hint)
