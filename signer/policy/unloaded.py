"""Handles policies whose file does not load: until it is fixed, their clients may only cancel their own orders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from signer.findings import Finding, Weight
from signer.model import ClientInfo, RuleHit, Vocabulary
from signer.policy.policy import Policy

HASH = hashlib.sha256(b"cancels only").hexdigest()


@dataclass(frozen=True, slots=True)
class Unloaded:
    """A policy file that is broken, or missing although a client names it."""

    policy: str
    why: str
    """The policy's problems, a line each, with file, key and hint."""
    clients: tuple[str, ...]
    """The clients under it that are not revoked."""
    kept: bool
    """Whether the policy loaded before stays in force. If not, its clients may only cancel."""

    def finding(self) -> Finding:
        """Describe it to the operator: as an error if a client is under it, else as a warning."""
        about, why = f"policy {self.policy}", "; and ".join(self.why.splitlines())
        if not self.clients:
            return Finding(Weight.WARNING, "policy", about, f"does not load, and no client has it: {why}")
        who = f"client{'s' if len(self.clients) > 1 else ''} {', '.join(self.clients)}"
        what = f"{who} stay under what was loaded of it before" if self.kept else f"{who} may only cancel"
        return Finding(Weight.ERROR, "policy", about, f"does not load, so {what}: {why}")


def cancels_only(name: str, words: Vocabulary) -> Policy:
    """Make the policy that replaces a file that does not load: only cancels of own orders pass."""
    cancelling = words.cancelling
    granted = RuleHit("permissions", True, f"{cancelling}, which a policy that does not load still grants")
    return Policy(
        name=name,
        words=words,
        description="",
        hash=HASH,
        uncapped="",
        review_by=None,
        permissions=frozenset({cancelling}),
        granted={cancelling: granted},
        sides={},
        order_types={},
        time_in_force={},
        flags=frozenset(),
        leverage=None,
        close_orders=False,
        relative_prices=False,
        schedule_s=None,
        whole_account=False,
        sees_account=False,
        sizes={},
        notionals={},
        notional_caps={},
        order_caps=(),
        max_calls={},
        limits={},
        only_cancels=True,
    )


def unloaded(
    broken: Mapping[str, str],
    policies: Mapping[str, Policy],
    clients: Iterable[ClientInfo],
    before: Mapping[str, Policy],
    folder: str,
) -> tuple[Unloaded, ...]:
    """List every ``broken`` policy, and every policy that a client names but ``policies`` lacks.

    ``before`` has the policies in force until now.
    """
    named: dict[str, list[str]] = {}
    for client in clients:
        if not client.revoked:
            named.setdefault(client.policy, []).append(client.name)
    missing = {name: f"{folder}/{name}.toml: there is no such file; restore it or revoke its clients" for name in named}
    why = {name: text for name, text in missing.items() if name not in policies} | dict(broken)
    return tuple(
        Unloaded(name, why[name], tuple(named.get(name, ())), name in before and not before[name].only_cancels)
        for name in sorted(why)
    )
