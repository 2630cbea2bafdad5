"""Selects the part of a history that a call asks for: its period and its page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from signer.sandbox.fields import Fields
from signer.sandbox.rejected import invalid
from signer.sandbox.state import SimulatedCall

PAGE = 50
"""The rows in one answer of Kraken."""

_TIME = re.compile(r"\d{1,12}(\.\d{1,9})?", re.ASCII)
Row = TypeVar("Row")


def page(
    call: SimulatedCall, rows: Iterable[Row], at: Callable[[Row], float], time_of: Callable[[str], float | None]
) -> tuple[list[Row], int]:
    """Answer one page of the ``rows`` that are listed already, newest first, and the number of all of these.

    ``start`` (exclusive) and ``end`` (inclusive) are Unix seconds or an id, whose time ``time_of`` answers, None for an
    unknown one; ``ofs`` skips.
    """
    fields = call.fields
    first, last = _moment(fields, "start", time_of), _moment(fields, "end", time_of)
    listed = call.met.listed(rows, at, call.state.now())
    chosen = [row for row in listed if (first is None or at(row) > first) and (last is None or at(row) <= last)]
    chosen.reverse()
    chosen.sort(key=at, reverse=True)
    skip = fields.integer("ofs") or 0
    if skip < 0:
        raise invalid("ofs")
    grown = call.met.moved if skip else 0
    skip = max(0, skip - grown)
    return call.met.arranged(chosen[skip : skip + PAGE]), len(chosen) + grown


def named(
    call: SimulatedCall, ids: list[str], by_id: Mapping[str, Row], at: Callable[[Row], float]
) -> list[Row] | None:
    """Answer the rows with these ids, None if one is unknown or not listed yet."""
    wanted = dict.fromkeys(ids)
    found = call.met.listed((by_id[name] for name in wanted if name in by_id), at, call.state.now())
    return found if len(found) == len(wanted) else None


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
