"""The venue's list of pairs: fetched, refused if it is none, kept and read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from signer.errors import ConfigError, NotSent, VenueError
from signer.market import fetch_pairs, load_pairs, save_pairs
from signer.model import Json, WireAnswer, WireRequest

BODY = b'{"error":[],"result":{"XXBTZUSD":{"wsname":"XBT/USD","pair_decimals":1,"fees":[[0,0.40],[1E3,1.5]]}}}'
PAIRS: dict[str, Json] = {"XXBTZUSD": {"wsname": "XBT/USD", "pair_decimals": 1, "fees": [[0, "0.40"], ["1E3", "1.5"]]}}


class Canned:
    """An upstream that answers one thing."""

    def __init__(self, answer: WireAnswer | VenueError) -> None:
        self._answer = answer

    async def send(self, request: WireRequest, deadline: float) -> WireAnswer:
        """The canned answer, to the one question that is asked."""
        assert (request.method, request.target, request.body, deadline) == ("GET", "/0/public/AssetPairs", b"", 7.0)
        assert [name for name, _ in request.headers] == ["User-Agent"]
        if isinstance(self._answer, VenueError):
            raise self._answer
        return self._answer


async def test_pairs_are_fetched_without_floats() -> None:
    """The result comes as the venue wrote it, numbers with a fraction as their text."""
    assert await fetch_pairs(Canned(WireAnswer(200, "application/json", BODY)), 7.0) == PAIRS


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, BODY),
        (302, b""),
        (200, b"<html>"),
        (200, b"\xff"),
        (200, b"[" * 100_000),
        (200, b"[]"),
        (200, b'{"error":["EService:Unavailable"],"result":{"XXBTZUSD":{}}}'),
        (200, b'{"error":[]}'),
        (200, b'{"error":[],"result":{}}'),
        (200, b'{"error":[],"result":["XXBTZUSD"]}'),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_what_is_no_list_of_pairs_is_refused(status: int, body: bytes) -> None:
    """Anything but a list of pairs is an error that says what was asked and with which status it was answered."""
    with pytest.raises(VenueError, match=f"AssetPairs was answered with HTTP {status}"):
        await fetch_pairs(Canned(WireAnswer(status, "application/json", body)), 7.0)


async def test_a_venue_that_cannot_be_asked_is_told_as_it_is() -> None:
    """The upstream's own error passes."""
    with pytest.raises(NotSent):
        await fetch_pairs(Canned(NotSent("no connection")), 7.0)


def test_pairs_are_kept(tmp_path: Path) -> None:
    """What was saved is loaded; a later save replaces it; nothing else is left in the folder."""
    path = tmp_path / "pairs.json"
    assert load_pairs(path) is None
    save_pairs(path, {"OLD": {}})
    save_pairs(path, PAIRS)
    assert load_pairs(path) == PAIRS
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_save_leaves_the_old_list(tmp_path: Path) -> None:
    """A list that cannot be written whole does not harm the one that is there."""
    path = tmp_path / "pairs.json"
    save_pairs(path, PAIRS)
    (tmp_path / "pairs.new").mkdir()
    with pytest.raises(VenueError, match="cannot be kept"):
        save_pairs(path, {"NEW": {}})
    assert load_pairs(path) == PAIRS


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", json.dumps(PAIRS).encode()[:50]])
def test_a_damaged_list_is_named(tmp_path: Path, damage: bytes) -> None:
    """A damaged file is an error that names it, with the mend."""
    path = tmp_path / "pairs.json"
    path.write_bytes(damage)
    with pytest.raises(ConfigError, match=r"pairs\.json: this is no list of pairs; remove it"):
        load_pairs(path)


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A path that is no readable file is an error that says so."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_pairs(tmp_path)
