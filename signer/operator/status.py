"""Looks at a home: the gateway, whether orders pass, halts, calls without a known outcome, caps in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from signer.home.layout import Home
from signer.home.lock import Holder, holder
from signer.ledger.sqlite import SqliteLedger
from signer.model import Halt, OpenIntent, Usage
from signer.operator.halts import halts_in_force
from signer.operator.ledger import require_home, with_ledger
from signer.operator.readiness import readiness_of
from signer.serving.readiness import Readiness


class HomeStatus(NamedTuple):
    """Describes the home as it is now."""

    gateway: Holder | None
    readiness: Readiness
    halts: Sequence[Halt]
    open_calls: Sequence[OpenIntent]
    usage: Sequence[Usage]


def status_of(home: Home) -> HomeStatus:
    """Look at the home and at the gateway that runs on it. Raises `SignerError`."""
    require_home(home)
    gateway, readiness = holder(home.lock), readiness_of(home)
    return HomeStatus(gateway, readiness, halts_in_force(home), *with_ledger(home, _tables))


async def _tables(ledger: SqliteLedger) -> tuple[Sequence[OpenIntent], Sequence[Usage]]:
    usage = [used for scope in await ledger.scopes() for used in await ledger.usage(scope)]
    return await ledger.open_intents(), usage
