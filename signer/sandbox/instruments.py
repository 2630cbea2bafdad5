"""Holds the pairs and assets of the exchange and finds them by every spelling that Kraken accepts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import final

from signer.sandbox.fields import Fields
from signer.sandbox.pairs import CLASSES, CURRENCY, Asset, SimulatedPair, asset
from signer.sandbox.rejected import Rejected

_MODERN = {"XBT": "BTC", "XDG": "DOGE"}


@final
class Instruments:
    """All pairs and all assets of each class, by id. The mappings do not change."""

    def __init__(self, pairs: Iterable[SimulatedPair]) -> None:
        self.pairs: Mapping[str, SimulatedPair] = {pair.id: pair for pair in pairs}
        self.assets: Mapping[str, Mapping[str, Asset]] = {name: self._assets(name) for name in CLASSES}
        self._called = {name: _by_spelling(self._of_class(name)) for name in CLASSES}
        self._assets_called = {
            name.upper(): found
            for listed in reversed(self.assets.values())  # an upper-case spelling still belongs to the currency
            for found in listed.values()
            for name in (found.id, found.altname, _MODERN.get(found.altname, found.id))
        }
        self._traded = {(pair.base.id, pair.quote.id): pair for pair in reversed(self.pairs.values())}

    def _assets(self, asset_class: str) -> dict[str, Asset]:
        """Answer the assets of a class. Currencies include every quote, and the dollar in which assets are valued."""
        found = [pair.base for pair in self._of_class(asset_class)]
        if asset_class == CURRENCY:
            found += [asset("ZUSD"), *(pair.quote for pair in self.pairs.values())]
        return {each.id: each for each in found}

    def _of_class(self, asset_class: str) -> list[SimulatedPair]:
        return [pair for pair in self.pairs.values() if pair.asset_class == asset_class]

    def pair(self, name: str, asset_class: str = CURRENCY) -> SimulatedPair:
        """Find a pair by id, altname, wsname or modern spelling, in any case. Raises `Rejected` if there is none.

        Each class has its own names: HDX/USD is a pair of a currency, and HDx/USD of a share.
        """
        pair = self._called[asset_class].get(name.upper())
        if pair is None:
            raise Rejected("EQuery:Unknown asset pair")
        return pair

    def any_pair(self, name: str) -> SimulatedPair:
        """Find a pair of any class. Raises `Rejected` if there is none."""
        by_id = self.pairs.get(name)
        found = by_id or next((names[name.upper()] for names in self._called.values() if name.upper() in names), None)
        if found is None:
            raise Rejected("EQuery:Unknown asset pair")
        return found

    def asked_pair(self, fields: Fields) -> SimulatedPair:
        """Answer the pair of the class that a call names. Raises `Rejected` if there is none."""
        return self.pair(fields.required("pair"), class_asked(fields))

    def asked_pairs(self, fields: Fields, asset_class: str) -> list[SimulatedPair]:
        """Answer the pairs that a call names, or all pairs of the class if it names none."""
        names = fields.words("pair")
        if not names:
            return self._of_class(asset_class)
        return [self.pair(name, asset_class) for name in names]

    def asset(self, name: str, error: str = "EQuery:Unknown asset") -> Asset:
        """Find an asset by id or common name, in any case. Raises `Rejected` with ``error`` if there is none."""
        exact = (listed[name] for listed in self.assets.values() if name in listed)
        found = next(exact, None) or self._assets_called.get(name.upper())
        if found is None:
            raise Rejected(error)
        return found

    def traded(self, base: str, quote: str) -> SimulatedPair | None:
        """Answer the first pair that trades one asset against the other, both by id."""
        return self._traded.get((base, quote))


def class_asked(fields: Fields, name: str = "asset_class") -> str:
    """Answer the class of assets that a call asks for."""
    return fields.one_of(name, CLASSES, CURRENCY)


def _by_spelling(pairs: Iterable[SimulatedPair]) -> dict[str, SimulatedPair]:
    """Answer pairs by upper-case spelling. Ids take precedence over altnames, and those over all other spellings."""
    found: dict[str, SimulatedPair] = {}
    listed = list(pairs)
    for pair in listed:
        found.setdefault(pair.id.upper(), pair)
    for pair in listed:
        found.setdefault(pair.altname.upper(), pair)
    for pair in listed:
        for name in _slashed(pair):
            found.setdefault(name.upper(), pair)
            found.setdefault(name.replace("/", "").upper(), pair)
    return found


def _slashed(pair: SimulatedPair) -> Iterator[str]:
    """Answer the spellings with a slash. Special markets (``.d``, ``:BTNL``) have none, since the ordinary ones do."""
    if not pair.id.isalnum() or "/" not in pair.wsname:
        return
    base, quote = pair.wsname.split("/", 1)
    for one in {base, _MODERN.get(base, base)}:
        for other in {quote, _MODERN.get(quote, quote)}:
            yield f"{one}/{other}"
