"""Finds words of a policy that no call can use, such as market orders under a notional cap.

For orders it asks the rules about the smallest order of each kind, so that a new rule needs no change here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import cast

from signer.model import Action, Call, Facts, Moment, Order, Pair, Price, Side
from signer.policy.policy import Policy
from signer.policy.rules import decide
from signer.policy.schema import FLAGS

_LEAST = Decimal("0.00000001")
_TRAILING = frozenset({"trailing-stop", "trailing-stop-limit"})


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A word of a policy that no call can use, on some or all of its pairs."""

    key: str
    word: str
    pairs: tuple[str, ...]
    """The pairs on which no order can use it; empty if on all."""
    reason: str

    def __str__(self) -> str:
        where = f" on {', '.join(self.pairs)}" if self.pairs else ""
        return f"{self.key}: {self.word} can never pass{where}: {self.reason}"


def unreachable(policy: Policy, pairs: Mapping[str, Pair]) -> Iterator[Unreachable]:
    """Yield the permissions, order types, times in force and flags that no call can use."""
    yield from _unseen(policy)
    placing = policy.words.placing
    if placing not in policy.permissions:
        if policy.order_types:
            yield Unreachable("order_types", ", ".join(policy.order_types), (), f"{placing} is not granted")
        return
    passing: list[str] = []
    for kind in policy.order_types:
        found = _tried(policy, pairs, "order_types", kind, (_least(policy, kind),))
        if found is None or found.pairs:
            passing.append(kind)
        if found is not None:
            yield found
    for word in policy.time_in_force if passing else ():
        end = Moment(1, from_now=True) if word == policy.words.ending else None
        orders = tuple(replace(_least(policy, kind), time_in_force=word, ends=end) for kind in passing)
        if (found := _tried(policy, pairs, "time_in_force", word, orders)) is not None:
            yield found
    for flag in sorted(policy.flags) if passing else ():
        orders = tuple(_flagged(policy, _least(policy, kind), flag) for kind in passing)
        if (found := _tried(policy, pairs, FLAGS, flag, orders)) is not None:
            yield found


def _unseen(policy: Policy) -> Iterator[Unreachable]:
    """Yield the permissions whose every call shows what the policy's clients may not see."""
    if not policy.sees_account:
        for word in sorted(policy.permissions & policy.words.sees_account):
            yield Unreachable("permissions", word, (), 'its calls show the whole account; add sees = "account"')


def _least(policy: Policy, kind: str) -> Order:
    """Make the smallest order of a kind, with the prices that it must have."""
    price = Price(_LEAST, "+" if kind in _TRAILING else "")
    has_price, has_price2 = kind not in {"market", "settle-position"}, kind.endswith("-limit")
    leverage = Decimal(policy.leverage) if kind == "settle-position" and policy.leverage else None
    return Order(
        pair="",
        side="buy",
        order_type=kind,
        volume=_LEAST,
        price=price if has_price else None,
        price2=price if has_price2 else None,
        leverage=leverage,
        time_in_force=next(iter(policy.time_in_force), "GTC"),
    )


def _flagged(policy: Policy, order: Order, flag: str) -> Order:
    if flag == policy.words.quote_sized:
        return replace(order, quote_sized=True)
    return replace(order, post_only=True) if flag == policy.words.post_only else replace(order, flags=frozenset({flag}))


def _tried(
    policy: Policy, pairs: Mapping[str, Pair], key: str, word: str, orders: tuple[Order, ...]
) -> Unreachable | None:
    """Find the listed pairs on which all of ``orders`` are denied, whatever the side; None if there are none."""
    facts, reasons = Facts(pairs, {}), dict[str, str]()
    for pair in policy.limits:
        sided = [replace(order, pair=pair, side=cast("Side", side)) for order in orders for side in policy.sides]
        denials = [_denial(policy, facts, order) for order in sided]
        if denials and all(denials):
            reasons[pair] = denials[0]
    if not reasons:
        return None
    everywhere = len(reasons) == len(policy.limits)
    named = () if everywhere else tuple(pairs[pair].wsname if pair in pairs else pair for pair in reasons)
    return Unreachable(key, word, named, next(iter(reasons.values())))


def _denial(policy: Policy, facts: Facts, order: Order) -> str:
    """Return why the order is denied; empty if it is not."""
    call = Call(policy.words.place_call, Action.ORDER, {}, (frozenset({policy.words.placing}),), orders=(order,))
    decision = decide(policy, "anybody", call, facts)
    return decision.denials[0].reason if not decision.allowed and decision.denials else ""
