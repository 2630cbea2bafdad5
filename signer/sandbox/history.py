"""Selects the part of a history that a call asks for: its period and its page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from signer.sandbox.fields import Fields
from signer.sandbox.rejected import invalid

PAGE = 50
"""The rows in one answer of Kraken."""

_TIME = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)
Row = TypeVar("Row")


def page(
    fields: Fields, rows: Iterable[Row], at: Callable[[Row], float], time_of: Callable[[str], float | None]
) -> tuple[list[Row], int]:
    """Answer one page of ``rows``, newest first, and the number of all rows.

    ``start`` (exclusive) and ``end`` (inclusive) are Unix seconds or an id, whose time ``time_of`` answers, None for an
    unknown one; ``ofs`` skips.
    """
    first, last = _moment(fields, "start", time_of), _moment(fields, "end", time_of)
    chosen = [row for row in rows if (first is None or at(row) > first) and (last is None or at(row) <= last)]
    chosen.reverse()
    chosen.sort(key=at, reverse=True)
    skip = fields.integer("ofs") or 0
    if skip < 0:
        raise invalid("ofs")
    return chosen[skip : skip + PAGE], len(chosen)


def times(by_id: Mapping[str, Row], at: Callable[[Row], float]) -> Callable[[str], float | None]:
    """Answer a function from an id to its row's time, None for an unknown id."""
    return lambda name: at(by_id[name]) if name in by_id else None


def counted(fields: Fields, name: str, rows: Mapping[str, object], count: int) -> dict[str, object]:
    """Answer a page in Kraken's shape: the rows under ``name``, and the count unless the call declines it."""
    return {name: rows} if fields.flag("without_count") else {name: rows, "count": count}


def _moment(fields: Fields, name: str, time_of: Callable[[str], float | None]) -> float | None:
    text = fields.text(name)
    if not text:
        return None
    named = time_of(text)
    if named is None and not _TIME.fullmatch(text):
        raise invalid(name)
    return float(text) if named is None else named
