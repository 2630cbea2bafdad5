"""How large the exchange's answer to a call may be. A larger one is no answer, and the bound is named."""

from __future__ import annotations

from typing import Final

from signer.model import Action
from signer.venues.kraken.endpoints import ENDPOINTS

SMALL: Final = 64 * 1024
"""Bytes; of whatever changes something: a batch of 15 orders is answered in some 4 KiB."""
LIST: Final = 4 * 1024 * 1024
"""All pairs of the exchange take some 1.5 MiB, a thousand trades some 80 KiB."""
EXPORT: Final = 64 * 1024 * 1024
"""An archive of years of ledger entries. One at a time is fetched."""
EXPORTS: Final = frozenset({"RetrieveExport"})
SMALL_PUBLIC: Final = frozenset({"Time", "SystemStatus"})


def most_answer(endpoint: str) -> int:
    """Most bytes of the answer to a private call."""
    if endpoint in EXPORTS:
        return EXPORT
    return LIST if ENDPOINTS[endpoint].action is Action.READ else SMALL


def most_public_answer(endpoint: str) -> int:
    """Most bytes of the answer to a public call."""
    return SMALL if endpoint in SMALL_PUBLIC else LIST
