"""What a client is held to whose policy file does not load: it may cancel its own orders, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from signer.findings import Finding, Weight
from signer.model import ClientInfo, RuleHit
from signer.policy.policy import Policy

CANCELS = "close-trades"
ONLY_CANCELS = RuleHit("permissions", True, f"{CANCELS}, which a policy that does not load still grants")
HASH = hashlib.sha256(b"cancels only").hexdigest()


@dataclass(frozen=True, slots=True)
class Unloaded:
    """A policy file that is broken, or that a client names and is not there."""

    policy: str
    why: str
    """Each problem with its file, key and hint; a line each."""
    clients: tuple[str, ...]
    """Who is held to it and is not revoked."""
    kept: bool
    """Whether what was loaded of it before stays in force; else its clients may only cancel."""

    def finding(self) -> Finding:
        """What is to be said of it: an error if it concerns anybody."""
        about, why = f"policy {self.policy}", "; and ".join(self.why.splitlines())
        if not self.clients:
            return Finding(Weight.WARNING, "policy", about, f"does not load, and no client has it: {why}")
        who = f"client{'s' if len(self.clients) > 1 else ''} {', '.join(self.clients)}"
        what = f"{who} stay under what was loaded of it before" if self.kept else f"{who} may only cancel"
        return Finding(Weight.ERROR, "policy", about, f"does not load, so {what}: {why}")


def cancels_only(name: str) -> Policy:
    """The policy of that name, as far as nobody has to read it: cancels of own orders pass."""
    return Policy(
        name=name,
        description="",
        hash=HASH,
        uncapped="",
        review_by=None,
        permissions=frozenset({CANCELS}),
        granted={CANCELS: ONLY_CANCELS},
        sides={},
        order_types={},
        time_in_force={},
        oflags=frozenset(),
        leverage=None,
        close_orders=False,
        relative_prices=False,
        schedule_s=None,
        whole_account=False,
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
    """Every policy that is ``broken``, and every one that a client names and ``policies`` have not.

    ``before`` are those that are in force until now.
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
