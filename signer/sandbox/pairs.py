"""Assets and pairs: how amounts and prices are rounded and written, and the fees of trades."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal

CURRENCY = "currency"
TOKENISED = "tokenized_asset"
CLASSES = (CURRENCY, TOKENISED)
"""Kraken's classes of base assets. A call that names none means currencies (docs/kraken.md §5)."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A currency: Kraken's id (``XXBT``), its common name (``XBT``) and its decimals."""

    id: str
    altname: str
    decimals: int
    display_decimals: int

    def down(self, amount: Decimal) -> Decimal:
        """Round towards zero, so that parts of a payment never sum to more than the whole."""
        return amount.quantize(Decimal(1).scaleb(-self.decimals), ROUND_DOWN)

    def up(self, amount: Decimal) -> Decimal:
        """Round away from zero, so that a hold always suffices."""
        return amount.quantize(Decimal(1).scaleb(-self.decimals), ROUND_UP)


@dataclass(frozen=True, slots=True)
class SimulatedPair:
    """A market, with the limits of its row in Kraken's AssetPairs answer.

    ``wsname`` is empty if the row has none. ``leverage`` is for buying. ``row`` is its row in the answer.
    """

    id: str
    altname: str
    wsname: str
    asset_class: str
    base: Asset
    quote: Asset
    pair_decimals: int
    cost_decimals: int
    lot_decimals: int
    tick_size: Decimal
    """The smallest step between two prices."""
    ordermin: Decimal
    costmin: Decimal
    leverage: tuple[int, ...]
    status: str
    """``online``, ``cancel_only``, ``post_only``, ``limit_only`` or ``reduce_only``."""
    row: Mapping[str, object] = field(repr=False, compare=False)

    @property
    def taker(self) -> Decimal:
        """The fee of an order that trades at once, as a fraction: the first row of the schedule."""
        return TAKER[0][1] / 100

    @property
    def maker(self) -> Decimal:
        """The fee of an order that rested, as a fraction: the first row of the schedule."""
        return MAKER[0][1] / 100

    def rounded(self, price: Decimal) -> Decimal:
        """Answer the nearest price that the tick size allows."""
        return (price / self.tick_size).quantize(Decimal(1), ROUND_HALF_UP) * self.tick_size

    def lots(self, volume: Decimal) -> Decimal:
        """Cut a volume to the pair's lot decimals."""
        return volume.quantize(Decimal(1).scaleb(-self.lot_decimals), ROUND_DOWN)

    def price_text(self, price: Decimal) -> str:
        """Write a price with the pair's decimals."""
        return f"{price:.{self.pair_decimals}f}"

    def cost_text(self, cost: Decimal) -> str:
        """Write an amount of the quote currency with the pair's cost decimals."""
        return f"{cost:.{self.cost_decimals}f}"

    def volume_text(self, volume: Decimal) -> str:
        """Write an amount of the base currency with the pair's lot decimals."""
        return f"{volume:.{self.lot_decimals}f}"


Schedule = tuple[tuple[int, Decimal], ...]


def _schedule(*percents: str) -> Schedule:
    """Pair Kraken's 30-day volumes in USD with the fee in percent from each on."""
    volumes = (0, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000)
    return tuple(zip(volumes, map(Decimal, percents), strict=True))


TAKER = _schedule("0.40", "0.35", "0.24", "0.22", "0.20", "0.18", "0.16", "0.14", "0.12", "0.10")
MAKER = _schedule("0.25", "0.20", "0.14", "0.12", "0.10", "0.08", "0.06", "0.04", "0.02", "0.00")

_COUNTED = """
ZUSD USD 4 2      ZEUR EUR 4 2      ZGBP GBP 4 2      XXBT XBT 10 5     XETH ETH 10 5
XXRP XRP 8 5      XLTC LTC 10 5     XXDG XDG 8 2      SOL SOL 10 5      ADA ADA 8 6
DOT DOT 10 8      LINK LINK 10 5    XXLM XLM 8 5      AVAX AVAX 10 5    ATOM ATOM 8 6
USDT USDT 8 4     USDC USDC 8 4     XXMR XMR 10 5     UNI UNI 10 5      ZCAD CAD 4 2
ZAUD AUD 4 2      ZJPY JPY 2 0      CHF CHF 4 2       XETC ETC 10 5     XZEC ZEC 10 5
XMLN MLN 10 5     XREP REP 10 5
"""
"""Id, altname, decimals and shown decimals of the assets that differ from a new listing."""


def _known() -> dict[str, Asset]:
    words = iter(_COUNTED.split())
    rows = zip(words, words, words, words, strict=True)
    return {name: Asset(name, altname, int(decimals), int(shown)) for name, altname, decimals, shown in rows}


_KNOWN = _known()
_EARNING = re.compile(r"\.(B|F|HOLD|M|P|S)\Z")


def asset(name: str, altname: str = "") -> Asset:
    """Answer the asset with this id. AssetPairs states no decimals, so an unknown one gets 10, like new listings."""
    return _KNOWN.get(name) or Asset(name, altname or name, 10, 5)


def asset_of(balance: str) -> Asset:
    """Answer the asset of a balance: ``DOT.B`` (bonded in Earn) is DOT (docs/kraken.md §5)."""
    return asset(_EARNING.sub("", balance))
