"""How one parameter is read: a *reader* takes its name and value and gives the canonical value, or refuses by name.

A reader that answers None says that the value means no more than its absence (``starttm=0``, ``reduce_only=false``), so
the field is left out of what we forward. Patterns are matched whole and spell ``[0-9]``, because ``\\d`` takes the
digits of every script and ``$`` matches before a final newline.

Amounts are read by patterns far stricter than `Decimal` itself: ``Decimal("1_000")``, ``Decimal("1e400")``,
``Decimal("NaN")`` and ``Decimal(" 1 ")`` all succeed in Python, and each could be another number at the venue. An
amount is ASCII digits with at most one point, digits on both sides of it, no sign, no exponent and no leading zero. At
most 20 digits stand before the point and 18 behind: more than any market has, as many as a bot prints that never
rounded a float, and few enough that the product of two is exact in the 100 digits that policy and book reckon with.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias, cast

from signer.errors import NotUnderstood
from signer.model import Json, OrderRef, Price
from signer.venues.kraken.answers import invalid, quoted

Reader: TypeAlias = Callable[[str, Json], Json]
Model: TypeAlias = Mapping[str, Reader]
"""The parameters of an endpoint, in the order in which we forward them."""

DRY_RUN = "validate"
BATCH_MOST = 50
"""Most orders that one cancel names, or ids that one query asks for (docs/kraken.md §1b, §1c)."""

_BOOLEANS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "True", "TRUE", "1"), True),
    **dict.fromkeys(("false", "False", "FALSE", "0"), False),
}
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}")
_DIGITS = re.compile(r"-?[0-9]{1,19}")
"""A userref in any spelling: ``7`` and ``007`` are one."""
_TXID = re.compile(r"[A-Z0-9]{1,12}(?:-[A-Z0-9]{1,12}){0,2}")
_CL_ORD_ID = re.compile(
    r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}|[0-9A-Fa-f]{32}|[!-~](?:[ -~]{0,16}[!-~])?"
)
_SCHEDULE = re.compile(r"\+?(?:0|[1-9][0-9]{0,10})")
_DEADLINE = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)


def read_fields(model: Model, fields: Mapping[str, Json], inside: str = "") -> dict[str, Json]:
    """Read ``fields`` by ``model`` into canonical values in the model's order. Refuses any parameter the model lacks.

    A blank value and JSON's null say nothing (docs/kraken.md §8.5, §10) and are left out. A blank ``validate`` is the
    exception: whether it asks for a dry run decides whether money moves, so nothing may be guessed.
    """
    read: dict[str, Json] = {}
    known = 0
    for name, reader in model.items():
        if name not in fields:
            continue
        known += 1
        value = fields[name]
        if (value is None or value == "") and name != DRY_RUN:
            continue
        kept = reader(f"{inside}[{name}]" if inside else name, value)
        if kept is not None:
            read[name] = kept
    if known != len(fields):
        stranger = next(name for name in fields if name not in model)
        label = f"{inside}[{stranger}]" if inside else stranger
        raise invalid(f"the parameter {quoted(label)} is not known")
    return read


def must(name: str, expected: str, value: Json) -> NotUnderstood:
    """Return the refusal of a value that is not what its parameter takes."""
    given = quoted(value) if isinstance(value, str | bool) else "null" if value is None else "a list or an object"
    return invalid(f"{name} must be {expected}, not {given}")


def matching(pattern: re.Pattern[str], expected: str) -> Reader:
    """Return a reader of text that matches ``pattern`` whole and is kept as it is written."""
    match = pattern.fullmatch

    def read(name: str, value: Json) -> Json:
        if isinstance(value, str) and match(value):
            return value
        raise must(name, expected, value)

    return read


def one_of(*words: str) -> Reader:
    """Return a reader of one of ``words``, exactly as written."""
    known = frozenset(words)

    def read(name: str, value: Json) -> Json:
        if isinstance(value, str) and value in known:
            return value
        raise must(name, f"one of {' '.join(words)}", value)

    return read


def some_of(*words: str) -> Reader:
    """Return a reader of a comma list of ``words``, each at most once; canonical in alphabetical order."""
    known = frozenset(words)

    def read(name: str, value: Json) -> Json:
        given = value.split(",") if isinstance(value, str) else []
        if given and known.issuperset(given) and len(set(given)) == len(given):
            return ",".join(sorted(given))
        raise must(name, f"a comma list of {' '.join(words)}", value)

    return read


def integer(low: int, high: int) -> Reader:
    """Return a reader of a whole number from ``low`` to ``high``, kept as text."""

    def read(name: str, value: Json) -> Json:
        if isinstance(value, str) and _INTEGER.fullmatch(value) and low <= int(value) <= high:
            return value
        raise must(name, f"a whole number from {low} to {high}", value)

    return read


def boolean(name: str, value: Json) -> Json:
    """Read a yes or no as clients write it: Python's, JSON's, PHP's or a digit (docs/kraken.md §2c)."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _BOOLEANS:
        return _BOOLEANS[value]
    raise must(name, "true or false", value)


def flag(name: str, value: Json) -> Json:
    """Read a yes or no whose no is the default, and so left out."""
    return boolean(name, value) or None


