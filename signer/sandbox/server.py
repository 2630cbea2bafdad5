"""Runs the sandbox: in the foreground, or as a child process of a test or demo.

``python -m signer.sandbox.server '{"seed": 1}'`` is the child: it takes settings as JSON, writes one ready line to
standard output, and ends when its standard input does, so that it never outlives its parent.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import final

from pydantic import ValidationError

from signer.errors import ConfigError, VenueError
from signer.sandbox.app import create_app
from signer.sandbox.asset_pairs import built_in, read_pairs
from signer.sandbox.control import create_control
from signer.sandbox.control_client import Control
from signer.sandbox.exchange import PRIVATE_METHODS, PUBLIC_METHODS, Exchange
from signer.sandbox.keys import KeySettings
from signer.sandbox.listeners import bound, serve, url_of
from signer.sandbox.permissions import TRADING
from signer.sandbox.simulation import Simulation

STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a sandbox. Addresses are ``HOST:PORT``; port 0 is any free one."""

    listen: str = "127.0.0.1:0"
    control_listen: str = "127.0.0.1:0"
    seed: int = 1
    walk: bool = False
    """Whether prices move without orders."""
    account: str = "demo"
    permissions: tuple[str, ...] = tuple(sorted(TRADING))
    tier: str = "pro"
    """The tier of each account that names none: starter, intermediate, pro or unlimited."""
    pairs: str | None = None
    """A file with Kraken's AssetPairs answer; None for the built-in pairs."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The addresses of a sandbox that answers, and the key of its first account."""

    url: str
    control_url: str
    account: str
    api_key: str
    api_secret: str = field(repr=False)

    def write_env_file(self, path: Path) -> None:
        """Write what a bot and a test need into an env file that only its owner can read."""
        lines = {
            "KRAKEN_BASE_URL": self.url,
            "KRAKEN_API_KEY": self.api_key,
            "KRAKEN_API_SECRET": self.api_secret,
            "SANDBOX_URL": self.url,
            "SANDBOX_CONTROL_URL": self.control_url,
        }
        _write_private(path, "".join(f"{name}={value}\n" for name, value in lines.items()))


@final
class Sandbox:
    """A sandbox whose listeners are bound but do not serve yet.

    Raises `ConfigError` for an invalid address, permission, tier or list of pairs.
    """

    def __init__(self, settings: Settings) -> None:
        wanted = _key_settings(settings)
        _check_loopback(settings.control_listen)
        instruments = built_in() if settings.pairs is None else read_pairs(Path(settings.pairs))
        self._simulation = Simulation(
            lambda now: Exchange(now=now, seed=settings.seed, walk=settings.walk, instruments=instruments),
            public=PUBLIC_METHODS,
            private=PRIVATE_METHODS,
            real_clock=time.time,
            random_bytes=secrets.token_bytes,
            tier=settings.tier,
        )
        key = self._simulation.make_key(wanted)
        self._bots, self._control = _both_bound(settings)
        self.ready = Ready(
            url=url_of(self._bots),
            control_url=url_of(self._control),
            account=settings.account,
            api_key=key.settings.api_key,
            api_secret=key.settings.api_secret,
        )

    def serve(self, announce: Callable[[], None]) -> None:
        """Serve until a signal ends it (`SystemExit`). ``announce`` is called when it answers."""
        simulation = self._simulation
        serve(self._bots, create_app(simulation), self._control, create_control(simulation), announce)


def _both_bound(settings: Settings) -> tuple[socket.socket, socket.socket]:
    bots = bound(settings.listen, "--listen")
    try:
        return bots, bound(settings.control_listen, "--control-listen")
    except ConfigError:
        bots.close()
        raise


def is_loopback(address: str) -> bool:
    """Answer whether only this machine can reach ``HOST:PORT``."""
    host = address.rpartition(":")[0]
    return host == "localhost" or host.startswith("127.")


def _check_loopback(control_listen: str) -> None:
    if not is_loopback(control_listen):
        what, hint = "the control interface must stay on this machine", "use 127.0.0.1: its users can make keys"
        raise ConfigError(what, where="--control-listen", hint=hint)


def _key_settings(settings: Settings) -> KeySettings:
    permissions = frozenset(settings.permissions)
    try:
        return KeySettings(account=settings.account, permissions=permissions, tier=settings.tier)
    except ValidationError as error:
        complaint = error.errors(include_url=False)[0]
        raise ConfigError(complaint["msg"], where=f"--{complaint['loc'][0]}") from None


@final
class RunningSandbox:
    """A sandbox in a child process, ready when the constructor returns. As a context manager it stops the child.

    Raises `VenueError` if it does not start.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        argument = json.dumps(asdict(settings or Settings()))
        # The exchange must not get the gateway's passphrase or a token of Vault.
        known = {name: text for name, text in os.environ.items() if not name.startswith(("SIGNER_", "VAULT_"))}
        command = [sys.executable, "-m", "signer.sandbox.server", argument]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=known)
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        line = self._process.stdout.readline()
        if not line:
            self.stop()
            raise VenueError("the sandbox did not start", hint="its own message stands above")
        ready: dict[str, str] = json.loads(line)
        self.url = ready["url"]
        self.control_url = ready["control_url"]
        self.account = ready["account"]
        self.api_key = ready["api_key"]
        self.api_secret = ready["api_secret"]
        self.control = Control(self.control_url)

    def stop(self) -> None:
        """End the child and wait for it. Does nothing if it has ended already."""
        process = self._process
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        if hasattr(self, "control"):
            self.control.close()

    def __enter__(self) -> RunningSandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


def _write_private(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        unfinished.replace(path)
    except OSError as error:
        what = f"cannot write {path}: {error.strerror}"
        raise ConfigError(what, where="--env-file", hint="choose another path") from None


def _as_child(argument: str) -> None:
    sandbox = Sandbox(Settings(**json.loads(argument)))

    def announce() -> None:
        threading.Thread(target=_end_with_parent, daemon=True).start()
        print(json.dumps(asdict(sandbox.ready)), flush=True)  # noqa: T201 - the ready line is the interface

    sandbox.serve(announce)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getppid(), signal.SIGTERM)


if __name__ == "__main__":
    _as_child(sys.argv[1])
