"""Examines a running gateway: whether orders pass, its metrics, and the lines of a dump."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from signer.contracts import Clock, Journal
from signer.gateway.credential import Credential
from signer.gateway.forward import Account
from signer.gateway.reconcile import Recovery
from signer.gateway.snapshot import Client, Snapshot
from signer.keycheck.judgement import KINDS
from signer.keycheck.store_checks import StoreChecks
from signer.lanes import CredentialLane
from signer.model import Action, Halt, Json, Role
from signer.model.halts import kind_of
from signer.serving.admin import Operator
from signer.serving.clock_check import ACCEPT
from signer.serving.loaded import LoadedHome, policies_of
from signer.serving.loads import Loads
from signer.serving.readiness import InForce, Obstacle, Readiness, halted_pairs, judged, of_gaps
from signer.serving.telemetry import Metrics
from signer.upstream import UpstreamPool

SETTLED_S: Final = 1.0
"""How long an answer waits until the log has all that has happened, for a command that reads the log after it."""


@final
@dataclass(frozen=True, slots=True)
class Health:
    """Reads the parts of a running gateway, and changes none."""

    snapshot: Callable[[], Snapshot]
    loaded: Callable[[], LoadedHome]
    journal: Journal
    lanes: Mapping[tuple[str, str], CredentialLane]
    """The lanes, keyed by name and fingerprint of their credentials."""
    upstreams: Mapping[tuple[str, ...], UpstreamPool]
    recovery: Recovery
    checks: StoreChecks
    loads: Loads
    clock: Clock

    def readiness(self, notes: Sequence[Obstacle] = ()) -> Readiness:
        """Tell whether an order would pass now, by present knowledge."""
        snapshot = self.snapshot()
        broken = Obstacle("audit", "the audit log cannot be written", "see that its disk has room, then restart")
        doubted = Obstacle("clock", "nobody has confirmed that the clock is right", ACCEPT)
        everybody = [each for each, is_so in ((broken, not self.journal.healthy), (doubted, self._is_doubted)) if is_so]
        everybody += of_gaps(self.journal.gaps())
        accounts = {name: self._of_keys(account) for name, account in snapshot.accounts.items()}
        of_pairs = halted_pairs(self.journal.halts())
        return judged(self._clients(snapshot), self.journal.halted, accounts, everybody, [*notes, *of_pairs])

    async def answer(self, _: Operator, question: Mapping[str, Json]) -> Json:
        """Answer the verb ``readiness``, after a try of every key, with notes on differences from the home.

        The log has all that happened before, if the disk takes it soon.
        """
        await self.checks.look()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLED_S):
                await self.journal.settled()
        notes = [*self._of_reload(), *await asyncio.to_thread(lambda: list(self._of_policies()))]
        return self.readiness(notes).as_json(str(question.get("client", "")))

    @property
    def _is_doubted(self) -> bool:
        return bool(self.journal.clock_ahead_us)

    def measure(self, metrics: Metrics) -> None:
        """Set the metrics that are measured only on request."""
        metrics.audit_healthy(self.journal.healthy)
        metrics.book_gaps(len(self.journal.gaps()))
        metrics.unknown_outcomes(self.recovery.held)
        metrics.halts_in_force(Counter((kind_of(halt.scope)[0] or "everybody", halt.state) for halt in self._halts()))
        metrics.policies_broken({one.policy: len(one.clients) for one in self.loaded().unloaded})
        for (name, _), lane in self.lanes.items():
            metrics.lane(name, waiting=lane.waiting, paused=lane.paused, stopped=lane.stopped and not lane.paused)
        metrics.forget_credentials()
        for account in self.snapshot().accounts.values():
            metrics.quiet_left(account.name, "", account.hearing.left_s(account.hearing.quiet))
            for each in account.credentials:
                metrics.quiet_left(account.name, each.name, account.hearing.left_s(each.quiet))
                kinds, key = {finding.kind for finding in each.status.findings}, each.status.key
                found = {kind: kind in kinds for kind in KINDS}
                expires_us = key.expires_us if key else None
                metrics.credential(each.name, proven=each.word == "proven", found=found, expires_us=expires_us)

    def _halts(self) -> Sequence[Halt]:
        """Return the halts in force, with that of a brake file that does not read."""
        on_record, of_all = self.journal.halts(), self.journal.halted("", "")
        return [*on_record, *([of_all] if of_all is not None and of_all not in on_record else [])]

    def describe(self) -> list[str]:
        """Describe the work under way, in counts and names, a line each."""
        lines = [self.readiness().not_ready_reason or "ready"]
        lines.append(f"{len(self.journal.open_intents())} calls open, {self.recovery.held} unknown outcomes held")
        for (name, _), lane in self.lanes.items():
            stopped = ", paused" if lane.paused else ", stopped" if lane.stopped else ""
            lines.append(f"lane {name}: {lane.load} under way, {lane.waiting} of them waiting for their turn{stopped}")
        return [*lines, *(f"upstream {upstream.origin}: {upstream.describe()}" for upstream in self.upstreams.values())]

    def _clients(self, snapshot: Snapshot) -> Iterator[InForce]:
        """Yield each client once. A client is over if none of its credentials passes."""
        by_name: dict[str, list[Client]] = {}
        for client in snapshot.clients.values():
            by_name.setdefault(client.info.name, []).append(client)
        for name, all_of in by_name.items():
            live = [one for one in all_of if not one.info.revoked]
            policy, now_us = all_of[0].policy, self.clock.now_us()
            passing = [one for one in live if one.info.expires_us is None or one.info.expires_us > now_us]
            yield InForce(
                name,
                all_of[0].info.account,
                revoked=not live,
                expired=bool(live) and not passing,
                unloaded=f"policy {policy.name} does not load" if policy.only_cancels else "",
                trades=bool(policy.permissions & {policy.words.placing, policy.words.cancelling}),
            )

    def _of_keys(self, account: Account) -> Sequence[Obstacle]:
        keys = [each for each in account.credentials if each.role is Role.TRADE]
        words = {each.name: self._word(each) for each in keys}
        if not keys:
            hint = f"`signer keys add NAME --account {account.name}`"
            return [Obstacle("no-key", f"account {account.name} has no key for orders", hint)]
        if not all(words.values()):
            quiet = account.hearing.not_ready_reason(account.credentials)
            return [Obstacle("quiet", quiet)] if quiet else ()
        told = ", ".join(f"{name} is {word}" for name, word in words.items())
        kind = "store" if any(each.name in self.checks.away for each in keys) else "key"
        return [Obstacle(kind, f"no key may sign orders now: {told}", "`signer doctor` says why")]

    def _word(self, credential: Credential) -> str:
        """Say why the key signs no order; empty if it would sign one."""
        if credential.name in self.checks.away:
            return "out of reach in its store"
        return "" if credential.admits(Action.ORDER) else credential.word

    def _of_reload(self) -> Iterator[Obstacle]:
        if self.loads.error:
            what = f"the last reload was not taken, the settings before it are in force: {self.loads.error}"
            yield Obstacle("reload", what, "fix that, then run `signer reload`")

    def _of_policies(self) -> Iterator[Obstacle]:
        """Yield the policies of clients whose files differ from what is in force. Reads files."""
        loaded = self.loaded()
        now = policies_of(loaded.home, loaded.venues).policies
        for name in sorted({client.policy for client in loaded.store.clients() if not client.revoked}):
            if name not in now:
                if not loaded.policies[name].only_cancels:
                    what = f"the file of policy {name} does not load; what was loaded of it before is in force"
                    yield Obstacle("changed", what, "fix it, then run `signer reload`")
            elif now[name].hash != loaded.policies[name].hash:
                yield Obstacle("changed", f"policy {name} on disk is not the one in force", "run `signer reload`")
