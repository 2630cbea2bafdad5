"""`signer serve`: the gateway in the foreground."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import click

from signer.cli.key_store import known_passphrase, passphrase_option, warn
from signer.errors import HomeError
from signer.home import Home
from signer.occupancy import Holder, HomeLock

NOTHING_YET = "nothing yet"
"""What a gateway that does not serve yet says that it listens on: it is not to be signalled."""


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
    # At once: what the last gateway left in the file names a process that may be anybody's by now.
    lock.announce(Holder(os.getpid(), time.time_ns() // 1000, NOTHING_YET))
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

    GatewayServer(prepared, ready).run()


def _made(home: Home) -> Home:
    if not home.folder.is_dir():
        raise HomeError("there is no such home", where=str(home.folder), mend="make it with `signer init`")
    return home
