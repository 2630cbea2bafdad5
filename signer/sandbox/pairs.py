"""What can be traded: assets and pairs as Kraken lists them, and every spelling of their names.

The numbers are Kraken's own of late 2025, near enough for a bot to meet the real limits (AssetPairs, Assets).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal

from signer.sandbox.rejected import Rejected


@dataclass(frozen=True, slots=True)
class Asset:
    """A currency: Kraken's id (``XXBT``), its common name (``XBT``) and how exactly it is counted."""

    id: str
    altname: str
    decimals: int
    display_decimals: int

    def down(self, amount: Decimal) -> Decimal:
        """Round to what can be paid, towards zero: the parts of a payment never sum to more than the whole."""
        return amount.quantize(Decimal(1).scaleb(-self.decimals), ROUND_DOWN)

    def up(self, amount: Decimal) -> Decimal:
        """Round to what can be paid, away from zero: what must be held to be sure."""
        return amount.quantize(Decimal(1).scaleb(-self.decimals), ROUND_UP)


@dataclass(frozen=True, slots=True)
class Pair:
    """A market, with the limits of Kraken's AssetPairs answer. ``opening`` is the price the sandbox starts at."""

    id: str
    altname: str
    wsname: str
    base: Asset
    quote: Asset
    pair_decimals: int
    cost_decimals: int
    ordermin: Decimal
    costmin: Decimal
    leverage: tuple[int, ...]
    opening: Decimal
    lot_decimals: int = 8

    @property
    def tick_size(self) -> Decimal:
        """The smallest step between two prices."""
        return Decimal(1).scaleb(-self.pair_decimals)

    @property
    def taker(self) -> Decimal:
        """Fee of an order that meets the market, as a fraction: the first row of the schedule."""
        return TAKER[0][1] / 100

    @property
    def maker(self) -> Decimal:
        """Fee of an order that rested, as a fraction: the first row of the schedule."""
        return MAKER[0][1] / 100

    def rounded(self, price: Decimal) -> Decimal:
        """Answer the nearest price that the tick size allows."""
        return price.quantize(self.tick_size, ROUND_HALF_UP)

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
    """Pair Kraken's 30-day volumes in USD with the fee in percent from there on."""
    volumes = (0, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000)
    return tuple(zip(volumes, map(Decimal, percents), strict=True))


TAKER = _schedule("0.40", "0.35", "0.24", "0.22", "0.20", "0.18", "0.16", "0.14", "0.12", "0.10")
MAKER = _schedule("0.25", "0.20", "0.14", "0.12", "0.10", "0.08", "0.06", "0.04", "0.02", "0.00")

_ASSETS = """
ZUSD USD 4 2     ZEUR EUR 4 2     ZGBP GBP 4 2     XXBT XBT 10 5    XETH ETH 10 5    XXRP XRP 8 5
XLTC LTC 10 5    XXDG XDG 8 2     SOL SOL 10 5     ADA ADA 8 6      DOT DOT 10 8     LINK LINK 10 5
XXLM XLM 8 5     AVAX AVAX 10 5   ATOM ATOM 8 6    USDT USDT 8 4    USDC USDC 8 4    XXMR XMR 10 5
UNI UNI 10 5
"""

_UP_TO_10 = (2, 3, 4, 5, 6, 7, 8, 9, 10)
_UP_TO_5 = (2, 3, 4, 5)
_UP_TO_3 = (2, 3)

