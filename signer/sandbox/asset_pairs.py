"""Reads the list of pairs, the built-in one or a user's file, in the form of Kraken's AssetPairs answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib.resources import files
from pathlib import Path

from signer.errors import ConfigError
from signer.sandbox.instruments import Instruments
from signer.sandbox.pairs import CLASSES, CURRENCY, MAKER, TAKER, Asset, Schedule, SimulatedPair, asset

_MOST_BYTES = 64 * 1024 * 1024
_MOST_DECIMALS = 18
_STATUSES = ("online", "cancel_only", "post_only", "limit_only", "reduce_only")
_HINT = "save Kraken's own answer: curl -o FILE https://api.kraken.com/0/public/AssetPairs"


class _Unreadable(ValueError):
    """A row does not fit AssetPairs. The text names the field."""


@cache
def built_in() -> Instruments:
    """Answer the built-in list (docs/sandbox.md says where it comes from)."""
    rows = json.loads(files(__package__).joinpath("asset_pairs.json").read_text("utf-8"))
    return Instruments(_pair(name, _completed(row)) for name, row in rows.items())


def read_pairs(path: Path) -> Instruments:
    """Answer the list in a file: an AssetPairs answer, or its ``result`` alone.

    Raises `ConfigError` for a file that cannot be read, is no such answer, or has a row with unusable values.
    """
    rows = _rows(path)
    try:
        return Instruments([_pair(name, row) for name, row in rows.items()])
    except _Unreadable as error:
        raise ConfigError(str(error), where=str(path), hint=_HINT) from None


def _rows(path: Path) -> dict[str, object]:
    try:
        data = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
        answer = json.loads(data)
    except OSError as error:
        what = f"the list of pairs cannot be read: {error.strerror}"
        raise ConfigError(what, where=str(path), hint="name a file with an AssetPairs answer") from None
    except (ValueError, RecursionError):
        raise ConfigError("this is not JSON", where=str(path), hint=_HINT) from None
    if isinstance(answer, dict) and answer.get("error"):
        raise ConfigError("this is an error that Kraken answered, not a list of pairs", where=str(path), hint=_HINT)
    rows = answer.get("result", answer) if isinstance(answer, dict) else None
    if not isinstance(rows, dict) or not rows or "error" in rows:
        raise ConfigError("this is no list of pairs", where=str(path), hint=_HINT)
    return rows


def _pair(name: str, row: object) -> SimulatedPair:
    """Read one row. Some rows have no wsname, minima, tick size or status (docs/kraken.md §5)."""
    if not isinstance(row, dict):
        raise _Unreadable(f"pair {name!r} is not an object")
    wsname = _text(name, row, "wsname", "")
    base, _, quote = wsname.partition("/")
    pair_decimals, lot_decimals = _decimals(name, row, "pair_decimals"), _decimals(name, row, "lot_decimals")
    return SimulatedPair(
        id=name,
        altname=_text(name, row, "altname"),
        wsname=wsname,
        asset_class=_one_of(name, row, "aclass_base", CLASSES, CURRENCY),
        base=_asset(name, row, "base", base),
        quote=_asset(name, row, "quote", quote),
        pair_decimals=pair_decimals,
        cost_decimals=_decimals(name, row, "cost_decimals"),
        lot_decimals=lot_decimals,
        tick_size=_amount(name, row, "tick_size", Decimal(1).scaleb(-pair_decimals)),
        ordermin=_amount(name, row, "ordermin", Decimal(1).scaleb(-lot_decimals)),
        costmin=_amount(name, row, "costmin", Decimal(1).scaleb(-pair_decimals)),
        leverage=_leverage(name, row),
        status=_one_of(name, row, "status", _STATUSES, "online"),
        row=row,
    )


def _text(name: str, row: Mapping[str, object], field: str, default: str | None = None) -> str:
    value = row.get(field, default)
    if not isinstance(value, str):
        raise _Unreadable(f"pair {name!r} has no text as {field}")
    return value


def _one_of(name: str, row: Mapping[str, object], field: str, allowed: tuple[str, ...], default: str) -> str:
    value = _text(name, row, field, default)
    if value not in allowed:
        raise _Unreadable(f"pair {name!r} has an unknown {field}: {value[:40]!r}")
    return value


def _asset(name: str, row: Mapping[str, object], side: str, altname: str) -> Asset:
    found = _text(name, row, side)
    if not found:
        raise _Unreadable(f"pair {name!r} has no {side}")
    return asset(found, altname)


def _decimals(name: str, row: Mapping[str, object], field: str) -> int:
    value = row.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_DECIMALS:
        raise _Unreadable(f"pair {name!r} needs {field} from 0 to {_MOST_DECIMALS}")
    return value


def _amount(name: str, row: Mapping[str, object], field: str, default: Decimal) -> Decimal:
    if row.get(field) is None:
        return default
    try:
        value = Decimal(str(row[field]))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value <= 0:
        raise _Unreadable(f"pair {name!r} needs a positive number as {field}")
    return value


def _leverage(name: str, row: Mapping[str, object]) -> tuple[int, ...]:
    values = row.get("leverage_buy", [])
    if not isinstance(values, list) or not all(isinstance(value, int) for value in values):
        raise _Unreadable(f"pair {name!r} needs a list of whole numbers as leverage_buy")
    return tuple(values)


def _completed(row: Mapping[str, object]) -> dict[str, object]:
    """Answer a row of the built-in list, completed by the fields that are equal in all rows."""
    decimals = row["pair_decimals"]
    assert isinstance(decimals, int)  # noqa: S101 - the file is ours
    return {
        "aclass_base": CURRENCY,
        "aclass_quote": CURRENCY,
        "lot": "unit",
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": _FEES,
        "fees_maker": _MAKER_FEES,
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "tick_size": f"{Decimal(1).scaleb(-decimals):f}",
        "status": "online",
        "execution_venue": "international",
        **row,
    }


def _schedule_json(schedule: Schedule) -> list[list[float]]:
    # Kraken writes fees as JSON numbers. These are not used in calculations.
    return [[volume, float(fee)] for volume, fee in schedule]


_FEES, _MAKER_FEES = _schedule_json(TAKER), _schedule_json(MAKER)
