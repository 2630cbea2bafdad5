"""The venue's list of pairs: fetched, refused if it is none, kept and read back."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from signer.errors import ConfigError, NotSent, VenueError
from signer.market.pairs import fetch_pairs, load_pairs, save_pairs
from signer.model import Json, WireAnswer, WireRequest
from signer.venues import open_venue

BODY = b'{"error":[],"result":{"XXBTZUSD":{"wsname":"XBT/USD","pair_decimals":1,"fees":[[0,0.40],[1E3,1.5]]}}}'
PAIRS: dict[str, Json] = {"XXBTZUSD": {"wsname": "XBT/USD", "pair_decimals": 1, "fees": [[0, "0.40"], ["1E3", "1.5"]]}}

KRAKEN = open_venue("kraken")

STOCK: Json = {"wsname": "AAPLx/USD", "aclass_base": "tokenized_asset"}
STOCKS = b'{"error":[],"result":{"AAPLxUSD":{"wsname":"AAPLx/USD","aclass_base":"tokenized_asset"}}}'


class Canned:
    """An upstream that answers one thing to each of the two questions."""

    def __init__(self, answer: WireAnswer | VenueError, tokenised: WireAnswer | VenueError | None = None) -> None:
        self._answers = {
            "/0/public/AssetPairs": answer,
            "/0/public/AssetPairs?aclass_base=tokenized_asset": tokenised or answer,
        }

    async def send(self, request: WireRequest, deadline: float) -> WireAnswer:
        """The canned answer."""
        assert (request.method, request.body, deadline) == ("GET", b"", 7.0)
        assert [name for name, _ in request.headers] == ["User-Agent"]
        answer = self._answers[request.target]
        if isinstance(answer, VenueError):
            raise answer
        return answer


def said(body: bytes) -> WireAnswer:
    """An answer with that body."""
    return WireAnswer(200, "application/json", body)


async def test_pairs_are_fetched_without_floats() -> None:
    """The result comes as the venue wrote it, numbers with a fraction as their text."""
    assert await fetch_pairs(KRAKEN, Canned(said(BODY)), 7.0) == PAIRS


async def test_tokenised_assets_are_asked_for_apart() -> None:
    """Kraken lists them only to who asks; none at all is an answer too."""
    assert await fetch_pairs(KRAKEN, Canned(said(BODY), said(STOCKS)), 7.0) == {**PAIRS, "AAPLxUSD": STOCK}
    assert await fetch_pairs(KRAKEN, Canned(said(BODY), said(b'{"error":[],"result":{}}')), 7.0) == PAIRS


@pytest.mark.parametrize("failed", [NotSent("gone"), WireAnswer(503, "", b""), said(b'{"error":["EQuery:x"]}')])
async def test_tokenised_assets_that_cannot_be_had_stay_as_they_were(failed: WireAnswer | VenueError) -> None:
    """The other pairs are taken all the same, and those known before that are not listed any more go."""
    before: dict[str, Json] = {"OLDUSD": {"wsname": "OLD/USD"}, "AAPLxUSD": STOCK}
    assert await fetch_pairs(KRAKEN, Canned(said(BODY), failed), 7.0, before) == {**PAIRS, "AAPLxUSD": STOCK}
    assert await fetch_pairs(KRAKEN, Canned(said(BODY), failed), 7.0) == PAIRS


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
        await fetch_pairs(KRAKEN, Canned(WireAnswer(status, "application/json", body)), 7.0)


async def test_a_venue_that_cannot_be_asked_is_told_as_it_is() -> None:
    """The upstream's own error passes."""
    with pytest.raises(NotSent):
        await fetch_pairs(KRAKEN, Canned(NotSent("no connection")), 7.0)


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
    path.with_suffix(f".{os.getpid()}.new").mkdir()
    with pytest.raises(VenueError, match="cannot be kept"):
        save_pairs(path, {"NEW": {}})
    assert load_pairs(path) == PAIRS


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", json.dumps(PAIRS).encode()[:50]])
def test_a_damaged_list_is_named(tmp_path: Path, damage: bytes) -> None:
    """A damaged file is an error that names it, with the hint."""
    path = tmp_path / "pairs.json"
    path.write_bytes(damage)
    with pytest.raises(ConfigError, match=r"pairs\.json: this is no list of pairs; remove it"):
        load_pairs(path)


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A path that is no readable file is an error that says so."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_pairs(tmp_path)
