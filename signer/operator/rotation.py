"""Replaces one key by another. If any step fails, the old key stays in force.

The order of the steps matters. The new secret is stored before the key store names it, and proved before a call relies
on it. The old secret is destroyed only when no call under way can still need it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from signer.contracts import SigningKey, SigningStore
from signer.errors import KeyStoreError, VenueError
from signer.home.settings import Config
from signer.keys.file import FileKeyStore
from signer.keys.issue import ApiKeySecret
from signer.keys.key_pair import signing_handle
from signer.keys.probes import forget_probe, kept_probe
from signer.keys.replaced import Replaced, keep_replaced
from signer.model import CredentialInfo, KeyInfo
from signer.operator.copies import Copies
from signer.operator.judging import judged, require_fit, warn_of
from signer.operator.opening import handle_of
from signer.operator.operation import Operation
from signer.operator.person import Person
from signer.operator.session import Session
from signer.secret import fingerprint
from signer.serving.clock import SystemClock


@dataclass(frozen=True, slots=True)
class Rotation:
    """Replaces a credential's key by a new key of the account."""

    store: FileKeyStore
    config: Config
    operation: Operation
    elsewhere: SigningStore | None

    @property
    def session(self) -> Session:
        """The person who rotates."""
        return self.operation.session

    def rotate(self, old: CredentialInfo, given: ApiKeySecret, *, other_permissions: bool) -> None:
        """Rotate. The old key is then one of `kept_replaced`. Any error leaves it in force."""
        new = self._renewed(old, given)
        before = self._before(old, other_permissions)
        with Copies(self.store, self.session.person).kept(self.elsewhere, new, given.secret):
            after = self.operation.try_out(new, self.config.accounts[new.account], lambda: self._handle(new, given)).key
            _require_same_account(before, after, self.session.person)
            if before is not None and not other_permissions:
                _require_alike(before, after)
            findings = judged(self.session, self.config, self.store, new.name, after)
            require_fit(findings)
            warn_of(findings, self.session.person)
            self.operation.take_up()  # a gateway that would not take this up later is found out now
            called = before.name if before else ""
            keep_replaced(self.session.home.replaced, Replaced.of(old, called, new.created_us))
            secret = given.secret if self.elsewhere is None else None
            self.store.replace_credential(new, secret)
        self.operation.detail = f"fingerprint {new.fingerprint}; to be deleted at the venue: {called} {old.fingerprint}"
        self.operation.take_up()
        self.operation.drain()
        Copies(self.store, self.session.person).destroy(self.elsewhere, old)
        forget_probe(self.session.home.probes, old.fingerprint)

    def _renewed(self, old: CredentialInfo, given: ApiKeySecret) -> CredentialInfo:
        if given.api_key == old.api_key:
            hint = "make a new one at the exchange"
            raise KeyStoreError("this is the key that it has already", where=old.name, hint=hint)
        now_us = SystemClock().now_us()
        return replace(
            old,
            api_key=given.api_key,
            fingerprint=fingerprint(given.api_key),
            created_us=now_us,
            algorithm=given.algorithm,
            has_passphrase=given.secret.passphrase is not None,
        )

    def _before(self, old: CredentialInfo, other_permissions: bool) -> KeyInfo | None:
        """Ask what the old key may do. If the venue refuses the key by now, return its last answer."""
        try:
            return self.operation.probe(old, self.config, lambda: handle_of(old, self.store, self.elsewhere)).key
        except VenueError as error:
            kept = kept_probe(self.session.home.probes, old.fingerprint)
            if kept is None and not other_permissions:
                hint = "give --other-permissions to rotate without comparing"
                raise VenueError(f"what the old key may do is not known: {error}", hint=hint) from error
            self.session.person.warn(f"the old key cannot be asked any more: {error}")
            return kept.key if kept else None

    async def _handle(self, new: CredentialInfo, given: ApiKeySecret) -> SigningKey:
        if self.elsewhere is not None:
            return await self.elsewhere.signing_key(new)
        return signing_handle(given.secret, new.algorithm)


def _require_same_account(before: KeyInfo | None, after: KeyInfo, person: Person) -> None:
    """Raises `KeyStoreError` if the keys belong to two accounts at the venue. Bots would change their account."""
    if before is None or not before.account or not after.account:
        person.warn(
            "whether the new key is of the same account cannot be told: the exchange does not say; see its name there"
        )
    elif before.account != after.account:
        hint = "make one in the same account, or add it with `signer keys add` to an account of its own"
        raise KeyStoreError("the new key is of another account; the old one stays", where="keys", hint=hint)


def _require_alike(before: KeyInfo, after: KeyInfo) -> None:
    old, new = set(before.permissions), set(after.permissions)
    if old != new:
        parts = [("lacks", old - new), ("also has", new - old)]
        told = " and ".join(f"{how} {', '.join(sorted(words))}" for how, words in parts if words)
        hint = "make one with the same permissions, or give --other-permissions"
        raise KeyStoreError(f"the new key {told}, compared with the old one, which stays", where="keys", hint=hint)
