"""Gateways in processes of their own, before a sandbox in another."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, final

import requests

from signer.home.lock import RELOAD, read_load
from tests.harness.bots import Bot
from tests.harness.homes import MadeHome
from tests.harness.waiting import PATIENCE_S, until


@final
class RunningGateway:
    """`signer serve` on a home, ready when the constructor returns.

    ``under`` is a command that runs it as its only child, and ends after it with its exit status.
    """

    def __init__(
        self,
        made: MadeHome,
        *options: str,
        environment: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
    ) -> None:
        self.made = made
        self._options = options
        self._under = under
        self._environment = {**os.environ, **(environment or {})}
        self._names = itertools.count(1)
        self._log = made.home.folder / "gateway.log"
        self.process = self._started()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the gateway did not start: {self.log()}"
        self.ready: dict[str, Any] = json.loads(line)
        self.url: str = self.ready["url"]
        (self.pid,) = _children(self.process.pid) if under else (self.process.pid,)
        """The process id of the gateway itself."""
        self.rest_of_output = ""
        """What it wrote to standard output behind the ready line, known when it has ended."""

    def _started(self) -> subprocess.Popen[str]:
        command = [*self._under, *self.made.command("serve", "--json", *self._options)]
        with self._log.open("a") as log:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=self._environment)

    def log(self) -> str:
        """All that it wrote to standard error."""
        return self._log.read_text()

    def workers(self) -> list[int]:
        """Return the process ids of its workers."""
        return _children(self.pid)

    def get(self, path: str) -> requests.Response | None:
        """The answer to a GET, or None if nobody answers."""
        try:
            return requests.get(self.url + path, timeout=PATIENCE_S)
        except requests.ConnectionError:
            return None

    def is_ready(self) -> bool:
        """Whether it says that it would take an order."""
        answer = self.get("/-/ready")
        return answer is not None and answer.status_code == 200

    def reload(self) -> str:
        """Have it read its home again, and wait until it has; why it did not take it up, or nothing."""
        before = read_load(self.made.home.state)
        self._send(RELOAD)
        until(lambda: read_load(self.made.home.state) != before, "the reload")
        after = read_load(self.made.home.state)
        assert after is not None
        return after.error

    def client(self, account: str, policy: str = "trader", *, nonces: Literal["window", "strict"] = "window") -> Bot:
        """A new client of an account, at once in force."""
        name = f"{account}-{policy}-{next(self._names)}"
        bot = self.made.add_client(name, account, policy, url=self.url, nonces=nonces)
        assert self.reload() == ""
        return bot

    def account(self, name: str, *, origin: str = "", **settings: Any) -> str:
        """A new account, in force with its first client."""
        self.made.add_account(name, origin=origin, **settings)
        return name

    def kill_worker(self) -> None:
        """``kill -9`` of the one worker process."""
        (pid,) = self.workers()
        os.kill(pid, signal.SIGKILL)

    def kill_worker_and_wait(self) -> None:
        """Kill the worker, and wait until another answers."""
        before = self.workers()
        self.kill_worker()
        until(lambda: self.workers() not in ([], before) and self.is_ready(), "a worker reborn")

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        self._send(signal.SIGTERM)
        return self.ended()

    def ended(self, *, within_s: float = PATIENCE_S) -> int:
        """Wait for its end, and return its exit status."""
        try:
            return self.process.wait(within_s)
        finally:
            if self.process.poll() is None:
                self._send(signal.SIGKILL)
                self.process.kill()
                self.process.wait()
            assert self.process.stdout is not None
            if not self.process.stdout.closed:
                self.rest_of_output = self.process.stdout.read()
            self.process.stdout.close()

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self.process.poll() is None:
                os.kill(self.pid, number)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def running(made: MadeHome, *options: str) -> Iterator[RunningGateway]:
    """A gateway that is stopped at the end, if it still runs; ``options`` of `signer serve`."""
    gateway = RunningGateway(made, *options)
    try:
        yield gateway
    finally:
        if gateway.process.poll() is None:
            gateway.stop()
