"""The simulated exchange's refusals."""

from __future__ import annotations


class Rejected(Exception):
    """A call is refused. ``errors`` are the texts of Kraken's ``error`` array, as ``EOrder:Insufficient funds``."""

    def __init__(self, *errors: str) -> None:
        super().__init__(*errors)
        self.errors: tuple[str, ...] = errors


def invalid(field: str) -> Rejected:
    """Answer the rejection of a parameter that is missing or cannot be read."""
    return Rejected(f"EGeneral:Invalid arguments:{field}")
