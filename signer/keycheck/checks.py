"""Asks the venue about every real key: at a start, daily, and on request.

`signer.keycheck.judgement` compares the answer with the settings. A key that is too powerful is refused from that
moment. A key without an answer yet signs reads only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import final

from signer.contracts import Clock, Journal
from signer.errors import SignerError
from signer.findings import Weight
from signer.gateway.credential import Credential
from signer.gateway.forward import Account
from signer.gateway.snapshot import Snapshot
from signer.gateway.trace import Watch, credential_record
from signer.keycheck.judgement import Requirements, judge_key
from signer.keycheck.probe import TRIES, ProbeResult, probe
from signer.model import KeyInfo

DAILY_S = 24 * 3600.0
FIRST_AGAIN_S = 1.0
MOST_AGAIN_S = 60.0
"""How long the next question about an unproven key waits: at first, and at most."""

REFUSES_NONCES = "the exchange refuses our nonces; another program uses this key, make one that this gateway alone has"

Keep = Callable[[Credential, KeyInfo], Awaitable[None]]
"""Keeps the venue's answers, for lists and for reloads. Raises `SignerError`."""


@final
class KeyChecks:
    """Asks about every credential in force, and keeps the status of each."""

    def __init__(
        self,
        snapshot: Callable[[], Snapshot],
        requirements_of: Callable[[], Mapping[str, Requirements]],
        keep: Keep,
        *,
        journal: Journal,
        watch: Watch,
        clock: Clock,
    ) -> None:
        self._snapshot = snapshot
        self._requirements = requirements_of
        self._keep = keep
        self._journal = journal
        self._watch = watch
        self._clock = clock
        self._new = asyncio.Event()
        self._trouble: dict[str, str] = {}

    async def at_start(self, within_s: float) -> None:
        """Ask about all keys, and wait so long for the answers; `run` asks again about the rest."""
        try:
            async with asyncio.timeout(within_s):
                await self._ask(self._due())
        except TimeoutError:
            for _, credential in self._due():
                self._could_not(credential, f"no answer within {within_s:g} s")

    async def run(self) -> None:
        """Ask about all keys daily, and more often about those without an answer."""
        again_s, asked_all = FIRST_AGAIN_S, self._clock.monotonic()
        while True:
            if await self._woken(again_s if self._due() else MOST_AGAIN_S):
                again_s = FIRST_AGAIN_S
            if self._clock.monotonic() - asked_all >= DAILY_S:
                asked_all = self._clock.monotonic()
                for _, credential in self._all():
                    credential.status.due = True
            await self._ask(self._due())
            again_s = min(2 * again_s, MOST_AGAIN_S)

    async def prove(self, account: Account, credential: Credential, tries: int = TRIES) -> ProbeResult:
        """Ask about one key now, and judge it. If it raises `VenueError`, the earlier answer about the key stays in
        force.

        An answer shows that the venue takes the key, so a stopped lane goes on.
        """
        status = credential.status
        status.due = True
        asked = await probe(account, account.venue, credential, tries)
        status.moved = asked.moved
        status.key = asked.key or status.key
        # Judge it at once: a key with an answer must not sign unjudged. The others are compared with it.
        self._judge_all(account, self._requirements())
        if asked.key is None:
            self._could_not(credential, REFUSES_NONCES)
            return asked
        status.due = False
        account.hearing.resumed(credential)
        self._trouble.pop(credential.name, None)
        await self._kept(credential, asked.key)
        return asked

    async def _kept(self, credential: Credential, key: KeyInfo) -> None:
        try:
            await self._keep(credential, key)
        except SignerError as error:
            self._watch.alarm("credential", f"what was heard of {credential.name} cannot be kept for lists: {error}")

    def judge(self, snapshot: Snapshot) -> None:
        """Judge all keys of ``snapshot``, which is about to be in force, by the settings as they are now."""
        required = self._requirements()
        for account in snapshot.accounts.values():
            self._judge_all(account, required)
        self._new.set()

    def _judge_all(self, account: Account, required: Mapping[str, Requirements]) -> None:
        told = {each.name: each.status.key.account for each in account.credentials if each.status.key}
        for credential in account.credentials:
            requirements = required.get(credential.name, Requirements(credential.name))
            others = {name: at_venue for name, at_venue in told.items() if name != credential.name}
            self._judge(account, credential, requirements, others)

    def _judge(
        self, account: Account, credential: Credential, requirements: Requirements, others: Mapping[str, str]
    ) -> None:
        """Judge one key and report only changes, so that a warning comes once and not daily."""
        status, now_us = credential.status, self._clock.now_us()
        before = status.word, status.findings
        status.found(judge_key(status.key, requirements, account.venue, now_us, moved=status.moved, others=others))
        if (status.word, status.findings) == before:
            return
        for finding in status.findings:
            if finding.weight in {Weight.ERROR, Weight.REFUSED}:
                self._watch.alarm("credential", f"{finding.weight}: {finding}")
            elif finding.weight is Weight.WARNING:
                self._watch.warn("credential", str(finding))
        self._journal.note(credential_record(account.name, credential.name, status, now_us))

    async def _ask(self, these: Iterable[tuple[Account, Credential]]) -> None:
        await asyncio.gather(*(self._try(account, credential) for account, credential in these))

    async def _try(self, account: Account, credential: Credential) -> None:
        # A refused nonce counts towards a lockout too, so a key that is known to be behind is not tried three times.
        tries = 1 if credential.status.moved else TRIES
        try:
            await self.prove(account, credential, tries)
        except SignerError as error:
            self._could_not(credential, str(error))

    def _could_not(self, credential: Credential, why: str) -> None:
        if self._trouble.get(credential.name) == why:
            return
        self._trouble[credential.name] = why
        left = {
            "stopped": "no call goes by it",
            "paused": "no call goes by it until it is",
            "unproven": "only reads go by it until it is",
        }.get(credential.word, "what was known of it stays")
        self._watch.alarm("credential", f"credential {credential.name} could not be asked about, {left}: {why}")

    async def _woken(self, within_s: float) -> bool:
        """Wait for a new key to judge; whether one came before that time was over."""
        try:
            async with asyncio.timeout(within_s):
                await self._new.wait()
        except TimeoutError:
            return False
        self._new.clear()
        return True

    def _all(self) -> list[tuple[Account, Credential]]:
        accounts = self._snapshot().accounts.values()
        return [(account, credential) for account in accounts for credential in account.credentials]

    def _due(self) -> list[tuple[Account, Credential]]:
        """Leave out keys that the venue refuses, because each further try counts towards a lockout of the account."""
        return [(account, each) for account, each in self._all() if each.status.due and not each.lane.stopped]
