"""Judges whether an order would pass now, for `status`, `doctor`, `policy explain` and `/-/ready` alike.

This module is pure: the caller says what is in force. A running gateway knows all of it, and a home alone only a part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from signer.model import Gap, Halt, Json
from signer.model.escaping import printable
from signer.model.gaps import ACCEPT, lacking
from signer.model.halts import ended_by, whom

MOST_CLIENTS = 100
"""Stopped clients that one answer lists, because the admin socket's answer is bounded."""
OF_KEYS = frozenset({"key", "no-key", "store", "quiet"})
ALONE = "alone"
"""Kind of the note that no gateway runs."""
OVER = frozenset({"revoked", "expired"})
"""Kinds of obstacles of clients that are over. They do not make a gateway unready."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """One thing that keeps orders from passing, or a note about what is in force."""

    kind: str
    """A stable word: gateway, audit, clock, gap, halt, revoked, expired, policy, key, no-key, store, quiet, reload,
    changed."""
    what: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.what}; {self.hint}" if self.hint else self.what


@dataclass(frozen=True, slots=True)
class InForce:
    """A client with its account, and whether it is over or its policy does not load."""

    name: str
    account: str
    revoked: bool = False
    expired: bool = False
    unloaded: str = ""
    """Why its policy lets cancels pass only; empty if it loaded."""
    trades: bool = True
    """Whether its policy grants orders or cancels. If not, a missing key for orders is no obstacle."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Holds the judgement: what stops the orders of everybody, and of each client."""

    everybody: Sequence[Obstacle] = ()
    """The obstacles that stop every client's orders."""
    clients: Mapping[str, Sequence[Obstacle]] = field(default_factory=dict)
    """What stops the orders of one client alone, keyed by its name; empty if they pass."""
    notes: Sequence[Obstacle] = ()
    """Notes that stop no order: differences from the home's files, and unknown facts."""
    told: str | None = None
    """`not_ready_reason` as the gateway told it; ``clients`` are then only those that are stopped."""

    def of_client(self, name: str) -> Sequence[Obstacle]:
        """Return all that stops the orders of that client."""
        return [*self.everybody, *self.clients.get(name, ())]

    @property
    def asked(self) -> bool:
        """Whether a gateway was asked. If none was, a home without obstacles does not prove that orders pass."""
        return all(note.kind != ALONE for note in self.notes)

    @property
    def not_ready_reason(self) -> str:
        """Say why no order of anybody would pass; empty if one would, or nobody has one to place.

        It names no client, because anybody may ask.
        """
        if self.told is not None:
            return self.told
        if self.everybody:
            return "; ".join(each.what for each in self.everybody)
        live = [found for found in self.clients.values() if not OVER & {each.kind for each in found}]
        if not live or not all(live):
            return ""
        reasons = dict.fromkeys(each.what if each.kind in OF_KEYS else each.kind for found in live for each in found)
        return f"no order of any client passes now: {', '.join(reasons)}"

    def as_json(self, client: str = "") -> dict[str, Json]:
        """Write it as JSON for the admin socket and scripts: of one client, or of those that are stopped."""
        meant = {name: found for name, found in self.clients.items() if (found if not client else name == client)}
        listed = sorted(meant)[:MOST_CLIENTS]
        clients: list[Json] = [{"client": name, "obstacles": [asdict(each) for each in meant[name]]} for name in listed]
        return {
            "trouble": self.not_ready_reason,
            "everybody": [asdict(each) for each in self.everybody],
            "clients": clients,
            "more_clients": len(meant) - len(listed),
            "notes": [asdict(each) for each in self.notes],
        }


def read_answer(told: Mapping[str, Any]) -> Readiness:
    """Read what `Readiness.as_json` told. Raises KeyError or TypeError if it is of another version."""
    clients = {one["client"]: [Obstacle(**each) for each in one["obstacles"]] for one in told["clients"]}
    everybody, notes = ([Obstacle(**each) for each in told[key]] for key in ("everybody", "notes"))
    return Readiness(everybody, clients, notes, str(told["trouble"]))


def of_gaps(gaps: Sequence[Gap]) -> Sequence[Obstacle]:
    """Return the obstacle of a book that lacks records."""
    return [Obstacle("gap", lacking(gaps), ACCEPT)] if gaps else []


def judged(
    clients: Iterable[InForce],
    halted: Callable[[str, str], Halt | None],
    accounts: Mapping[str, Sequence[Obstacle]],
    everybody: Sequence[Obstacle] = (),
    notes: Sequence[Obstacle] = (),
) -> Readiness:
    """Judge what is in force. ``accounts`` has the obstacles of each account's keys."""
    of_all = halted("", "")
    stopped = [*everybody, *([_halt(of_all)] if of_all else [])]
    return Readiness(stopped, {one.name: _of(one, halted, accounts, of_all) for one in clients}, notes)


def halted_pairs(halts: Iterable[Halt]) -> Sequence[Obstacle]:
    """Note the pairs that are halted: no order for one passes, and orders for all others do."""
    return [_halt(halt) for halt in halts if halt.scope.pair]


def _of(
    one: InForce,
    halted: Callable[[str, str], Halt | None],
    accounts: Mapping[str, Sequence[Obstacle]],
    of_all: Halt | None,
) -> list[Obstacle]:
    found = []
    if one.revoked:
        found.append(Obstacle("revoked", f"client {one.name} is revoked", f"`signer clients add {one.name}` anew"))
    if one.expired:
        hint = f"`signer clients update {one.name} --expires …`"
        found.append(Obstacle("expired", f"client {one.name} has expired", hint))
    halt = halted(one.name, one.account)
    if halt is not None and halt != of_all:
        found.append(_halt(halt))
    if one.unloaded:
        found.append(Obstacle("policy", f"client {one.name} may only cancel: {one.unloaded}", "`signer policy check`"))
    return [*found, *(each for each in accounts.get(one.account, ()) if one.trades or each.kind != "no-key")]


def _halt(halt: Halt) -> Obstacle:
    state = "may only cancel, as told" if halt.cancel_only else "is halted"
    what = f"{whom(halt.scope)} {state} by {halt.by}: {printable(halt.reason)}"
    return Obstacle("halt", what, ended_by(halt))
