"""Reads an order's terms strictly, and checks what needs neither the market nor the account."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from signer.sandbox.fields import Fields
from signer.sandbox.pairs import SimulatedPair
from signer.sandbox.prices import WrittenPrice, read_price
from signer.sandbox.rejected import Rejected, invalid

SIDES = ("buy", "sell")
ORDER_TYPES = (
    "market",
    "limit",
    "iceberg",
    "stop-loss",
    "take-profit",
    "stop-loss-limit",
    "take-profit-limit",
    "trailing-stop",
    "trailing-stop-limit",
    "settle-position",
)
TRAILING = frozenset({"trailing-stop", "trailing-stop-limit"})
TRIGGERED = frozenset({"stop-loss", "take-profit", "stop-loss-limit", "take-profit-limit"}) | TRAILING
RESTING = frozenset({"limit", "iceberg"})
_TWO_PRICES = frozenset({"stop-loss-limit", "take-profit-limit", "trailing-stop-limit"})
_CLOSE_TYPES = frozenset({"limit"}) | TRIGGERED
_OFLAGS = frozenset({"post", "fcib", "fciq", "nompp", "viqc"})
_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_SHORT_ID = re.compile(r"[ -~]{1,18}")


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of an order. ``leverage`` is 0 without margin. Times are Unix seconds, 0.0 where not set."""

    pair: SimulatedPair
    side: str
    ordertype: str
    volume: Decimal
    price: WrittenPrice | None = None
    price2: WrittenPrice | None = None
    display: Decimal | None = None
    leverage: int = 0
    reduce_only: bool = False
    oflags: frozenset[str] = frozenset({"fciq"})
    timeinforce: str = "GTC"
    trigger: str = "last"
    starttm: float = 0.0
    expiretm: float = 0.0
    userref: int | None = None
    cl_ord_id: str | None = None
    close: Terms | None = None

    @property
    def buys(self) -> bool:
        """Whether it buys the base currency."""
        return self.side == "buy"

    @property
    def in_quote(self) -> bool:
        """Whether the volume is in the quote currency (``viqc``)."""
        return "viqc" in self.oflags

    @property
    def fee_in_base(self) -> bool:
        """Whether fees are paid in the base currency (``fcib``)."""
        return "fcib" in self.oflags


def read_terms(fields: Fields, pair: SimulatedPair, now: float) -> Terms:
    """Read the fields of AddOrder (docs/kraken.md §1c-1). Raises `Rejected` with the wrong field."""
    ordertype = fields.one_of("ordertype", ORDER_TYPES)
    side = fields.one_of("type", SIDES)
    leverage = _leverage(fields, pair)
    volume = _volume(fields, leverage)
    price, price2 = _prices(fields, ordertype)
    oflags = read_oflags(fields, ordertype, side, leverage)
    fields.one_of("stptype", ("cancel-newest", "cancel-oldest", "cancel-both"), "cancel-newest")
    if ordertype == "settle-position" and not leverage:
        raise invalid("leverage")
    return Terms(
        pair=pair,
        side=side,
        ordertype=ordertype,
        volume=volume if "viqc" in oflags else pair.lots(volume),
        price=price,
        price2=price2,
        display=_display(fields, ordertype, volume),
        leverage=leverage,
        reduce_only=_reduce_only(fields, leverage),
        oflags=oflags,
        timeinforce=_time_in_force(fields),
        trigger=fields.one_of("trigger", ("last", "index"), "last"),
        starttm=fields.time("starttm", now),
        expiretm=_expiry(fields, now),
        userref=read_userref(fields),
        cl_ord_id=_cl_ord_id(fields),
        close=_close(fields, pair, side, leverage),
    )


def read_userref(fields: Fields) -> int | None:
    """Read ``userref``, a signed 32-bit number; None if absent."""
    userref = fields.integer("userref")
    if userref is not None and not -(2**31) <= userref < 2**31:
        raise invalid("userref")
    return userref


