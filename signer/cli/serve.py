"""`signer serve`: the gateway in the foreground."""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from signer.cli.key_store import known_marks, known_passphrase, passphrase_option, passphrase_source, warn
from signer.cli.main import CANNOT, EXIT_STATUS
from signer.errors import HomeError
from signer.home.layout import Home
from signer.home.lock import NOTHING_YET, Holder, HomeLock
from signer.keys.passphrase import VARIABLE
from signer.serving.hardening import forget_environment, forget_variable, has_swap, lock_memory

UNLOCKED = (
    "memory is not locked and may be written to swap; allow it (LimitMEMLOCK=infinity in systemd, `memlock: -1` under "
    "ulimits in compose, `ulimit -l unlimited`), or have no swap"
)


@click.command()
@passphrase_option
@click.option("--json", "as_json", is_flag=True, help="Print the ready line as JSON.")
@click.pass_obj
def serve(home: Home, passphrase_file: Path | None, as_json: bool) -> int:
    """Run the gateway in the foreground.

    It runs until `signer stop`, SIGTERM, Ctrl-C or the end of its terminal.

    `signer reload` takes up changes of clients, keys, policies and accounts without a restart; so does SIGHUP where
    there is no terminal. SIGUSR1 shows on standard error what it is doing.
    """
    from signer.serving.dump import show_threads_on_signal  # noqa: PLC0415 - heavy, and only this command needs it
    from signer.serving.loaded import prepare, warnings  # noqa: PLC0415

    if not lock_memory() and has_swap():
        warn(UNLOCKED)
    show_threads_on_signal()
    lock = HomeLock(_made(home).lock)
    # At once: what the last gateway left in the file names a process that may be anybody's by now.
    lock.announce(Holder(os.getpid(), time.time_ns() // 1000, NOTHING_YET))
    marks = known_marks(home)  # before the file: a command may change both meanwhile
    passphrase = known_passphrase(home, passphrase_file)
    forget_variable(VARIABLE)
    loaded = prepare(home, passphrase, lambda: passphrase_source(home, passphrase_file))
    passphrase.wipe()
    loaded.store.require_latest(marks)
    forget_environment(loaded.config.variables)
    from signer.serving.server import GatewayServer  # noqa: PLC0415 - gunicorn copies the environment as it is imported

    for finding in warnings(loaded, datetime.now(UTC).date()):
        warn(str(finding))

    def ready(urls: list[str]) -> None:
        if lock.announced().listen != NOTHING_YET:
            return  # a worker in a dead one's place: whoever waited for the line has it, and may have closed the pipe
        listening = ", ".join(urls)
        lock.announce(Holder(os.getppid(), time.time_ns() // 1000, listening))
        line = {"ready": True, "url": urls[0], "urls": urls, "home": str(home.folder)}
        click.echo(json.dumps(line) if as_json else f"signer: ready on {listening}")
        sys.stdout.flush()

    server = GatewayServer(loaded, ready)
    master = os.getpid()
    try:
        server.run()
    except SystemExit as end:
        if os.getpid() != master:
            raise  # a worker: the master knows it by its status
        # gunicorn's own statuses mean other things; whoever failed has said why
        return EXIT_STATUS.get(server.failure, CANNOT) if end.code else 0
    return 0


def _made(home: Home) -> Home:
    if not home.folder.is_dir():
        raise HomeError("there is no such home", where=str(home.folder), hint="make it with `signer init`")
    return home
