"""The fold of the log is the ledger, at every record, whatever happened."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from signer.book.book import Book
from signer.book.windows import Key
from signer.errors import Halted, NotReserved
from signer.gateway.reconcile.looks import close_absent
from signer.gateway.trace import closed_record, held_fields, operator_record, reconciled_record
from signer.ledger.snapshot import LedgerSnapshot, take_snapshot
from signer.ledger.sqlite import SqliteLedger
from signer.model import Charge, Halt, Intent, Json, OrderRef, Outcome, PlacedOrder
from tests.property.plain_fold import PlainFold
from tests.unit.ledger.calls import InlineWorker, StillClock, order

CAPS: Mapping[str, tuple[int, Decimal]] = {"second": (1, Decimal(3)), "hour": (3600, Decimal("25.5"))}
CLIENTS = ("ada", "bob")
LEGS = 3


def charge_of(cap: str, client: str, amount: Decimal, leg: int) -> Charge:
    """A charge of a client against one of its caps."""
    window_s, limit = CAPS[cap]
    return Charge(cap, f"client/{client}", "USD", window_s, limit, amount, leg)


AMOUNTS = st.decimals(min_value="0", max_value=6, places=2)
CHARGES = st.lists(st.tuples(st.sampled_from(sorted(CAPS)), AMOUNTS, st.integers(0, LEGS)), max_size=4)
LEG_SETS = st.frozensets(st.integers(0, LEGS - 1))
WHOM = st.sampled_from([("", ""), ("ada", ""), ("", "main"), ("bob", "")])
STEPS = st.one_of(
    st.tuples(st.just("reserve"), st.tuples(st.sampled_from(CLIENTS), CHARGES)),
    st.tuples(st.just("change"), st.tuples(st.sampled_from(CLIENTS), CHARGES)),
    st.tuples(st.just("settle"), st.tuples(st.integers(0, 9), LEG_SETS)),
    st.tuples(st.just("reject"), st.integers(0, 9)),
    st.tuples(st.just("lose"), st.integers(0, 9)),
    st.tuples(st.just("find"), st.tuples(st.integers(0, 9), LEG_SETS)),
    st.tuples(st.just("close"), st.integers(0, 9)),
    st.tuples(st.just("halt"), WHOM),
    st.tuples(st.just("resume"), WHOM),
    st.tuples(st.just("wait"), st.integers(-5_000_000, 70_000_000) | st.integers(0, 4_000_000_000)),
    st.tuples(st.just("restart"), st.none()),
)


class Log:
    """Takes records as the audit log does, through JSON, and folds them at once, twice."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.book = Book()
        self.plain = PlainFold()

    async def record(self, entry: Mapping[str, Json], *, within: float = 0.0, urgent: bool = False) -> None:
        """Take a record."""
        record = {"seq": len(self.records) + 1, **json.loads(json.dumps(entry))}
        self.records.append(record)
        self.book.apply(record)
        self.plain.take(record)

    def note(self, entry: Mapping[str, Json]) -> None:
        """Nothing is noted here."""

    def head(self) -> None:
        """There is no head."""


