"""Which halts are in force, and whom they stop."""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Mapping
from typing import TypeAlias

from signer.errors import Halted
from signer.model import Halt

Halts: TypeAlias = Mapping[tuple[str, str], Halt]
"""By client and account, either of them empty for all."""


def read_halts(db: sqlite3.Connection) -> Halts:
    """All halts in force, oldest first."""
    rows = db.execute("SELECT client, account, reason, halted_by, at_us FROM halts ORDER BY at_us, client, account")
    return {(row[0], row[1]): Halt(*row) for row in rows}


def whom(client: str, account: str) -> str:
    """In words, whom a halt of this client and account stops (empty for all)."""
    return f"client {client}" if client else f"account {account}" if account else "everybody"


def resumed_by(client: str, account: str) -> str:
    """The command that ends a halt of this client and account, as a person can paste it."""
    named = f"--client {shlex.quote(client)}" if client else f"--account {shlex.quote(account)}"
    return f"signer resume {named if client or account else '--all'}"


def halt_for(halts: Halts, client: str, account: str) -> Halt | None:
    """The widest halt that stops this client on this account."""
    if not halts:
        return None
    whom = (("", ""), ("", account), (client, ""), (client, account))
    return next((halts[key] for key in whom if key in halts), None)


def unreadable(now_us: int) -> Halts:
    """What to believe while the store cannot be read: an operator's halt might be in it."""
    return {("", ""): Halt("", "", "the ledger cannot be read", "signer", now_us)}


def refuse_if_halted(halts: Halts, client: str, account: str) -> None:
    """Raises `Halted` with the operator's reason."""
    if (halt := halt_for(halts, client, account)) is not None:
        raise Halted.because(halt.reason)
