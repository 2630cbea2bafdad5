"""When a lane that the venue stopped may go on: found out by one question of ours at a time, at set times.

A refusal of a key without cause is over soon, and one with cause must not be repeated: failures that repeat lock the
account (docs/kraken.md §3).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Protocol, final

from signer.contracts import Clock, Lane
from signer.errors import KeyRefused, SignerError
from signer.gateway.credential import Credential
from signer.gateway.forward import Account
from signer.gateway.snapshot import Snapshot

ASK_AFTER_S = (1.0, 60.0, 300.0)
"""A refused key is asked about so long after it was refused, and so long after each further refusal."""
UNHEARD_AGAIN_S = 60.0
"""A question that got no answer is asked again so much later."""


class Proves(Protocol):
    """The part of `signer.keycheck.checks.KeyChecks` that is needed here."""

    async def prove(self, account: Account, credential: Credential, tries: int = ...) -> object:
        """Ask about a key. Raises `SignerError`, as `KeyRefused` where the venue refuses it."""


@final
class Resuming:
    """Asks about paused lanes and locked accounts, through reloads, until they go on or are stopped for good."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        key_checks: Callable[[], Proves],
        alarm: Callable[[str, str], None],
        clock: Clock,
    ) -> None:
        self._snapshot = snapshot
        self._checks = key_checks
        self._alarm = alarm
        self._clock = clock
        self._asking: set[asyncio.Task[None]] = set()

    def paused(self, account: str, credential: Credential) -> None:
        """Hear that the credential's lane has been paused just now."""
        self._begin(self._ask_about_key(account, credential.lane))

    def locked(self, account: str) -> None:
        """All lanes of the account are locked out as of now."""
        self._begin(self._ask_about_lockout(account))

    def close(self) -> None:
        """Ask no more."""
        for task in self._asking:
            task.cancel()

    def _begin(self, asking: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(asking)
        self._asking.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A defect must not leave a lane paused in silence."""
        self._asking.discard(task)
        if not task.cancelled() and task.exception() is not None:
            what = type(task.exception()).__name__  # its text may hold anything
            self._alarm("defect", f"nobody asks about a paused key any more ({what}); restart the gateway")

    async def _ask_about_key(self, account: str, lane: Lane) -> None:
        """A good answer resumes the lane (`KeyChecks.prove`); the last refusal stops it."""
        for after_s in ASK_AFTER_S:
            await asyncio.sleep(after_s)
            if not await self._is_refused(account, lane):
                return
        account_now, credential = self._find(account, lane) or (None, None)
        if account_now is not None and credential is not None:
            account_now.hearing.stopped(credential)

    async def _is_refused(self, account: str, lane: Lane) -> bool:
        """Whether the venue refuses the key still, asked until it says; False if the lane is not paused any more.

        An answer that refuses the nonce alone is none: the lane stays paused, and somebody must go on asking.
        """
        while lane.paused and (found := self._find(account, lane)):
            try:
                await self._checks().prove(*found, 1)
            except KeyRefused:
                return lane.paused
            except SignerError:
                await asyncio.sleep(UNHEARD_AGAIN_S)
            else:
                if lane.paused:
                    await asyncio.sleep(UNHEARD_AGAIN_S)
        return False

    async def _ask_about_lockout(self, name: str) -> None:
        """Any answer but another lockout ends it (`Hearing.heard`)."""
        while True:
            account = self._snapshot().accounts.get(name)
            if account is None or not account.hearing.quiet.locked:
                return
            left_s = account.hearing.quiet.left_s(self._clock.monotonic())
            if left_s:
                await asyncio.sleep(left_s)
                continue
            if account.credentials:
                with contextlib.suppress(SignerError):  # said by whoever was asked
                    await self._checks().prove(account, min(account.credentials, key=lambda one: one.lane.stopped), 1)
            await asyncio.sleep(UNHEARD_AGAIN_S)

    def _find(self, name: str, lane: Lane) -> tuple[Account, Credential] | None:
        """The account and the credential that has the lane now; None if a reload took it away."""
        account = self._snapshot().accounts.get(name)
        found = [one for one in account.credentials if one.lane is lane] if account else []
        return (account, found[0]) if account and found else None
