"""An order from its acceptance to its end, and its form in Kraken's answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from signer.sandbox.prices import WrittenPrice
from signer.sandbox.records import Amend
from signer.sandbox.terms import RESTING, TRAILING, TRIGGERED, Terms
from signer.sandbox.wording import describe, describe_close, short_description

_LIVE = frozenset({"pending", "open"})


@dataclass(slots=True)
class SimulatedOrder:
    """An order that the exchange has accepted.

    ``limit`` and ``stop`` are calculated from its written prices. ``stop`` is where it triggers, None if it needs no
    trigger. ``touched`` is the time of its placing or last amend, from which the rate counter calculates its age.
    """

    txid: str
    account: str
    terms: Terms
    volume: Decimal
    limit: Decimal | None
    stop: Decimal | None
    display: Decimal | None
    opened: float
    touched: float
    status: str = "open"
    triggered: bool = False
    filled: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    fee: Decimal = Decimal(0)
    closed: float = 0.0
    cancel_at: float = 0.0
    """When a cancel ends it that was answered already; 0.0 without one."""
    reason: str | None = None
    refid: str | None = None
    trades: list[str] = field(default_factory=list)
    amends: list[Amend] = field(default_factory=list)

    @property
    def live(self) -> bool:
        """Whether it can still trade."""
        return self.status in _LIVE

    @property
    def waits(self) -> bool:
        """Whether it waits for its trigger."""
        return self.terms.ordertype in TRIGGERED and not self.triggered

    @property
    def rests(self) -> bool:
        """Whether it stands in the book at its limit."""
        return self.status == "open" and not self.waits and self.limit is not None

    @property
    def remaining(self) -> Decimal:
        """The volume left to trade, in the volume's currency."""
        return self.volume - (self.cost if self.terms.in_quote else self.filled)

    @property
    def post_only(self) -> bool:
        """Whether it must never trade at once."""
        return "post" in self.terms.oflags

    def called(self, name: str) -> bool:
        """Answer whether ``name`` is its txid or its userref. Kraken accepts either for the other."""
        return name == self.txid or (self.terms.userref is not None and name == str(self.terms.userref))

    def text(self) -> str:
        """Describe it as Kraken does."""
        return describe(self.terms, self.volume, self.limit, self.stop)


def version(order: SimulatedOrder, amend_id: str, kind: str) -> Amend:
    """Answer the order's present version for its list of amends."""
    return Amend(
        id=amend_id,
        type=kind,
        time=order.touched,
        quantity=order.volume,
        remaining=order.remaining,
        limit=order.limit,
        stop=order.stop,
        display=order.display,
        post_only=order.post_only,
    )


def description(order: SimulatedOrder) -> dict[str, str]:
    """Answer the ``descr`` of an order that was just accepted."""
    return short_description(order.terms, order.volume, order.limit, order.stop)


def order_json(order: SimulatedOrder, *, trades: list[str] | None = None) -> dict[str, object]:
    """Answer an order as OpenOrders, ClosedOrders and QueryOrders show it, with ``trades`` if given."""
    terms, pair = order.terms, order.terms.pair
    average = order.cost / order.filled if order.filled else Decimal(0)
    answer: dict[str, object] = {
        "refid": order.refid,
        "userref": terms.userref,
        "status": order.status,
        "opentm": order.opened,
        "starttm": terms.starttm,
        "expiretm": terms.expiretm,
        "descr": _full_description(order),
        "vol": pair.volume_text(order.volume),
        "vol_exec": pair.volume_text(order.filled),
        "cost": pair.cost_text(order.cost),
        "fee": pair.cost_text(order.fee),
        "price": pair.cost_text(average),
        "stopprice": pair.cost_text(order.stop or Decimal(0)),
        "limitprice": pair.cost_text((order.limit if order.triggered else None) or Decimal(0)),
        "misc": "",
        "oflags": ",".join(sorted(terms.oflags)),
    }
    if terms.cl_ord_id is not None:
        answer["cl_ord_id"] = terms.cl_ord_id
    if terms.ordertype in TRIGGERED:
        answer["trigger"] = terms.trigger
    if terms.leverage:
        answer |= {"margin": True, "reduce_only": terms.reduce_only}
    if trades is not None:
        answer["trades"] = trades
    if not order.live:
        answer |= {"closetm": order.closed, "reason": order.reason}
    return answer


def _full_description(order: SimulatedOrder) -> dict[str, str]:
    terms, pair = order.terms, order.terms.pair
    price = price2 = "0"
    if terms.ordertype in RESTING:
        price = pair.price_text(order.limit or Decimal(0))
    elif terms.ordertype in TRIGGERED:
        price = _shown(order, terms.price, order.stop)
        price2 = _shown(order, terms.price2, order.limit)
    return {
        "pair": pair.altname,
        "aclass": "forex",
        "type": terms.side,
        "ordertype": terms.ordertype,
        "price": price,
        "price2": price2,
        "leverage": f"{terms.leverage}:1" if terms.leverage else "none",
        "order": order.text(),
        "close": describe_close(terms.close) if terms.close is not None else "",
    }


def _shown(order: SimulatedOrder, written: WrittenPrice | None, resolved: Decimal | None) -> str:
    """Answer a trigger order's price: a trailing stop's distance, else the calculated price."""
    pair = order.terms.pair
    if written is None:
        return "0"
    if order.terms.ordertype in TRAILING or resolved is None:
        return written.text(pair)
    return pair.price_text(resolved)
