"""`signer serve`: the gateway in the foreground."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import sys
import time
from pathlib import Path

import click

from signer.cli.key_store import known_marks, known_passphrase, passphrase_option, passphrase_source, warn
from signer.cli.main import CANNOT, EXIT_STATUS
from signer.errors import HomeError
from signer.home import Home
from signer.keys.passphrase import VARIABLE
from signer.occupancy import NOTHING_YET, Holder, HomeLock

PR_SET_DUMPABLE = 4


@click.command()
@passphrase_option
@click.option("--json", "as_json", is_flag=True, help="Print the ready line as JSON.")
@click.pass_obj
def serve(home: Home, passphrase_file: Path | None, as_json: bool) -> int:
    """Run the gateway in the foreground until SIGTERM or Ctrl-C.

    SIGHUP (or `signer reload`) takes up changes of clients, keys, policies and accounts without a restart.
    """
    from signer.app.server import GatewayServer  # noqa: PLC0415 - heavy, and only this command needs it
    from signer.prepared import prepare, warnings  # noqa: PLC0415

    _leave_no_core()
    os.umask(0o077)  # whatever it makes is for its owner; gunicorn's own setting reaches sockets only
    lock = HomeLock(_made(home).lock)
    # At once: what the last gateway left in the file names a process that may be anybody's by now.
    lock.announce(Holder(os.getpid(), time.time_ns() // 1000, NOTHING_YET))
    passphrase = known_passphrase(home, passphrase_file)
    _forget_variable()
    prepared = prepare(home, passphrase, lambda: passphrase_source(home, passphrase_file))
    passphrase.wipe()
    prepared.store.require_latest(known_marks(home))
    for text in warnings(prepared):
        warn(text)

    def ready(urls: list[str]) -> None:
        if lock.announced().listen != NOTHING_YET:
            return  # a worker in a dead one's place: whoever waited for the line has it, and may have closed the pipe
        listening = ", ".join(urls)
        lock.announce(Holder(os.getppid(), time.time_ns() // 1000, listening))
        line = {"ready": True, "url": urls[0], "urls": urls, "home": str(home.folder)}
        click.echo(json.dumps(line) if as_json else f"signer: ready on {listening}")
        sys.stdout.flush()

    server = GatewayServer(prepared, ready)
    master = os.getpid()
    try:
        server.run()
    except SystemExit as end:
        if os.getpid() != master:
            raise  # a worker: the master knows it by its status
        # gunicorn's own statuses mean other things; whoever failed has said why
        return EXIT_STATUS.get(server.failure, CANNOT) if end.code else 0
    return 0


def _leave_no_core() -> None:
    """A dump of this process would hold keys. Undumpable, it is also closed to other processes of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # a dump that is piped to a program heeds no limit
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _forget_variable() -> None:
    """Take the passphrase out of the environment, and out of the memory that /proc shows as ours and each worker's."""
    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_void_p
    place = getenv(VARIABLE.encode())
    if place:
        ctypes.memset(place, 0, len(ctypes.string_at(place)))
        del os.environ[VARIABLE]


def _made(home: Home) -> Home:
    if not home.folder.is_dir():
        raise HomeError("there is no such home", where=str(home.folder), mend="make it with `signer init`")
    return home
