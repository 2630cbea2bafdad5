"""Finds a passphrase where its owner keeps it, never on the command line, which every user of the machine can read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn, TypeVar, final

from signer.errors import KeyStoreError
from signer.home.private_file import exclusively, read_private, write_private
from signer.secret import Secret

T = TypeVar("T")

LEAST_CHARACTERS = 12
MOST_BYTES = 4096
CREDENTIAL = "signer-passphrase"
"""The passphrase's name in systemd's ``LoadCredential=``."""
VARIABLE = "SIGNER_PASSPHRASE"


@final
class Passphrase:
    """Opens a key store. It shows itself nowhere, and can only be stretched into keys."""

    __slots__ = ("_characters", "_secret", "_where")

    def __init__(self, text: bytes | bytearray, *, where: str) -> None:
        if not text:
            raise KeyStoreError("the passphrase is empty", where=where, hint="give one")
        self._secret = Secret(text)
        self._characters = sum(byte & 0xC0 != 0x80 for byte in text)  # of UTF-8, without a text to leave behind
        self._where = where

    def require_strong(self) -> None:
        """Raises `KeyStoreError` if it is too short to make a new store with."""
        if self._characters < LEAST_CHARACTERS:
            what = f"the passphrase has fewer than {LEAST_CHARACTERS} characters"
            raise KeyStoreError(what, where=self._where, hint="use five random words or more")

    def stretched_by(self, derive: Callable[[bytearray], T]) -> T:
        """Return what ``derive`` (a key derivation) makes of the passphrase."""
        return self._secret.expose_to(derive)

    def write_to(self, path: Path) -> None:
        """Keep it in a file of its owner's. Raises `KeyStoreError` if the disk does not take it."""

        self._secret.expose_to(lambda text: write_private(path, text + b"\n", replace=True))

    def wipe(self) -> None:
        """Overwrite it (see `Secret.wipe`)."""
        self._secret.wipe()

    def __repr__(self) -> str:
        return "Passphrase(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a passphrase cannot be copied out of the process")


@contextlib.contextmanager
def in_step(home_file: Path, new: Passphrase, opens: Callable[[Passphrase], bool]) -> Iterator[None]:
    """Write ``new`` to the home's own passphrase file, if there is one, once the block has made it the store's.

    ``opens`` tells whether a passphrase is the store's. An interrupt anywhere leaves a file beside it with ``new``, and
    `settle` finds out which of the two is right.
    """
    if not os.path.lexists(home_file):
        yield
        return
    with exclusively(home_file):
        new.write_to(_next(home_file))
        try:
            yield
        finally:
            _settled(home_file, opens)


def settle(home_file: Path, opens: Callable[[Passphrase], bool]) -> None:
    """Finish what an interrupted change of the passphrase left undone. Raises `KeyStoreError`."""
    if os.path.lexists(_next(home_file)):
        with exclusively(home_file):
            _settled(home_file, opens)


def _settled(home_file: Path, opens: Callable[[Passphrase], bool]) -> None:
    following = _next(home_file)
    if not os.path.lexists(following):
        return
    new = from_file(following)
    if opens(new):
        new.write_to(home_file)
    following.unlink()


def _next(home_file: Path) -> Path:
    return home_file.with_name(f"{home_file.name}.next")


def find_passphrase(
    flag: Path | None, home_file: Path, environment: Mapping[str, str], warn: Callable[[str], None]
) -> Passphrase | None:
    """Read the passphrase from the first source that is there, or None: then only a person can tell it.

    The order: the file that ``--passphrase-file`` names, systemd's credential, ``SIGNER_PASSPHRASE`` (with a warning),
    the home's own file. A source that is there but cannot be used raises `KeyStoreError`; the next is not tried.
    """
    if flag is not None:
        return from_file(flag)
    if (credential := from_credential(environment)) is not None:
        return credential
    if VARIABLE in environment:
        warn(f"{VARIABLE} can be read by every process of this user and by its children; use --passphrase-file")
        return Passphrase(environment[VARIABLE].encode(errors="surrogateescape"), where=VARIABLE)
    return from_file(home_file) if os.path.lexists(home_file) else None


def from_credential(environment: Mapping[str, str]) -> Passphrase | None:
    """Read the passphrase in systemd's folder of credentials, or one laid out like it. Raises `KeyStoreError`."""
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if not folder or not os.path.lexists(Path(folder) / CREDENTIAL):
        return None
    return from_file(Path(folder) / CREDENTIAL, systemd=True)


def from_file(path: Path, *, systemd: bool = False) -> Passphrase:
    """Read the content of a private file, less one newline at its end. Raises `KeyStoreError`."""
    text = read_private(path, limit=MOST_BYTES, missing="name the right file", systemd=systemd)
    if text.endswith(b"\n"):
        text.pop()
    try:
        return Passphrase(text, where=str(path))
    finally:
        text[:] = bytes(len(text))
