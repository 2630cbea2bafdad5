"""Reads prices as orders write them: absolute, or relative to the market (docs/kraken.md §6)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from signer.sandbox.pairs import SimulatedPair
from signer.sandbox.rejected import Rejected, invalid

_PRICE = re.compile(r"([+\-#]?)(\d{1,8}(?:\.\d{1,20})?)(%?)", re.ASCII)


_HIGHEST = Decimal(10**8)


def check_price(price: Decimal) -> None:
    """Raise `Rejected` for a price that no market could have."""
    if not 0 < price < _HIGHEST:
        raise Rejected("EOrder:Invalid price")


@dataclass(frozen=True, slots=True)
class WrittenPrice:
    """A written price: ``37500``, ``+5``, ``-1.5%`` or ``#2%``."""

    amount: Decimal
    sign: str
    percent: bool

    @property
    def relative(self) -> bool:
        """Whether the price depends on the market."""
        return bool(self.sign) or self.percent

    def offset(self, reference: Decimal) -> Decimal:
        """Answer the distance from ``reference``, without its sign."""
        return reference * self.amount / 100 if self.percent else self.amount

    def at(self, pair: SimulatedPair, reference: Decimal, *, above: bool) -> Decimal:
        """Answer the price, given the reference and the side of it that ``#`` means.

        Raises `Rejected` for an absolute price off the pair's ticks, and for one that is not positive.
        """
        if not self.relative:
            price = self.amount
            if price % pair.tick_size:
                raise Rejected("EOrder:Tick size check failed")
        else:
            up = above if self.sign == "#" else self.sign != "-"
            offset = self.offset(reference)
            price = pair.rounded(reference + offset if up else reference - offset)
        check_price(price)
        return price

    def text(self, pair: SimulatedPair) -> str:
        """Write it in Kraken's form: ``37500.0``, ``+50.0000%``."""
        if self.percent:
            return f"{self.sign}{self.amount:.4f}%"
        return f"{self.sign}{pair.price_text(self.amount)}"


def read_price(text: str, field: str) -> WrittenPrice:
    """Read a price. Raises `Rejected` with the field's name for any other text."""
    match = _PRICE.fullmatch(text)
    if match is None:
        raise invalid(field)
    return WrittenPrice(Decimal(match[2]), match[1], bool(match[3]))
