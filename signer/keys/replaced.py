"""Keys that a rotation took out of use and that still exist at the venue, until their owner says that they do not.

Without its secret a replaced key cannot be asked whether it is gone, so only a person can tell. Nothing in these files
is secret, and nothing but lists depends on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from signer.errors import KeyStoreError
from signer.home.private_file import make_private_folder, read_private, write_private
from signer.model import CredentialInfo, Role

MOST_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Replaced:
    """A key as lists show it; ``at_venue`` is its name there, empty if nobody knows."""

    name: str
    account: str
    role: Role
    fingerprint: str
    created_us: int
    at_venue: str
    since_us: int

    @classmethod
    def of(cls, old: CredentialInfo, at_venue: str, since_us: int) -> Replaced:
        """Return the key ``old``, in whose place another came at ``since_us``."""
        return cls(old.name, old.account, old.role, old.fingerprint, old.created_us, at_venue, since_us)


_REPLACED = TypeAdapter(Replaced)


def keep_replaced(folder: Path, replaced: Replaced) -> None:
    """Remember the key. Raises `KeyStoreError` if the disk does not take it."""
    make_private_folder(folder)
    text = _REPLACED.dump_json(replaced) + b"\n"
    write_private(folder / f"{replaced.fingerprint}.json", text, replace=True)


def kept_replaced(folder: Path, in_force: Sequence[CredentialInfo]) -> Sequence[Replaced]:
    """List all that are remembered, oldest first, but those that are ``in_force``: their rotation was interrupted.

    Raises `KeyStoreError` for a file that does not read.
    """
    used = {info.fingerprint for info in in_force}
    found = [_read(path) for path in folder.glob("*.json") if path.stem not in used]
    return sorted(found, key=lambda replaced: replaced.since_us)


def forget_replaced(folder: Path, name: str, fingerprint: str) -> None:
    """Forget a key that was deleted. Raises `KeyStoreError` if no such key is remembered."""
    path = folder / f"{fingerprint}.json"
    if path.parent != folder or not path.exists() or _read(path).name != name:
        what = f"no key of {name!r} with this fingerprint waits to be deleted"
        raise KeyStoreError(what, where=fingerprint, hint="`signer keys list` shows which do")
    path.unlink()


def _read(path: Path) -> Replaced:
    raw = read_private(path, limit=MOST_BYTES, missing="run the command again")
    try:
        return _REPLACED.validate_json(raw)
    except ValidationError:
        hint = "look at the exchange which keys there are, and remove this reminder"
        raise KeyStoreError("this is not a replaced key", where=str(path), hint=hint) from None
