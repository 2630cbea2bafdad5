"""A gateway on a disk that another program fills again as fast as it is freed. Run as a program in a mount namespace.

Prints as one JSON object what the bot was answered: while the disk was full, and after a restart on the full disk.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import itertools
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from signer.lanes.nonces import AHEAD_US
from tests.harness.bots import Bot
from tests.harness.exchanges import small_exchange
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import MadeHome

ORDER = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "20000"}
DISK_BYTES = 64 << 20
NONCES = itertools.count(1)


class Glutton:
    """Another program on the same disk, which takes every free byte again and again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "greed"
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._ended = threading.Event()
        self._full = threading.Event()
        self._thread = threading.Thread(target=self._eat)

    def __enter__(self) -> Glutton:
        self._thread.start()
        self._full.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        os.close(self._file)
        self._path.unlink()

    def _eat(self) -> None:
        while not self._ended.is_set():
            try:
                os.write(self._file, bytes(4096))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                self._full.set()


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[None]:
    """A small disk of its own at ``folder``."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", str(folder).encode(), b"tmpfs", 0, f"size={DISK_BYTES}".encode()) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(path: Path) -> None:
    """Take every byte that is free now."""
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def call(bot: Bot, endpoint: str, **fields: str) -> list[str]:
    """The errors that one call is answered with."""
    return list(bot.post(endpoint, fields, next(NONCES)).json()["error"])


def place(gateway: RunningGateway, account: str, bot: Bot) -> str:
    """A resting order's id."""
    before = gateway.made.orders(account).keys()
    assert call(bot, "AddOrder", **ORDER) == []
    (txid,) = gateway.made.orders(account).keys() - before
    return txid


def main() -> None:
    """The whole story."""
    said: dict[str, list[str]] = {}
    with TemporaryDirectory() as folder, disk(Path(folder)), small_exchange() as sandbox:
        made = MadeHome(Path(folder) / "home", sandbox)
        account = "full"
        made.add_account(account)
        with running(made) as gateway:
            bot = gateway.client(account)
            first, second, third = (place(gateway, account, bot) for _ in range(3))
            with Glutton(Path(folder)):
                refused: list[str] = []
                while not refused:  # until the slack that the log has claimed is used up
                    refused = call(bot, "AddOrder", **ORDER)
                said["order"] = refused
                used_up = time.monotonic() + 2 * AHEAD_US / 1_000_000
                while time.monotonic() < used_up:  # every nonce that was secured while there was room is too old then
                    call(bot, "AddOrder", **ORDER)
                said["cancel"] = call(bot, "CancelOrder", txid=first)
        ballast = Path(folder) / "ballast"
        fill(ballast)
        with running(made) as gateway:
            bot = bot.at(gateway.url)
            said["cancel after a restart"] = call(bot, "CancelOrder", txid=second)
            said["order after a restart"] = call(bot, "AddOrder", **ORDER)
            said["another cancel"] = call(bot, "CancelOrder", txid=third)
        ballast.unlink()
        with running(made) as gateway:
            bot = bot.at(gateway.url)
            said["order with room again"] = call(bot, "AddOrder", **ORDER)
        said["verified"] = [made.verify().splitlines()[-1]]
        states = made.orders(account)
        said["states"] = [states[txid]["status"] for txid in (first, second, third)]
    print(json.dumps(said))  # noqa: T201 - the program's answer


if __name__ == "__main__":
    main()
