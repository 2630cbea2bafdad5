"""What must hold (docs: *Must hold* 3 to 5), judged by the venue's books and by what the clients were told."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from signer.audit.report import from_marks
from signer.audit.verify import verify
from signer.book.compare import BookComparison
from signer.ledger.snapshot import take_snapshot
from signer.ledger.sqlite import SqliteLedger
from signer.model import OrderRef
from signer.policy.orders import limits_of
from signer.sandbox.wire import Value
from tests.simulator.asks import CLIENTS, Ask
from tests.simulator.life import AUDIT, pair_table, policy
from tests.simulator.venue import ORDER_CALLS, Deed, Params, SimVenue, mark_of
from tests.simulator.world import World

CANCELS = frozenset({"CancelOrder", "CancelOrderBatch"})


class Checks:
    """Compares the books with everything that must agree with them."""

    def __init__(self, world: World, ledger_path: Path) -> None:
        self.asks: list[Ask] = []
        self.venue: SimVenue
        self._world = world
        self._path = ledger_path
        self._db: sqlite3.Connection | None = None
        self._acted: set[str] = set()

    def close(self) -> None:
        """Close the connection of our own."""
        if self._db is not None:
            self._db.close()

    def before_act(self, account: str, endpoint: str, params: Params) -> None:
        """The venue is about to act: the intent must be durable and its charges committed, and nothing sent twice."""
        if endpoint not in ORDER_CALLS | CANCELS or params.get("validate") == "true":
            return
        asked = _plain(params)
        if endpoint in CANCELS:
            self._before_cancel(account, params)
            return
        intents = [record for record in durable_records(self._world) if _is_intent(record, account, endpoint, asked)]
        fresh = [str(record["id"]) for record in intents if record["id"] not in self._acted]
        if not fresh:
            self._world.fail(f"the venue acts on {endpoint} {asked}, of which no durable intent is left")
        elif not self._reserved(fresh[0]):
            self._world.fail(f"the venue acts on {endpoint} {asked}, for which nothing is reserved ({fresh[0]})")
        self._acted.update(fresh[:1])

    def _before_cancel(self, account: str, params: Params) -> None:
        """Check that a client that placed all of these orders announced the cancel, on record or, where the log failed,
        by an alarm."""
        names = cast("list[str]", params["orders"] if "orders" in params else [params["txid"]])
        records = [record for record in durable_records(self._world) if _is_cancel_of(record, account, names)]
        clients = {record["client"] for record in records} | set(_owed(self._world, names))
        if not clients:
            self._world.fail(f"the venue cancels {names}, of which no durable intent is left")
        for deed in self.venue.deeds:
            owner = self._ask(deed.mark).client
            if deed.txid in names and owner not in clients:
                self._world.fail(f"the venue cancels {deed.txid} of {owner}, who did not ask for it")

    def after_act(self) -> None:
        """The books have changed: no cap may be passed, no order be there twice."""
        for client in CLIENTS:
            deeds = self._deeds_of(client)
            for cap, used in self._used(deeds).items():
                if used > cap_limits()[cap]:
                    self._world.fail(f"{client} passes the cap {cap}: the books say {used}")
        marks = [deed.mark for deed in self.venue.deeds]
        if len(marks) != len(set(marks)):
            self._world.fail(f"the venue acted twice: {self.venue.deeds[-1]}")

    def between_lives(self) -> None:
        """Check after a crash that the log makes the ledger, but for one act of each call that the crash cut in two."""
        self._check_book(unfinished=True)

    def _check_book(self, *, unfinished: bool) -> None:
        snapshot = take_snapshot(self._path)
        comparison = BookComparison(snapshot.book, snapshot.last, snapshot.head_seq)
        for record in durable_records(self._world):
            comparison.take(record)
        report = comparison.report()
        # The simulated operator halts in the ledger alone.
        wrong = [text for text in report.differences if " is halted by " not in text] + report.contradictions
        calls = [text.split()[1] for text in report.unfinished]
        wrong += report.unfinished if not unfinished or len(calls) != len(set(calls)) else ()
        if wrong:
            self._world.fail(f"the log and the ledger differ: {wrong}")

    async def at_the_end(self, ledger: SqliteLedger) -> None:
        """Check after recovery that books, clients, ledger and audit log agree."""
        self._check_book(unfinished=False)
        self._check_told()
        for client in CLIENTS:
            used = {usage.cap: usage.used for usage in await ledger.usage(f"client/{client}")}
            expected = self._used(self._deeds_of(client))
            if {cap: used.get(cap, Decimal(0)) for cap in expected} != expected:
                self._world.fail(f"{client}: the ledger holds {used}, the books say {expected}")
        last_deeds = {(deed.account, deed.txid): deed for deed in self.venue.deeds}
        for deed in last_deeds.values():
            await self._check_known(ledger, deed)
        self._check_outcomes()
        report = verify(AUDIT, from_marks(await ledger.head()), self._world.disk)
        if not report.ok:
            self._world.fail(f"the audit log does not verify: {report.findings}")

    def _check_told(self) -> None:
        done = {deed.mark for deed in self.venue.deeds}
        for ask in self.asks:
            for mark, told in ask.told.items():
                if (told, mark in done) in {("yes", False), ("no", True)}:
                    self._world.fail(f"{ask.client} was told {told} for {mark} ({ask.errors}), the books say otherwise")

    async def _check_known(self, ledger: SqliteLedger, deed: Deed) -> None:
        order = self.venue.order(deed.account, deed.txid)
        known = await ledger.find_orders(deed.account, OrderRef("venue-id", deed.txid))
        if [placed.client for placed in known] != [self._ask(deed.mark).client]:
            self._world.fail(f"the order {deed} is on the books and the ledger knows {known}")
        elif known[0].order.price is None or (known[0].order.volume, known[0].order.price.amount) != (
            order.volume,
            order.limit,
        ):
            self._world.fail(f"the books have {order.volume} at {order.limit} and the ledger {known[0]}")

    def _check_outcomes(self) -> None:
        """Each durable intent of an order has an outcome, and it is what the books say."""
        records = list(durable_records(self._world))
        outcomes: dict[str, str] = {}
        for record in records:
            if record["kind"] in {"outcome", "reconciled"} and outcomes.get(record["id"]) != "accepted":
                outcomes[record["id"]] = record["outcome"]
        done = {deed.mark for deed in self.venue.deeds}
        for record in records:
            if record["kind"] != "intent" or record["endpoint"] not in ORDER_CALLS:
                continue
            outcome = outcomes.get(record["id"], "none")
            accepted = any(mark in done for mark in _marks(record))
            if outcome == "none" and self._was_refused(_marks(record)):
                continue
            if outcome in {"none", "unknown"} or (outcome == "accepted") != accepted:
                self._world.fail(f"the intent {record} has the outcome {outcome}, the books say {accepted}")

    def _was_refused(self, marks: list[str]) -> bool:
        """Whether the log failed at this very intent, so that nothing was sent.

        The failed write may still be found after a crash (signer.audit.disk): then it is an intent without outcome, and
        that is the truth.
        """
        return any("the audit log cannot be written" in error for error in self._ask(marks[0]).errors)

    def _deeds_of(self, client: str) -> list[Deed]:
        return [deed for deed in self.venue.deeds if self._ask(deed.mark).client == client]

    def _used(self, deeds: list[Deed]) -> Mapping[str, Decimal]:
        notional, number = cap_limits()
        return {notional: sum((deed.notional for deed in deeds), Decimal(0)), number: Decimal(len(deeds))}

    def _ask(self, mark: str) -> Ask:
        return next(ask for ask in self.asks if mark in ask.marks)

    def _reserved(self, record: str) -> bool:
        if self._db is None:
            self._db = sqlite3.connect(self._path)
        query = "SELECT count(*) FROM reservations WHERE json_extract(intent, '$.record') = ?"
        return bool(self._db.execute(query, (record,)).fetchone()[0])


def cap_limits() -> Mapping[str, Decimal]:
    """The limits of the caps: notional first, then the number of orders."""
    caps = [*limits_of(policy(), "XXBTZUSD", pair_table().by_id).caps, *policy().order_caps]
    return {cap.name: cap.limit for cap in caps}


def durable_records(world: World) -> Iterator[dict[str, Any]]:
    """The records that a crash at this moment would leave for certain."""
    for path in sorted(world.disk.files):
        if path.name != "reserve":
            *lines, _torn = world.disk.files[path].durable.split(b"\n")
            yield from (_record(line) for line in lines if line.startswith(b"{"))


_read: dict[bytes, dict[str, Any]] = {}


def _record(line: bytes) -> dict[str, Any]:
    if line not in _read:
        _read[line] = json.loads(line)
    return _read[line]


def _is_intent(record: Mapping[str, Any], account: str, endpoint: str, asked: object) -> bool:
    if (record["kind"], record.get("account"), record.get("endpoint")) != ("intent", account, endpoint):
        return False
    return _as_sent(record) == asked


def _is_cancel_of(record: Mapping[str, Any], account: str, names: list[str]) -> bool:
    """Whether an intent announced a cancel of these orders; one intent may take several requests."""
    if (record["kind"], record.get("account")) != ("intent", account) or record["endpoint"] not in CANCELS:
        return False
    return set(names) <= set(record["named"])


def _owed(world: World, names: list[str]) -> Iterator[str]:
    """Whose cancels of these orders went out though the log could not take them."""
    for text in world.owed:
        found = re.search(r"a cancel of (\S+) \((.*?)\) goes out", text)
        if found is not None and set(names) <= set(found[2].split()):
            yield found[1]


def _as_sent(record: Mapping[str, Any]) -> Value:
    """The fields of an intent with the ids that it named in the place of the client's names."""
    fields = {name: value for name, value in record["fields"].items() if name not in {"txid", "cl_ord_id"}}
    return _plain({**fields, "txid": record["named"][0]} if "named" in record else record["fields"])


def _marks(intent: Mapping[str, Any]) -> list[str]:
    fields = intent["fields"]
    return [mark_of(row) for row in fields.get("orders", [fields])]


def _plain(value: object) -> Value:
    """A value with every scalar as its text."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
