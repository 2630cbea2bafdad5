"""What must hold (docs: *Must hold* 3 to 5), judged by the venue's books and by what the clients were told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, cast

from typing_extensions import override

from signer.audit.journal import FileJournal
from signer.audit.report import from_marks
from signer.audit.verify import verify
from signer.contracts import Marks
from signer.home.layout import Home
from signer.model import Order, OrderRef
from signer.policy.orders import limits_of
from signer.sandbox.wire import Value
from tests.simulator.asks import CLIENTS, Ask
from tests.simulator.life import AUDIT, pair_table, policy
from tests.simulator.logs import Logs, durable_records
from tests.simulator.venue import ORDER_CALLS, Deed, Params, SimVenue, Witness, mark_of
from tests.simulator.world import World

CANCELS = frozenset({"CancelOrder", "CancelOrderBatch"})


ORDERS = (Order("XXBTZUSD", "buy", "limit", Decimal(1)),)
"""What halts are asked for: all orders are for one pair."""
LATEST_SENT_S = 20.0
"""An order leaves so long after its client asked for it, or never: five seconds are for the disk, and five for a
turn."""


class Checks(Witness):
    """Compares the books with everything that must agree with them."""

    def __init__(self, world: World, home: Home) -> None:
        self.asks: list[Ask] = []
        self.venue: SimVenue
        self.logs = Logs(world, home)
        self.journal: FileJournal | None = None
        """The one that runs."""
        self._world = world
        self._sent: set[str] = set()

    @override
    def sent(self, account: str, endpoint: str, params: Params) -> str:
        if endpoint not in ORDER_CALLS | CANCELS or params.get("validate") == "true":
            return ""
        if endpoint in CANCELS:
            self._sent_cancel(account, params)
            return ""
        asked = _plain(params)
        intents = [record for record in durable_records(self._world) if _is_intent(record, account, endpoint, asked)]
        fresh = [str(record["id"]) for record in intents if record["id"] not in self._sent]
        if not fresh:
            self._world.fail(f"{endpoint} {asked} is sent, of which no durable intent is left")
            return ""
        self._sent.update(fresh[:1])
        if fresh[0] not in self.logs.book().calls:
            self._world.fail(f"{endpoint} {asked} is sent, for which nothing is held ({fresh[0]})")
        ask = self._ask(_marks(intents[-1])[0])
        if self.journal is not None and self.journal.halted(ask.client, account, ORDERS):
            self._world.fail(f"{endpoint} {asked} is sent, though {ask.client} is halted")
        if self._world.now - ask.asked_at > LATEST_SENT_S:
            self._world.fail(f"{endpoint} {asked} is sent long after it was asked for")
        return fresh[0]

    @override
    def before_act(self, record: str, account: str, endpoint: str, params: Params) -> None:
        if record and record not in self.logs.book().calls:
            self._world.fail(f"the venue acts on {endpoint} {_plain(params)}, for which nothing is held any more")

    def _sent_cancel(self, account: str, params: Params) -> None:
        """Check that a client that placed all of these orders announced the cancel, on record or, where the log failed,
        by an alarm."""
        names = cast("list[str]", params["orders"] if "orders" in params else [params["txid"]])
        records = [record for record in durable_records(self._world) if _is_cancel_of(record, account, names)]
        clients = {record["client"] for record in records} | set(_owed(self._world, names))
        if not clients:
            self._world.fail(f"a cancel of {names} is sent, of which no durable intent is left")
        for deed in self.venue.deeds:
            owner = self._ask(deed.mark).client
            if deed.txid in names and owner not in clients:
                self._world.fail(f"a cancel of {deed.txid} of {owner} is sent, who did not ask for it")

    @override
    def after_act(self) -> None:
        """No cap may be passed, no order be there twice, and the running book be another than the log's."""
        for client in CLIENTS:
            deeds = self._deeds_of(client)
            for cap, used in self._used(deeds).items():
                if used > cap_limits()[cap]:
                    self._world.fail(f"{client} passes the cap {cap}: the books say {used}")
        marks = [deed.mark for deed in self.venue.deeds]
        if len(marks) != len(set(marks)):
            self._world.fail(f"the venue acted twice: {self.venue.deeds[-1]}")
        if self._world.alive:
            self.logs.check_running(None if self.journal is None else self.journal.digest_at_rest())

    def between_lives(self) -> None:
        """Check that log, checkpoint and both folds agree, whatever the last life has come to."""
        self.logs.check()

    async def at_the_end(self, journal: FileJournal, marks: Marks) -> None:
        """Check after recovery that books, clients and journal agree."""
        if not await journal.settled():
            self._world.fail("a calm disk takes no records")
        self._check_told()
        for client in CLIENTS:
            used = {usage.cap: usage.used for usage in journal.usage(f"client/{client}")}
            expected = self._used(self._deeds_of(client))
            if {cap: used.get(cap, Decimal(0)) for cap in expected} != expected:
                self._world.fail(f"{client}: the book holds {used}, the venue's books say {expected}")
        last_deeds = {(deed.account, deed.txid): deed for deed in self.venue.deeds}
        for deed in last_deeds.values():
            self._check_known(journal, deed)
        self._check_outcomes()
        self.logs.check_running(journal.digest_at_rest())
        report = verify(AUDIT, from_marks(await marks.head()), self._world.disk)
        if not report.ok:
            self._world.fail(f"the audit log does not verify: {report.findings}")

    def _check_told(self) -> None:
        done = {deed.mark for deed in self.venue.deeds}
        for ask in self.asks:
            for mark, told in ask.told.items():
                if (told, mark in done) in {("yes", False), ("no", True)}:
                    self._world.fail(f"{ask.client} was told {told} for {mark} ({ask.errors}), the books say otherwise")

    def _check_known(self, journal: FileJournal, deed: Deed) -> None:
        order = self.venue.order(deed.account, deed.txid)
        known = journal.find_orders(deed.account, OrderRef("venue-id", deed.txid))
        if [placed.client for placed in known] != [self._ask(deed.mark).client]:
            self._world.fail(f"the order {deed} is on the books and the book knows {known}")
        elif known[0].order.price is None or (known[0].order.volume, known[0].order.price.amount) != (
            order.volume,
            order.limit,
        ):
            self._world.fail(f"the books have {order.volume} at {order.limit} and ours {known[0]}")

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
            if outcome in {"none", "unknown"} or (outcome == "accepted") != accepted:
                self._world.fail(f"the intent {record} has the outcome {outcome}, the books say {accepted}")

    def _deeds_of(self, client: str) -> list[Deed]:
        return [deed for deed in self.venue.deeds if self._ask(deed.mark).client == client]

    def _used(self, deeds: list[Deed]) -> Mapping[str, Decimal]:
        notional, number = cap_limits()
        return {notional: sum((deed.notional for deed in deeds), Decimal(0)), number: Decimal(len(deeds))}

    def _ask(self, mark: str) -> Ask:
        return next(ask for ask in self.asks if mark in ask.marks)


def cap_limits() -> Mapping[str, Decimal]:
    """The limits of the caps: notional first, then the number of orders."""
    caps = [*limits_of(policy(), "XXBTZUSD", pair_table().by_id).caps, *policy().order_caps]
    return {cap.name: cap.limit for cap in caps}


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
    """The fields of an intent with the names that it was sent with in the place of the client's."""
    fields, orders = dict(record["fields"]), record.get("orders", [])
    if "orders" in fields:
        fields["orders"] = [_with_own(row, order) for row, order in zip(fields["orders"], orders, strict=True)]
    elif record["endpoint"] in {"AddOrder", "EditOrder"} and orders:
        fields = _with_own(fields, orders[0])
    if "named" in record:
        fields = {name: value for name, value in fields.items() if name != "cl_ord_id"} | {"txid": record["named"][0]}
    return _plain(fields)


def _with_own(fields: Mapping[str, Any], order: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an order with our own name of it; as they are if it has none."""
    if "own" not in order:
        return dict(fields)
    unnamed = {name: value for name, value in fields.items() if name not in {"userref", "cl_ord_id"}}
    return unnamed | {"userref" if order["own"].isdecimal() else "cl_ord_id": order["own"]}


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
