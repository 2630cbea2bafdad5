"""`signer halt`, `resume` and `status`: the operator's brake, and what is going on; whether a gateway runs or not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from signer.admin import Operator
from signer.cli.key_store import Row, show_rows, warn
from signer.cli.keys import require_account, utc
from signer.cli.ledger import require_home, with_ledger
from signer.cli.operation import on_record, reason_option
from signer.clock import SystemClock
from signer.errors import ConfigError, KeyStoreError
from signer.home import Home
from signer.keys.envelope import MOST_BYTES, Client, parse
from signer.keys.private_file import read_private
from signer.ledger.sqlite import SqliteLedger
from signer.model import Halt
from signer.occupancy import holder

Function = TypeVar("Function", bound=Callable[..., Any])

MOST_REASON = 120
"""Characters; the reason is part of the answer that a halted bot gets (`Halted.because`)."""


def read_reason(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    """One line that bots can read, or a usage error."""
    if not text.strip() or not (text.isascii() and text.isprintable()) or len(text) > MOST_REASON:
        raise click.BadParameter(f"write one line of at most {MOST_REASON} ASCII characters")
    return text.strip()


def whom_options(function: Function) -> Function:
    """``--client`` and ``--account``."""
    client = click.option("--client", default="", metavar="NAME", help="Only this client.")
    account = click.option("--account", default="", metavar="NAME", help="Every client of this account.")
    return client(account(function))


@click.command()
@whom_options
@click.option("--reason", required=True, callback=read_reason, help="Why; the bots see it.")
@click.pass_obj
def halt(home: Home, client: str, account: str, reason: str) -> None:
    """Refuse orders at once: of a client, of an account, or of everybody."""
    _require_one(client, account)
    if account:
        require_account(home, account)
    if client:
        _require_client(home, client)
    placed = Halt(client, account, reason, Operator.of(os.getuid()).name, SystemClock().now_us())
    # In force before it is on record: a gateway that hangs, or a full disk, must not keep the brake waiting.
    with_ledger(home, lambda ledger: ledger.halt(placed))
    click.echo(f"Halted {_whom(client, account)}; `signer resume` ends it.", err=True)
    with on_record(home, "halt", reason, brake=True, client=client, account=account):
        pass


@click.command()
@whom_options
@reason_option
@click.pass_obj
def resume(home: Home, client: str, account: str, reason: str) -> int:
    """End the halt of a client, of an account, or of everybody. Exit status 1 if there is none."""
    _require_one(client, account)
    require_home(home)

    async def end(ledger: SqliteLedger) -> tuple[bool, Sequence[Halt]]:
        return await ledger.resume(client, account), await ledger.halts()

    whom = _whom(client, account)
    with on_record(home, "resume", reason, client=client, account=account) as operation:
        ended, left = with_ledger(home, end)
        operation.detail = "" if ended else f"there is no halt of {whom}"
    click.echo(f"Resumed {whom}." if ended else f"There is no halt of {whom}.", err=True)
    if left:
        names = ", ".join(_whom(halt.client, halt.account) for halt in left)
        click.echo(f"Still halted: {names}.", err=True)
    return 0 if ended else 1


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def status(home: Home, as_json: bool) -> None:
    """Show the gateway that runs, halts, calls without a known outcome, and what is used of each cap."""
    gateway = _gateway(home)
    halts, unsettled, usage = with_ledger(home, _tables)
    if as_json:
        click.echo(json.dumps({"gateway": gateway, "halts": halts, "open": unsettled, "usage": usage}, indent=2))
        return
    told = "" if gateway is None else ", ".join(f"{key} {value}" for key, value in gateway.items())
    click.echo("No gateway runs on this home." if gateway is None else f"A gateway runs: {told}.")
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
        {"whom": _whom(halt.client, halt.account), "reason": halt.reason, "by": halt.by, "at": utc(halt.at_us)}
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


def _require_one(client: str, account: str) -> None:
    if client and account:
        raise click.UsageError("--client and --account exclude each other.")


def _whom(client: str, account: str) -> str:
    if client:
        return f"client {client}"
    return f"account {account}" if account else "everything"


def _require_client(home: Home, client: str) -> None:
    """Raises `ConfigError` unless the key store lists ``client``; its list of names needs no passphrase."""
    try:
        raw = read_private(home.keys, most=MOST_BYTES, missing="run `signer init`")
        entries = parse(raw, where=str(home.keys)).entries
    except KeyStoreError as error:
        # A brake must work when other things are broken.
        warn(f"the client's name is not checked: {error}")
        return
    known = sorted(entry.about.name for entry in entries if isinstance(entry.about, Client))
    if client not in known:
        mend = f"known are: {', '.join(known)}" if known else "there are no clients yet"
        raise ConfigError(f"there is no client {client!r}", where=str(home.keys), mend=mend)