class History:
    """A ledger, the log of what it does, and the clock."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = StillClock()
        self.log = Log()
        self.ledger: SqliteLedger
        self.calls = 0

    async def restart(self, _: object = None) -> None:
        """Open the ledger anew, as after a stop."""
        if self.calls:
            await self.ledger.close()
        self.ledger = SqliteLedger(self.path, self.clock, InlineWorker(), patience_s=0)
        await self.ledger.open()

    async def reserve(self, value: tuple[str, Sequence[tuple[str, Decimal, int]]], target: str | None = None) -> None:
        """A call of three orders, or the change of one."""
        client, charges = value
        self.calls += 1
        legs = LEGS if target is None else 1
        intent = Intent(
            client,
            "main",
            "AddOrder",
            tuple(order(volume=Decimal(self.calls), client_tag=str(leg)) for leg in range(legs)),
            () if target is None else (OrderRef("venue-id", target),),
            tuple(charge_of(cap, client, amount, min(leg, legs - 1)) for cap, amount, leg in charges),
            f"call{self.calls}",
            self.clock.us,
            held_us=self.ledger.now_us(),
        )
        try:
            number = await self.ledger.reserve(intent)
        except (Halted, NotReserved):
            assert refused_by(self.log.book, intent)
            return
        assert not refused_by(self.log.book, intent)
        entry = {"kind": "intent", "id": intent.record, "client": client, "account": "main"}
        await self.log.record({**entry, **held_fields(intent, number)})

    async def change(self, value: tuple[str, Sequence[tuple[str, Decimal, int]]]) -> None:
        """Amend the client's newest order, open or not."""
        placed = [record for record in self.log.records if record.get("outcome") == "accepted"]
        ids = [one for record in placed if record["client"] == value[0] for one in record["venue_ids"] if one]
        if ids:
            await self.reserve(value, ids[-1])

    async def settle(self, value: tuple[int, frozenset[int]]) -> None:
        """An answer: some of the orders were accepted."""
        await self.end(value[0], value[1], "outcome")

    async def find(self, value: tuple[int, frozenset[int]]) -> None:
        """A look-up finds some of the orders, or all of them."""
        await self.end(value[0], value[1], "reconciled")

    async def end(self, number: int, legs: frozenset[int], kind: str) -> None:
        """Record that these orders were accepted, then have the ledger do it; the clock may jump between."""
        one = await self.chosen(number)
        if one is None:
            return
        intent, at_us = one[1], self.ledger.now_us()
        named = [ref.value for ref in intent.targets] or [f"O{intent.record}-{place}" for place in range(LEGS)]
        ids = [named[leg] if leg in legs or intent.targets else None for leg in range(len(intent.orders))]
        ids = [one and f"{one}-{order.client_tag}" if not intent.targets else one
               for one, order in zip(ids, intent.orders, strict=True)]  # fmt: skip
        part = kind == "reconciled" and None in ids
        record = reconciled_record(intent, Outcome.ACCEPTED, ids, at_us, part=part)
        await self.log.record({**record, "kind": kind})
        self.clock.us += 1_700_000
        await (self.ledger.settle_found if part else self.ledger.settle)(one[0], ids, at_us)

    async def reject(self, number: int) -> None:
        """The venue said no."""
        if (one := await self.chosen(number)) is not None:
            await self.log.record(reconciled_record(one[1], Outcome.REJECTED, (), self.ledger.now_us()))
            await self.ledger.release(one[0])

    async def lose(self, number: int) -> None:
        """No answer came."""
        if (one := await self.chosen(number)) is not None:
            record = reconciled_record(one[1], Outcome.UNKNOWN, (), self.ledger.now_us())
            await self.log.record({**record, "kind": "outcome"})
            await self.ledger.hold(one[0])

    async def close(self, number: int) -> None:
        """The venue lists some orders as open, whatever was thought of them."""
        ids = [one for record in self.log.records for one in record.get("venue_ids", ()) if one]
        await close_absent(self.ledger, self.log, "main", ids[number::2], self.clock.us)

    async def halt(self, whom: tuple[str, str]) -> None:
        """An operator halts."""
        await self.ledger.halt(Halt(*whom, "r", "ann", self.clock.us))
        await self.operate("halt", "begun", whom)

    async def resume(self, whom: tuple[str, str]) -> None:
        """An operator resumes: of nobody in particular means every halt."""
        ended = [whom] if any(whom) else [(one.client, one.account) for one in await self.ledger.halts()]
        for one in ended:
            await self.ledger.resume(*one)
        await self.operate("resume", "done", whom)

    async def operate(self, act: str, stage: str, whom: tuple[str, str]) -> None:
        """Record a command."""
        named: dict[str, Json] = {key: value for key, value in zip(("client", "account"), whom, strict=True) if value}
        told: dict[str, Json] = {"id": "x", "act": act, "stage": stage, "reason": "r", **named}
        await self.log.record(operator_record(1, "ann", told, self.clock.us))

    async def wait(self, us: int) -> None:
        """Time passes, or the clock is set back."""
        self.clock.us += us

    async def chosen(self, number: int) -> tuple[int, Intent] | None:
        """Choose one of the open calls."""
        found = await self.ledger.open_intents()
        if not found:
            return None
        one = found[number % len(found)]
        return one.reservation, one.intent

    def check(self) -> None:
        """Compare the ledger with both folds, now and later."""
        ledger, book, plain = take_snapshot(self.path), self.log.book, self.log.plain
        assert comparable(book) == comparable(ledger.book)
        assert book.contradictions == []
        assert plain.calls.keys() == book.calls.keys()
        assert plain.orders == {key: dict(placed.order) for key, placed in book.orders.items()}
        assert plain.halts == book.halts.keys()
        for key in book.windows:
            for later_s in (0, 1, 1800, 3600):
                now_us = book.now_us + later_s * 1_000_000
                assert Fraction(book.used(key, now_us)) == plain.used(key, now_us) == used(ledger, key, now_us)


def used(ledger: LedgerSnapshot, key: Key, now_us: int) -> Fraction:
    """What the ledger says is used."""
    return Fraction(ledger.book.used(key, now_us))


