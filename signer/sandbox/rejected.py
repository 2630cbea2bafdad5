"""How the simulated exchange says no."""

from __future__ import annotations


class Rejected(Exception):
    """A call is refused. ``errors`` are the strings of Kraken's ``error`` array, as ``EOrder:Insufficient funds``."""

    def __init__(self, *errors: str) -> None:
        super().__init__(*errors)
        self.errors: tuple[str, ...] = errors


def invalid(field: str) -> Rejected:
    """Answer the rejection of a parameter that is missing or does not read."""
    return Rejected(f"EGeneral:Invalid arguments:{field}")