# id, altname, wsname, base, quote, price and cost decimals, ordermin, costmin, leverage, opening price
_PAIRS: tuple[tuple[str, str, str, str, str, int, int, str, str, tuple[int, ...], str], ...] = (
    ("XXBTZUSD", "XBTUSD", "XBT/USD", "XXBT", "ZUSD", 1, 5, "0.00005", "0.5", _UP_TO_10, "60000.0"),
    ("XETHZUSD", "ETHUSD", "ETH/USD", "XETH", "ZUSD", 2, 5, "0.001", "0.5", _UP_TO_10, "3000.00"),
    ("XXBTZEUR", "XBTEUR", "XBT/EUR", "XXBT", "ZEUR", 1, 5, "0.00005", "0.45", _UP_TO_10, "55000.0"),
    ("XETHZEUR", "ETHEUR", "ETH/EUR", "XETH", "ZEUR", 2, 5, "0.001", "0.45", _UP_TO_10, "2750.00"),
    ("XETHXXBT", "ETHXBT", "ETH/XBT", "XETH", "XXBT", 5, 10, "0.001", "0.00002", _UP_TO_5, "0.05000"),
    ("XXRPZUSD", "XRPUSD", "XRP/USD", "XXRP", "ZUSD", 5, 8, "2", "0.5", _UP_TO_10, "2.00000"),
    ("XLTCZUSD", "LTCUSD", "LTC/USD", "XLTC", "ZUSD", 2, 5, "0.04", "0.5", _UP_TO_3, "80.00"),
    ("XXDGZUSD", "XDGUSD", "XDG/USD", "XXDG", "ZUSD", 7, 8, "13", "0.5", _UP_TO_10, "0.1500000"),
    ("SOLUSD", "SOLUSD", "SOL/USD", "SOL", "ZUSD", 2, 5, "0.02", "0.5", _UP_TO_10, "150.00"),
    ("SOLEUR", "SOLEUR", "SOL/EUR", "SOL", "ZEUR", 2, 5, "0.02", "0.45", _UP_TO_10, "137.50"),
    ("ADAUSD", "ADAUSD", "ADA/USD", "ADA", "ZUSD", 6, 8, "4.4", "0.5", _UP_TO_3, "0.450000"),
    ("DOTUSD", "DOTUSD", "DOT/USD", "DOT", "ZUSD", 4, 8, "0.6", "0.5", _UP_TO_3, "6.5000"),
    ("LINKUSD", "LINKUSD", "LINK/USD", "LINK", "ZUSD", 5, 8, "0.2", "0.5", _UP_TO_3, "14.00000"),
    ("XXLMZUSD", "XLMUSD", "XLM/USD", "XXLM", "ZUSD", 6, 8, "20", "0.5", _UP_TO_3, "0.250000"),
    ("AVAXUSD", "AVAXUSD", "AVAX/USD", "AVAX", "ZUSD", 2, 5, "0.1", "0.5", _UP_TO_3, "28.00"),
    ("ATOMUSD", "ATOMUSD", "ATOM/USD", "ATOM", "ZUSD", 4, 8, "0.6", "0.5", _UP_TO_3, "7.0000"),
    ("USDTZUSD", "USDTUSD", "USDT/USD", "USDT", "ZUSD", 5, 8, "5", "0.5", _UP_TO_3, "1.00000"),
    ("USDCUSD", "USDCUSD", "USDC/USD", "USDC", "ZUSD", 4, 8, "5", "0.5", (), "1.0000"),
    ("XXMRZUSD", "XMRUSD", "XMR/USD", "XXMR", "ZUSD", 2, 8, "0.02", "0.5", (), "165.00"),
    ("UNIUSD", "UNIUSD", "UNI/USD", "UNI", "ZUSD", 3, 8, "0.5", "0.5", (), "8.000"),
    ("XXBTZGBP", "XBTGBP", "XBT/GBP", "XXBT", "ZGBP", 1, 5, "0.00005", "0.4", _UP_TO_5, "47000.0"),
    ("XBTUSDT", "XBTUSDT", "XBT/USDT", "XXBT", "USDT", 1, 5, "0.00005", "0.5", _UP_TO_5, "60000.0"),
    ("ETHUSDT", "ETHUSDT", "ETH/USDT", "XETH", "USDT", 2, 5, "0.001", "0.5", _UP_TO_5, "3000.00"),
)

_MODERN = {"XBT": "BTC", "XDG": "DOGE"}


def _assets() -> dict[str, Asset]:
    words = iter(_ASSETS.split())
    rows = zip(words, words, words, words, strict=True)
    return {name: Asset(name, alt, int(decimals), int(shown)) for name, alt, decimals, shown in rows}


ASSETS = _assets()


def _pair(row: tuple[str, str, str, str, str, int, int, str, str, tuple[int, ...], str]) -> Pair:
    name, altname, wsname, base, quote, decimals, cost_decimals, ordermin, costmin, leverage, opening = row
    return Pair(
        id=name,
        altname=altname,
        wsname=wsname,
        base=ASSETS[base],
        quote=ASSETS[quote],
        pair_decimals=decimals,
        cost_decimals=cost_decimals,
        ordermin=Decimal(ordermin),
        costmin=Decimal(costmin),
        leverage=leverage,
        opening=Decimal(opening),
    )


PAIRS = {row[0]: _pair(row) for row in _PAIRS}


def _spellings(pair: Pair) -> set[str]:
    base, quote = pair.wsname.split("/")
    bases = {base, _MODERN.get(base, base)}
    quotes = {quote, _MODERN.get(quote, quote)}
    slashed = {f"{one}/{other}" for one in bases for other in quotes}
    return {pair.id, pair.altname} | slashed | {name.replace("/", "") for name in slashed}


_PAIR_CALLED = {name: pair for pair in PAIRS.values() for name in _spellings(pair)}
_ASSET_CALLED = {
    name: asset for asset in ASSETS.values() for name in (asset.id, asset.altname, _MODERN.get(asset.altname, asset.id))
}


def pair_called(name: str) -> Pair:
    """Find a pair by id, altname, wsname or its modern spelling, in any case; `Rejected` if there is none."""
    pair = _PAIR_CALLED.get(name.upper())
    if pair is None:
        raise Rejected("EQuery:Unknown asset pair")
    return pair


def asset_called(name: str, error: str = "EQuery:Unknown asset") -> Asset:
    """Find an asset by id or common name, in any case; `Rejected` with ``error`` if there is none."""
    asset = _ASSET_CALLED.get(name.upper())
    if asset is None:
        raise Rejected(error)
    return asset


def asset_of(balance: str) -> Asset:
    """Answer the asset that a balance counts: ``DOT.B`` (bonded in Earn) is DOT (kraken-api.md §5)."""
    return _ASSET_CALLED[balance.partition(".")[0]]
