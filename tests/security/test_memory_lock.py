"""Threat: memory that holds a secret is written to the swap space."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

NOBODY = 65534
MIB = 2**20


def test_memory_is_locked_where_nothing_bounds_it() -> None:
    """All memory is locked where nothing bounds it; under a limit none is, since the gateway would die at it one
    night."""
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    bounded = hard if hard != resource.RLIM_INFINITY else 256 * MIB
    assert told_of_lock(bounded, as_nobody=True) == (False, 0, 0)
    locked, kib, later = told_of_lock(hard, as_nobody=False)
    assert locked or hard != resource.RLIM_INFINITY
    assert locked == (kib > 0)
    assert (later >= 64 * 1024) == locked


def told_of_lock(limit: int, *, as_nobody: bool) -> tuple[bool, int, int]:
    """What a process says that locks its memory under ``limit``: whether it could, how many KiB, how many more when it
    has taken another 64 MiB."""
    code = (
        "import os, resource as r, sys; limit, user = int(sys.argv[1]), int(sys.argv[2])\n"
        "from signer.serving.hardening import lock_memory\n"
        "def kib(): return int(next(line for line in open('/proc/self/status') if 'VmLck' in line).split()[1])\n"
        "r.setrlimit(r.RLIMIT_MEMLOCK, (limit, limit))\n"
        "if user: os.setgid(user); os.setuid(user)\n"
        "locked, before = lock_memory(), kib(); more = bytearray(64 * 2**20)\n"
        "assert locked or r.getrlimit(r.RLIMIT_MEMLOCK) == (limit, limit)\n"
        "print(int(locked), before, kib() - before)\n"
    )
    user = NOBODY if as_nobody and os.geteuid() == 0 else 0
    command = [sys.executable, "-c", code, str(limit), str(user)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    locked, before, later = (int(word) for word in done.stdout.split())
    return bool(locked), before, later
