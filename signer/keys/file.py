"""The encrypted key store in one file (docs/key-store.md): reading gives handles, writing is for the command line."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Unpack, final

from signer.config import HOME_FILE
from signer.contracts import SigningStore
from signer.errors import KeyStoreError
from signer.keys.argon import SALT_BYTES, SECOND_CHOICE, Profile, derive, require_fit
from signer.keys.entries import AboutT, ClientChange, Editor, described, no_such
from signer.keys.envelope import (
    MOST_BYTES,
    Client,
    Credential,
    Entry,
    Envelope,
    Header,
    enveloped,
    opened_entry,
    parse,
    require_keys,
    require_whole,
)
from signer.keys.passphrase import Passphrase
from signer.keys.private_file import exclusively, read_private, write_private
from signer.keys.sealing import RandomBytes, StoreKeys
from signer.model import ClientInfo, CredentialInfo, Network
from signer.secret import HmacKey, Secret, fingerprint

MISSING = "run `signer init` first, or name the right --home"


@final
class FileKeyStore:
    """A `contracts.KeyStore` in one file, held open: every entry was verified and is a handle by now."""

    def __init__(self, path: Path, keys: StoreKeys, envelope: Envelope, random_bytes: RandomBytes) -> None:
        self._path = path
        self._keys = keys
        self._random_bytes = random_bytes
        self._hold(envelope)

    @classmethod
    def create(
        cls,
        path: Path,
        passphrase: Passphrase,
        profile: Profile = SECOND_CHOICE,
        *,
        random_bytes: RandomBytes = secrets.token_bytes,
    ) -> FileKeyStore:
        """A new, empty store at ``path``. Raises `KeyStoreError`: a file is there already, or a weak passphrase."""
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
    ) -> FileKeyStore:
        """The store at ``path``. Raises `WrongPassphrase`, or `KeyStoreError` for whatever else is wrong with it.

        Takes as long as its Argon2id profile was made to take. ``allow_test_profile`` is never given by ``serve``.
        """
        where = str(path)
        envelope = _read(path)
        require_fit(envelope.header.profile, where=where, allow_test_profile=allow_test_profile)
        keys = _derived(envelope.header, passphrase, where)
        require_keys(envelope, keys, where=where)
        return cls(path, keys, envelope, random_bytes)

    def reopened(self) -> FileKeyStore:
        """The file as it is now, read with the keys already derived: for a reload, without the passphrase.

        Raises `KeyStoreError` as `open` does, and if the file was made anew or is older than what is held.
        """
        return FileKeyStore(self._path, self._keys, self._read_again(), self._random_bytes)

    def credentials(self) -> Sequence[CredentialInfo]:
        """All real credentials, by name."""
        return [_credential_info(about) for about in self._all(Credential)]

    def clients(self) -> Sequence[ClientInfo]:
        """All clients, by name, revoked ones included."""
        return [_client_info(about) for about in self._all(Client)]

    def signing_key(self, credential: str) -> HmacKey:
        """The handle for a real credential. Raises `KeyStoreError` if this file holds no secret of that name."""
        return self._handle("credential", credential)

    def client_key(self, client: str) -> HmacKey:
        """The handle for a client's virtual credential. Raises `KeyStoreError` likewise."""
        return self._handle("client", client)

    def add_credential(
        self,
        name: str,
        account: str,
        api_key: str,
        secret: Secret,
        *,
        created_us: int,
        elsewhere: tuple[str, SigningStore] | None = None,
    ) -> None:
        """Keep a real credential. Raises `KeyStoreError`: the name or the key is taken, or malformed.

        ``elsewhere`` names the store that keeps the secret in place of this file, which then holds the entry only.
        """
        where = str(self._path)
        fields = {"name": name, "account": account, "api_key": api_key, "created_us": created_us}
        if elsewhere is None:
            about = described(Credential, where, **fields)
            self._write(lambda editor: editor.added(about, secret))
            return
        about = described(Credential, where, **fields, store=elsewhere[0])

        def added(editor: Editor) -> Sequence[Entry]:
            # An interrupt leaves a secret that no entry names, and that the next attempt replaces; never the reverse.
            entries = editor.added(about, Secret(b""))
            elsewhere[1].add(_credential_info(about), secret)
            return entries

        self._write(added)

    def remove_credential(self, name: str, elsewhere: SigningStore | None = None) -> None:
        """Forget a real credential for good, in the store ``elsewhere`` first. Raises `KeyStoreError` if there is none
        of that name, or the store does not destroy it."""

        def removed(editor: Editor) -> Sequence[Entry]:
            entries = editor.removed("credential", name)
            gone = next(entry.about for entry in editor.current.entries if entry not in entries)
            if elsewhere is not None and isinstance(gone, Credential):
                elsewhere.remove(_credential_info(gone))
            return entries

        self._write(removed)

    def add_client(
        self,
        name: str,
        account: str,
        policy: str,
        api_key: str,
        secret: Secret,
        *,
        created_us: int,
        sources: tuple[Network, ...] = (),
        expires_us: int | None = None,
        nonces: Literal["window", "strict"] = "window",
    ) -> None:
        """Keep a client and its virtual credential; one of the same name is replaced only if it was revoked.

        Raises `KeyStoreError`: the name or the key is taken, or malformed.
        """
        about = described(
            Client,
            str(self._path),
            name=name,
            account=account,
            policy=policy,
            api_key=api_key,
            sources=sources,
            expires_us=expires_us,
            nonces=nonces,
            revoked=False,
            created_us=created_us,
        )
        self._write(lambda editor: editor.added(about, secret))

    def update_client(self, name: str, secret: Secret | None = None, **change: Unpack[ClientChange]) -> None:
        """Change what is said of a client; ``secret`` comes with a new ``api_key`` (rotation).

        Raises `KeyStoreError` if there is no such client, or it is revoked: a revoked client does not come back.
        """
        self._write(lambda editor: editor.changed(name, change, secret))

    def __repr__(self) -> str:
        return f"FileKeyStore({str(self._path)!r})"

    def _hold(self, envelope: Envelope) -> None:
        """Believe ``envelope``, every entry of it or none."""
        where = str(self._path)
        handles = {}
        for entry in envelope.entries:
            secret = opened_entry(entry, envelope.header, self._keys, where=where)
            if isinstance(entry.about, Client) or entry.about.store == HOME_FILE:
                handles[entry.about.kind, entry.about.name] = secret.key()
            secret.wipe()
        require_whole(envelope, self._keys, where=where)
        self._envelope = envelope
        self._handles = handles

    def _handle(self, kind: Literal["credential", "client"], name: str) -> HmacKey:
        handle = self._handles.get((kind, name))
        if handle is None:
            raise no_such(kind, name, [known for of, known in self._handles if of == kind], str(self._path))
        return handle

    def _all(self, kind: type[AboutT]) -> list[AboutT]:
        abouts = [entry.about for entry in self._envelope.entries]
        return sorted((about for about in abouts if isinstance(about, kind)), key=lambda about: about.name)

    def _read_again(self) -> Envelope:
        envelope, held, where = _read(self._path), self._envelope, str(self._path)
        mend = "restart the gateway if that is meant"
        if envelope.header != held.header:
            raise KeyStoreError("it was replaced by another key store", where=where, mend=mend)
        require_whole(envelope, self._keys, where=where)
        same_generation = envelope.generation == held.generation
        if envelope.generation < held.generation or (same_generation and envelope != held):
            raise KeyStoreError("it was put back to an earlier state", where=where, mend=mend)
        return envelope

    def _write(self, change: Callable[[Editor], Sequence[Entry]]) -> None:
        # Read again under the lock: another writer may have been here since we opened.
        with exclusively(self._path):
            current = self._read_again()
            editor = Editor(current, str(self._path), self._keys, self._random_bytes)
            envelope = enveloped(current.header, current.generation + 1, change(editor), self._keys)
            write_private(self._path, envelope.text(), replace=True)
        self._hold(envelope)


def _read(path: Path) -> Envelope:
    return parse(read_private(path, most=MOST_BYTES, missing=MISSING), where=str(path))


def _derived(header: Header, passphrase: Passphrase, where: str) -> StoreKeys:
    salt = bytes.fromhex(header.salt)
    return StoreKeys(passphrase.stretched_by(lambda text: derive(header.profile, salt, text, where=where)))


def _credential_info(about: Credential) -> CredentialInfo:
    return CredentialInfo(
        about.name, about.account, about.api_key, fingerprint(about.api_key), about.created_us, about.store
    )


def _client_info(about: Client) -> ClientInfo:
    return ClientInfo(
        name=about.name,
        account=about.account,
        policy=about.policy,
        api_key=about.api_key,
        fingerprint=fingerprint(about.api_key),
        sources=about.sources,
        expires_us=about.expires_us,
        nonces=about.nonces,
        revoked=about.revoked,
        created_us=about.created_us,
    )
