"""An Argon2id that is quick for the stores of test homes, and the real one for all others.

The real one takes 64 MiB and a third of a second of a processor at each start of a gateway. Such a store has a marked
salt; its profile, and all checks of it, are those of a real store. Run as a program, this module is `signer`.
"""

from __future__ import annotations

import secrets
import sys

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from signer.cli.main import run
from signer.keys import argon

MARK = b"quick!"
"""The first bytes of the salt of a store that opens quickly."""


def marked_bytes(count: int) -> bytes:
    """Return ``count`` random bytes behind the mark, to make a store with."""
    return (MARK + secrets.token_bytes(count))[:count]


def quick_argon2id(*, salt: bytes, length: int, iterations: int, lanes: int, memory_cost: int) -> Argon2id:
    """Build the function that these parameters name, or its quickest one for a marked salt."""
    if salt.startswith(MARK):
        iterations, lanes, memory_cost = 1, 1, 8
    return Argon2id(salt=salt, length=length, iterations=iterations, lanes=lanes, memory_cost=memory_cost)


def make_quick() -> None:
    """Let this process open marked stores, quickly."""
    setattr(argon, Argon2id.__name__, quick_argon2id)


if __name__ == "__main__":
    make_quick()
    sys.exit(run())
