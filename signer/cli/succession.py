"""One key after another, one store after another: what fails on the way leaves the old one in force.

Order matters. The new secret is kept before anything names it, proved before anything relies on it, and the old one
goes only when no call under way can still need it.
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace

from signer.cli import reload
from signer.cli.judging import judged, require_fit, say
from signer.cli.key_store import handle_of, in_loop, warn
from signer.cli.operation import Operation
from signer.contracts import SigningKey, SigningStore
from signer.errors import KeyStoreError, SignerError, VenueError
from signer.home.settings import HOME_FILE, Config
from signer.keys.file import FileKeyStore
from signer.keys.issue import ApiKeySecret
from signer.keys.probes import forget_probe, kept_probe
from signer.keys.replaced import Replaced, keep_replaced
from signer.model import CredentialInfo, KeyInfo
from signer.secret import Secret, fingerprint
from signer.serving.clock import SystemClock


@dataclass(frozen=True, slots=True)
class Rotation:
    """A new key of the account in the place of a credential's."""

    store: FileKeyStore
    config: Config
    operation: Operation
    elsewhere: SigningStore | None

    def rotate(self, old: CredentialInfo, given: ApiKeySecret, *, other_permissions: bool) -> None:
        """Rotate; the old key is one of `kept_replaced` then. Any error leaves it in force."""
        new = self._renewed(old, given)
        before = self._before(old, other_permissions)
        with _kept(self.store, self.elsewhere, new, given.secret):
            after = self.operation.try_out(new, self.config.accounts[new.account], lambda: self._handle(new, given)).key
            _require_same_account(before, after)
            if before is not None and not other_permissions:
                _require_alike(before, after)
            findings = judged(self.operation.home, self.config, self.store, new.name, after)
            require_fit(findings)
            say(findings)
            _take_up(self.operation)  # a gateway that would not take this up later is found out now
            called = before.name if before else ""
            keep_replaced(self.operation.home.replaced, Replaced.of(old, called, new.created_us))
            secret = given.secret if self.elsewhere is None else None
            self.store.replace_credential(old.name, new.api_key, secret, created_us=new.created_us)
        self.operation.detail = f"fingerprint {new.fingerprint}; to be deleted at the venue: {called} {old.fingerprint}"
        _take_up(self.operation)
        self.operation.drain()
        _destroyed(self.elsewhere, old)
        forget_probe(self.operation.home.probes, old.fingerprint)

    def _renewed(self, old: CredentialInfo, given: ApiKeySecret) -> CredentialInfo:
        if given.api_key == old.api_key:
            raise KeyStoreError("this is the key that it has already", where=old.name, hint="make a new one at Kraken")
        now_us = SystemClock().now_us()
        return replace(old, api_key=given.api_key, fingerprint=fingerprint(given.api_key), created_us=now_us)

    def _before(self, old: CredentialInfo, other_permissions: bool) -> KeyInfo | None:
        """What the old key may do: by its own word, or, if the venue refuses it by now, by what it last said."""
        try:
            return self.operation.probe(old, self.config, lambda: handle_of(old, self.store, self.elsewhere)).key
        except VenueError as error:
            kept = kept_probe(self.operation.home.probes, old.fingerprint)
            if kept is None and not other_permissions:
                hint = "give --other-permissions to rotate without comparing"
                raise VenueError(f"what the old key may do is not known: {error}", hint=hint) from error
            warn(f"the old key cannot be asked any more: {error}")
            return kept.key if kept else None

    async def _handle(self, new: CredentialInfo, given: ApiKeySecret) -> SigningKey:
        return given.secret.key() if self.elsewhere is None else await self.elsewhere.signing_key(new)


@dataclass(frozen=True, slots=True)
class Move:
    """The secret of a credential from one store to another; None is the home's own file."""

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
            in_loop(self._require_same(info, moved, given))
            _take_up(self.operation)
            self.store.move_credential(info.name, to, given.secret if given and to == HOME_FILE else None)
        _take_up(self.operation)
        self.operation.drain()
        _destroyed(self.source, info)

    @contextlib.contextmanager
    def _copied(self, moved: CredentialInfo, given: ApiKeySecret | None) -> Iterator[None]:
        if self.target is None or given is not None:
            with _kept(self.store, self.target, moved, given.secret if given else Secret(b"")):
                yield
            return
        with _undone(self.store, self.target, moved):
            self.store.hand_over(moved.name, self.target, moved)
            yield

    async def _require_same(self, info: CredentialInfo, moved: CredentialInfo, given: ApiKeySecret | None) -> None:
        """Raises `KeyStoreError` unless both copies sign the same message alike."""
        message = secrets.token_bytes(32)
        old = await handle_of(info, self.store, self.source)
        new = given.secret.key() if given and self.target is None else await handle_of(moved, self.store, self.target)
        if not hmac.compare_digest(await old.sign(message), await new.sign(message)):
            what = "the two copies of the secret do not sign alike; the old one stays"
            raise KeyStoreError(what, where=info.name, hint="give the secret that belongs to this API key")


@contextlib.contextmanager
def _kept(store: FileKeyStore, elsewhere: SigningStore | None, info: CredentialInfo, secret: Secret) -> Iterator[None]:
    """The secret in its store from here on, if the block ends well."""
    if elsewhere is None:
        yield
        return
    with _undone(store, elsewhere, info):
        elsewhere.add(info, secret)
        yield


@contextlib.contextmanager
def _undone(store: FileKeyStore, elsewhere: SigningStore, info: CredentialInfo) -> Iterator[None]:
    """What was put into ``elsewhere`` is taken out again if the block fails before the file says that it is there."""
    try:
        yield
    except BaseException:
        if not store.names(info):
            _destroyed(elsewhere, info)
        raise


def _destroyed(elsewhere: SigningStore | None, info: CredentialInfo) -> None:
    """A secret that nothing names any more. If that fails it lies there useless, and its owner is told."""
    try:
        if elsewhere is not None:
            elsewhere.remove(info)
    except SignerError as error:
        warn(f"the copy {info.reference} in its store is of no use any more; remove it yourself: {error}")


def _take_up(operation: Operation) -> None:
    if operation.beside:
        reload.reload_running(operation.home)


def _require_same_account(before: KeyInfo | None, after: KeyInfo) -> None:
    """Raises `KeyStoreError` if the venue says that the keys are of two accounts: bots would trade on another."""
    if before is None or not before.account or not after.account:
        warn("whether the new key is of the same account cannot be told: the exchange does not say; see its name there")
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
