"""Fetches the pairs that the venue lists, and keeps them in the home."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from signer.contracts import Upstream, Venue
from signer.errors import ConfigError, VenueError
from signer.model import Json, WireAnswer

MOST_BYTES = 16 * 1024 * 1024


async def fetch_pairs(
    venue: Venue, upstream: Upstream, deadline: float, before: Mapping[str, Json] | None = None
) -> Mapping[str, Json]:
    """Return the properties of all pairs by id, as `Venue.read_pairs` has them.

    A list other than the first may fail: what ``before`` says takes its place. Raises `VenueError` if the venue cannot
    be reached before ``deadline`` (monotonic seconds), or answers with no list.
    """
    first, *others = venue.pairs_requests()
    answers: list[WireAnswer | None] = [await upstream.send(first, deadline)]
    venue.read_pairs([answers[0], *(None for _ in others)], before)  # raises before the others are asked for
    for request in others:
        try:
            answers.append(await upstream.send(request, deadline))
        except VenueError:
            answers.append(None)
    return venue.read_pairs(answers, before)


def save_pairs(path: Path, pairs: Mapping[str, Json]) -> None:
    """Keep the list in ``path``, whole or not at all. Raises `VenueError` if it cannot be written."""
    fresh = path.with_suffix(f".{os.getpid()}.new")  # a command and the gateway may write it at the same time
    text = json.dumps(dict(pairs))  # not json.dump: writing piece by piece takes ten times as long
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise VenueError(f"the list of pairs cannot be kept: {error.strerror}", where=str(path)) from error


def load_pairs(path: Path) -> dict[str, Json] | None:
    """Return the list in ``path``, or None if none was kept yet. Raises `ConfigError` if it cannot be read."""
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