def _leverage(fields: Fields, pair: SimulatedPair) -> int:
    """Read ``5``, the older ``5:1``, or ``none``."""
    text = fields.text("leverage", "none").removesuffix(":1")
    if text in {"none", "0"}:
        return 0
    if not text.isascii() or not text.isdigit() or int(text) not in pair.leverage:
        raise invalid("leverage")
    return int(text)


def _volume(fields: Fields, leverage: int) -> Decimal:
    """Read the volume. Zero closes a margin position, so it needs leverage."""
    volume = fields.required_amount("volume")
    if volume == 0 and not leverage:
        raise invalid("volume")
    return volume


def _prices(fields: Fields, ordertype: str) -> tuple[WrittenPrice | None, WrittenPrice | None]:
    price = price2 = None
    if ordertype in RESTING | TRIGGERED:
        price = read_price(fields.required("price"), "price")
    if ordertype in _TWO_PRICES:
        price2 = read_price(fields.required("price2"), "price2")
    if ordertype in TRAILING and price is not None and price.sign != "+":
        raise invalid("price")
    if ordertype == "trailing-stop-limit" and price2 is not None and price2.sign not in {"+", "-"}:
        raise invalid("price2")
    return price, price2


def read_oflags(fields: Fields, ordertype: str, side: str, leverage: int) -> frozenset[str]:
    """Read the order's flags. The fee is in the quote currency unless ``fcib`` is set."""
    oflags = frozenset(fields.words("oflags"))
    two_fees = "fcib" in oflags and ("fciq" in oflags or leverage)
    if oflags - _OFLAGS or two_fees or ("post" in oflags and ordertype not in RESTING):
        raise invalid("oflags")
    if "viqc" in oflags and (ordertype != "market" or side != "buy" or leverage):
        raise invalid("viqc")
    return oflags if "fcib" in oflags else oflags | {"fciq"}


def _display(fields: Fields, ordertype: str, volume: Decimal) -> Decimal | None:
    """Read the shown volume of an iceberg, at least a fifteenth of the whole."""
    display = fields.amount("displayvol")
    if ordertype != "iceberg":
        if display is not None:
            raise invalid("displayvol")
        return None
    if display is None or not volume / 15 <= display <= volume:
        raise invalid("displayvol")
    return display


def _reduce_only(fields: Fields, leverage: int) -> bool:
    reduce_only = fields.flag("reduce_only")
    if reduce_only and not leverage:
        raise Rejected("EOrder:Reduce only:Non-PC")
    return reduce_only


def _time_in_force(fields: Fields) -> str:
    timeinforce = fields.one_of("timeinforce", ("GTC", "IOC", "GTD", "FOK"), "GTC")
    if timeinforce == "GTD" and fields.text("expiretm", "0") == "0":
        raise invalid("expiretm")
    return timeinforce


def _expiry(fields: Fields, now: float) -> float:
    expiry = fields.time("expiretm", now)
    if expiry and expiry <= now:
        raise invalid("expiretm")
    return expiry


def _cl_ord_id(fields: Fields) -> str | None:
    if not fields.has("cl_ord_id"):
        return None
    text = fields.text("cl_ord_id")
    if fields.has("userref") or not (_UUID.fullmatch(text) or _SHORT_ID.fullmatch(text)):
        raise invalid("cl_ord_id")
    return text


def _close(fields: Fields, pair: SimulatedPair, side: str, leverage: int) -> Terms | None:
    """Read the close order, which each fill of this order places on the other side."""
    close = fields.nested("close")
    if close is None or not close.has("ordertype"):
        return None
    if fields.has("cl_ord_id"):
        raise invalid("cl_ord_id")
    ordertype = close.text("ordertype")
    if ordertype not in _CLOSE_TYPES:
        raise invalid("close[ordertype]")
    price, price2 = _prices(close, ordertype)
    other = "sell" if side == "buy" else "buy"
    return Terms(pair, other, ordertype, Decimal(0), price=price, price2=price2, leverage=leverage)
