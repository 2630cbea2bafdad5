"""Locks a home for one process, and tells other commands which gateway runs on it and what it last loaded."""

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
"""The signal that makes a gateway reload its home. SIGHUP does so too, unless it means that the terminal is gone."""

NOTHING_YET = "nothing yet"
"""The listen address of a gateway that does not serve yet. It must not be signalled."""
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a home's lock."""

    pid: int
    since_us: int
    listen: str
    """The URLs of its listeners, with commas between."""
    venues: list[str] = field(default_factory=list)
    """The venue that each listener serves, in the same order."""

    @property
    def urls(self) -> list[str]:
        """The URLs of its listeners, if it serves."""
        return self.listen.split(", ")

    @property
    def told(self) -> str:
        """Where it listens, for a person: each URL with its venue, if there are several."""
        if len(set(self.venues)) < 2:
            return self.listen
        return ", ".join(f"{url} ({venue})" for url, venue in zip(self.urls, self.venues, strict=False))

    @property
    def serves(self) -> bool:
        """Whether it serves, and so has said where it listens."""
        return self.listen not in {NOTHING_YET, UNKNOWN}


@dataclass(frozen=True, slots=True)
class Load:
    """What the gateway's worker last loaded: how often it has loaded, and why the last load was refused."""

    pid: int
    count: int
    at_us: int
    error: str
    refused: list[str] = field(default_factory=list)
    """What is wrong with each credential that no call may use."""
    version: str = ""
    """The version of signer that the worker runs."""
    broken: list[str] = field(default_factory=list)
    """What is wrong with each policy that does not load and that a client has."""
    unused: list[str] = field(default_factory=list)
    """What is wrong with each policy that does not load and that no client has."""


class HomeLock:
    """Locks a home exclusively while this process, or a worker forked from it, lives."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take()
        except BlockingIOError:
            os.close(self._file)
            raise _held(path) from None

    def _take(self) -> None:
        """Take the lock, with a second try after a moment, because `holder` takes it for an instant to look."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def announce(self, holder: Holder) -> None:
        """Write who holds the lock into its file."""
        text = json.dumps(asdict(holder)).encode()
        os.pwrite(self._file, text, 0)  # written first: a full disk could give its space away
        os.ftruncate(self._file, len(text))

    def release(self) -> None:
        """Release the lock."""
        os.close(self._file)

    def announced(self) -> Holder:
        """Read what this process, or one forked from it, announced last."""
        return _read(self._path)


def holder(path: Path) -> Holder | None:
    """Return who holds the home, or None. A lock file without a holder is a leftover, and is no error."""
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
    """Publish what was loaded, completely or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(load)), encoding="ascii")
    fresh.replace(path)


def read_load(path: Path) -> Load | None:
    """Read what the running gateway last loaded, or None."""
    try:
        return Load(**json.loads(path.read_text(encoding="ascii")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _read(path: Path) -> Holder:
    try:
        return Holder(**json.loads(path.read_text(encoding="ascii")))
    except (ValueError, TypeError):
        return Holder(0, 0, UNKNOWN)  # the holder has not written yet who it is


def _held(path: Path) -> HomeBusy:
    by = _read(path)
    what = f"another gateway (process {by.pid}, listening on {by.told}) runs on this home"
    if not by.serves:
        what = f"process {by.pid} starts a gateway on this home, or changes it"
    return HomeBusy(what, where=str(path.parent), hint="stop it first, or give this one a --home of its own")
