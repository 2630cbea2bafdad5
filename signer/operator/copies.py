"""Puts a secret into another store before the key store's file names it, and removes it if a later step fails."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from signer.contracts import SigningStore
from signer.errors import SignerError
from signer.keys.file import FileKeyStore
from signer.model import CredentialInfo
from signer.operator.person import Person
from signer.secret import Secret


@dataclass(frozen=True, slots=True)
class Copies:
    """Keeps and destroys copies of secrets that the key store's file names, or is about to name."""

    store: FileKeyStore
    person: Person

    @contextlib.contextmanager
    def kept(self, elsewhere: SigningStore | None, info: CredentialInfo, secret: Secret) -> Iterator[None]:
        """Keep the secret in ``elsewhere`` from now on if the block succeeds. None is the file itself."""
        if elsewhere is None:
            yield
            return
        with self.undone(elsewhere, info):
            elsewhere.add(info, secret)
            yield

    @contextlib.contextmanager
    def undone(self, elsewhere: SigningStore, info: CredentialInfo) -> Iterator[None]:
        """Remove the secret from ``elsewhere`` if the block fails before the file names it."""
        try:
            yield
        except BaseException:
            if not self.store.names(info):
                self.destroy(elsewhere, info)
            raise

    def destroy(self, elsewhere: SigningStore | None, info: CredentialInfo) -> None:
        """Destroy a secret that no entry names any more. If that fails, warn that it is still there."""
        try:
            if elsewhere is not None:
                elsewhere.remove(info)
        except SignerError as error:
            text = f"the copy {info.reference} in its store is of no use any more; remove it yourself: {error}"
            self.person.warn(text)
