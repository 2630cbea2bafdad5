"""Reads the orders of Kraken's calls, and finds the pair that each names in any spelling.

Kraken takes ``XXBTZUSD``, ``XBTUSD``, ``XBT/USD``, ``BTC/USD`` and more for one pair (docs/kraken.md §5). Policies
compare its id, and the id is forwarded. A spelling that could mean two pairs means none.

An order is understood only if its fields make sense together, because caps are computed from them: a market order with
a price would look cheaper than it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from types import MappingProxyType
from typing import Final, cast, final

from typing_extensions import override

from signer.contracts import Pairs
from signer.errors import VenueError
from signer.model import Call, Json, Moment, Order, Pair, Side, WireAnswer, WireRequest
from signer.venues.kraken.answers import invalid, unknown_pair
from signer.venues.kraken.encode import USER_AGENT
from signer.venues.kraken.endpoints import Endpoint
from signer.venues.kraken.values import DRY_RUN, read_fields, to_decimal, to_price
from signer.venues.kraken.vocabulary import WORDS

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
        """Return the table of an AssetPairs ``result``: a map from id to a row with altname, wsname and aclass_base.

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
        """Return the best known pairs, from this package, for use until the venue's own list has been fetched."""
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


_PRICES = {
    "market": (),
    "settle-position": (),
    "limit": ("price",),
    "iceberg": ("price",),
    "stop-loss": ("price",),
    "take-profit": ("price",),
    "trailing-stop": ("price",),
    "stop-loss-limit": ("price", "price2"),
    "take-profit-limit": ("price", "price2"),
    "trailing-stop-limit": ("price", "price2"),
}
"""Which prices each order type has; with two, the first triggers and the second is the limit (docs/kraken.md §6)."""

_OTHER: Mapping[Side, Side] = {"buy": "sell", "sell": "buy"}
_NO_FLAGS: frozenset[str] = frozenset()


def add_order(endpoint: Endpoint, fields: Mapping[str, Json], pairs: PairTable) -> Call:
    """Return the call of an AddOrder. Raises `NotUnderstood`."""
    given = read_fields(endpoint.model, fields)
    pair = named_pair(given, pairs)
    order = _order(pair, given, "")
    return Call(
        endpoint=endpoint.name,
        action=endpoint.action,
        fields=given,
        needs=endpoint.needs,
        orders=(order,),
        dry_run=DRY_RUN in given,
    )


def add_order_batch(endpoint: Endpoint, fields: Mapping[str, Json], pairs: PairTable) -> Call:
    """Return the call of an AddOrderBatch: its orders share the pair. Raises `NotUnderstood`."""
    given = read_fields(endpoint.model, fields)
    pair = named_pair(given, pairs)
    if "orders" not in given:
        raise invalid("orders is missing")
    rows = cast("list[dict[str, Json]]", given["orders"])
    orders = tuple(_order(pair, row, f"orders[{index}]") for index, row in enumerate(rows))
    return Call(
        endpoint=endpoint.name,
        action=endpoint.action,
        fields=given,
        needs=endpoint.needs,
        orders=orders,
        dry_run=DRY_RUN in given,
    )


def named_pair(given: dict[str, Json], pairs: PairTable) -> Pair:
    """Return the pair that ``given`` names, put back in as its canonical id.

    A tokenised asset is only meant where ``asset_class`` says so, and nothing else where it does (docs/kraken.md §5):
    otherwise a policy and the venue could think of different markets. Raises `NotUnderstood`.
    """
    if "pair" not in given:
        raise invalid("pair is missing")
    pair = pairs.find(given["pair"])
    asset_class = given.get("asset_class", "currency")
    if pair is None or pair.asset_class != asset_class:
        raise unknown_pair(given["pair"])
    given["pair"] = pair.id
    if asset_class == "currency":
        given.pop("asset_class", None)
    return pair


