"""What is seen of a running gateway from outside: whether it takes orders, its gauges, and its picture in a dump."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, final

from signer.lanes import CredentialLane
from signer.metrics import Metrics
from signer.model import Action, Role
from signer.pending import Pending
from signer.recovery import Recovery
from signer.snapshot import Snapshot
from signer.standing import KINDS
from signer.upstream import Upstream


class Written(Protocol):
    """An audit log that can say how it is."""

    @property
    def healthy(self) -> bool:
        """Whether it can be written."""
        ...


@final
@dataclass(frozen=True, slots=True)
class Health:
    """Looks at the parts of a gateway that runs, and changes none."""

    snapshot: Callable[[], Snapshot]
    audit: Written
    lanes: Mapping[tuple[str, str], CredentialLane]
    """By name and fingerprint of their credentials."""
    upstreams: Mapping[tuple[str, ...], Upstream]
    pending: Pending
    recovery: Recovery

    def trouble(self) -> str:
        """Why no order would be taken now; empty if all is well."""
        if not self.audit.healthy:
            return "the audit log cannot be written"
        return self._without_keys(self.snapshot())

    def gauge(self, metrics: Metrics) -> None:
        """Set what is measured only when somebody looks."""
        metrics.audit_healthy(self.audit.healthy)
        metrics.unknown_outcomes(self.recovery.held)
        for (name, _), lane in self.lanes.items():
            metrics.lane(name, waiting=lane.waiting, paused=lane.paused, stopped=lane.stopped and not lane.paused)
        metrics.forget_credentials()
        for account in self.snapshot().accounts.values():
            metrics.quiet_left(account.name, "", account.hearing.left_s(account.hearing.quiet))
            for each in account.credentials:
                metrics.quiet_left(account.name, each.name, account.hearing.left_s(each.quiet))
                kinds, key = {finding.kind for finding in each.standing.findings}, each.standing.key
                found = {kind: kind in kinds for kind in KINDS}
                expires_us = key.expires_us if key else None
                metrics.credential(each.name, proven=each.word == "proven", found=found, expires_us=expires_us)

    def picture(self) -> list[str]:
        """What is under way, in counts and names, a line each."""
        lines = [self.trouble() or "ready"]
        lines.append(f"{len(self.pending)} orders and changes open, {self.recovery.held} unknown outcomes held")
        for (name, _), lane in self.lanes.items():
            stopped = ", paused" if lane.paused else ", stopped" if lane.stopped else ""
            lines.append(f"lane {name}: {lane.load} under way, {lane.waiting} of them waiting for their turn{stopped}")
        return [*lines, *(f"upstream {upstream.origin}: {upstream.picture()}" for upstream in self.upstreams.values())]

    @staticmethod
    def _without_keys(snapshot: Snapshot) -> str:
        """Says so if there are keys for orders, and not one may sign any now."""
        served = {client.info.account for client in snapshot.clients.values() if not client.info.revoked}
        keys = [each for name in served for each in snapshot.accounts[name].credentials if each.role is Role.TRADE]
        if not keys or any(each.admits(Action.ORDER) for each in keys):
            accounts = [snapshot.accounts[name] for name in sorted(served)]
            quiets = (account.hearing.trouble(account.credentials) for account in accounts)
            return next(filter(None, quiets), "")
        return f"no key may sign orders now: {', '.join(f'{each.name} is {each.word}' for each in keys)}"
