"""Describes orders in Kraken's words, as in ``descr``."""

from __future__ import annotations

from decimal import Decimal

from signer.sandbox.prices import WrittenPrice
from signer.sandbox.terms import RESTING, TRAILING, TRIGGERED, Terms


def describe(terms: Terms, volume: Decimal, limit: Decimal | None, stop: Decimal | None) -> str:
    """Write an order as Kraken does: ``buy 1.25000000 XBTUSD @ limit 37500.0 with 2:1 leverage``."""
    margin = f" with {terms.leverage}:1 leverage" if terms.leverage else ""
    return f"{terms.side} {volume:.8f} {terms.pair.altname} @ {_words(terms, limit, stop)}{margin}"


def describe_close(terms: Terms) -> str:
    """Write a close order as Kraken does: ``close position @ stop loss 38000.0 -> limit 36000.0``."""
    limit = stop = None
    if terms.price is not None and not terms.price.relative:
        limit = stop = terms.price.amount
    if terms.price2 is not None and not terms.price2.relative:
        limit = terms.price2.amount
    return f"close position @ {_words(terms, limit, stop)}"


def short_description(terms: Terms, volume: Decimal, limit: Decimal | None, stop: Decimal | None) -> dict[str, str]:
    """Answer the ``descr`` of AddOrder: the text of the order, and of its close order if there is one."""
    answer = {"order": describe(terms, volume, limit, stop)}
    if terms.close is not None:
        answer["close"] = describe_close(terms.close)
    return answer


def _words(terms: Terms, limit: Decimal | None, stop: Decimal | None) -> str:
    kind = terms.ordertype.removesuffix("-limit").replace("-", " ")
    if terms.ordertype in RESTING:
        return f"{terms.ordertype} {_price_text(terms, terms.price, limit)}"
    if terms.ordertype not in TRIGGERED:
        return kind
    # A trailing stop is described by its distance, every other order by its calculated price.
    first = _price_text(terms, terms.price, None if terms.ordertype in TRAILING else stop)
    if terms.price2 is None:
        return f"{kind} {first}"
    second = _price_text(terms, terms.price2, None if terms.ordertype in TRAILING else limit)
    return f"{kind} {first} -> limit {second}"


def _price_text(terms: Terms, written: WrittenPrice | None, resolved: Decimal | None) -> str:
    if resolved is not None:
        return terms.pair.price_text(resolved)
    return written.text(terms.pair) if written is not None else "0"
