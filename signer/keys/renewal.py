"""The file as a whole: read, sealed anew under other keys, or put in the place of another."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from signer.errors import KeyStoreError
from signer.home.private_file import read_private
from signer.keys.envelope import MOST_BYTES, Envelope, Header, SealedEntry, opened_entry, parse, sealed_entry
from signer.keys.sealing import RandomBytes, StoreKeys

MISSING = "run `signer init` first, or name the right --home"


def read_envelope(path: Path) -> Envelope:
    """Read the file at ``path``, before anything is known of its keys. Raises `KeyStoreError`."""
    return parse(read_private(path, limit=MOST_BYTES, missing=MISSING), where=str(path))


def resealed(
    envelope: Envelope, keys: StoreKeys, header: Header, new_keys: StoreKeys, random_bytes: RandomBytes, *, where: str
) -> Sequence[SealedEntry]:
    """Seal the entries of ``envelope`` under another header and keys. Raises `KeyStoreError` if one does not open."""
    entries = []
    for entry in envelope.entries:
        secret = opened_entry(entry, envelope.header, keys, where=where)
        entries.append(sealed_entry(entry.about, secret, header, new_keys, random_bytes))
        secret.wipe()
    return entries


def require_restorable(found: Envelope, saved: Envelope, where: str, *, older: bool) -> None:
    """Raises `KeyStoreError` if ``saved`` is another store's, or, unless ``older``, was made before a change."""
    if found.header.store != saved.header.store:
        hint = "move that one away yourself if it is of no use any more"
        raise KeyStoreError("another key store is there", where=where, hint=hint)
    if found != saved and found.generation >= saved.generation and not older:
        raise outdated(where)


def outdated(where: str) -> KeyStoreError:
    """Make the error for a backup that was made before a change of what it would replace."""
    what = "it was changed since the backup: what was revoked or removed would come back"
    return KeyStoreError(what, where=where, hint="give --older-than-now if that is meant")


def mark_of(envelope: Envelope) -> tuple[str, int]:
    """Return the name of the mark of the store's generation, and the generation of this file."""
    return f"key-store/{envelope.header.store}", envelope.generation


def differences(before: Envelope | None, after: Envelope) -> Sequence[str]:
    """Return the entries that are in one only, or not alike in both, as `kind name`."""
    old = {entry.about: str(entry) for entry in before.entries} if before else {}
    new = {entry.about: str(entry) for entry in after.entries}
    return sorted({name for about, name in (old | new).items() if (about in old) != (about in new)})


def there(path: Path, *, older: bool) -> Envelope | None:
    """Return the store that a backup would replace; None without one.

    With ``older``, a file that does not read counts as none. Else it raises `KeyStoreError`.
    """
    if not os.path.lexists(path):
        return None
    try:
        return read_envelope(path)
    except KeyStoreError as error:
        if older:
            return None
        hint = "give --older-than-now to restore without knowing what was changed since the backup"
        raise KeyStoreError(error.what, where=str(path), hint=hint) from error


def replaced(path: Path) -> KeyStoreError:
    """Make the error for a file that is another store's."""
    return KeyStoreError(
        "it was replaced by another key store", where=str(path), hint="restart the gateway if that is meant"
    )


def put_back(path: Path) -> KeyStoreError:
    """Make the error for a file that is older than what was read from it before, or than what the marks know."""
    what = "it was put back to an earlier state: what was revoked, rotated or removed since would come back"
    hint = f"put the latest one there, or, if that is meant, run `signer keyfile restore {path} --older-than-now`"
    return KeyStoreError(what, where=str(path), hint=hint)
