"""The key store's file as a whole: opened by a passphrase, read again, written and sealed anew (docs/key-store.md)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self, TypeAlias

from signer.contracts import ClientKey
from signer.errors import KeyStoreError, PassphraseChanged
from signer.home.private_file import exclusively, write_private
from signer.home.settings import HOME_FILE
from signer.keys.argon import SALT_BYTES, SECOND_CHOICE, Profile, derive, require_fit
from signer.keys.entries import Editor
from signer.keys.envelope import (
    AboutCredential,
    Envelope,
    Header,
    SealedEntry,
    enveloped,
    opened_entry,
    require_keys,
    require_whole,
)
from signer.keys.key_pair import PrivateKey, signing_handle
from signer.keys.passphrase import Passphrase
from signer.keys.renewal import (
    differences,
    mark_of,
    outdated,
    put_back,
    read_envelope,
    replaced,
    require_restorable,
    resealed,
    there,
)
from signer.keys.sealing import RandomBytes, StoreKeys
from signer.secret import ApiPassphrase, HmacKey

Written: TypeAlias = Callable[[str, int], None]
"""Told of each change once it is on the disk, as `FileKeyStore.mark` has it."""


class ClientHandles(NamedTuple):
    """The handles of a client's virtual credential."""

    key: ClientKey
    passphrase: ApiPassphrase | None


