"""Turns a policy file into a `Policy`: resolves pairs and money, demands caps, and finds every problem at once."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TypeAlias

from signer.model import Pair, RuleHit, Vocabulary
from signer.policy.policy import CallKind, CallLimit, Cap, Most, Policy, format_amount, limits_for
from signer.policy.schema import PolicyFile

FindPair: TypeAlias = Callable[[str], Pair | None]
"""Returns the pair of any spelling, or None."""

CALL_KINDS: tuple[CallKind, ...] = ("new", "amend", "cancel", "read")
SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

WELL_FORMED = re.compile(r"[A-Za-z0-9.]{1,16}/[A-Za-z0-9.]{1,16}|[A-Za-z0-9]{3,24}(?:[.:][A-Za-z0-9]{1,12})?")
"""Matches what may become the name of a listed pair."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a policy file."""

    key: str
    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.key}: {self.what}; {self.hint}"


def resolve(
    name: str, words: Vocabulary, file: PolicyFile, find: FindPair, known: Collection[str] = ()
) -> tuple[Policy | None, list[Problem]]:
    """Return the policy that ``file`` states, or None and everything that is wrong with the file.

    A well-formed pair that is not found goes to `Policy.unlisted`: no order for it passes, but the policy is in force.
    ``known`` are the names of all pairs, to propose the nearest one for a misspelt name.
    """
    resolver = _Resolver(words, file, find, known)
    policy = resolver.policy(name)
    return (None, resolver.problems) if resolver.problems else (policy, [])


