"""What the venue lists: its pairs, fetched and kept. (Reference prices will live here too.)"""

from __future__ import annotations

import json
import os
from pathlib import Path

from signer.contracts import Upstream
from signer.errors import ConfigError, VenueError
from signer.model import Json, WireRequest

ASSET_PAIRS = WireRequest("GET", "/0/public/AssetPairs", (("User-Agent", "signer"),), b"")
MOST_BYTES = 16 * 1024 * 1024


async def fetch_pairs(upstream: Upstream, deadline: float) -> dict[str, Json]:
    """The ``result`` of AssetPairs: pair id to its properties (kraken-api.md §5), numbers as text.

    Raises `VenueError` if the venue cannot be reached before ``deadline`` (monotonic seconds), or answers otherwise.
    """
    answer = await upstream.send(ASSET_PAIRS, deadline)
    try:
        envelope = json.loads(answer.body, parse_float=str) if answer.status == 200 else None
    except (ValueError, RecursionError):
        envelope = None
    result = envelope.get("result") if isinstance(envelope, dict) and not envelope.get("error") else None
    if not isinstance(result, dict) or not result:
        raise VenueError(f"AssetPairs was answered with HTTP {answer.status} and no list of pairs")
    return result


def save_pairs(path: Path, pairs: dict[str, Json]) -> None:
    """Keep the list in ``path``, whole or not at all. Raises `VenueError` if it cannot be written."""
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(pairs, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise VenueError(f"the list of pairs cannot be kept: {error.strerror}", where=str(path)) from error


def load_pairs(path: Path) -> dict[str, Json] | None:
    """The list in ``path``, or None if none was kept yet. Raises `ConfigError` if it cannot be read."""
    mend = "remove it; it is fetched anew at the next start"
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"the list of pairs cannot be read: {error.strerror}", where=str(path), mend=mend) from error
    try:
        pairs = json.loads(text, parse_float=str) if len(text) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        pairs = None
    if not isinstance(pairs, dict):
        raise ConfigError("this is no list of pairs", where=str(path), mend=mend)
    return pairs