def refused_by(book: Book, intent: Intent) -> bool:
    """Whether the book says that the intent does not fit."""
    try:
        book.fit(intent, intent.held_us)
    except (Halted, NotReserved):
        return True
    return False


def comparable(book: Book) -> dict[str, Any]:
    """The state of a book. Who placed an order, and when, is not known of one that came back by an amend."""
    state: dict[str, Any] = book.state()
    return state | {"orders": [{**one, "placed": 0, "client": ""} for one in state["orders"]]}


@given(steps=st.lists(STEPS, max_size=30))
def test_the_fold_of_the_log_is_the_ledger_at_every_record(steps: Sequence[tuple[str, Any]]) -> None:
    """Any mix of calls, outcomes, look-ups, lists, brakes, clocks and restarts; two folds that share no type agree."""

    async def play() -> None:
        with tempfile.TemporaryDirectory() as folder:
            history = History(Path(folder) / "ledger.db")
            await history.restart()
            for name, value in steps:
                await getattr(history, name)(value)
                history.check()
            await history.ledger.close()
            replayed = Book()
            for record in history.log.records:
                replayed.apply(record)
                assert Book.of(json.loads(json.dumps(replayed.state()))).digest() == replayed.digest()
            assert replayed.digest() == history.log.book.digest()

    asyncio.run(play())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["1", "0.5", "NaN", "1E+99"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["cap", "scope", "unit"]), inner),
    max_leaves=8,
)
FIELDS = ("id", "at", "reservation", "client", "account", "orders", "targets", "charges", "outcome", "venue_ids",
          "part", "reappeared", "act", "stage", "reason")  # fmt: skip
KINDS = ("intent", "outcome", "reconciled", "closed", "operator", "start", "read", "new-kind")
RECORDS = st.builds(
    lambda kind, fields: {"kind": kind, **fields},
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(FIELDS), JSON),
)


@given(st.lists(RECORDS, max_size=8), st.booleans())
def test_a_record_of_any_shape_is_taken(records: Sequence[dict[str, Any]], begun: bool) -> None:
    """A damaged record raises nothing, and leaves a book that can be written and read."""
    book, call = Book(), Intent("ada", "main", "AddOrder", (order(),), (), (), "r", 1, held_us=1)
    if begun:
        book.apply({"kind": "intent", "id": "r", "client": "ada", "account": "main", **held_fields(call, 1)})
    for record in records:
        book.apply({**record, "id": "r"} if begun else record)
    assert Book.of(json.loads(json.dumps(book.state()))).digest() == book.digest()


def test_a_record_that_contradicts_counts_by_the_stricter_and_is_named() -> None:
    """A call that begins twice counts twice; an answer for fewer orders than it has leaves the others' charges."""
    book, charges = Book(), (charge_of("hour", "ada", Decimal(1), 0), charge_of("hour", "ada", Decimal(2), 1))
    call = Intent("ada", "main", "AddOrder", (order(), order()), (), charges, "r", 1, held_us=1)
    begun = {"kind": "intent", "id": "r", "client": "ada", "account": "main", **held_fields(call, 1)}
    ended = reconciled_record(call, Outcome.ACCEPTED, ["OA"], 2)
    for seq, record in enumerate((begun, begun, ended, ended), start=1):
        book.apply({**record, "seq": seq})
    assert book.used(("client/ada", "USD", 3600), 0) == 6
    assert [text.partition(":")[0] for text in book.contradictions] == ["record 2", "record 3", "record 4"]


def test_an_order_that_another_client_places_again_is_named() -> None:
    """The order stays that of the client who placed it first."""
    book = Book()
    for seq, client in enumerate(("ada", "bob")):
        call = Intent(client, "main", "AddOrder", (order(),), (), (), client, 1, held_us=1)
        book.apply({"kind": "intent", "id": client, "client": client, "account": "main", **held_fields(call, 1)})
        book.apply({"seq": seq, **reconciled_record(call, Outcome.ACCEPTED, ["OA"], 2)})
    assert book.orders["main", "OA"].client == "ada"
    assert book.contradictions == ["record 1: order OA of ada is placed again by bob"]


def test_orders_that_reappear_are_as_they_were() -> None:
    """The record of a closed order that is listed again holds all that the book needs of it."""
    book, placed = Book(), PlacedOrder("main", "ada", "OA", order(), 7)
    book.apply(closed_record("main", ["OB"], [placed], 9))
    again = replace(placed, venue_id="OB")
    book.apply(closed_record("main", ["OA"], [again], 9))
    assert [(key, one.client, one.placed_us) for key, one in book.orders.items()] == [(("main", "OB"), "ada", 7)]
