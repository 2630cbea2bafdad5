"""Keeps others on the machine from looking into this process (prctl(2), mlockall(2), getrlimit(2)).

It handles no secrets. It protects the process that has them.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import resource
import sys
from collections.abc import Collection
from pathlib import Path

PR_SET_DUMPABLE = 4
MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT = 1, 2, 4
SWAPS = Path("/proc/swaps")

KEPT = frozenset(
    {
        *("HOME", "LOGNAME", "PATH", "TMPDIR", "USER"),
        *("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LC_TIME", "TZ", "TZDIR"),
        *("OPENSSL_CONF", "OPENSSL_MODULES", "SSL_CERT_DIR", "SSL_CERT_FILE"),
        *("CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET"),  # systemd's
    }
)
"""Variables that the gateway, or a library in it, may read while it runs. None is meant for a secret."""


def close_off() -> None:
    """Write no core file, close this process to others of the same user, and make files for their owner only.

    A process forked from this one is closed too; a program that it executes is not.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # the kernel pipes dumps to programs whatever the limit is
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def lock_memory() -> bool:
    """Keep the memory of this process, now and later, out of swap. Returns whether that succeeded.

    Only what is used is locked (MCL_ONFAULT), so it takes no more memory than before. A process forked from this one
    has to lock its own.
    """
    # Lock memory only without a limit: with one, an allocation could reach it and end the gateway.
    # With a soft limit of 0, the kernel lets only processes with CAP_IPC_LOCK lock memory.
    limits = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    unlimited = limits[1] == resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (limits[1] if unlimited else 0, limits[1]))
    try:
        flags = MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT
        return sys.platform == "linux" and not ctypes.CDLL(None).mlockall(flags)
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (limits[1] if unlimited else limits[0], limits[1]))


def has_swap(swaps: Path = SWAPS) -> bool:
    """Return whether this machine writes memory to a disk; True if that is not known."""
    try:
        return len(swaps.read_text().splitlines()) > 1  # the first line is the head of the table
    except OSError:
        return True


def forget_variable(name: str) -> None:
    """Remove ``name`` from the environment, and every value of it from the memory that ``/proc/PID/environ`` shows."""
    wanted = os.fsencode(name)
    for place, entry in _entries():
        found, equals, value = entry.partition(b"=")
        if found == wanted and equals:
            ctypes.memset(place + len(found) + 1, 0, len(value))
    if wanted in os.environb:
        _overwrite(os.environb.pop(wanted))


def _entries() -> list[tuple[int, bytes]]:
    """Yield each entry of the C library's environment, with its address."""
    table = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    places = itertools.takewhile(bool, (table[number] for number in itertools.count()))
    return [(place, ctypes.string_at(place)) for place in places if place]


def forget_environment(kept: Collection[str] = ()) -> None:
    """Forget every variable that is neither among `KEPT` nor in ``kept``, for this process and what it forks."""
    for name in set(os.environ) - KEPT - set(kept):
        forget_variable(name)


def _overwrite(value: bytes) -> None:
    """Wipe bytes that Python would free without a change. CPython keeps the bytes at the end of the object; objects of
    less than two bytes are shared, so they stay.
    """
    if sys.implementation.name == "cpython" and len(value) > 1:
        ctypes.memset(id(value) + bytes.__basicsize__ - 1, 0, len(value))