def dry_run(name: str, value: Json) -> Json:
    """Read ``validate``: yes is a dry run, no is left out, all else is refused, blanks and null too.

    Kraken once took any value, "False" included, for true (docs/kraken.md §2g): what we forward is a literal true or
    nothing, and leaves no doubt.
    """
    return boolean(name, value) or None


def userref(name: str, value: Json) -> Json:
    """Read a signed 32-bit number of the client's. Zero is what Kraken shows for none, and is left out."""
    if isinstance(value, str) and _DIGITS.fullmatch(value) and -(2**31) <= int(value) < 2**31:
        return int(value) or None
    raise must(name, "a signed 32-bit number", value)


def schedule(name: str, value: Json) -> Json:
    """Read ``starttm`` and ``expiretm``: a Unix second or +seconds from now; 0, the default, is left out."""
    if isinstance(value, str) and _SCHEDULE.fullmatch(value):
        return None if value == "0" else value
    raise must(name, "0, +seconds or a Unix time", value)


def deadline(name: str, value: Json) -> Json:
    """Read an RFC 3339 time."""
    if isinstance(value, str) and _DEADLINE.fullmatch(value) and _is_time(value):
        return value
    raise must(name, "a time as 2026-01-31T12:00:00Z", value)


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


cl_ord_id = matching(_CL_ORD_ID, "a UUID or at most 18 printable characters, the first and last of them no blank")
order_id = matching(_TXID, "an order id in capitals")
moment = matching(re.compile(r"[0-9]{1,19}(?:\.[0-9]{1,9})?|" + _TXID.pattern), "a Unix time or an id")
"""A number of up to 19 digits. Kraken decides what milliseconds or nanoseconds mean where seconds are meant."""
unix_time = matching(re.compile(r"[0-9]{1,19}"), "a Unix time")
asset = matching(re.compile(r"[A-Za-z0-9]{1,16}(?:\.[A-Za-z0-9]{1,6})?"), "an asset")
pair_text = matching(re.compile(r"[A-Za-z0-9./:]{1,40}"), "a pair")
word = matching(re.compile(r"[A-Za-z0-9_-]{1,64}"), "a word")


def comma_list(one: str, expected: str) -> Reader:
    """Return a reader of a comma list, or a JSON list, of at most 100 texts that match the pattern ``one``."""
    pattern = re.compile(rf"{one}(?:,{one}){{0,99}}")

    def read(name: str, value: Json) -> Json:
        given = value if isinstance(value, list) else [value]
        if all(isinstance(each, str) for each in given):
            text = ",".join(map(str, given))
            if pattern.fullmatch(text):
                return text
        raise must(name, expected, value)

    return read


assets = comma_list(r"[A-Za-z0-9.]{1,20}", "a comma list of assets")


def word_list(name: str, value: Json) -> Json:
    """Read a word, or a JSON list of at most 20; kept as it is written."""
    if isinstance(value, list) and 0 < len(value) <= 20:
        return [word(name, one) for one in value]
    return word(name, value)


words = comma_list(r"[A-Za-z0-9_-]{1,64}", "a comma list of words")


def ids(limit: int) -> Reader:
    """Return a reader of a comma list of at most ``limit`` ids."""

    def read(name: str, value: Json) -> Json:
        given = value.split(",") if isinstance(value, str) else []
        if 0 < len(given) <= limit and all(_TXID.fullmatch(one) for one in given):
            return value
        raise must(name, f"at most {limit} ids in capitals with commas between", value)

    return read


def title(name: str, value: Json) -> Json:
    """Free text for people, such as a deposit method or an export's description; any script, one line."""
    if isinstance(value, str) and len(value) <= 128 and value.isprintable():
        return value
    raise must(name, "at most 128 printable characters", value)


def order_ref(name: str, value: Json) -> OrderRef:
    """Read an order named by txid, or by a userref, which names every order that has it (docs/kraken.md §1c)."""
    if isinstance(value, str):
        if _DIGITS.fullmatch(value) and int(value) != 0 and -(2**31) <= int(value) < 2**31:
            return OrderRef("client-tag", str(int(value)))
        # A number out of range is neither: as a txid it would be looked for and never found in our book.
        if _TXID.fullmatch(value) and not value.isdigit():
            return OrderRef("venue-id", value)
    raise must(name, "an order id in capitals or a userref", value)


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
    """Return the price that `price` has let pass; None where there is none."""
    if text is None:
        return None
    text = cast("str", text)
    sign, digits = ("", text) if text[0].isdigit() else (text[0], text[1:])
    percent = digits[-1] == "%"
    return Price(Decimal(digits[:-1] if percent else digits), cast("Literal['', '+', '-', '#']", sign), percent)


def to_decimal(text: Json) -> Decimal | None:
    """Return the amount that `amount` has let pass; None where there is none."""
    return None if text is None else Decimal(cast("str", text))


def leverage(name: str, value: Json) -> Json:
    """Read ``5`` or ``5:1``, canonical as ``5``; ``none`` and ``0`` are what its absence means."""
    if isinstance(value, str):
        if value in {"none", "0"}:
            return None
        found = _LEVERAGE.fullmatch(value)
        if found:
            return found[1]
    raise must(name, "none, or a whole number such as 5 or 5:1", value)
