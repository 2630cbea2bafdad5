"""Makes new lists of entries for a change. Whoever calls holds the lock and writes the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypedDict, TypeVar, get_args

from pydantic import ValidationError

from signer.errors import KeyStoreError
from signer.keys.envelope import (
    MOST_ENTRIES,
    AboutClient,
    AboutCredential,
    AnyAbout,
    Envelope,
    Former,
    SealedEntry,
    opened_entry,
    sealed_entry,
)
from signer.keys.sealing import RandomBytes, StoreKeys
from signer.model import Algorithm, Network
from signer.secret import Secret

AboutT = TypeVar("AboutT", AboutCredential, AboutClient, Former)


class ClientChange(TypedDict, total=False):
    """What may change of a client."""

    policy: str
    sources: tuple[Network, ...]
    expires_us: int | None
    nonces: Literal["window", "strict"]
    revoked: bool
    api_key: str
    created_us: int
    algorithm: Algorithm
    has_passphrase: bool


class CredentialChange(TypedDict, total=False):
    """What may change of a credential, together with its secret."""

    api_key: str
    created_us: int
    store: str
    algorithm: Algorithm
    has_passphrase: bool


@dataclass(frozen=True, slots=True)
class Editor:
    """Makes new lists of entries from the one that stands in the file. Every method raises `KeyStoreError`."""

    current: Envelope
    where: str
    keys: StoreKeys = field(repr=False)
    random_bytes: RandomBytes = field(repr=False)

    def added(self, about: AnyAbout, secret: Secret) -> Sequence[SealedEntry]:
        """Add an entry. The name and the API key must be free; a revoked client makes room for one of its name."""
        kept = [entry for entry in self.current.entries if not _makes_room(entry.about, about)]
        return self._joined(kept, about, secret)

    def removed(self, kind: Literal["credential", "client"], name: str) -> Sequence[SealedEntry]:
        """Remove an entry."""
        return self._without(self._entry(kind, name))

    def changed(self, client: str, change: ClientChange, new_secret: Secret | None) -> Sequence[SealedEntry]:
        """Change what is said of a client; its secret stays unless there is a new one. A revoked one is refused."""
        entry = self._entry("client", client)
        assert isinstance(entry.about, AboutClient)  # noqa: S101 - its kind is client
        if entry.about.revoked:
            hint = f"`signer clients add {client} …` issues a new credential under the name"
            raise KeyStoreError(f"client {client!r} is revoked", where=self.where, hint=hint)
        about = described(AboutClient, self.where, **{**dict(entry.about), **change})
        secret = new_secret or self.secret("client", client)
        kept = self._without(entry)
        return self._joined(_not_formerly(client, kept) if about.revoked or new_secret else kept, about, secret)

    def overlapping(
        self, client: str, change: ClientChange, new_secret: Secret, until_us: int
    ) -> Sequence[SealedEntry]:
        """Change the client as `changed` does, and let its credential of before stay good for a while."""
        old = self._entry("client", client).about
        shown = {"algorithm": old.algorithm, "has_passphrase": old.has_passphrase}
        former = described(Former, self.where, name=client, api_key=old.api_key, until_us=until_us, **shown)
        return self._joined(self.changed(client, change, new_secret), former, self.secret("client", client))

    def rekeyed(self, credential: str, change: CredentialChange, secret: Secret) -> Sequence[SealedEntry]:
        """Give a credential another secret, or its secret another place."""
        entry = self._entry("credential", credential)
        about = described(AboutCredential, self.where, **{**dict(entry.about), **change})
        return self._joined(self._without(entry), about, secret)

    def secret(self, kind: Literal["credential", "client"], name: str) -> Secret:
        """Return the secret of an entry, for a store to take over and wipe."""
        return opened_entry(self._entry(kind, name), self.current.header, self.keys, where=self.where)

    def _joined(self, others: Sequence[SealedEntry], about: AnyAbout, secret: Secret) -> Sequence[SealedEntry]:
        if len(others) >= MOST_ENTRIES:
            raise KeyStoreError(f"it holds {MOST_ENTRIES} entries already", where=self.where, hint="remove some first")
        for other in others:
            self._require_apart(other, about)
        return [*others, sealed_entry(about, secret, self.current.header, self.keys, self.random_bytes)]

    def _require_apart(self, entry: SealedEntry, about: AnyAbout) -> None:
        if (entry.about.kind, entry.about.name) == (about.kind, about.name):
            hint = f"choose another name, or {'remove' if about.kind == 'credential' else 'rotate or revoke'} that one"
            raise KeyStoreError(f"there is a {entry} already", where=self.where, hint=hint)
        # Two names for one real key would be two nonce sequences; a client with a real key would hold the real secret.
        if entry.about.api_key == about.api_key:
            hint = "each API key belongs to one credential or one client; use another"
            raise KeyStoreError(f"this API key is that of the {entry}", where=self.where, hint=hint)

    def _entry(self, kind: Literal["credential", "client"], name: str) -> SealedEntry:
        names = []
        for entry in self.current.entries:
            if (entry.about.kind, entry.about.name) == (kind, name):
                return entry
            names += [entry.about.name] if entry.about.kind == kind else []
        raise no_such(kind, name, names, self.where)

    def _without(self, gone: SealedEntry) -> list[SealedEntry]:
        return [entry for entry in self.current.entries if entry is not gone]


def described(kind: type[AboutT], where: str, /, **fields: object) -> AboutT:
    """Build what is said of a secret. Raises `KeyStoreError` naming the field that is not well formed."""
    (word,) = get_args(kind.model_fields["kind"].annotation)
    try:
        return kind.model_validate({"kind": word, **fields})
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]["loc"][0]
        what = f"the {wrong} of the {word} is not well formed"
        hint = "names are a-z, 0-9, dot, dash and underscore; an API key is the public one, without ="
        raise KeyStoreError(what, where=where, hint=hint) from None


def no_such(kind: str, name: str, known: Sequence[str], where: str) -> KeyStoreError:
    """Make the error for a name that is not there; it lists those that are."""
    return KeyStoreError(
        f"there is no {kind} {name!r}", where=where, hint=f"known are: {', '.join(sorted(known)) or 'none'}"
    )


def _not_formerly(client: str, entries: Sequence[SealedEntry]) -> list[SealedEntry]:
    return [entry for entry in entries if (entry.about.kind, entry.about.name) != ("former", client)]


def _makes_room(old: AnyAbout, new: AnyAbout) -> bool:
    return isinstance(old, AboutClient) and isinstance(new, AboutClient) and old.revoked and old.name == new.name