class SealedFile:
    """One file of sealed entries, held open: every entry was verified and its secret is a handle by now."""

    def __init__(
        self,
        path: Path,
        keys: StoreKeys,
        envelope: Envelope,
        random_bytes: RandomBytes,
        written: Written = lambda *_: None,
    ) -> None:
        self._path = path
        self._keys = keys
        self._random_bytes = random_bytes
        self._written = written
        self._hold(envelope)

    @classmethod
    def create(
        cls,
        path: Path,
        passphrase: Passphrase,
        profile: Profile = SECOND_CHOICE,
        *,
        random_bytes: RandomBytes = secrets.token_bytes,
    ) -> Self:
        """Make an empty store at ``path``. Raises `KeyStoreError`: a file is there already, or a weak passphrase."""
        passphrase.require_strong()
        require_fit(profile, where=str(path), allow_test_profile=True)
        store, salt = random_bytes(16).hex(), random_bytes(SALT_BYTES).hex()
        header = Header(store=store, salt=salt, profile=profile)
        keys = _derived(header, passphrase, str(path))
        envelope = enveloped(header, 1, (), keys)
        write_private(path, envelope.text(), replace=False, exists="it may hold keys: move it away yourself")
        return cls(path, keys, envelope, random_bytes)

    @classmethod
    def open(
        cls,
        path: Path,
        passphrase: Passphrase,
        *,
        allow_test_profile: bool = False,
        random_bytes: RandomBytes = secrets.token_bytes,
        written: Written = lambda *_: None,
    ) -> Self:
        """Open the store at ``path``. Raises `WrongPassphrase`, or `KeyStoreError` for whatever else is wrong with it.

        Takes as long as its Argon2id profile was made to take. ``allow_test_profile`` is never given by ``serve``.
        """
        where = str(path)
        envelope = read_envelope(path)
        require_fit(envelope.header.profile, where=where, allow_test_profile=allow_test_profile)
        keys = _derived(envelope.header, passphrase, where)
        require_keys(envelope, keys, where=where)
        return cls(path, keys, envelope, random_bytes, written)

    @property
    def mark(self) -> tuple[str, int]:
        """Return the name and the generation by which an earlier state of the file is told from this one.

        They are the name and the height of a mark (`contracts.Marks`).
        """
        return mark_of(self._envelope)

    def require_latest(self, marks: Mapping[str, int]) -> None:
        """Raises `KeyStoreError` if ``marks`` know a later state than the one that is held."""
        name, generation = self.mark
        if generation < marks.get(name, 0):
            raise put_back(self._path)

    def reopened(self) -> Self:
        """Read the file as it is now, with the keys already derived: for a reload, without the passphrase.

        Raises `KeyStoreError` as `open` does, and if the file was made anew or is older than what is held;
        `PassphraseChanged` if it takes another passphrase now (`succeeded_by`).
        """
        return type(self)(self._path, self._keys, self._read_again(), self._random_bytes)

    def succeeded_by(self, passphrase: Passphrase) -> Self:
        """Open the file as it is now by its new passphrase. Takes as long as `open`.

        Raises what `open` raises, and `KeyStoreError` if the file is not newer than the store in memory.
        """
        held = self._envelope
        tests = held.header.profile.for_tests_only
        fresh = type(self).open(self._path, passphrase, allow_test_profile=tests, random_bytes=self._random_bytes)
        if fresh._envelope.header.store != held.header.store:
            raise replaced(self._path)
        if fresh._envelope.generation <= held.generation:
            raise put_back(self._path)
        return fresh

    @staticmethod
    def is_opened_by(path: Path, passphrase: Passphrase) -> bool:
        """Tell whether ``passphrase`` is that of the store at ``path``. False if no key store reads there."""
        try:
            envelope = read_envelope(path)
            require_keys(envelope, _derived(envelope.header, passphrase, str(path)), where=str(path))
        except KeyStoreError:
            return False
        return True

    def change_passphrase(self, new: Passphrase) -> None:
        """Seal everything anew, so that only ``new`` opens it. Raises `KeyStoreError`: a weak one, or a disk's failure.

        What was copied from the disk before still opens with the old one.
        """
        new.require_strong()
        where = str(self._path)
        with exclusively(self._path):
            current = self._read_again()
            header = current.header.model_copy(update={"salt": self._random_bytes(SALT_BYTES).hex()})
            keys = _derived(header, new, where)
            entries = resealed(current, self._keys, header, keys, self._random_bytes, where=where)
            envelope = enveloped(header, current.generation + 1, entries, keys)
            self._publish(self._path, envelope)
        self._keys = keys
        self._hold(envelope)

    def backup(self, target: Path, *, replace: bool = False) -> None:
        """Copy the file, sealed as it is, to ``target``, and see that the copy opens. Raises `KeyStoreError`."""
        whole = self.reopened()._envelope
        write_private(target, whole.text(), replace=replace, exists="give --force to overwrite it, or name another")
        if read_envelope(target) != whole:
            raise KeyStoreError("what was written does not read back", where=str(target), hint="look at that disk")

    def restore(self, path: Path, marks: Mapping[str, int], *, older: bool = False) -> Sequence[str]:
        """Put this store, opened from a backup, at ``path``; the entries that are not as they were there.

        Raises `KeyStoreError` if another store is there, or, unless ``older``, if something was changed there since
        the backup was made, by the file there or by ``marks``, or nobody can tell.
        """
        where, ours = str(path), self._envelope
        with exclusively(path):
            found = there(path, older=older)
            if found is not None:
                require_restorable(found, ours, where, older=older)
            known = marks.get(self.mark[0], 0)
            if known > ours.generation and not older:
                raise outdated(where)
            # The highest generation yet, so that a running gateway takes it for news, and a start for the latest.
            latest = max(ours.generation, found.generation if found else 0, known)
            self._publish(path, enveloped(ours.header, latest + 1, ours.entries, self._keys))
        return differences(found, ours)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._path)!r})"

    def _hold(self, envelope: Envelope) -> None:
        """Believe ``envelope``, every entry of it or none."""
        where = str(self._path)
        signing: dict[str, HmacKey | PrivateKey] = {}
        verifying: dict[tuple[str, str], ClientHandles] = {}
        for entry in envelope.entries:
            about, secret = entry.about, opened_entry(entry, envelope.header, self._keys, where=where)
            if not isinstance(about, AboutCredential):
                handles = ClientHandles(secret.client_key(about.algorithm), secret.client_passphrase())
                verifying[about.kind, about.name] = handles
            elif about.store == HOME_FILE:
                signing[about.name] = signing_handle(secret, about.algorithm)
            secret.wipe()
        require_whole(envelope, self._keys, where=where)
        self._envelope, self._signing, self._verifying = envelope, signing, verifying

    def _read_again(self) -> Envelope:
        envelope, held, where = read_envelope(self._path), self._envelope, str(self._path)
        if envelope.header.store != held.header.store:
            raise replaced(self._path)
        if envelope.header != held.header:
            hint = "restart the gateway, or run the command again"
            raise PassphraseChanged("its passphrase was changed", where=where, hint=hint)
        require_whole(envelope, self._keys, where=where)
        same_generation = envelope.generation == held.generation
        if envelope.generation < held.generation or (same_generation and envelope != held):
            raise put_back(self._path)
        return envelope

    def _write(self, change: Callable[[Editor], Sequence[SealedEntry]]) -> None:
        # Read again under the lock: another writer may have been here since we opened.
        with exclusively(self._path):
            current = self._read_again()
            editor = Editor(current, str(self._path), self._keys, self._random_bytes)
            envelope = enveloped(current.header, current.generation + 1, change(editor), self._keys)
            self._publish(self._path, envelope)
        self._hold(envelope)

    def _publish(self, path: Path, envelope: Envelope) -> None:
        write_private(path, envelope.text(), replace=True)
        # Only now: a mark ahead of its file would shut everybody out of a home where a command was interrupted.
        self._written(*mark_of(envelope))


def _derived(header: Header, passphrase: Passphrase, where: str) -> StoreKeys:
    salt = bytes.fromhex(header.salt)
    return StoreKeys(passphrase.stretched_by(lambda text: derive(header.profile, salt, text, where=where)))
