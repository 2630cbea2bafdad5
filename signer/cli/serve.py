"""`signer serve`: the gateway in the foreground."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import sys
import time
from pathlib import Path

import click

from signer.cli.key_store import known_passphrase, passphrase_option, passphrase_source, warn
from signer.cli.main import CANNOT
from signer.config import split_listen
from signer.errors import ConfigError, HomeError
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
    from signer.wiring import prepare, warnings  # noqa: PLC0415

    _leave_no_core()
    os.umask(0o077)  # whatever it makes is for its owner; gunicorn's own setting reaches sockets only
    lock = HomeLock(_made(home).lock)
    # At once: what the last gateway left in the file names a process that may be anybody's by now.
    lock.announce(Holder(os.getpid(), time.time_ns() // 1000, NOTHING_YET))
    passphrase = known_passphrase(home, passphrase_file)
    _forget_variable()
    prepared = prepare(home, passphrase, lambda: passphrase_source(home, passphrase_file))
    passphrase.wipe()
    for text in warnings(prepared):
        warn(text)

    def ready(address: str) -> None:
        if lock.announced().listen != NOTHING_YET:
            return  # a worker in a dead one's place: whoever waited for the line has it, and may have closed the pipe
        lock.announce(Holder(os.getppid(), time.time_ns() // 1000, address))
        line = {"ready": True, "url": address, "home": str(home.folder)}
        click.echo(json.dumps(line) if as_json else f"signer: ready on {address}")
        sys.stdout.flush()

    _require_free_port(home, prepared.config.gateway.listen)
    master = os.getpid()
    try:
        GatewayServer(prepared, ready).run()
    except SystemExit as end:
        if os.getpid() != master:
            raise  # a worker: the master knows it by its status
        return CANNOT if end.code else 0  # gunicorn's own statuses mean other things; whoever failed has said why
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


def _require_free_port(home: Home, listen: str) -> None:
    """gunicorn would try for five seconds and end without a word."""
    host, port = split_listen(listen)
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        why = str(error.strerror).partition(" (while")[0]
        mend = "stop what listens there, or choose another port"
        raise ConfigError(f"gateway.listen: {listen}: {why}", where=str(home.config), mend=mend) from None


def _made(home: Home) -> Home:
    if not home.folder.is_dir():
        raise HomeError("there is no such home", where=str(home.folder), mend="make it with `signer init`")
    return home
