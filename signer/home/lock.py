"""Who runs on this home: a lock that dies with its holder, and what the gateway says of its last load."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from signer.errors import HomeBusy

RELOAD = signal.SIGUSR2
"""What has a gateway read its home again. SIGHUP does so too, but not where it means that the terminal is gone."""

NOTHING_YET = "nothing yet"
"""What a gateway that does not serve yet says that it listens on: it is not to be signalled."""
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Holder:
    """The gateway that holds a home."""

    pid: int
    since_us: int
    listen: str

    @property
    def serves(self) -> bool:
        """Whether it has said where it listens."""
        return self.listen not in {NOTHING_YET, UNKNOWN}


@dataclass(frozen=True, slots=True)
class Load:
    """What the gateway's worker last loaded: how many times, and why the last one was not taken."""

    pid: int
    count: int
    at_us: int
    error: str
    refused: list[str] = field(default_factory=list)
    """Of each key that no call may go by, what is wrong with it."""
    version: str = ""
    """Of signer, that the worker runs."""
    broken: list[str] = field(default_factory=list)
    """Of each policy that does not load and that a client has, what is so."""
    unused: list[str] = field(default_factory=list)
    """The same of those that nobody has."""


class HomeLock:
    """An exclusive lock on a home for as long as this process, or a worker forked from it, lives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take()
        except BlockingIOError:
            os.close(self._file)
            raise _held(path) from None

    def _take(self) -> None:
        """A second try after a moment: `holder` looks by taking the lock for an instant."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def announce(self, holder: Holder) -> None:
        """Say who holds it."""
        text = json.dumps(asdict(holder)).encode()
        os.pwrite(self._file, text, 0)  # first: on a full disk the room that it had could be gone
        os.ftruncate(self._file, len(text))

    def release(self) -> None:
        """Let the next one have it."""
        os.close(self._file)

    def announced(self) -> Holder:
        """What was said last, by this process or one forked from it."""
        return _read(self._path)


def holder(path: Path) -> Holder | None:
    """Who holds the home, or None. Raises nothing: a file that nobody holds is just old."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    finally:
        os.close(file)
    return None


def write_load(path: Path, load: Load) -> None:
    """Publish what was loaded, whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(load)), encoding="ascii")
    fresh.replace(path)


def read_load(path: Path) -> Load | None:
    """What the running gateway last loaded, or None."""
    try:
        return Load(**json.loads(path.read_text(encoding="ascii")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _read(path: Path) -> Holder:
    try:
        return Holder(**json.loads(path.read_text(encoding="ascii")))
    except (ValueError, TypeError):
        return Holder(0, 0, UNKNOWN)  # held, and about to say by whom


def _held(path: Path) -> HomeBusy:
    by = _read(path)
    what = f"another gateway (process {by.pid}, listening on {by.listen}) runs on this home"
    if not by.serves:
        what = f"process {by.pid} starts a gateway on this home, or changes it"
    return HomeBusy(what, where=str(path.parent), hint="stop it first, or give this one a --home of its own")
