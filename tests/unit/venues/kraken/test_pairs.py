"""Which pair a text means."""

from __future__ import annotations

from typing import Any

import pytest

from signer.errors import VenueError
from signer.venues.kraken.orders import PairTable


def row(altname: str, wsname: str, asset_class: str = "currency") -> dict[str, Any]:
    """A row of AssetPairs, with what we read and something that we do not."""
    return {"altname": altname, "wsname": wsname, "aclass_base": asset_class, "lot_decimals": 8, "fees": [["0", "0.4"]]}


TABLE = PairTable.from_asset_pairs(
    {
        "XXBTZUSD": row("XBTUSD", "XBT/USD"),
        "XXBTZUSD.d": row("XBTUSD.d", "XBT/USD"),
        "XBTUSD:BTNL": row("XBTUSD:BTNL", "XBT/USD"),
        "XETHXXBT": row("ETHXBT", "ETH/XBT"),
        "XDGUSD": row("XDGUSD", "XDG/USD"),
        "AAPLxUSD": row("AAPLxUSD", "AAPLx/USD", "tokenized_asset"),
        "ADAUSD": row("ADAUSD", "ADA/USD"),
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("XXBTZUSD", "XXBTZUSD"),
        ("XBTUSD", "XXBTZUSD"),
        ("XBT/USD", "XXBTZUSD"),
        ("BTC/USD", "XXBTZUSD"),
        ("BTCUSD", "XXBTZUSD"),
        ("btc/usd", "XXBTZUSD"),
        ("xxbtzusd", "XXBTZUSD"),
        ("ETH/BTC", "XETHXXBT"),
        ("ETHBTC", "XETHXXBT"),
        ("DOGE/USD", "XDGUSD"),
        ("DOGEUSD", "XDGUSD"),
        ("ADA/USD", "ADAUSD"),
        ("AAPLx/USD", "AAPLxUSD"),
        ("AAPLXUSD", "AAPLxUSD"),
        ("XBTUSD.d", "XXBTZUSD.d"),
        ("XBTUSD.D", "XXBTZUSD.d"),
        ("XBTUSD:BTNL", "XBTUSD:BTNL"),
    ],
)
def test_every_spelling_finds_its_pair(text: str, expected: str) -> None:
    """Ids, altnames, wsnames, the modern names of XBT and XDG, with and without a slash, in any case."""
    pair = TABLE.find(text)
    assert pair is not None
    assert pair.id == expected


@pytest.mark.parametrize("text", ["", "XBT", "USD/XBT", "XBTUSD ", "XBT//USD", "ZUSD", "FOOUSD", None, 5, ["XBTUSD"]])
def test_anything_else_finds_none(text: Any) -> None:
    """A spelling that is no pair's finds none, and nothing but text is looked up."""
    assert TABLE.find(text) is None


@pytest.mark.parametrize("text", ["xbtu\u017fd", "\uff38BTUSD", "aaplx\u2044usd"])
def test_letters_beyond_ascii_make_no_new_spellings(text: str) -> None:
    """``"ſ".upper()`` is ``"S"``: a spelling that the venue need not know."""
    assert TABLE.find(text) is None


def test_a_pair_tells_its_assets_and_class() -> None:
    """The halves of wsname, not the prefixed asset ids."""
    pair = TABLE.by_id["XXBTZUSD"]
    assert (pair.base, pair.quote, pair.asset_class) == ("XBT", "USD", "currency")
    assert TABLE.by_id["AAPLxUSD"].asset_class == "tokenized_asset"


def test_a_spelling_of_two_pairs_means_neither() -> None:
    """Such a spelling finds no pair, not even where it is one pair's own id."""
    table = PairTable.from_asset_pairs({"AB": row("XY", "A/B"), "XY": row("CD", "C/D")})
    assert table.find("XY") is None
    assert table.find("AB") is not None
    assert table.by_id["XY"].altname == "CD"


def test_pairs_that_differ_by_case_are_found_as_they_are_written() -> None:
    """HDX is a currency and HDx a share: each has its own spellings, and a third case means neither."""
    table = PairTable.from_asset_pairs({"HDXUSD": row("HDXUSD", "HDX/USD"), "HDxUSD": row("HDxUSD", "HDx/USD")})
    for name in ("HDXUSD", "HDX/USD", "HDxUSD", "HDx/USD"):
        assert (found := table.find(name)) is not None
        assert name in (found.id, found.wsname)
    assert table.find("hdxusd") is table.find("hdx/usd") is None


@pytest.mark.parametrize(
    "bad", [{"altname": "AB"}, {"altname": 1, "wsname": "A/B"}, {"altname": "A\nB", "wsname": "A/B"}, "x", None]
)
def test_a_row_that_cannot_be_read_is_left_out(bad: Any) -> None:
    """One odd row of a thousand must not take the others with it."""
    table = PairTable.from_asset_pairs({"AB": bad, "ADAUSD": row("ADAUSD", "ADA/USD")})
    assert list(table.by_id) == ["ADAUSD"]


@pytest.mark.parametrize("result", [{}, [], None, "x", {"AB": {}}, {"A B": row("AB", "A/B")}])
def test_a_list_without_any_pair_is_an_error(result: Any) -> None:
    """A bad answer never replaces a good table."""
    with pytest.raises(VenueError, match="AssetPairs"):
        PairTable.from_asset_pairs(result)


def test_the_built_in_table_has_the_usual_pairs() -> None:
    """Every id finds itself, so no built-in pair is ambiguous."""
    table = PairTable.built_in()
    assert {"XXBTZUSD", "XETHZEUR", "SOLUSD", "XDGUSD", "USDTZUSD"} <= table.by_id.keys()
    for pair in table.by_id.values():
        assert table.find(pair.id) == table.find(pair.altname) == table.find(pair.wsname) == pair
