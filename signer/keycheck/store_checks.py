"""Tries whether each key can sign, so that a sealed Vault or a missing HSM is noticed before an order fails on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import final

from signer.errors import KeyStoreError
from signer.gateway.credential import Credential
from signer.gateway.snapshot import Snapshot

EVERY_S = 30.0
MESSAGE = b"signer readiness"
"""The message to sign. No exchange takes it for a call, because the signed text of a call begins with its path."""


@final
class StoreChecks:
    """Makes every key sign a message of ours."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self.away: frozenset[str] = frozenset()
        """The credentials whose key could not sign when it was last asked."""

    async def look(self) -> None:
        """Ask all keys at once. Each store bounds the time of its own answer."""
        keys = [each for account in self._snapshot().accounts.values() for each in account.credentials]
        signs = await asyncio.gather(*(self._signs(each) for each in keys))
        self.away = frozenset(each.name for each, works in zip(keys, signs, strict=True) if not works)

    async def run(self) -> None:
        """Ask repeatedly, without end."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.look()

    @staticmethod
    async def _signs(credential: Credential) -> bool:
        try:
            await credential.key.sign(MESSAGE)
        except KeyStoreError:
            return False
        return True
