"""Puts another home in force while calls are served, as a whole or not at all (*Must hold* 8)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import final

from signer.contracts import Marks, Venue
from signer.errors import SignerError
from signer.gateway.accounts import KeyId
from signer.gateway.authenticate import Authenticator
from signer.gateway.line import Gateway
from signer.gateway.public import PublicCalls
from signer.keycheck.checks import KeyChecks
from signer.serving.in_force import HomeInForce
from signer.serving.loaded import reread
from signer.serving.loads import Loads


@final
class Reloads:
    """Swaps the snapshot of a running gateway. One change at a time."""

    def __init__(
        self,
        in_force: HomeInForce,
        gateway: Gateway,
        public: Mapping[str, PublicCalls],
        authenticator: Authenticator,
        key_checks: KeyChecks,
        marks: Marks,
        loads: Loads,
        extend_halts: Callable[[], None],
    ) -> None:
        self._in_force = in_force
        self._gateway = gateway
        self._public = public
        self._authenticator = authenticator
        self._key_checks = key_checks
        self._marks = marks
        self._loads = loads
        self._extend_halts = extend_halts
        self._changing = asyncio.Lock()
        self._draining: set[asyncio.Task[None]] = set()

    async def reload(self, refresh_tls: Callable[[], None] = lambda: None) -> None:
        """Read the home again and swap to it, or keep the loaded one and say why.

        ``refresh_tls`` takes up certificates, or raises `SignerError`.
        """
        async with self._changing:  # one at a time, so that the last swap is to the home that was read last
            now = self._in_force
            before, keys = now.loaded, now.keys
            try:
                refresh_tls()
                await now.take(reread(before, running=True))
                await self._swap()
                await now.stores.keep_only(now.loaded.config)
            except Exception as error:  # noqa: BLE001 - nor may a defect leave it half applied, or in silence
                now.loaded, now.keys = before, keys
                # The text of a foreign error may hold a secret.
                why = str(error) if isinstance(error, SignerError) else f"a defect ({type(error).__name__})"
                self._loads.failed(why, before, now.findings())
            else:
                for name in now.lacking():
                    now.listings[name].want()  # only now, because the change may be a brake
                self._loads.taken("reload", now.loaded, now.findings())

    async def take_pairs(self, venue: Venue) -> None:
        """Put the venue with another list of pairs in force. If it raises `SignerError`, nothing has changed."""
        async with self._changing:  # only now, so that no revocation waits while the list is fetched
            before = self._in_force.loaded
            try:
                await self._in_force.judge_with(venue)
                await self._swap()
            except SignerError:
                self._in_force.loaded = before
                raise

    def take_back(self, from_when: Mapping[str, int], now_us: int) -> None:
        """Refuse these credentials, in the snapshot that is in force and in every later one."""
        self._in_force.revocations.take_back(from_when, now_us)
        self.apply_revocations()

    def apply_revocations(self) -> None:
        """Refuse in the snapshot that is in force what was revoked since it was made."""
        snapshot = self._gateway.snapshot
        clients = self._in_force.revocations.applied(snapshot.clients)
        self._gateway.snapshot = replace(snapshot, clients=clients)

    async def drained(self) -> None:
        """Wait until every call that is under way now has ended."""
        lanes = self._in_force.states.lanes.values()
        await asyncio.gather(*self._draining, *(lane.drained() for lane in lanes))

    async def _swap(self) -> None:
        now = self._in_force
        snapshot = await now.snapshot()
        self._authenticator.forgive(await self._marks.marks())
        self._key_checks.judge(snapshot)
        # Once more: a credential may have been taken back since the snapshot was begun.
        self._gateway.snapshot = replace(snapshot, clients=now.revocations.applied(snapshot.clients))
        self._extend_halts()
        for name, calls in self._public.items():
            calls.venue, calls.upstream = now.loaded.venues[name], now.public_upstream(name)
        for key_id in now.states.lanes.keys() - now.live():
            task = asyncio.get_running_loop().create_task(self._retire(key_id))
            self._draining.add(task)
            task.add_done_callback(self._draining.discard)

    async def _retire(self, key_id: KeyId) -> None:
        """Forget the key of a credential that was removed, once the last call has left its lane."""
        states = self._in_force.states
        lane = states.lanes[key_id]
        await lane.drained()
        if key_id not in self._in_force.live() and states.lanes.get(key_id) is lane:
            states.forget(key_id)
