"""A second fold over the records of the log. It shares nothing with signer.book: lists and fractions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any


@dataclass
class Held:
    """One charge, for ever."""

    cap: tuple[str, str, int]
    amount: Fraction
    at: int
    call: str
    leg: int
    is_open: bool = True


@dataclass
class PlainFold:
    """Charges, open calls, orders and halts after some records. Too slow to use, too simple to be wrong."""

    charges: list[Held] = field(default_factory=list)
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: dict[tuple[str, str], Any] = field(default_factory=dict)
    halts: set[tuple[str, str]] = field(default_factory=set)

    def take(self, record: Mapping[str, Any]) -> None:
        """Take in one record."""
        kind = record["kind"]
        if kind == "intent" and "reservation" in record:
            self.begin(record)
        elif kind in {"outcome", "reconciled"} and record["id"] in self.calls:
            self.end(record)
        elif kind == "closed":
            for venue_id in record["venue_ids"]:
                self.orders.pop((record["account"], venue_id), None)
            for one in record["reappeared"]:
                self.orders[record["account"], one["venue_id"]] = one["order"]
        elif kind == "operator":
            whom = record.get("client", ""), record.get("account", "")
            if record["act"] == "halt" and record["stage"] == "begun":
                self.halts.add(whom)
            elif record["act"] == "resume" and record["stage"] == "done":
                self.halts = self.halts - {whom} if any(whom) else set()

    def begin(self, record: Mapping[str, Any]) -> None:
        """Hold the charges of a call."""
        # The place of each order is kept: those that are found leave gaps.
        self.calls[record["id"]] = {**record, "left": list(enumerate(record["orders"]))}
        for one in record["charges"]:
            cap = one["scope"], one["unit"], one["window_s"]
            self.charges.append(Held(cap, Fraction(one["amount"]), record["at"], record["id"], one["leg"]))

    def end(self, record: Mapping[str, Any]) -> None:
        """End a call, or a part of it."""
        name, outcome = record["id"], record["outcome"]
        call = self.calls[name]
        if outcome == "unknown":
            return
        ids = dict(zip((leg for leg, _ in call["left"]), record["venue_ids"], strict=False))
        part = record.get("part", False)
        for held in [held for held in self.charges if held.call == name and held.is_open]:
            found = ids.get(held.leg) is not None
            if outcome != "accepted" or (held.leg in ids and not found and not part):
                self.charges.remove(held)
            elif found or not part:
                held.at, held.is_open = max(held.at, record["at"]), False
        for leg, order in call["left"]:
            if outcome == "accepted" and ids.get(leg) is not None:
                self.orders[call["account"], ids[leg]] = order
        call["left"] = [(leg, order) for leg, order in call["left"] if ids.get(leg) is None]
        if not part:
            del self.calls[name]

    def used(self, cap: tuple[str, str, int], now: int) -> Fraction:
        """What is used of a cap: each charge that is open, or whose slot (a 120th) is at most 120 before now's."""
        slot_us = Fraction(cap[2] * 1_000_000, 120)
        counted = (
            held
            for held in self.charges
            if held.cap == cap and (held.is_open or now // slot_us - held.at // slot_us <= 120)
        )
        return sum((held.amount for held in counted), Fraction(0))
