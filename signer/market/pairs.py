"""What the venue lists: its pairs, fetched and kept. (Reference prices will live here too.)"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from signer.contracts import Upstream
from signer.errors import ConfigError, VenueError
from signer.model import Json, WireRequest

ASSET_PAIRS = "/0/public/AssetPairs"
TOKENISED = f"{ASSET_PAIRS}?aclass_base=tokenized_asset"
"""Kraken lists xStocks only to who asks for them (docs/kraken.md §5)."""
MOST_BYTES = 16 * 1024 * 1024


async def fetch_pairs(upstream: Upstream, deadline: float, before: Mapping[str, Json] | None = None) -> dict[str, Json]:
    """All pairs, tokenised assets among them: pair id to its properties (docs/kraken.md §5), numbers as text.

    If the tokenised ones alone cannot be had, those of ``before`` stay. Raises `VenueError` if the venue cannot be
    reached before ``deadline`` (monotonic seconds), or answers with no list.
    """
    pairs = await _listed(upstream, ASSET_PAIRS, deadline)
    if not pairs:
        raise VenueError("AssetPairs was answered with HTTP 200 and no list of pairs")
    try:
        tokenised = await _listed(upstream, TOKENISED, deadline)
    except VenueError:
        tokenised = {pair: row for pair, row in (before or {}).items() if _is_tokenised(row)}
    return {**tokenised, **pairs}


def _is_tokenised(row: Json) -> bool:
    return isinstance(row, dict) and row.get("aclass_base") == "tokenized_asset"


async def _listed(upstream: Upstream, target: str, deadline: float) -> dict[str, Json]:
    answer = await upstream.send(WireRequest("GET", target, (("User-Agent", "signer"),), b""), deadline)
    try:
        envelope = json.loads(answer.body, parse_float=str) if answer.status == 200 else None
    except (ValueError, RecursionError):
        envelope = None
    result = envelope.get("result") if isinstance(envelope, dict) and not envelope.get("error") else None
    if not isinstance(result, dict):
        raise VenueError(f"AssetPairs was answered with HTTP {answer.status} and no list of pairs")
    return result


def save_pairs(path: Path, pairs: dict[str, Json]) -> None:
    """Keep the list in ``path``, whole or not at all. Raises `VenueError` if it cannot be written."""
    fresh = path.with_suffix(f".{os.getpid()}.new")  # a command and the gateway may write it at the same time
    try:
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(pairs, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise VenueError(f"the list of pairs cannot be kept: {error.strerror}", where=str(path)) from error


def load_pairs(path: Path) -> dict[str, Json] | None:
    """The list in ``path``, or None if none was kept yet. Raises `ConfigError` if it cannot be read."""
    hint = "remove it; it is fetched anew at the next start"
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"the list of pairs cannot be read: {error.strerror}", where=str(path), hint=hint) from error
    try:
        pairs = json.loads(text, parse_float=str) if len(text) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        pairs = None
    if not isinstance(pairs, dict):
        raise ConfigError("this is no list of pairs", where=str(path), hint=hint)
    return pairs
