"""Halts: which one is in force for a call, and the words that say whom it stops and what ends it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TypeAlias

from signer.model import Halt

Halts: TypeAlias = Mapping[tuple[str, str], Halt]
"""Halts by client and account, either of them empty for all."""


def halt_for(halts: Halts, client: str, account: str) -> Halt | None:
    """Return the widest halt that stops this client on this account."""
    whom = (("", ""), ("", account), (client, ""), (client, account))
    return next((halts[key] for key in whom if key in halts), None)


def unreadable(now_us: int) -> Halts:
    """Return the halts to believe while those on record cannot be read: an operator may have halted everybody."""
    cure = "it ends when the book can be read"
    return {("", ""): Halt("", "", "the book cannot be read", "signer", now_us, cure)}


def whom(client: str, account: str) -> str:
    """Say whom a halt of this client and account stops (empty for all)."""
    return f"client {client}" if client else f"account {account}" if account else "everybody"


def resumed_by(client: str, account: str) -> str:
    """Return the command that ends a halt of this client and account, as a person can paste it."""
    named = f"--client {shlex.quote(client)}" if client else f"--account {shlex.quote(account)}"
    return f"signer resume {named if client or account else '--all'}"


def ended_by(halt: Halt) -> str:
    """Return the hint that says how a halt ends."""
    return halt.cure or f"`{resumed_by(halt.client, halt.account)}` ends it"
