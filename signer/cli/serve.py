"""`signer serve` and `signer reload`."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import click

from signer.cli.key_store import known_passphrase, passphrase_option, warn
from signer.errors import HomeError
from signer.home import Home
from signer.occupancy import Holder, HomeLock, holder, read_load

RELOAD_S = 10.0


@click.command()
@passphrase_option
@click.option("--json", "as_json", is_flag=True, help="Print the ready line as JSON.")
@click.pass_obj
def serve(home: Home, passphrase_file: Path | None, as_json: bool) -> None:
    """Run the gateway in the foreground until SIGTERM or Ctrl-C.

    SIGHUP (or `signer reload`) takes up changes of clients, keys, policies and accounts without a restart.
    """
    from signer.app.server import GatewayServer  # noqa: PLC0415 - heavy, and only this command needs it
    from signer.wiring import prepare, warnings  # noqa: PLC0415

    lock = HomeLock(_made(home).lock)
    passphrase = known_passphrase(home, passphrase_file)
    prepared = prepare(home, passphrase)
    passphrase.wipe()
    for text in warnings(prepared):
        warn(text)

    def ready(address: str) -> None:
        lock.announce(Holder(os.getppid(), time.time_ns() // 1000, address))
        line = {"ready": True, "url": address, "home": str(home.folder)}
        click.echo(json.dumps(line) if as_json else f"signer: ready on {address}")
        sys.stdout.flush()

    lock.announce(Holder(os.getpid(), time.time_ns() // 1000, prepared.config.gateway.listen))
    GatewayServer(prepared, ready).run()


@click.command()
@click.pass_obj
def reload(home: Home) -> None:
    """Let the running gateway take up the home as it is now."""
    done = reload_running(home)
    if done is None:
        raise HomeError("no gateway runs on this home", where=str(home.folder), mend="start it with `signer serve`")
    click.echo(done)


def reload_running(home: Home) -> str | None:
    """Let the gateway on ``home`` reload, and wait until it has: a line that says so, or None if none runs.

    Raises `HomeError` if it did not take the change up; the old settings are then still in force.
    """
    running = holder(home.lock)
    if running is None:
        return None
    before = read_load(home.state)
    os.kill(running.pid, signal.SIGHUP)
    until = time.monotonic() + RELOAD_S
    while time.monotonic() < until:
        now = read_load(home.state)
        if now is not None and now != before:
            if now.error:
                mend = "mend it and run `signer reload`; the gateway goes on with its old settings"
                raise HomeError(f"the running gateway did not take this up: {now.error}", mend=mend)
            return f"the gateway on {running.listen} has taken it up"
        time.sleep(0.02)
    mend = "look at its log; the change is stored and will be in force after a restart"
    raise HomeError("the running gateway did not answer the reload", where=str(home.folder), mend=mend)


def _made(home: Home) -> Home:
    if not home.folder.is_dir():
        raise HomeError("there is no such home", where=str(home.folder), mend="make it with `signer init`")
    return home
