"""Bring every spelling of a pair that Kraken takes to the one id that policies compare.

Kraken takes ``XXBTZUSD``, ``XBTUSD``, ``XBT/USD``, ``BTC/USD`` and more for one pair (docs/kraken.md §5). We forward
the id. A spelling that could mean two pairs means none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from types import MappingProxyType
from typing import Final, final

from typing_extensions import override

from signer.contracts import Pairs
from signer.errors import VenueError
from signer.model import Json, Pair, WireAnswer, WireRequest
from signer.venues.kraken.encode import USER_AGENT

_ID = re.compile(r"[A-Za-z0-9]{2,24}(?:[.:][A-Za-z0-9]{1,12})?")
_WSNAME = re.compile(r"[A-Za-z0-9.]{1,16}/[A-Za-z0-9.]{1,16}")
_MODERN = {"XBT": "BTC", "XDG": "DOGE"}
"""Kraken's own names of two assets, and what everybody else calls them."""


TOKENISED: Final = "tokenized_asset"
_LIST: Final = "/0/public/AssetPairs"


@final
class PairTable(Pairs):
    """All pairs of the venue, found by any spelling.

    ``complete``: whether these are all that the venue lists, so that a name which is not found is not listed.
    """

    def __init__(self, pairs: tuple[Pair, ...], *, complete: bool = True) -> None:
        self.complete = complete
        self.by_id: Mapping[str, Pair] = MappingProxyType({pair.id: pair for pair in pairs})
        written = [(alias, pair) for pair in pairs for alias in _aliases(pair)]
        # HDXUSD, a currency's pair, and HDxUSD, a share's, differ by case only: each is found as the venue writes it.
        self._by_alias = _unambiguous(written)
        self._by_upper = _unambiguous((alias.upper(), pair) for alias, pair in written)

    @classmethod
    def from_asset_pairs(cls, result: Json, *, complete: bool = True) -> PairTable:
        """The table of an AssetPairs ``result``: a map from id to a row with altname, wsname and aclass_base.

        Rows without a ``wsname`` are left out, since they do not say their assets. Raises `VenueError` if the result
        has no row that can be read, so that a bad answer never replaces a good table.
        """
        rows = result.items() if isinstance(result, dict) else ()
        pairs = tuple(pair for id_, row in rows if (pair := _pair(id_, row)) is not None)
        if not pairs:
            raise VenueError("the venue's AssetPairs answer has no pair that can be read", hint="ask again later")
        return cls(pairs, complete=complete)

    @classmethod
    def built_in(cls) -> PairTable:
        """The best known pairs, from this package, for use until the venue's own list has been fetched."""
        text = files(__package__).joinpath("asset_pairs.json").read_text("utf-8")
        return cls.from_asset_pairs(json.loads(text), complete=False)

    @override
    def find(self, text: Json) -> Pair | None:
        if not isinstance(text, str):
            return None
        # Beyond ASCII, upper() makes new spellings ("ſ" becomes "S"), which the venue need not know.
        return self._by_alias.get(text) or (self._by_upper.get(text.upper()) if text.isascii() else None)


def pairs_requests() -> Sequence[WireRequest]:
    """Return the calls that list currencies, and tokenised assets: xStocks are listed only to who asks for them
    (docs/kraken.md §5)."""
    targets = (_LIST, f"{_LIST}?aclass_base={TOKENISED}")
    return [WireRequest("GET", target, (USER_AGENT,), b"") for target in targets]


def read_pairs(answers: Sequence[WireAnswer | None], before: Mapping[str, Json] | None) -> dict[str, Json]:
    """Return pair id to its properties, numbers as text. Tokenised pairs of ``before`` stay if their list failed.

    Raises `VenueError` if the list of currencies failed or is empty.
    """
    currencies, tokenised = [None if answer is None else _listed(answer) for answer in answers]
    if not currencies:
        status = answers[0].status if answers[0] else "no answer"
        raise VenueError(f"AssetPairs was answered with HTTP {status} and no list of pairs")
    if tokenised is None:
        tokenised = {pair: row for pair, row in (before or {}).items() if _is_tokenised(row)}
    return {**tokenised, **currencies}


def _is_tokenised(row: Json) -> bool:
    return isinstance(row, dict) and row.get("aclass_base") == TOKENISED


def _listed(answer: WireAnswer) -> dict[str, Json] | None:
    try:
        envelope = json.loads(answer.body, parse_float=str) if answer.status == 200 else None
    except (ValueError, RecursionError):
        return None
    result = envelope.get("result") if isinstance(envelope, dict) and not envelope.get("error") else None
    return result if isinstance(result, dict) else None


def _pair(id_: str, row: Json) -> Pair | None:
    if not isinstance(row, dict) or not _ID.fullmatch(id_):
        return None
    altname, wsname, asset_class = row.get("altname"), row.get("wsname"), row.get("aclass_base", "currency")
    if not (isinstance(altname, str) and isinstance(wsname, str) and isinstance(asset_class, str)):
        return None
    if not (_ID.fullmatch(altname) and _WSNAME.fullmatch(wsname)):
        return None
    base, _, quote = wsname.partition("/")
    return Pair(id=id_, altname=altname, wsname=wsname, base=base, quote=quote, asset_class=asset_class)


def _unambiguous(written: Iterable[tuple[str, Pair]]) -> dict[str, Pair]:
    found: dict[str, Pair] = {}
    twice: set[str] = set()
    for alias, pair in written:
        if found.setdefault(alias, pair) is not pair:
            twice.add(alias)
    return {alias: pair for alias, pair in found.items() if alias not in twice}


def _aliases(pair: Pair) -> Iterator[str]:
    yield pair.id
    yield pair.altname
    if not pair.id.isalnum():
        return  # a dark pool (.d) or Bitnomial (:BTNL) pair shares its wsname with the ordinary one
    for base in {pair.base, _MODERN.get(pair.base, pair.base)}:
        for quote in {pair.quote, _MODERN.get(pair.quote, pair.quote)}:
            yield f"{base}/{quote}"
            yield f"{base}{quote}"
