"""A second fold over the records of the log. It shares nothing with signer.book: lists and fractions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, TypeAlias

Cap: TypeAlias = tuple[str, str, int]
"""Scope, unit and window in seconds."""
Fields: TypeAlias = Mapping[str, Any]
WHOM = ("client", "account", "group", "pair")


@dataclass
class Held:
    """One charge, for ever."""

    cap: Cap
    amount: Fraction
    at: int
    call: str
    leg: int
    is_open: bool = True


@dataclass
class PlainFold:
    """Charges, calls, orders, halts and revocations after some records. Too slow to use, too simple to be wrong."""

    now: int = 0
    charges: list[Held] = field(default_factory=list)
    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    orders: dict[tuple[str, str], tuple[str, int, Any]] = field(default_factory=dict)
    """Who placed each order that may be open, when, and what it is; by account and venue id."""
    halts: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)
    """What each halt says, by what it is of."""
    revoked: dict[str, int] = field(default_factory=dict)
    lacks: set[tuple[int, int]] = field(default_factory=set)
    """The first and the last record of each part of the log that is missing, until a person accepts that."""

    def take(self, record: Fields) -> None:
        """Take in one record."""
        kind = record["kind"]
        if kind == "intent" and "reservation" in record:
            self._begin(record)
        elif kind in {"outcome", "reconciled"} and record["id"] in self.calls:
            self._end(record)
        elif kind == "closed":
            for venue_id in record["venue_ids"]:
                self.orders.pop((record["account"], venue_id), None)
            for one in record["reappeared"]:
                self.orders[record["account"], one["venue_id"]] = one["client"], one["placed"], one["order"]
        elif kind == "operator":
            self._operate(record)
        elif kind == "recovered" and "missing" in record:
            self.lacks.add((record["missing"][0], record["missing"][1]))
        elif kind == "opened":
            for call in self.calls.values():
                call["unknown"] = True
        if "at" in record:
            self.now = max(self.now, record["at"])

    def _begin(self, record: Fields) -> None:
        # The place of each order is kept: those that are found leave gaps.
        self.calls[record["id"]] = {"unknown": False, **record, "left": list(enumerate(record["orders"]))}
        for one in record["charges"]:
            self.charges.append(Held(cap_of(one), Fraction(one["amount"]), record["at"], record["id"], one["leg"]))

    def _end(self, record: Fields) -> None:
        name, outcome = record["id"], record["outcome"]
        call = self.calls[name]
        if outcome == "unknown":
            call["unknown"] = True
            return
        ids = dict(zip((leg for leg, _ in call["left"]), record["venue_ids"], strict=False))
        part, at = record.get("part", False), max(record["at"], call["at"])
        for held in [held for held in self.charges if held.call == name and held.is_open]:
            found = ids.get(held.leg) is not None
            if outcome != "accepted" or (held.leg in ids and not found and not part):
                self.charges.remove(held)
            elif found or not part:
                held.at, held.is_open = at, False
        for leg, order in call["left"]:
            if outcome == "accepted" and ids.get(leg) is not None:
                client, placed, _ = self.orders.get((call["account"], ids[leg]), (call["client"], at, None))
                self.orders[call["account"], ids[leg]] = client, placed, order
        call["left"] = [(leg, order) for leg, order in call["left"] if ids.get(leg) is None]
        if not part:
            del self.calls[name]

    def _operate(self, record: Fields) -> None:
        whom = tuple(record.get(name, "") for name in WHOM)
        at = record.get("acted", record["time"])
        match record["act"], record["stage"]:
            case "halt", "begun":
                said = {"reason": record.get("reason", ""), "by": record["by"], "at": at}
                said["state"] = record.get("state", "halted")
                before, clients = self.halts.get(whom), record.get("clients", [])
                if before is not None and (before["state"], said["state"]) == ("halted", "cancel_only"):
                    said = dict(before)
                if before is not None:
                    clients = sorted({*before["clients"], *clients}) if before["clients"] and clients else []
                self.halts[whom] = {**said, "clients": clients}
            case "halt", "joined" if whom in self.halts:
                clients = self.halts[whom]["clients"]
                self.halts[whom]["clients"] = sorted({*clients, *record["clients"]}) if clients else []
            case "resume", "done":
                self.halts = {one: halt for one, halt in self.halts.items() if one != whom}
            case "book accept", "done":
                self.lacks = set()
            case "clock accept", "done":
                self.now = max(self.now, at)
            case "caps reset", "done":
                scope, unit = f"client/{whom[0]}", record.get("unit", "")
                self.charges = [
                    held
                    for held in self.charges
                    if held.is_open or held.cap[0] != scope or unit not in {"", held.cap[1]}
                ]
            case "clients revoke", "begun":
                self.revoked[whom[0]] = max(at, self.revoked.get(whom[0], 0))

    def used(self, cap: Cap, now: int) -> Fraction:
        """What is used of a cap: each charge that is open, or whose slot (a 120th) is at most 120 before now's."""
        slot_us, now = Fraction(cap[2] * 1_000_000, 120), max(now, self.now)
        counted = (
            held
            for held in self.charges
            if held.cap == cap and (held.is_open or now // slot_us - held.at // slot_us <= 120)
        )
        return sum((held.amount for held in counted), Fraction(0))

    def allows(self, record: Fields) -> bool:
        """Whether the call of an intent's record may begin now."""
        client, account = record["client"], record["account"]
        pairs = {order["pair"] for order in record["orders"]}
        is_halted = any(
            whom[0] in {"", client}
            and whom[1] in {"", account}
            and (not whom[2] or not said["clients"] or client in said["clients"])
            and whom[3] in {"", *pairs}
            for whom, said in self.halts.items()
        )
        others = [call for call in self.calls.values() if call["account"] == account]
        is_stopped = is_halted or self.lacks or any(_is_in_the_way(call, record) for call in others)
        return not is_stopped and self._fits(record)

    def _fits(self, record: Fields) -> bool:
        for cap in {cap_of(one) for one in record["charges"]}:
            ours = [one for one in record["charges"] if cap_of(one) == cap]
            needed = sum(Fraction(one["amount"]) for one in ours)
            limit = min(Fraction(one["limit"]) for one in ours)
            if needed and self.used(cap, record["at"]) + needed > limit:
                return False
        return True


def cap_of(charge: Fields) -> Cap:
    """The total that a charge belongs to."""
    return charge["scope"], charge["unit"], charge["window_s"]


def _is_in_the_way(call: Fields, record: Fields) -> bool:
    """Whether an open call changes the same order, or is the same client's for an order of the same name."""
    if record["targets"] or call["targets"]:
        return any(target in call["targets"] for target in record["targets"])
    mine, theirs = (_names([order for _, order in call["left"]]), _names(record["orders"]))
    return record["client"] == call["client"] and not mine.isdisjoint(theirs)


def _names(orders: Sequence[Fields]) -> set[str]:
    return {order["client_id"] for order in orders if "client_id" in order}
