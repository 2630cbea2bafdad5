"""Asks the venue about a key: through the running gateway, or alone with nonces above the home's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from signer.contracts import SigningKey
from signer.errors import HomeError
from signer.gateway import open_account
from signer.gateway.accounts import KeyStates
from signer.gateway.credential import Listeners
from signer.home.layout import Home
from signer.home.settings import AccountConfig, Config
from signer.keycheck.probe import ProbeResult, known, probe
from signer.keys.probes import Probe, keep_probe, kept_probe
from signer.ledger import open_marks
from signer.model import CredentialInfo, KeyInfo
from signer.operator.alone import take_lock
from signer.operator.session import Session
from signer.secret import fingerprint
from signer.serving.admin import ask
from signer.serving.clock import SystemClock
from signer.upstream import UpstreamPool
from signer.venues import open_venue

MakeKey = Callable[[], Awaitable[SigningKey]]
"""Fetches the handle of a credential from its store. It is awaited in the event loop that will use the handle."""


Ask = Callable[[CredentialInfo, Config, SigningKey | None], Awaitable[ProbeResult]]
"""Asks the venue about a credential. Its key is used if no gateway runs. Raises `SignerError`."""


class Heard(NamedTuple):
    """Holds the venue's answer about a key."""

    key: KeyInfo
    moved: bool
    """Whether its nonce rose without our calls."""

    @classmethod
    def of(cls, asked: ProbeResult, name: str) -> Heard:
        """Take the venue's answer about credential ``name``. Raises `VenueError` if there is none."""
        return cls(known(asked, name), asked.moved)


@contextlib.asynccontextmanager
async def asking(session: Session) -> AsyncIterator[Ask]:
    """Yield a function that asks the venue about credentials, not on record: through the running gateway, or alone.

    Raises `HomeError` if the home is not to be had.
    """
    home = session.home
    lock = await asyncio.to_thread(take_lock, home)

    async def beside(info: CredentialInfo, _config: Config, _key: SigningKey | None) -> ProbeResult:
        # Do not try a refused key again: running this daily would lock the account.
        told = await asyncio.to_thread(ask, home.admin, "probe", credential=info.name, even_if_stopped=False)
        return told_by_gateway(home, info, told)

    async def alone(info: CredentialInfo, config: Config, key: SigningKey | None) -> ProbeResult:
        if key is None:
            raise HomeError("the gateway that ran is gone", where=str(home.folder), hint="try again")
        return await ask_venue(session, info, config.accounts[info.account], lambda: _given(key))

    try:
        yield beside if lock is None else alone
    finally:
        if lock is not None:
            lock.release()


async def _given(key: SigningKey) -> SigningKey:
    return key


def told_by_gateway(home: Home, info: CredentialInfo, told: Any) -> ProbeResult:
    """Read the answer that the gateway has just had and kept."""
    if not told["heard"]:
        return ProbeResult(None, moved=True)
    kept = kept_probe(home.probes, info.fingerprint)
    if kept is None:
        raise HomeError("the gateway knows another key", where=info.name, hint="run `signer reload`")
    return ProbeResult(kept.key, bool(told["moved"]))


async def ask_venue(session: Session, info: CredentialInfo, config: AccountConfig, key: MakeKey) -> ProbeResult:
    """Ask the venue about a key, and keep the answer for lists. Raises `VenueError`."""
    asked = await _asked(session, info, config, key)
    if asked.key is not None:
        keep_probe(session.home.probes, fingerprint(info.api_key), Probe(SystemClock().now_us(), asked.key))
    return asked


async def _asked(session: Session, info: CredentialInfo, config: AccountConfig, key: MakeKey) -> ProbeResult:
    """Ask with nonces that go on from the stored mark and raise it, so that the gateway's go on above them."""
    clock, upstream = SystemClock(), UpstreamPool.open(config.origin, addresses=config.resolve)
    marks = await open_marks(session.home)
    try:
        venue = open_venue(config.venue)
        states = KeyStates(marks, clock, Listeners(lambda _kind, text: session.person.warn(text)))
        stored = await marks.marks()
        account = open_account(info.account, config, venue, [(info, await key())], upstream, states, stored)
        return await probe(account, venue, account.credentials[0])
    finally:
        upstream.close()
        await marks.close()
