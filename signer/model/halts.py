"""Halts: whom and what one stops, which one counts for a call, and the words that say so."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple, TypeAlias

from signer.model.calls import Action

HaltState: TypeAlias = Literal["cancel_only", "halted"]
"""What still passes. ``cancel_only``: all but orders and their changes. ``halted``: reads and cancels alone."""


class HaltScope(NamedTuple):
    """Whom and what a halt stops: what fits all that is named. A halt of everybody names nothing."""

    client: str = ""
    account: str = ""
    group: str = ""
    """The name of a group in signer.toml; `Halt.clients` are its clients."""
    pair: str = ""
    """The venue's id of the pair, or what a person wrote if no list of pairs has it (`plain_pair`)."""


EVERYBODY: Final = HaltScope()


@dataclass(frozen=True, slots=True)
class Halt:
    """A stop of orders, until a person resumes."""

    scope: HaltScope
    reason: str
    by: str
    at_us: int
    state: HaltState = "halted"
    clients: tuple[str, ...] = ()
    """The clients of its group, ordered by name. If they are not known, it stops everybody."""
    cure: str = ""
    """What ends a halt that is ours and no operator's; empty if `signer resume` ends it."""

    @property
    def cancel_only(self) -> bool:
        """Whether only orders and their changes are refused."""
        return self.state == "cancel_only"

    def stops(self, client: str, account: str, pairs: Collection[str] = ()) -> bool:
        """Tell whether it is of that client on that account, for orders of these pairs."""
        scope = self.scope
        return (
            scope.client in {"", client}
            and scope.account in {"", account}
            and (not scope.group or not self.clients or client in self.clients)
            and (not scope.pair or any(plain_pair(pair) == plain_pair(scope.pair) for pair in pairs))
        )

    def refuses(self, action: Action) -> bool:
        """Tell whether a call that does this is refused. Reads and cancels never are."""
        return action is Action.ORDER or (action is Action.WRITE and not self.cancel_only)

    def after(self, before: Halt | None) -> Halt:
        """Return the halt that is in force once this one follows ``before``, of the same scope.

        The stricter state counts, and a group keeps its clients: only a person's resume frees anybody.
        """
        if before is None:
            return self
        is_weaker = self.cancel_only and not before.cancel_only
        return replace(before if is_weaker else self, clients=joined(before.clients, self.clients))


Halts: TypeAlias = Mapping[HaltScope, Halt]


def joined(before: Sequence[str], after: Sequence[str]) -> tuple[str, ...]:
    """Return the clients of a halted group after others have joined. No names mean everybody, and stay so."""
    return tuple(sorted({*before, *after})) if before and after else ()


def plain_pair(name: str) -> str:
    """Return a pair's name without the signs between its parts, in capitals, so that two spellings compare."""
    return "".join(letter for letter in name.upper() if letter.isalnum() or letter in ".:")


def halt_for(halts: Halts, client: str, account: str, pairs: Collection[str] = ()) -> Halt | None:
    """Return the strictest halt that stops this client on this account for these pairs, and of those the widest."""
    found = [halt for halt in halts.values() if halt.stops(client, account, pairs)]
    return min(found, key=_strictest_and_widest, default=None)


def _strictest_and_widest(halt: Halt) -> tuple[bool, ...]:
    scope = halt.scope
    return (halt.cancel_only, *map(bool, (scope.pair, scope.client, scope.group, scope.account)))


def unreadable(now_us: int) -> Halts:
    """Return the halts to believe while those on record cannot be read: an operator may have halted everybody."""
    cure = "it ends when the book can be read"
    return {EVERYBODY: Halt(EVERYBODY, "the book cannot be read", "signer", now_us, cure=cure)}


def kind_of(scope: HaltScope) -> tuple[str, str]:
    """Return what a scope names first, and that name; two empty texts for everybody."""
    return next(((kind, name) for kind, name in scope._asdict().items() if name), ("", ""))


def whom(scope: HaltScope) -> str:
    """Say whom or what a halt of this scope stops."""
    kind, name = kind_of(scope)
    return f"{kind} {name}" if kind else "everybody"


def resumed_by(scope: HaltScope) -> str:
    """Return the command that ends a halt of this scope, as a person can paste it."""
    kind, name = kind_of(scope)
    return f"signer resume --{kind} {shlex.quote(name)}" if kind else "signer resume --all"


def ended_by(halt: Halt) -> str:
    """Return the hint that says how a halt ends."""
    return halt.cure or f"`{resumed_by(halt.scope)}` ends it"
