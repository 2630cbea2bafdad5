"""Starts a sandbox exchange and a gateway in front of it, each in its own process, for a demonstration."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from signer.errors import HomeError
from signer.sandbox.server import RunningSandbox, Settings

CLIENT = "demo-bot"
STOP_S = 40.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Holds the running processes, and the bot's virtual credential with the gateway's address."""

    home: Path
    sandbox: RunningSandbox
    gateway_url: str
    gateway: subprocess.Popen[str]
    api_key: str
    api_secret: str

    def env(self) -> dict[str, str]:
        """Return a bot's environment, with the address at which the sandbox can be watched."""
        return {
            "KRAKEN_BASE_URL": self.gateway_url,
            "KRAKEN_API_KEY": self.api_key,
            "KRAKEN_API_SECRET": self.api_secret,
            "SANDBOX_URL": self.sandbox.url,
            "SANDBOX_CONTROL_URL": self.sandbox.control_url,
        }


@contextmanager
def staged(home: Path, port: int = 0) -> Iterator[Stage]:
    """Start everything on a fresh ``home``, the gateway on ``port``, and stop it when the block ends.

    Raises `HomeError` if a command fails.
    """
    with ExitStack() as stack:
        sandbox = stack.enter_context(RunningSandbox(Settings()))
        signer(home, "init", "--no-input", "--origin", sandbox.url, "--listen", f"127.0.0.1:{port}")
        real = json.dumps({"api_key": sandbox.api_key, "api_secret": sandbox.api_secret})
        signer(home, "keys", "add", "demo-key", "--account", "main", "--stdin", stdin=real)
        bot = home / "bot.env"
        signer(home, "clients", "add", CLIENT, "--account", "main", "--policy", "spot-trader", "--env-file", str(bot))
        known = dict(line.split("=", 1) for line in bot.read_text(encoding="ascii").splitlines())
        bot.unlink()
        gateway, url = _gateway(home, stack)
        yield Stage(home, sandbox, url, gateway, known["KRAKEN_API_KEY"], known["KRAKEN_API_SECRET"])


def free_port() -> int:
    """Find a port of loopback that is free now, for settings that must name one."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def signer(home: Path, *arguments: str, stdin: str = "") -> str:
    """Run a command as a person would, and return its output. Raises `HomeError` with its own message if it fails."""
    done = subprocess.run(_command(home, *arguments), input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HomeError(f"`signer {' '.join(arguments)}` failed: {done.stderr.strip()}", where=str(home))
    return done.stdout


def _gateway(home: Path, stack: ExitStack) -> tuple[subprocess.Popen[str], str]:
    log = stack.enter_context((home / "gateway.log").open("w", encoding="utf-8"))
    command = _command(home, "serve", "--json")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    stack.callback(_stop, process)
    assert process.stdout is not None  # noqa: S101 - we asked for a pipe
    stack.callback(process.stdout.close)
    line = process.stdout.readline()
    if not line:
        what = (home / "gateway.log").read_text(encoding="utf-8").strip()
        raise HomeError(f"the gateway did not start: {what}", where=str(home))
    return process, json.loads(line)["url"]


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _command(home: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "signer", "--home", str(home), *arguments]


def write_env_file(path: Path, values: dict[str, str]) -> None:
    """Write an env file that only its owner can read, whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())
    fresh.replace(path)
