"""Sizes and prices: from their text to `Decimal`, by patterns far stricter than `Decimal` itself.

``Decimal("1_000")``, ``Decimal("١٢")``, ``Decimal("1e400")``, ``Decimal("NaN")`` and ``Decimal(" 1 ")`` all succeed in
Python, and each could be read as another number at the venue. So an amount here is ASCII digits with at most one point,
digits on both sides of it, no sign, no exponent and no leading zero ("0.5" but not "007" or ".5").

At most 20 digits stand before the point and 18 behind: more than any market has, as many as a bot prints that never
rounded a float, and few enough that the product of two is exact in the 100 digits that policy and ledger reckon with.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Literal, cast

from signer.model import Json, Price
from signer.venues.kraken.values import matching, must

_AMOUNT = r"(?:0|[1-9][0-9]{0,19})(?:\.[0-9]{1,18})?"
_SOME = r"(?=[0.]*[1-9])" + _AMOUNT  # above zero
_LEVERAGE = re.compile(r"([1-9][0-9]{0,2})(?::1)?")

amount = matching(re.compile(_SOME), "a plain decimal number above zero")
"""A size. Zero is refused: Kraken takes it for "close the whole position", whose size nobody has stated."""

price = matching(
    re.compile(rf"{_SOME}|[+#-]{_AMOUNT}%?"),
    "a plain decimal number above zero, or one after + - or # with an optional %",
)
"""A price, absolute or relative (docs/kraken.md §6). What a percentage without a sign means is not
documented, so it is refused."""


def to_price(text: Json) -> Price | None:
    """The price that `price` has let pass; None where there is none."""
    if text is None:
        return None
    text = cast("str", text)
    sign, digits = ("", text) if text[0].isdigit() else (text[0], text[1:])
    percent = digits[-1] == "%"
    return Price(Decimal(digits[:-1] if percent else digits), cast("Literal['', '+', '-', '#']", sign), percent)


def to_decimal(text: Json) -> Decimal | None:
    """The amount that `amount` has let pass; None where there is none."""
    return None if text is None else Decimal(cast("str", text))


def leverage(name: str, value: Json) -> Json:
    """``5`` or ``5:1``, canonical as ``5``; ``none`` and ``0`` are what its absence means."""
    if isinstance(value, str):
        if value in {"none", "0"}:
            return None
        found = _LEVERAGE.fullmatch(value)
        if found:
            return found[1]
    raise must(name, "none, or a whole number such as 5 or 5:1", value)
