"""Holds a policy ready to decide with: every word is resolved and every cap looked up when it is loaded.

The words of a rule that allows are made at load too, so that allowing a call takes a few look-ups.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal, TypeAlias

from signer.model import Pair, RuleHit, Vocabulary


@dataclass(frozen=True, slots=True)
class Cap:
    """A rolling cap."""

    name: str
    """The name in charges: ``notional 10000 USD / 24h``, ``orders 60 / 1m``."""
    unit: str
    window_s: int
    limit: Decimal


CallKind: TypeAlias = Literal["new", "amend", "cancel", "read"]


@dataclass(frozen=True, slots=True)
class CallLimit:
    """The number of calls of a kind that a client may make within a rolling window."""

    name: str
    """The name in answers and logs: ``at most 20 new in 10s``."""
    kind: CallKind
    calls: int
    window_s: int


@dataclass(frozen=True, slots=True)
class Most:
    """The most that one order may have of ``unit``, and what the rule says about an order within it."""

    limit: Decimal
    unit: str
    within: RuleHit


@dataclass(frozen=True, slots=True)
class Limits:
    """Everything that limits orders of one pair."""

    listed: RuleHit | None
    """What the `pairs` rule says, None if the policy does not list the pair."""
    size: Most | None
    notional: Most | None
    caps: tuple[Cap, ...]
    """Rolling notional caps in its quote currency."""


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy. Its mappings have each allowed word, with what the rule says about it."""

    name: str
    words: Vocabulary = field(repr=False)
    """The words of the venue whose calls it decides."""
    description: str
    hash: str
    """SHA-256 (hex) of everything that a decision depends on. Spelling and order in the file do not change it."""
    uncapped: str
    """The reason for trading without all caps; empty if it has them."""
    review_by: date | None
    """The day by which somebody should review it. No decision depends on it."""
    permissions: frozenset[str]
    granted: Mapping[str, RuleHit]
    """Keyed by permission."""
    sides: Mapping[str, RuleHit]
    order_types: Mapping[str, RuleHit]
    time_in_force: Mapping[str, RuleHit]
    flags: frozenset[str]
    leverage: int | None
    close_orders: bool
    relative_prices: bool
    schedule_s: int | None
    """How far ahead the start or the end of an order may lie, None if it may have neither."""
    whole_account: bool
    """Whether it may change orders of others on its account (``order_scope = "account"``)."""
    sees_account: bool
    """Whether it may make calls that show the whole account (``sees = "account"``)."""
    sizes: Mapping[str, Most]
    """Keyed by base asset."""
    notionals: Mapping[str, Most]
    """Keyed by quote currency."""
    notional_caps: Mapping[str, tuple[Cap, ...]]
    """Keyed by quote currency."""
    order_caps: tuple[Cap, ...]
    max_calls: Mapping[CallKind, tuple[CallLimit, ...]]
    limits: Mapping[str, Limits] = field(repr=False)
    """Keyed by canonical id, for each pair that the policy lists."""
    unlisted: Mapping[str, str] = field(default_factory=dict)
    """Pairs that the policy names but the venue does not list, each with the hint."""
    only_cancels: bool = False
    """Whether it replaces a file that does not load: then only cancels of own orders pass."""


def limits_for(
    pair: Pair,
    listed: RuleHit | None,
    sizes: Mapping[str, Most],
    notionals: Mapping[str, Most],
    caps: Mapping[str, tuple[Cap, ...]],
) -> Limits:
    """Return the limits of orders of ``pair``."""
    return Limits(listed, sizes.get(pair.base), notionals.get(pair.quote), caps.get(pair.quote, ()))


def format_amount(amount: Decimal) -> str:
    """Write ``amount`` as people do: without exponent and without trailing zeros."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
