"""Random histories of the log: what may happen to calls, orders and brakes, and the records that say so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from decimal import Decimal
from typing import Any, TypeAlias

from hypothesis import strategies as st

from signer.book.book import Book
from signer.book.rows import BookChanges, RowKey, charge_item, item_of, read_item
from signer.errors import Halted, NotReserved, NotServed
from signer.model import ChainHead, Charge, Intent, Order, OrderRef, Price
from signer.model.wire import as_json
from tests.property.plain_fold import PlainFold

Record: TypeAlias = dict[str, Any]
Charges: TypeAlias = Sequence[tuple[str, Decimal, int]]
"""Of each charge the cap, the amount and the place of its order."""

START_US = 1_700_000_000_000_000
CAPS: Mapping[str, tuple[int, Decimal]] = {"second": (1, Decimal(3)), "hour": (3600, Decimal("25.5"))}
"""Window and limit by cap."""
CLIENTS = ("ada", "bob")
LEGS = 3

_AMOUNTS = st.decimals(min_value="0", max_value=6, places=2)
_CHARGES = st.lists(st.tuples(st.sampled_from(sorted(CAPS)), _AMOUNTS, st.integers(0, LEGS - 1)), max_size=4)
_LEG_SETS = st.frozensets(st.integers(0, LEGS - 1))
_CALLS = st.tuples(st.sampled_from(CLIENTS), _CHARGES, st.sampled_from(["", "x", "y"]))
PAIRS = ("XXBTZUSD", "XETHZEUR")
_WHOM = st.sampled_from(
    [{}, {"client": "ada"}, {"client": "bob"}, {"account": "main"}, {"group": "all"}]
    + [{"pair": pair} for pair in PAIRS]
)
_CLIENTS = st.lists(st.sampled_from(CLIENTS), unique=True).map(sorted)
_HALTS = st.tuples(_WHOM, st.sampled_from(["halted", "cancel_only"]), _CLIENTS)
STEPS = st.one_of(
    st.tuples(st.just("place"), _CALLS),
    st.tuples(st.just("change"), _CALLS),
    st.tuples(st.just("answer"), st.tuples(st.integers(0, 9), _LEG_SETS)),
    st.tuples(st.just("reject"), st.integers(0, 9)),
    st.tuples(st.just("lose"), st.integers(0, 9)),
    st.tuples(st.just("find"), st.tuples(st.integers(0, 9), _LEG_SETS)),
    st.tuples(st.just("trade"), _CALLS),
    st.tuples(st.just("close"), st.integers(0, 2)),
    st.tuples(st.just("reappear"), st.integers(0, 9)),
    st.tuples(st.just("halt"), _HALTS),
    st.tuples(st.just("join"), _CLIENTS),
    st.tuples(st.just("resume"), _WHOM),
    st.tuples(st.just("revoke"), st.sampled_from(CLIENTS)),
    st.tuples(st.just("reset"), st.tuples(st.sampled_from(CLIENTS), st.sampled_from(["", "USD", "EUR"]))),
    st.tuples(st.just("accept_clock"), st.none()),
    st.tuples(st.just("lack"), st.sampled_from([(1, 1), (3, 4), (3, 9)])),
    st.tuples(st.just("accept_gaps"), st.none()),
    st.tuples(st.just("wait"), st.integers(-5_000_000, 70_000_000) | st.integers(0, 4_000_000_000)),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("fail"), st.tuples(_CALLS, st.integers(0, 9), _CALLS)),
    st.tuples(st.just("capture"), st.booleans()),
    st.tuples(st.just("store"), st.booleans()),
    st.tuples(st.just("checkpoint"), st.booleans()),
)


class StoredBook:
    """A checkpoint: the rows as JSON, and the last record that they stand for."""

    def __init__(self) -> None:
        self.head = 0
        self._now_us = self._last = 0
        self._rows: dict[RowKey, str] = {}

    def take(self, changes: BookChanges) -> None:
        """Store what changed."""
        if changes.whole:
            closed = {key: text for key, text in self._rows.items() if key[0] == "order" and '"closed": true' in text}
            self._rows = closed
        for row in changes.rows:
            self._rows.pop((row.kind, row.key), None)
            if row.value is not None:
                self._rows[row.kind, row.key] = json.dumps(item_of(row))
        self.head, self._now_us, self._last = changes.head.seq, changes.now_us, changes.last

    def load(self) -> Book:
        """Return the book of these rows, without the closed orders."""
        book = Book()
        book.now_us, book.last = self._now_us, self._last
        for (kind, _), text in self._rows.items():
            row = read_item(kind, json.loads(text))
            if kind != "order" or not row.value.closed:
                book.put(row)
        return book


class History:
    """A book at work, its log, a checkpoint, and the clock. Each record goes to a second fold as well."""

    def __init__(self) -> None:
        self.clock_us = START_US
        self.book = Book()
        self.plain = PlainFold()
        self.log: list[Record] = []
        self.digests: dict[int, str] = {}
        """The digest of the book at each record of the log with which a flush ended."""
        self.stored = StoredBook()
        self.resumed = Book()
        """The book of the checkpoint and the records after it."""
        self._captured: BookChanges | None = None
        self._calls = 0

    def play(self, name: str, value: Any) -> None:
        """Let one step happen."""
        getattr(self, f"_{name}")(value)

    def _take(self, record: Record) -> None:
        """Take a record as the journal does."""
        self._apply(record)
        self._append(record)

    def _apply(self, record: Record) -> None:
        self.book.apply(record)
        self.plain.take(record)

    def _append(self, *records: Record) -> None:
        """Have records in the log, by one flush."""
        for record in records:
            read_back = json.loads(json.dumps({"seq": len(self.log) + 1, **record}))
            self.log.append(read_back)
            self.resumed.apply(read_back)
        self.digests[len(self.log)] = self.book.digest()

    def _now_us(self) -> int:
        return max(self.book.now_us, self.clock_us)

    def _place(self, call: tuple[str, Charges, str]) -> None:
        if (record := self._begun(*call)) is not None:
            self._append(record)

    def _change(self, call: tuple[str, Charges, str]) -> None:
        """Change the newest order of all clients, open or not."""
        ids = [one for record in self.log for one in record.get("venue_ids", ()) if one]
        if ids and (record := self._begun(*call, target=ids[-1])) is not None:
            self._append(record)

    def _begun(self, client: str, charges: Charges, name: str, target: str = "") -> Record | None:
        """Apply the begin of a call of three orders, or of the change of one, if it may begin."""
        self._calls += 1
        legs = 1 if target else LEGS
        intent = Intent(
            client,
            "main",
            "AmendOrder" if target else "AddOrder",
            tuple(self._order(leg, name) for leg in range(legs)),
            (OrderRef("venue-id", target),) if target else (),
            tuple(charge_of(cap, client, amount, min(leg, legs - 1)) for cap, amount, leg in charges),
            f"call{self._calls}",
            self.clock_us,
            held_us=self._now_us(),
        )
        record = intent_record(intent, self.book.last + 1)
        assert self._is_fit(intent) == self.plain.allows(record)
        if not self._is_fit(intent):
            return None
        self._apply(record)
        return record

    def _is_fit(self, intent: Intent) -> bool:
        try:
            self.book.fit(intent, intent.held_us)
        except (Halted, NotReserved, NotServed):
            return False
        return True

    def _order(self, leg: int, name: str) -> Order:
        price = Price(Decimal(self._calls))
        return Order(
            PAIRS[self._calls // 3 % 2], "buy", "limit", Decimal(1), price, client_tag=str(leg), client_id=name or None
        )

    def _trade(self, call: tuple[str, Charges, str]) -> None:
        """Place orders, or change the newest one, and have them all accepted."""
        (self._change if self._calls % 2 else self._place)(call)
        self._accept("outcome", -1, frozenset(range(LEGS)))

    def _answer(self, value: tuple[int, frozenset[int]]) -> None:
        """Some of the orders are accepted, the others are not."""
        self._accept("outcome", *value)

    def _find(self, value: tuple[int, frozenset[int]]) -> None:
        """A look-up finds some of the orders, or all of them."""
        self._accept("reconciled", *value)

    def _accept(self, kind: str, number: int, legs: frozenset[int]) -> None:
        call = self._chosen(number)
        if call is not None:
            targets = [ref["value"] for ref in call["targets"]]
            new = [f"O{call['id']}-{place}" if place in legs else None for place, _ in call["left"]]
            ids = targets or new
            part = kind == "reconciled" and None in ids
            self._take(self._end(kind, call["id"], "accepted", ids, part=part))

    def _reject(self, number: int) -> None:
        if (call := self._chosen(number)) is not None:
            self._take(self._end("outcome", call["id"], "rejected"))

    def _lose(self, number: int) -> None:
        if (call := self._chosen(number)) is not None:
            self._take(self._end("outcome", call["id"], "unknown"))

    def _end(self, kind: str, name: str, outcome: str, ids: Sequence[str | None] = (), *, part: bool = False) -> Record:
        return end_record(kind, name, outcome, ids, self._now_us(), part=part)

    def _chosen(self, number: int) -> Mapping[str, Any] | None:
        calls = list(self.plain.calls.values())
        return calls[number % len(calls)] if calls else None

    def _close(self, number: int) -> None:
        """The venue lists every second order, or so, as open no more."""
        gone = [venue_id for _, venue_id in self.plain.orders][number::2]
        self._take({"kind": "closed", "time": self.clock_us, "account": "main", "venue_ids": gone, "reappeared": []})

    def _reappear(self, number: int) -> None:
        """The venue lists an order again that had closed, or that was never thought to have."""
        known = [(one, record) for record in self.log for one in record.get("venue_ids", ()) if one]
        if known:
            venue_id, record = known[number % len(known)]
            order = as_json(self._order(0, ""))
            again = {"venue_id": venue_id, "client": "ada", "placed": record["time"], "order": order}
            closed = {"kind": "closed", "time": self.clock_us, "account": "main", "venue_ids": []}
            self._take({**closed, "reappeared": [again]})

    def _halt(self, value: tuple[Mapping[str, str], str, Sequence[str]]) -> None:
        whom, state, clients = value
        of_group = {"clients": clients} if "group" in whom and clients else {}
        self._take(self._operate("halt", "begun", whom) | {"state": state} | of_group)

    def _join(self, clients: Sequence[str]) -> None:
        """Clients join a group, halted or not."""
        self._take(self._operate("halt", "joined", {"group": "all"}) | {"clients": clients})

    def _resume(self, whom: Mapping[str, str]) -> None:
        self._take(self._operate("resume", "begun", whom))
        self._take(self._operate("resume", "done", whom))

    def _revoke(self, client: str) -> None:
        self._take(self._operate("clients revoke", "begun", {"client": client}) | {"acted": self.clock_us - 1})

    def _reset(self, value: tuple[str, str]) -> None:
        """A person resets what is left of a client's caps."""
        client, unit = value
        self._take(self._operate("caps reset", "done", {"client": client}) | ({"unit": unit} if unit else {}))

    def _accept_clock(self, _: None) -> None:
        """A person says that the machine's clock is right."""
        self._take(self._operate("clock accept", "done", {}))

    def _lack(self, gap: tuple[int, int]) -> None:
        """A start finds that the book lacks records."""
        self._take({"kind": "recovered", "time": self.clock_us, "text": "t", "missing": list(gap)})

    def _accept_gaps(self, _: None) -> None:
        """A person accepts that."""
        self._take(self._operate("book accept", "done", {}))

    def _operate(self, act: str, stage: str, whom: Mapping[str, str]) -> Record:
        command = {"kind": "operator", "time": self.clock_us, "by": "ann", "uid": 1, "act": act, "stage": stage}
        return {**command, "reason": "r", **whom}

    def _wait(self, us: int) -> None:
        """Time passes, or the clock is set back."""
        self.clock_us += us

    def _restart(self, _: None) -> None:
        """Load the checkpoint and what came after it, and find the open calls of the run before."""
        self.book, self._captured = self.resumed, None
        self.resumed = self._replayed_since(self.stored)
        self._take({"kind": "start", "time": self.clock_us})
        if self.book.calls:
            self._take({"kind": "opened", "time": self.clock_us, "at": self._now_us()})

    def _fail(self, value: tuple[tuple[str, Charges, str], int, tuple[str, Charges, str]]) -> None:
        """A flush fails: its begins are undone, its facts stay, and are on record before anything else."""
        first, number, second = value
        call, before = self._chosen(number), deepcopy(self.plain)
        facts = [self._end("outcome", call["id"], "accepted", [None] * len(call["left"]))] if call else []
        begun = [self._begun(*first)]
        for fact in facts:
            self._apply(fact)
        begun.append(self._begun(*second))
        for record in begun:
            if record is not None:
                self.book.retract(record["id"])
        self.plain = before
        for fact in facts:
            self.plain.take(fact)
        if facts:
            self._append(*facts)

    def _capture(self, whole: bool) -> None:
        """A checkpoint begins; what an earlier one had not stored yet is changed still."""
        if self._captured is not None:
            self.book.touch(self._captured)
        head = ChainHead(len(self.log), "")
        self._captured = self.book.take_changes(head, whole=whole)

    def _store(self, is_durable: bool) -> None:
        """The checkpoint is stored, after whatever happened since it began; or the disk fails."""
        changes, self._captured = self._captured, None
        if changes is None:
            return
        if not is_durable:
            self.book.touch(changes)
            return
        self.stored.take(changes)
        self.book.let_go(changes)
        self.resumed = self._replayed_since(self.stored)

    def _checkpoint(self, whole: bool) -> None:
        self._capture(whole)
        self._store(is_durable=True)

    def _replayed_since(self, stored: StoredBook) -> Book:
        book = stored.load()
        for record in self.log[stored.head :]:
            book.apply(record)
        return book


def intent_record(intent: Intent, reservation: int) -> Record:
    """The record with which a call begins."""
    return {
        "kind": "intent",
        "id": intent.record,
        "time": intent.at_us,
        "client": intent.client,
        "account": intent.account,
        "endpoint": intent.endpoint,
        "reservation": reservation,
        "at": intent.held_us,
        "venue_time": intent.venue_us,
        "orders": as_json(intent.orders),
        "targets": as_json(intent.targets),
        "charges": [charge_item(charge) for charge in intent.charges],
        "replaces": intent.replaces,
    }


def end_record(
    kind: str, name: str, outcome: str, ids: Sequence[str | None], at_us: int, *, part: bool = False
) -> Record:
    """The record with which a call ends, or a part of it, or with which its answer is lost."""
    end = {"kind": kind, "time": at_us, "at": at_us, "id": name, "outcome": outcome}
    return {**end, "venue_ids": list(ids), "part": part}


def charge_of(cap: str, client: str, amount: Decimal, leg: int) -> Charge:
    """A charge of a client against one of its caps."""
    window_s, limit = CAPS[cap]
    return Charge(cap, f"client/{client}", "USD", window_s, limit, amount, leg)
