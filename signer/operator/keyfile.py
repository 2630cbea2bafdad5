"""Changes the passphrase of the key store's file, backs the file up and restores it, each on record."""

from __future__ import annotations

import contextlib
from pathlib import Path

from signer.home.layout import Home
from signer.keys.file import FileKeyStore
from signer.keys.passphrase import Passphrase, in_step
from signer.operator.opening import known_passphrase, marks_or_warn, open_file
from signer.operator.operation import on_record
from signer.operator.reload import take_up
from signer.operator.session import Session


def change_passphrase(session: Session, store: FileKeyStore, new: Passphrase, *, reason: str) -> None:
    """Seal everything anew under ``new``; the home's own passphrase file, if there is one, follows.

    Raises `SignerError`.
    """
    with on_record(session, "keyfile passphrase", reason), _in_step(session.home, new):
        store.change_passphrase(new)
    new.wipe()
    session.person.say("Changed the passphrase. Copies of the file that were made before still open with the old one.")
    take_up(session, "the passphrase")


def back_up(session: Session, store: FileKeyStore, file: Path, *, replace: bool, reason: str) -> None:
    """Copy the key store, sealed as it is, to ``file``, and see that the copy opens. Raises `SignerError`."""
    with on_record(session, "keyfile backup", reason) as operation:
        operation.detail = str(file)
        store.backup(file, replace=replace)
    session.person.say(f"Copied the key store to {file}; it opens with the passphrase of now.")


def restore(session: Session, file: Path, *, older: bool, reason: str) -> None:
    """Put a backup in the key store's place. It opens with the passphrase that was in force when it was made.

    ``older``: also if the key store was changed since. Raises `SignerError`.
    """
    home = session.home
    then = known_passphrase(session)
    saved = open_file(session, file, then)
    with on_record(session, "keyfile restore", reason) as operation:
        operation.detail = f"{file}{', older than now' if older else ''}"
        with _in_step(home, then):
            changed = saved.restore(home.keys, marks_or_warn(session), older=older)
    then.wipe()
    session.person.say(f"Restored the key store from {file}. Otherwise than before: {', '.join(changed) or 'nothing'}.")
    take_up(session, "the restored key store")
    if older:
        stays = "Clients that were revoked stay revoked; `signer clients add` issues them a new credential."
        session.person.say(f"{stays} A gateway refuses credentials that were rotated away until it is restarted.")


def _in_step(home: Home, new: Passphrase) -> contextlib.AbstractContextManager[None]:
    return in_step(home.passphrase, new, lambda text: FileKeyStore.is_opened_by(home.keys, text))
