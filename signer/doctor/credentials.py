"""Checks the stores outside the home, and of each credential whether its key signs and fits the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from signer.contracts import Clock, SigningKey, Venue
from signer.doctor.known import KnownHome
from signer.doctor.said import error, failed, fine, warning
from signer.errors import HomeError, SignerError
from signer.findings import Finding
from signer.home.settings import HOME_FILE, Config
from signer.home.stores import AppRoleLogin, StoreConfig, VaultConfig
from signer.keycheck.judgement import Requirements, judge_key, requirements_in
from signer.keycheck.probe import ProbeResult
from signer.keycheck.probe import known as known_key
from signer.keys.file import FileKeyStore
from signer.keys.probes import accounts_told
from signer.keys.stores import SigningStores
from signer.model import CredentialInfo
from signer.secret import is_signature_size

Ask = Callable[[CredentialInfo, Config, SigningKey | None], Awaitable[ProbeResult]]
"""Asks the venue about a credential: through the running gateway, else with the key. Raises `SignerError`."""
Asking = Callable[[], AbstractAsyncContextManager[Ask]]
"""Holds the home while the questions are asked. Raises `HomeError` if it cannot be had."""
MESSAGE = b"signer doctor"


async def examine(known: KnownHome, asking: Asking, clock: Clock) -> tuple[list[Finding], list[Finding]]:
    """Examine the stores and the credentials; the findings of each."""
    if known.config is None:
        return [], []
    heard: list[str] = []
    stores = SigningStores(heard.append)
    try:
        return await _Examination(known, known.config, asking, clock, stores, heard).run()
    finally:
        await stores.close()


@dataclass(frozen=True, slots=True)
class _Signed:
    """A credential, its key if that signs, and the findings about it."""

    info: CredentialInfo
    key: SigningKey | None
    said: Sequence[Finding] = ()


class _Examination:
    """One look at all stores and credentials. ``heard`` collects the stores' messages."""

    def __init__(
        self, known: KnownHome, config: Config, asking: Asking, clock: Clock, stores: SigningStores, heard: list[str]
    ) -> None:
        self._known = known
        self._config = config
        self._asking = asking
        self._clock = clock
        self._stores = stores
        self._heard = heard
        self._usable = {HOME_FILE}
        self._credentials: Sequence[CredentialInfo] = known.store.credentials() if known.store else ()

    async def run(self) -> tuple[list[Finding], list[Finding]]:
        """Ask the stores in turn, for a signature of each key, then the venue about all keys at once."""
        of_stores = [finding for name in self._config.stores for finding in await self._store(name)]
        store = self._known.store
        if store is None:
            return of_stores, []
        credentials, known = self._credentials, self._known
        required = requirements_in(
            self._config, credentials, store.clients(), known.policies, known.venues, self._clock.now_us()
        )
        # Without its account or venue nothing can be asked of a key; the findings of the settings say so.
        signed = [await self._signing(info, store) for info in credentials if info.name in required]
        try:
            async with self._asking() as ask:
                looks = [self._judged(ask, one, required[one.info.name]) for one in signed]
                judged: Sequence[Sequence[Finding]] = await asyncio.gather(*looks)
        except HomeError as why:  # another process keeps the home
            judged = [failed(f"credential {one.info.name}", why) for one in signed]
        pairs = zip(signed, judged, strict=True)
        return of_stores, [finding for one, said in pairs for finding in (*one.said, *said)]

    async def _store(self, name: str) -> Sequence[Finding]:
        about = f"store {name}"
        if _is_wrapped(self._config.stores[name]):
            return [
                fine("store", about, "is not logged in to: its secret-id is wrapped, and can be unwrapped only once")
            ]
        try:
            told = await self._stores.store(name, self._config).describe()
        except SignerError as why:
            return failed(about, why)
        self._usable.add(name)
        return [fine("store", about, told), *self._overheard(about)]

    async def _signing(self, info: CredentialInfo, store: FileKeyStore) -> _Signed:
        """Return the handle of a credential if it signs."""
        about = f"credential {info.name}"
        if info.store not in self._usable:
            return _Signed(info, None)
        try:
            key = await self._handle(info, store)
            algorithm = self._venue(info).key_algorithm
            if not is_signature_size(algorithm, len(await key.sign(MESSAGE))):
                what = f"its store makes no signature by {algorithm}"
                return _Signed(info, None, [error("signature", about, what, "add the key anew")])
        except SignerError as why:
            self._heard.clear()
            return _Signed(info, None, failed(about, why))
        signs = fine("signature", about, f"signs (role {info.role}, store {info.store})")
        return _Signed(info, key, [signs, *self._overheard(about)])

    async def _handle(self, info: CredentialInfo, store: FileKeyStore) -> SigningKey:
        if info.store == HOME_FILE:
            return store.signing_key(info.name, self._venue(info).key_algorithm)
        return await self._stores.store(info.store, self._config).signing_key(info)

    async def _judged(self, ask: Ask, signed: _Signed, requirements: Requirements) -> Sequence[Finding]:
        info, about = signed.info, f"credential {signed.info.name}"
        if signed.key is None and self._known.gateway is None:
            what, hint = f"cannot be tried without its store ({info.store})", "fix that first"
            return [] if signed.said else [warning("unproven", about, what, hint)]
        try:
            asked = await ask(info, self._config, signed.key)
            key, now_us = known_key(asked, info.name), self._clock.now_us()
        except SignerError as why:
            what, _, hint = why.what.removesuffix("; nothing was sent").partition("; ")
            otherwise = f"see to it at the exchange, then `signer keys test {info.name}`"
            return [error("unproven", about, what, why.hint or hint or otherwise)]
        others = accounts_told(self._known.home.probes, info, self._credentials)
        return judge_key(key, requirements, self._venue(info), now_us, moved=asked.moved, others=others)

    def _venue(self, info: CredentialInfo) -> Venue:
        return self._known.venues[self._config.accounts[info.account].venue]

    def _overheard(self, about: str) -> list[Finding]:
        texts, self._heard[:] = list(dict.fromkeys(self._heard)), []
        return [_said(about, text) for text in texts]


def _said(about: str, text: str) -> Finding:
    """Split a store's message into place, text, and the hint behind the last semicolon, if there is one."""
    what, _, hint = (text.partition("): ")[2] or text).partition("; ")
    return warning("store", about, what, hint)


def _is_wrapped(settings: StoreConfig) -> bool:
    return isinstance(settings, VaultConfig) and isinstance(settings.login, AppRoleLogin) and settings.login.wrapped
