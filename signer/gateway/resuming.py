"""Finds out when a paused lane may go on, by one question to the venue at a time, at set times.

A mistaken refusal of a key is over soon. A justified one must not be provoked often, because repeated failures lock the
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
"""How many seconds after each refusal of a key the venue is asked about the key again."""
UNHEARD_AGAIN_S = 60.0
"""How many seconds later a question without an answer is asked again."""


class Proves(Protocol):
    """The part of `signer.keycheck.checks.KeyChecks` that this file needs."""

    async def prove(self, account: Account, credential: Credential, tries: int = ...) -> object:
        """Ask the venue about a key. Raises `SignerError`, which is `KeyRefused` if the venue refuses the key."""


@final
class Resuming:
    """Asks about paused lanes and locked accounts until they go on or are stopped. It goes on through reloads."""

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
        """Begin to ask about the key of a credential whose lane was paused."""
        self._begin(self._ask_about_key(account, credential.lane))

    def locked(self, account: str) -> None:
        """Begin to ask about an account that is locked out."""
        self._begin(self._ask_about_lockout(account))

    def close(self) -> None:
        """End all questions, because the gateway stops."""
        for task in self._asking:
            task.cancel()

    def _begin(self, asking: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(asking)
        self._asking.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Raise an alarm if the task failed, because a defect must not leave a lane paused in silence."""
        self._asking.discard(task)
        if not task.cancelled() and task.exception() is not None:
            what = type(task.exception()).__name__  # the exception's text could hold a secret
            self._alarm("defect", f"nobody asks about a paused key any more ({what}); restart the gateway")

    async def _ask_about_key(self, account: str, lane: Lane) -> None:
        """Ask about a key until its lane goes on or is stopped.

        A good answer resumes the lane (`KeyChecks.prove`). The last refusal stops it.
        """
        for after_s in ASK_AFTER_S:
            await asyncio.sleep(after_s)
            if not await self._is_refused(account, lane):
                return
        account_now, credential = self._find(account, lane) or (None, None)
        if account_now is not None and credential is not None:
            account_now.hearing.stopped(credential)

    async def _is_refused(self, account: str, lane: Lane) -> bool:
        """Return whether the venue still refuses the key; False if the lane is no longer paused.

        Asks until the venue says so or not. An answer that refuses only the nonce says neither, so the lane stays
        paused and the question is repeated.
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
        """Ask about an account until its lockout ends. Any answer but another lockout ends it (`Hearing.heard`)."""
        while True:
            account = self._snapshot().accounts.get(name)
            if account is None or not account.hearing.quiet.locked:
                return
            left_s = account.hearing.quiet.left_s(self._clock.monotonic())
            if left_s:
                await asyncio.sleep(left_s)
                continue
            if account.credentials:
                with contextlib.suppress(SignerError):  # the key checks report it themselves
                    await self._checks().prove(account, min(account.credentials, key=lambda one: one.lane.stopped), 1)
            await asyncio.sleep(UNHEARD_AGAIN_S)

    def _find(self, name: str, lane: Lane) -> tuple[Account, Credential] | None:
        """Return the account, and the credential that has the lane now; None if a reload has removed either."""
        account = self._snapshot().accounts.get(name)
        found = [one for one in account.credentials if one.lane is lane] if account else []
        return (account, found[0]) if account and found else None
