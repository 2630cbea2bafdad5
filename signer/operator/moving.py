"""Moves a secret from one store to another. The old copy is destroyed last, when no call needs it."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace

from signer.contracts import SigningStore
from signer.errors import KeyStoreError
from signer.home.settings import HOME_FILE
from signer.keys.file import FileKeyStore
from signer.keys.issue import ApiKeySecret
from signer.keys.key_pair import signing_handle
from signer.model import CredentialInfo
from signer.operator.copies import Copies
from signer.operator.operation import Operation
from signer.secret import Secret


@dataclass(frozen=True, slots=True)
class Move:
    """Moves the secret of a credential from one store to another; None is the home's own file."""

    store: FileKeyStore
    operation: Operation
    source: SigningStore | None
    target: SigningStore | None

    def move(self, info: CredentialInfo, to: str, given: ApiKeySecret | None) -> None:
        """Move. ``given`` is the key as its owner has it, for a source that gives no secret back."""
        if given is not None and given.api_key != info.api_key:
            raise KeyStoreError("this is another API key", where=info.name, hint="to change the key, use `keys rotate`")
        moved = replace(info, store=to)
        with self._copied(moved, given):
            self.operation.session.run(self._require_same(info, moved, given))
            self.operation.take_up()
            self.store.move_credential(info.name, to, given.secret if given and to == HOME_FILE else None)
        self.operation.take_up()
        self.operation.drain()
        self._copies().destroy(self.source, info)

    def _copies(self) -> Copies:
        return Copies(self.store, self.operation.session.person)

    @contextlib.contextmanager
    def _copied(self, moved: CredentialInfo, given: ApiKeySecret | None) -> Iterator[None]:
        if self.target is None or given is not None:
            with self._copies().kept(self.target, moved, given.secret if given else Secret(b"")):
                yield
            return
        with self._copies().undone(self.target, moved):
            self.store.hand_over(moved.name, self.target, moved)
            yield

    async def _require_same(self, info: CredentialInfo, moved: CredentialInfo, given: ApiKeySecret | None) -> None:
        """Raises `KeyStoreError` unless both stores sign with the same secret."""
        message, algorithm = secrets.token_bytes(32), info.algorithm
        known = signing_handle(given.secret, algorithm) if given else self.store.signing_key(info.name, algorithm)
        for store, where in ((self.source, info), (self.target, moved)):
            if store is None:
                continue
            key = await store.signing_key(where)
            if not known.matches(message, await key.sign(message)):
                what = "the two copies of the secret do not sign alike; the old one stays"
                raise KeyStoreError(what, where=info.name, hint="give the secret that belongs to this API key")