def _order(pair: Pair, given: Mapping[str, Json], where: str) -> Order:
    order_type, side = given.get("ordertype"), given.get("type")
    if order_type is None or side is None or "volume" not in given:
        missing = next(name for name in ("ordertype", "type", "volume") if name not in given)
        raise invalid(f"{_label(where, missing)} is missing")
    order_type, side = cast("str", order_type), cast("Side", side)
    _check_prices(order_type, given, where)
    oflags = flags_of(given) or _NO_FLAGS
    _check_together(order_type, oflags, given, where)
    return Order(
        pair=pair.id,
        side=side,
        order_type=order_type,
        volume=Decimal(cast("str", given["volume"])),
        price=to_price(given.get("price")),
        price2=to_price(given.get("price2")),
        quote_sized=WORDS.quote_sized in oflags,
        display_volume=to_decimal(given.get("displayvol")),
        leverage=to_decimal(given.get("leverage")),
        reduce_only="reduce_only" in given,
        post_only=WORDS.post_only in oflags,
        flags=oflags - {WORDS.post_only, WORDS.quote_sized},
        time_in_force=cast("str", given.get("timeinforce", "GTC")),
        trigger=cast("str", given.get("trigger", "")),
        starts=_moment(given.get("starttm")),
        ends=_moment(given.get("expiretm")),
        client_tag=tag_of(given),
        client_id=cast("str | None", given.get("cl_ord_id")),
        attached=(_close(pair, side, given, where),) if "close" in given else (),
    )


def flags_of(given: Mapping[str, Json]) -> frozenset[str] | None:
    """Return the flags of an order or a change; None if it states none."""
    return frozenset(cast("str", given["oflags"]).split(",")) if "oflags" in given else None


def tag_of(given: Mapping[str, Json]) -> str | None:
    """Return the userref, as text."""
    return str(given["userref"]) if "userref" in given else None


def _moment(text: Json) -> Moment | None:
    """Return a start or an end, written ``+seconds`` or as a Unix second (docs/kraken.md §1c-1)."""
    return None if text is None else Moment(int(cast("str", text)), from_now=str(text).startswith("+"))


def _close(pair: Pair, side: Side, given: Mapping[str, Json], where: str) -> Order:
    """Return the order of the other side that fills place: at most the whole volume, with the same leverage."""
    close = cast("dict[str, Json]", given["close"])
    label = _label(where, "close")
    if "ordertype" not in close:
        raise invalid(f"{label}[ordertype] is missing")
    order_type = cast("str", close["ordertype"])
    _check_prices(order_type, close, label)
    return Order(
        pair=pair.id,
        side=_OTHER[side],
        order_type=order_type,
        volume=Decimal(cast("str", given["volume"])),
        price=to_price(close.get("price")),
        price2=to_price(close.get("price2")),
        leverage=to_decimal(given.get("leverage")),
    )


def _check_prices(order_type: str, given: Mapping[str, Json], where: str) -> None:
    """Require exactly the prices that the type has, and offsets where it trails."""
    for name in ("price", "price2"):
        if (name in given) != (name in _PRICES[order_type]):
            says = "has no" if name in given else "needs a"
            raise invalid(f"an order of type {order_type} {says} {_label(where, name)}")
    if order_type.startswith("trailing"):
        # Relative only (docs/kraken.md §6): an absolute one would be a price to us and an offset to the venue.
        price, price2 = cast("str", given["price"]), cast("str", given.get("price2", "+"))
        if price[0] != "+" or price2[0] not in "+-":
            raise invalid(f"{_label(where, 'price')} of a trailing order must begin with +, its price2 with + or -")


def _check_together(order_type: str, oflags: frozenset[str], given: Mapping[str, Json], where: str) -> None:
    if ("displayvol" in given) != (order_type == "iceberg"):
        raise invalid(f"{_label(where, 'displayvol')} belongs to an iceberg order, and only to one")
    if "cl_ord_id" in given and "userref" in given:
        raise invalid(f"{_label(where, 'cl_ord_id')} and userref exclude each other")
    if "viqc" in oflags and (order_type != "market" or "leverage" in given or "close" in given):
        raise invalid(f"{_label(where, 'oflags')} viqc is for market orders without leverage or close")
    if "fcib" in oflags and "fciq" in oflags:
        raise invalid(f"{_label(where, 'oflags')} fcib and fciq exclude each other")


def _label(where: str, name: str) -> str:
    return f"{where}[{name}]" if where else name


LONGEST_S = 60
"""Kraken takes a deadline at most so far ahead (docs/kraken.md §1c-1)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def require_timely(call: Call, at_us: int) -> None:
    """Raise `NotUnderstood` if ``call``, which came at ``at_us``, has a deadline that is over or too far off."""
    text = call.fields.get("deadline")
    if text is None:
        return
    left_us = (datetime.fromisoformat(str(text)) - _EPOCH) // timedelta(microseconds=1) - at_us
    if left_us <= 0:
        raise invalid("deadline has passed; see that this machine's clock and yours agree")
    if left_us > LONGEST_S * 1_000_000:
        raise invalid(f"deadline is more than {LONGEST_S} s ahead, and the exchange takes no later one")
