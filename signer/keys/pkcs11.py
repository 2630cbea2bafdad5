"""Secrets inside an HSM, by PKCS#11: created there once, sensitive and not extractable.

Every call into the module is made on a thread that does nothing else (``worker``): a local token answers in
microseconds, but one behind a network may block for as long as it likes, and only a call on another thread can be left
behind at its deadline. And a module that uses OpenSSL leaves its errors in the thread's queue, where Python's TLS would
find them and take them for its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar, final

import pkcs11
from pkcs11 import Attribute, TokenFlag
from pkcs11 import exceptions as failures
from typing_extensions import override

from signer.contracts import SigningKey, SigningStore, Worker
from signer.errors import KeyStoreError, StoreUnavailable
from signer.home.private_file import read_private
from signer.home.stores import Pkcs11Config
from signer.keys.token_objects import KEY_TYPES, MECHANISMS, object_class, template, to_sign
from signer.model import Algorithm, CredentialInfo
from signer.secret import Secret

AGAIN_S = 1.0
"""Between two attempts to find a token that was removed."""
MOST_BYTES = 1024
SYSTEMD = Path("/run/credentials")
T = TypeVar("T")

WRONG_PIN = (
    failures.PinIncorrect, failures.PinInvalid, failures.PinLenRange, failures.PinLocked, failures.PinExpired
)  # fmt: skip
GONE = (failures.NoSuchKey, failures.MultipleObjectsReturned)
TRIED = TokenFlag.USER_PIN_COUNT_LOW | TokenFlag.USER_PIN_FINAL_TRY | TokenFlag.USER_PIN_LOCKED
"""How a token says that the last PIN was wrong (PKCS#11 v3.0 §3.5)."""


@final
class TokenKey(SigningKey):
    """Signs with a secret that is in the token."""

    __slots__ = ("_label", "_store", "algorithm", "passphrase")

    def __init__(self, store: Pkcs11Store, label: str, algorithm: Algorithm) -> None:
        self._store = store
        self._label = label
        self.algorithm = algorithm
        self.passphrase = None

    @override
    async def sign(self, message: bytes) -> bytes:
        return await self._store.sign(self._label, self.algorithm, message)

    def __repr__(self) -> str:
        return f"TokenKey({self._label!r})"


@final
class Pkcs11Store(SigningStore):
    """Keeps secrets in a store of kind ``pkcs11``. ``worker`` is the only thread that calls the module.

    ``interactive``: a person started this, and may give the PIN though the token says that the last one was wrong.
    """

    algorithms = frozenset(MECHANISMS)
    keeps_passphrases = False

    def __init__(
        self,
        name: str,
        config: Pkcs11Config,
        worker: Worker,
        alarm: Callable[[str], None],
        *,
        interactive: bool = False,
    ) -> None:
        self._where = f"store {name} (token {config.token})"
        self._config = config
        self._worker = worker
        self._alarm = alarm
        self._interactive = interactive
        self._session: Any = None
        self._keys: dict[str, Any] = {}
        self._wrong_pin: tuple[int, int] | None = None
        self._unavailable: StoreUnavailable | None = None
        self._not_before = 0.0
        # Two counts, each written by one thread only: calls given by the loop, and calls that the worker is done with.
        self._given = self._returned = 0

    @override
    async def signing_key(self, info: CredentialInfo) -> TokenKey:
        """Return the handle. Raises `KeyStoreError`: no such key, a token that cannot use it, or a wrong PIN."""
        try:
            await self._call(lambda: self._key(info.reference, info.algorithm))
        except StoreUnavailable as error:
            self._alarm(f"the key of {info.name} cannot be used now: {error}")
        return TokenKey(self, info.reference, info.algorithm)

    async def sign(self, label: str, algorithm: Algorithm, message: bytes) -> bytes:
        """Return the signature of ``message`` by the key ``label``. Raises `KeyStoreError`."""
        data, mechanism = to_sign(message, algorithm), MECHANISMS[algorithm]
        return await self._call(lambda: bytes(self._key(label, algorithm).sign(data, mechanism=mechanism)))

    @override
    def add(self, info: CredentialInfo, secret: Secret) -> None:
        self.remove(info)
        self._aside(lambda: self._create(info, secret))

    @override
    def remove(self, info: CredentialInfo) -> None:
        self._keys.pop(info.reference, None)
        self._aside(lambda: [key.destroy() for key in self._found(info.reference)])

    @override
    async def describe(self) -> str:
        """Look at the token, without a login. Raises `KeyStoreError` if it is not there."""
        return await self._call(self._told)

    @override
    async def close(self) -> None:
        """Log out."""
        await self._worker.run(self._let_go)

    def __repr__(self) -> str:
        return f"Pkcs11Store({self._where!r})"

    async def _call(self, job: Callable[[], T]) -> T:
        """Run ``job`` on the worker, within the deadline; a call that is left behind still counts until it returns."""
        waiting = self._given - self._returned
        if waiting >= self._config.in_flight:
            what = f"{waiting} calls wait for the token already"
            raise StoreUnavailable(what, where=self._where, hint="see why it is slow")
        self._given += 1
        try:
            async with asyncio.timeout(self._config.deadline_seconds):
                return await self._worker.run(lambda: self._counted(job))
        except TimeoutError:
            what = "the token did not answer in time"
            raise StoreUnavailable(what, where=self._where, hint="see why it is slow") from None

    def _counted(self, job: Callable[[], T]) -> T:
        try:
            return self._patiently(job)
        finally:
            self._returned += 1

    def _aside(self, job: Callable[[], T]) -> T:
        """Run ``job`` on a thread of its own, waiting for it: for commands, which have no loop."""
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(self._safely, job).result()

    def _patiently(self, job: Callable[[], T]) -> T:
        """Run ``job``, once more if its session has gone: the token was put back, or another program logged us out."""
        try:
            return self._safely(job)
        except StoreUnavailable:
            return self._safely(job)

    def _safely(self, job: Callable[[], T]) -> T:
        """Run ``job``, with its failures in our words; after one of the module's all is opened anew."""
        try:
            return job()
        except GONE:
            self._let_go()
            hint = "add it anew with `signer keys add`"
            raise KeyStoreError("the token has no such key, or two", where=self._where, hint=hint) from None
        except pkcs11.PKCS11Error as error:
            self._let_go()
            what = f"the token cannot be used now ({type(error).__name__})"
            raise StoreUnavailable(what, where=self._where, hint="see that it is there") from None

    def _told(self) -> str:
        token = self._token()
        if token.flags & TRIED:
            self._alarm(f"{self._where}: the token says that the last PIN given was wrong, so none is given")
        made_by = " ".join(f"{token.manufacturer_id} {token.model}".split())
        return f"has its token {self._config.token} ({made_by})"

    def _key(self, label: str, algorithm: Algorithm) -> Any:
        key = self._keys.get(label)
        if key is None:
            self._require_able(algorithm)
            key = self._opened().get_key(object_class=object_class(algorithm), label=label)
            self._require_fit(key, label, algorithm)
            self._keys[label] = key
        return key

    def _require_able(self, algorithm: Algorithm) -> None:
        """Raise `KeyStoreError` unless the token has the mechanism: few have all."""
        if MECHANISMS[algorithm] not in self._opened().token.slot.get_mechanisms():
            what = f"the token does not sign by {algorithm} (it has no {MECHANISMS[algorithm].name})"
            raise KeyStoreError(what, where=self._where, hint="keep the keys of this account in another store")

    def _require_fit(self, key: Any, label: str, algorithm: Algorithm) -> None:
        if key.key_type != KEY_TYPES[algorithm]:
            hint = "remove the credential and add it anew"
            raise KeyStoreError(f"key {label} does not sign by {algorithm}", where=self._where, hint=hint)
        if key[Attribute.EXTRACTABLE] or not key[Attribute.SENSITIVE]:
            self._alarm(
                f"{self._where}: key {label} can be read out of the token; remove the credential and add it anew"
            )

    def _found(self, label: str) -> list[Any]:
        return list(self._opened().get_objects({Attribute.LABEL: label}))

    def _create(self, info: CredentialInfo, secret: Secret) -> None:
        self._require_able(info.algorithm)
        self._opened().create_object(template(info, secret))

    def _opened(self) -> Any:
        if self._session is None:
            if self._unavailable is not None and time.monotonic() < self._not_before:
                raise self._unavailable
            self._session = self._open()
            self._unavailable = None
        return self._session

    def _open(self) -> Any:
        """Open a new session. A PIN that was wrong is not given a second time, for that locks the token."""
        token = self._token()
        if (token.flags & TRIED and not self._interactive) or token.flags & TokenFlag.USER_PIN_LOCKED:
            raise self._refused("the token says that the last PIN given was wrong, so none is given")
        stamp = self._pin_stamp()
        if stamp is not None and stamp == self._wrong_pin:
            raise self._refused("the PIN was not right and is not tried again")
        pin = read_private(
            self._config.pin_file,
            limit=MOST_BYTES,
            missing="put the PIN there",
            systemd=self._config.pin_file.is_relative_to(SYSTEMD),
        )
        try:
            return token.open(rw=self._interactive, user_pin=pin.removesuffix(b"\n").decode("utf-8", "replace"))
        except failures.UserAlreadyLoggedIn:  # a login is the process's, not the session's (PKCS#11 v3.0 §5.6.7)
            return token.open(rw=self._interactive)
        except WRONG_PIN as error:
            self._wrong_pin = stamp
            raise self._refused(f"the PIN is not right ({type(error).__name__}) and is not tried again") from None

    def _token(self) -> Any:
        """Find the token; if it is not there, initialise the module again, as modules look for tokens only then.

        That ends all sessions of the process. Those of other stores are opened again like ours.
        """
        path = str(self._config.module)
        try:
            module = pkcs11.lib(path)
            try:
                return module.get_token(token_label=self._config.token)
            except pkcs11.PKCS11Error:
                module.reinitialize()
                return module.get_token(token_label=self._config.token)
        except pkcs11.PKCS11Error as error:
            if type(error) is pkcs11.PKCS11Error:  # from the binding, not from the module
                hint = "name the HSM's PKCS#11 library in module"
                raise KeyStoreError("it cannot be loaded", where=path, hint=hint) from None
            what = f"there is no such token now ({type(error).__name__})"
            self._unavailable = StoreUnavailable(what, where=self._where, hint="put it in, or name the right one")
            self._not_before = time.monotonic() + AGAIN_S
            raise self._unavailable from None

    def _pin_stamp(self) -> tuple[int, int] | None:
        try:
            status = self._config.pin_file.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns

    def _refused(self, what: str) -> KeyStoreError:
        hint = f"put the right one into {self._config.pin_file} and log in with it once: `pkcs11-tool --login -O …`"
        return KeyStoreError(what, where=self._where, hint=hint)

    def _let_go(self) -> None:
        self._keys.clear()
        session, self._session = self._session, None
        if session is not None:
            try:
                session.close()
            except pkcs11.PKCS11Error:
                return  # it went with the token
