"""What is left of an intent once some of its orders are accounted for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from signer.model import Intent


def without_legs(intent: Intent, legs: Collection[int]) -> Intent:
    """Return ``intent`` without these of its orders, by their places, and without their charges."""
    left = [leg for leg in range(len(intent.orders)) if leg not in legs]
    charges = tuple(charge._replace(leg=left.index(charge.leg)) for charge in intent.charges if charge.leg in left)
    return replace(intent, orders=tuple(intent.orders[leg] for leg in left), charges=charges)
