"""`signer serve`: the gateway in the foreground."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from signer.cli.main import CANNOT, EXIT_STATUS
from signer.cli.options import opens_store
from signer.cli.showing import show_line
from signer.cli.terminal import warn
from signer.home.layout import Home
from signer.home.lock import NOTHING_YET, Holder, HomeLock
from signer.keys.passphrase import VARIABLE
from signer.operator.opening import known_passphrase, marks_or_warn, passphrase_source, require_folder
from signer.operator.session import Session
from signer.serving.hardening import forget_environment, forget_variable, has_swap, lock_memory

if TYPE_CHECKING:
    from signer.serving.loaded import LoadedHome
    from signer.serving.server import GatewayServer

UNLOCKED = (
    "memory is not locked and may be written to swap; allow it (LimitMEMLOCK=infinity in systemd, `memlock: -1` under "
    "ulimits in compose, `ulimit -l unlimited`), or have no swap"
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the ready line as JSON.")
@opens_store
def serve(session: Session, *, as_json: bool) -> int:
    """Run the gateway in the foreground.

    It runs until `signer stop`, SIGTERM, Ctrl-C or the end of its terminal.

    `signer reload` takes up changes of clients, keys, policies and accounts without a restart; so does SIGHUP where
    there is no terminal. SIGUSR1 shows on standard error what it is doing.
    """
    from signer.serving.dump import show_threads_on_signal  # noqa: PLC0415 - heavy, and only this command needs it
    from signer.serving.warnings import warnings  # noqa: PLC0415

    if not lock_memory() and has_swap():
        warn(UNLOCKED)
    show_threads_on_signal()
    home = session.home
    require_folder(home)
    lock = HomeLock(home.lock)
    # Write it at once: the old file names a process whose number another may have by now.
    lock.announce(Holder(os.getpid(), time.time_ns() // 1000, NOTHING_YET))
    loaded = _loaded(session)
    from signer.serving.server import GatewayServer  # noqa: PLC0415 - gunicorn copies the environment as it is imported

    for finding in warnings(loaded, datetime.now(UTC).date()):
        warn(str(finding))

    server = GatewayServer(loaded, lambda listening: _announce(lock, home, listening, as_json=as_json))
    del loaded  # a worker is forked from here, and its reloads must leave no old handle behind
    return _run(server)


def _loaded(session: Session) -> LoadedHome:
    """Load the home with its key store. Forgets the passphrase and every variable that it needed."""
    from signer.keys.file import FileKeyStore  # noqa: PLC0415
    from signer.serving.loaded import load_home  # noqa: PLC0415

    home = session.home
    marks = marks_or_warn(session)  # before the file: a command may change both meanwhile
    passphrase = known_passphrase(session)
    forget_variable(VARIABLE)
    parts = load_home(home, lambda: FileKeyStore.open(home.keys, passphrase))
    loaded = parts.whole(lambda: passphrase_source(session))
    passphrase.wipe()
    loaded.store.require_latest(marks)
    forget_environment(loaded.config.variables)
    return loaded


def _announce(lock: HomeLock, home: Home, listening: list[tuple[str, str]], *, as_json: bool) -> None:
    """Print the ready line, once in the life of this gateway. ``listening`` has the venue and URL of each listener."""
    if lock.announced().listen != NOTHING_YET:
        return  # this worker replaces a dead one; the reader of the line has it, and may have closed the pipe
    venues, urls = [venue for venue, _ in listening], [url for _, url in listening]
    gateway = Holder(os.getppid(), time.time_ns() // 1000, ", ".join(urls), venues)
    lock.announce(gateway)
    line = {"ready": True, "url": urls[0], "urls": urls, "venues": venues, "home": str(home.folder)}
    show_line(line) if as_json else click.echo(f"signer: ready on {gateway.told}")
    sys.stdout.flush()


def _run(server: GatewayServer) -> int:
    """Run the gateway until it ends; the exit status of this process."""
    master = os.getpid()
    try:
        server.run()
    except SystemExit as end:
        if os.getpid() != master:
            raise  # a worker: the master knows it by its status
        # gunicorn's own statuses mean other things; the reason was printed already
        return EXIT_STATUS.get(server.failure, CANNOT) if end.code else 0
    return 0