class _Resolver:
    """Resolves one file, and goes on after each problem."""

    def __init__(self, words: Vocabulary, file: PolicyFile, find: FindPair, known: Collection[str]) -> None:
        self.problems: list[Problem] = []
        self._words = words
        self._file = file
        self._unlisted: dict[str, str] = {}
        self._pairs = self._find_pairs(find, known)
        self._assets = [*((pair.base, pair.quote) for pair in self._pairs), *self._assumed(known)]
        self._sizes = self._mosts("max_order_size", file.max_order_size, {base for base, _ in self._assets})
        self._quotes = {quote for _, quote in self._assets}
        self._notionals = self._mosts("max_order_notional", file.max_order_notional, self._quotes)
        self._notional_caps, self._order_caps = self._caps()
        self._max_calls = self._call_limits()
        self._demand_venue()
        self._demand_trading_words()
        self._demand_rails()

    def policy(self, name: str) -> Policy:
        """Return the policy, which is usable only if there are no problems."""
        file, hits = self._file, {pair.id: _says("pairs", f"{pair.wsname} is listed") for pair in self._pairs}
        return Policy(
            name=name,
            words=self._words,
            description=file.description,
            hash=self._hash(),
            uncapped=file.uncapped or "",
            review_by=date.fromisoformat(file.review_by) if file.review_by else None,
            permissions=frozenset(file.permissions),
            granted={word: _says("permissions", f"{word} is granted") for word in file.permissions},
            sides={side: _says("sides", f"{side} is listed") for side in file.sides},
            order_types={kind: _says("order-types", f"{kind} is listed") for kind in file.order_types},
            time_in_force={word: _says("time-in-force", f"{word} is listed") for word in file.time_in_force},
            flags=frozenset(file.oflags),
            leverage=file.leverage,
            close_orders=file.close_orders,
            relative_prices=file.relative_prices,
            schedule_s=_seconds(file.schedule) if file.schedule else None,
            whole_account=file.order_scope == "account",
            sees_account=file.sees == "account",
            sizes=self._sizes,
            notionals=self._notionals,
            notional_caps=self._notional_caps,
            order_caps=self._order_caps,
            max_calls=self._max_calls,
            limits={
                pair.id: limits_for(pair, hits[pair.id], self._sizes, self._notionals, self._notional_caps)
                for pair in self._pairs
            },
            unlisted=self._unlisted,
        )

    def _hash(self) -> str:
        """Hash the meaning of the file: spelling, order and comments make no difference."""
        stated = self._file.model_dump(mode="json", exclude={"description", "review_by"})
        for key, value in stated.items():
            if isinstance(value, list) and key not in {"cap", "max_calls"}:
                stated[key] = sorted(set(value))
        stated["venue"] = self._words.venue
        stated["schedule"] = _seconds(self._file.schedule) if self._file.schedule else None
        stated["pairs"] = sorted({pair.id for pair in self._pairs} | {name.upper() for name in self._unlisted})
        stated["max_order_size"] = _plain(self._sizes.values())
        stated["max_order_notional"] = _plain(self._notionals.values())
        caps = [*self._order_caps, *(cap for caps in self._notional_caps.values() for cap in caps)]
        stated["cap"] = sorted([cap.unit, str(cap.window_s), format_amount(cap.limit)] for cap in caps)
        calls = [limit for limits in self._max_calls.values() for limit in limits]
        stated["max_calls"] = sorted([limit.kind, str(limit.window_s), str(limit.calls)] for limit in calls)
        return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()

    def _note(self, key: str, what: str, hint: str) -> None:
        self.problems.append(Problem(key, what, hint))

    def _demand_venue(self) -> None:
        if self._file.venue not in {"", self._words.venue}:
            what = f'"{self._file.venue[:40]}" is another venue than {self._words.venue}, by whose words it is read'
            self._note("venue", what, f"name a venue of the home's accounts, or write {self._words.venue}")

    def _find_pairs(self, find: FindPair, known: Collection[str]) -> list[Pair]:
        found: dict[str, Pair] = {}
        for index, text in enumerate(self._file.pairs):
            pair = find(text)
            if pair is not None:
                found[pair.id] = pair
            elif WELL_FORMED.fullmatch(text):
                self._unlisted[text] = near(text, known) or "take it off the list, or look up its name at the exchange"
            else:
                hint = near(text, known) or "name a pair such as XBT/USD"
                self._note(f"pairs[{index}]", f'no pair is called "{text[:40]}"', hint)
        return list(found.values())

    def _assumed(self, known: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield base and quote of the pairs that are not listed, as far as their names tell, for amounts in them."""
        quotes = {self._common(name.partition("/")[2]) for name in known}
        for name in self._unlisted:
            base, _, quote = name.upper().partition("/")
            if not quote:
                quote = max((each for each in quotes if each and base.endswith(each)), key=len, default="")
                base = base.removesuffix(quote)
            if base and quote:
                yield self._common(base), self._common(quote)

    def _common(self, asset: str) -> str:
        return self._words.assets.get(asset, asset)

    def _mosts(self, key: str, texts: Sequence[str], assets: Collection[str]) -> dict[str, Most]:
        rule = key.removeprefix("max_").replace("_", "-")
        mosts: dict[str, Most] = {}
        for index, text in enumerate(texts):
            limit, unit = self._money(f"{key}[{index}]", text, assets)
            if unit in mosts:
                self._note(f"{key}[{index}]", f"{unit} is stated twice", "keep the one that is meant")
            mosts[unit] = Most(limit, unit, _says(rule, f"at most {format_amount(limit)} {unit}"))
        return mosts

    def _money(self, key: str, text: str, assets: Collection[str]) -> tuple[Decimal, str]:
        number, _, spelling = text.partition(" ")
        limit, unit = Decimal(number), _asset(spelling, assets, self._words.assets)
        if unit is None and len(self._assets) == len(self._pairs) + len(self._unlisted):
            listed = ", ".join(sorted(assets)) or "none"
            hint = f"use one of theirs ({listed}), or list a pair of {spelling}"
            self._note(key, f"no listed pair trades in {spelling}", hint)
        if not limit:
            self._note(key, "the amount is 0", "state more than 0, or take the pair off the list to forbid it")
        return limit, unit or spelling

    def _caps(self) -> tuple[dict[str, tuple[Cap, ...]], tuple[Cap, ...]]:
        caps: dict[tuple[str, int], Cap] = {}
        for index, table in enumerate(self._file.cap):
            key, window_s = f"cap[{index}]", _seconds(table.window)
            stated: list[tuple[str, str, Decimal]] = []
            if table.max_notional is not None:
                limit, unit = self._money(f"{key}.max_notional", table.max_notional, self._quotes)
                stated.append((f"notional {format_amount(limit)} {unit}", unit, limit))
            if table.max_orders is not None:
                stated.append((f"orders {table.max_orders}", "orders", Decimal(table.max_orders)))
            if not stated:
                self._note(key, "the cap counts nothing", 'add max_notional = "10000 USD" or max_orders = 60')
            for text, unit, limit in stated:
                if (unit, window_s) in caps:
                    self._note(key, f"{unit} within {table.window} has a cap already", "keep the one that is meant")
                caps[unit, window_s] = Cap(f"{text} / {table.window}", unit, window_s, limit)
        quotes = {unit for unit, _ in caps if unit != "orders"}
        by_quote = {quote: tuple(cap for cap in caps.values() if cap.unit == quote) for quote in quotes}
        return by_quote, tuple(cap for cap in caps.values() if cap.unit == "orders")

    def _call_limits(self) -> Mapping[CallKind, tuple[CallLimit, ...]]:
        limits: dict[tuple[CallKind, int], CallLimit] = {}
        for index, table in enumerate(self._file.max_calls):
            key, window_s = f"max_calls[{index}]", _seconds(table.window)
            stated = {kind: limit for kind in CALL_KINDS if (limit := getattr(table, kind)) is not None}
            if not stated:
                self._note(key, "nothing is counted", f"add one of {', '.join(CALL_KINDS)}, as new = 20")
            for kind, limit in stated.items():
                if (kind, window_s) in limits:
                    self._note(key, f"{kind} within {table.window} has a limit already", "keep the one that is meant")
                limits[kind, window_s] = CallLimit(f"at most {limit} {kind} in {table.window}", kind, limit, window_s)
        return {kind: tuple(each for each in limits.values() if each.kind == kind) for kind in CALL_KINDS}

    def _demand_trading_words(self) -> None:
        """Demand that a policy that may place orders says which."""
        if self._words.placing not in self._file.permissions:
            return
        examples = {"pairs": '["XBT/USD"]', "sides": '["buy", "sell"]', "order_types": '["limit"]'}
        for key, example in examples.items():
            if not getattr(self._file, key):
                self._note(
                    key, f"{self._words.placing} is granted but no order could be allowed", f"add {key} = {example}"
                )

    def _demand_rails(self) -> None:
        """Demand a limit or a reason for each pair. The permission to cancel counts too: it suffices to amend."""
        trading = {self._words.placing, self._words.cancelling}
        if self._file.uncapped or not trading.intersection(self._file.permissions):
            return
        for pair in self._pairs:
            if pair.base not in self._sizes:
                self._demand("max_order_size", pair, f'max_order_size = ["… {pair.base}"]')
            if pair.quote not in self._notionals:
                self._demand("max_order_notional", pair, f'max_order_notional = ["… {pair.quote}"]')
            if pair.quote not in self._notional_caps:
                self._demand("cap", pair, f'[[cap]] with max_notional = "… {pair.quote}" and window = "24h"')

    def _demand(self, key: str, pair: Pair, example: str) -> None:
        hint = f'add {example}, or say why not in uncapped = "reason"'
        self._note(key, f"{pair.wsname} may be traded but nothing here bounds it", hint)


def _plain(mosts: Iterable[Most]) -> list[list[str]]:
    return sorted([limit.unit, format_amount(limit.limit)] for limit in mosts)


def _seconds(window: str) -> int:
    return int(window[:-1]) * SECONDS[window[-1]]


def _asset(spelling: str, assets: Collection[str], spellings: Mapping[str, str]) -> str | None:
    """Return the one of ``assets`` that ``spelling`` means, or None."""
    by_upper: Mapping[str, str] = {asset.upper(): asset for asset in assets}
    upper = spelling.upper()
    return by_upper.get(upper) or by_upper.get(spellings.get(upper, ""))


def near(text: str, known: Collection[str]) -> str:
    """Return a hint that names the most similar ones of ``known``; empty if none is."""
    by_upper = {name.upper(): name for name in known}
    near = difflib.get_close_matches(text.upper(), by_upper, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(by_upper[name] for name in near)}?" if near else ""


def _says(rule: str, reason: str) -> RuleHit:
    return RuleHit(rule, True, reason)
