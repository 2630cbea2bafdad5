"""Every way in which the exchange can let a caller down, met by an order on its way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import jsonschema
import pytest

from signer.sandbox.faults import (
    CloseAfterActing,
    CloseBeforeReading,
    CloseMidAnswer,
    Errors,
    Fault,
    Hang,
    LateAnswer,
    Latency,
    NotJson,
    Oversized,
    Redirect,
    Status,
    Truncated,
)
from signer.sandbox.server import RunningSandbox
from tests.e2e.refusals import UNAVAILABLE
from tests.harness.bots import Bot, errors_of, order
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import MadeHome
from tests.harness.waiting import until

CALL_S = 14.0
"""How long a call may wait for its answer, as in the settings."""
SHORT_S = 3.0
"""The same where no answer comes, or a late one."""
NONCES = iter(range(1, 10_000))
NewBot: TypeAlias = "Callable[..., Bot]"
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "audit-record.schema.json").read_text())

Outcome = Literal["accepted", "rejected", "unknown"]


@dataclass(frozen=True, slots=True)
class Case:
    """A fault, and what must come of an order that meets it."""

    fault: Fault
    outcome: Outcome = "unknown"
    acted: bool = False
    """Whether the exchange has the order."""
    told: tuple[str, ...] = (UNAVAILABLE, "the outcome is unknown")
    """What stands in the error array."""

    def __str__(self) -> str:
        fields = self.fault.model_dump(exclude={"endpoint", "count", "skip", "chance", "seed", "kind"})
        return f"{self.fault.kind}-{'-'.join(str(value) for value in fields.values())}"

    @property
    def call_s(self) -> float:
        """How long the order may wait for its answer."""
        return SHORT_S if isinstance(self.fault, Hang) else CALL_S


def _lost(*faults: Fault) -> list[Case]:
    return [Case(fault, acted=fault.acts) for fault in faults]


def _said(outcome: Outcome, *errors: str, acts: bool = False) -> list[Case]:
    return [Case(Errors(errors=(error,), acts=acts), outcome, acts, (error,)) for error in errors]


CASES = [
    Case(Latency(seconds=0.2), "accepted", True, ()),
    Case(LateAnswer(seconds=0.2), "accepted", True, ()),
    *_lost(
        Hang(),
        Hang(acts=True),
        CloseBeforeReading(),
        CloseAfterActing(),
        CloseMidAnswer(),
        CloseMidAnswer(acts=False),
        Truncated(),
        Truncated(acts=False),
        Oversized(size=2**26 + 1),
        NotJson(),
        NotJson(acts=True),
        Status(status=502),
        Status(status=503),
        Status(status=520),
        Status(status=502, acts=True),
        Status(status=503, acts=True),
        Status(status=520, acts=True),
        Redirect(),
        Redirect(status=301, acts=True),
    ),
    *_said("unknown", UNAVAILABLE, "EService:Busy", "EService:Timeout", "EService:Deadline elapsed"),
    *_said("unknown", "EGeneral:Internal error", "EAPI:Something new"),
    *_said("unknown", UNAVAILABLE, "EService:Timeout", "EGeneral:Internal error", acts=True),
    *_said("rejected", "EService:Throttled: 1", "EService:Market in cancel_only mode"),
    *_said("rejected", "EAPI:Invalid key", "EAPI:Invalid signature", "EAPI:Invalid nonce", "EAPI:Rate limit exceeded"),
    *_said("rejected", "EAPI:Bad request", "EAPI:Feature disabled", "EOrder:Rate limit exceeded"),
]


@pytest.fixture(scope="module")
def faulty(shared_sandbox: RunningSandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningGateway]:
    """A gateway with patience for nothing."""
    made = MadeHome(tmp_path_factory.mktemp("faults") / "home", shared_sandbox)
    made.add_account("faults-0", gone_after_seconds=2)
    with running(made) as gateway:
        yield gateway
    made.verify()


@pytest.fixture
def new_bot(faulty: RunningGateway, accounts: Iterator[str]) -> Iterator[NewBot]:
    """Makes bots, each with an account of its own; faults end with the test."""
    yield lambda call_s=CALL_S: faulty.client(faulty.account(next(accounts), call_seconds=call_s))
    faulty.made.sandbox.control.clear_faults()


@pytest.fixture(scope="module")
def accounts() -> Iterator[str]:
    """Names of accounts."""
    return (f"faults-{number}" for number in range(1, 1000))


def ask(bot: Bot, endpoint: str, fields: dict[str, str]) -> dict[str, Any]:
    """Make one call; return its answer."""
    answer: dict[str, Any] = bot.post(endpoint, fields, next(NONCES)).json()
    return answer


def fail_look_ups(made: MadeHome) -> None:
    """Let no lost order be found or missed for the rest of the test, however long that takes."""
    made.sandbox.control.add_fault(Status(endpoint="OpenOrders", status=502, count=10_000))


def is_closed(made: MadeHome, bot: Bot) -> bool:
    """Whether each call of the bot's account has its outcome."""
    return not made.open_calls(bot.account)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_order_meets_a_fault(case: Case, faulty: RunningGateway, new_bot: NewBot) -> None:
    """What its bot is told, that it was sent once, what the log says, and what stays held."""
    made, bot = faulty.made, new_bot(case.call_s)
    fail_look_ups(made)
    made.sandbox.control.add_fault(case.fault.model_copy(update={"endpoint": "AddOrder"}))
    answer = ask(bot, "AddOrder", order())
    if case.outcome == "accepted":
        assert answer["error"] == []
    else:
        assert all(part in " ".join(errors_of(answer)) for part in case.told)

    (arrival,) = made.arrivals(bot.account)
    assert arrival.fault == case.fault.kind
    record = made.wait_for_record(kind="outcome", client=bot.name)
    (intent,) = made.records(kind="intent", client=bot.name)
    assert (record["id"], record["outcome"]) == (intent["id"], case.outcome)
    until(lambda: len(made.orders(bot.account)) == case.acted, "the order, or none")
    if case.outcome == "unknown":
        until(lambda: made.open_calls(bot.account) == {intent["id"]: "unknown"}, "the unknown outcome")
        assert made.used(bot.name)["USD"] == 200
    else:
        until(lambda: not made.open_calls(bot.account), "the settled call")
        assert made.used(bot.name)["USD"] == (200 if case.acted else 0)
    assert len(made.arrivals(bot.account)) == 1


def test_an_order_that_arrives_late(faulty: RunningGateway, new_bot: NewBot) -> None:
    """The book agrees whether or not the order was placed; a look-up may overtake its nonce, so that the exchange
    refuses it."""
    made, bot = faulty.made, new_bot(SHORT_S)
    made.sandbox.control.add_fault(Latency(endpoint="AddOrder", seconds=3600))
    assert "the outcome is unknown" in errors_of(ask(bot, "AddOrder", order()))[1]
    made.sandbox.control.clear_faults()  # it arrives now
    until(lambda: bool(made.records(kind="reconciled", client=bot.name)), "the look-up's word")
    until(lambda: not made.open_calls(bot.account), "the closed call")
    assert made.used(bot.name)["USD"] == 200 * len(made.orders(bot.account))
    assert len(made.arrivals(bot.account)) == 1


def test_a_refused_nonce_heals(faulty: RunningGateway, new_bot: NewBot) -> None:
    """The lane jumps past the nonces of another program, and nothing is sent again."""
    bot = new_bot()
    control = faulty.made.sandbox.control
    control.add_fault(Errors(endpoint="AddOrder", errors=("EAPI:Invalid nonce",)))
    assert errors_of(ask(bot, "AddOrder", order())) == ["EAPI:Invalid nonce"]
    first = ask(bot, "AddOrder", order())
    assert first["error"] == []
    nonces = [arrival.body for arrival in faulty.made.arrivals(bot.account)]
    assert len(nonces) == 2
    assert list(faulty.made.orders(bot.account)) == first["result"]["txid"]


@pytest.mark.parametrize("skew_s", [-30.0, 3600.0])
def test_another_clock_at_the_exchange(skew_s: float, faulty: RunningGateway, new_bot: NewBot) -> None:
    """The exchange's clock is set: orders pass, and one whose answer is lost stays held. Where the clock was set back,
    that order looks older than its call, and a person says that it is the bot's."""
    made, bot, control = faulty.made, new_bot(), faulty.made.sandbox.control
    control.add_fault(Status(endpoint="Time", status=502, count=10_000))  # else the gateway may measure the set clock
    control.skew(skew_s)
    try:
        first = ask(bot, "AddOrder", order())
        assert first["error"] == []
        control.add_fault(CloseAfterActing(endpoint="AddOrder"))
        assert "the outcome is unknown" in errors_of(ask(bot, "AddOrder", order()))[1]
    finally:
        control.skew(0)
        control.clear_faults()
    assert made.used(bot.name)["USD"] == 400
    (lost,) = set(made.orders(bot.account)) - set(first["result"]["txid"])
    if skew_s < 0:
        until(lambda: "unknown" in made.open_calls(bot.account).values(), "the unknown outcome")
        (number,) = [row["reservation"] for row in made.status()["open"] if row["account"] == bot.account]
        made.here("orders", "settle", str(number), "--txid", lost, "--reason", "the exchange's clock was set back")
        assert made.used(bot.name)["USD"] == 400


def test_a_read_that_fails_holds_nothing(faulty: RunningGateway, new_bot: NewBot) -> None:
    """A read has no outcome to be unsure of."""
    faults = (CloseBeforeReading(endpoint="Balance"), Truncated(endpoint="Balance"), Hang(endpoint="Balance"))
    for fault in faults:
        bot = new_bot(SHORT_S if isinstance(fault, Hang) else CALL_S)
        faulty.made.sandbox.control.add_fault(fault)
        assert errors_of(ask(bot, "Balance", {}))[0] == UNAVAILABLE
        assert faulty.made.open_calls(bot.account) == {}
    faulty.made.sandbox.control.clear_faults()
    assert ask(new_bot(), "Balance", {})["error"] == []


def test_no_redirect_is_followed(faulty: RunningGateway, new_bot: NewBot) -> None:
    """Neither an order nor a read follows a redirect."""
    bot, sandbox = new_bot(), faulty.made.sandbox
    before = max(arrival.seq for arrival in sandbox.control.arrivals())
    for endpoint in ("AddOrder", "Balance"):
        sandbox.control.add_fault(Redirect(endpoint=endpoint, location=f"{sandbox.url}/elsewhere"))
        assert errors_of(ask(bot, endpoint, order() if endpoint == "AddOrder" else {}))[0] == UNAVAILABLE
    assert not [each for each in sandbox.control.arrivals(after=before) if "elsewhere" in each.path]


def test_recovery_closes_every_unknown(faulty: RunningGateway, new_bot: NewBot) -> None:
    """Calls of each kind whose answers were lost: what the exchange has is settled, what it has not is given back."""
    made, control = faulty.made, faulty.made.sandbox.control
    bots = {acts: new_bot() for acts in (True, False)}
    batch = {f"orders[{row}][{name}]": value for row in (0, 1) for name, value in order().items() if name != "pair"}
    placed = {}
    for acts, bot in bots.items():
        placed[acts] = [ask(bot, "AddOrder", order())["result"]["txid"][0] for _ in range(2)]
        calls = (
            ("AddOrder", order()),
            ("AddOrderBatch", {"pair": "XBTUSD", **batch}),
            ("EditOrder", {"pair": "XBTUSD", "txid": placed[acts][0], "price": "21000"}),
            ("AmendOrder", {"txid": placed[acts][1], "limit_price": "22000"}),
        )
        for endpoint, fields in calls:
            control.add_fault(Status(endpoint=endpoint, status=502, acts=acts))
            assert "the outcome is unknown" in errors_of(ask(bot, endpoint, fields))[1]
        left = made.open_calls(bot.account).keys()  # a look-up may have closed others already
        assert len(left | {record["id"] for record in made.records(kind="reconciled", client=bot.name)}) == 4

    for bot in bots.values():
        until(partial(is_closed, made, bot), "every unknown outcome closed")
    for acts, bot in bots.items():
        reconciled = {record["endpoint"]: record for record in made.records(kind="reconciled", client=bot.name)}
        assert len(reconciled) == 4
        assert {record["outcome"] for record in reconciled.values()} == {"accepted" if acts else "not-sent"}
        told = {txid for record in reconciled.values() for txid in record["venue_ids"]}
        assert told | set(placed[acts]) == set(made.orders(bot.account))
        # Placed 2 x 200; in a batch 2 x 200, one more 200, edited 210 anew, amended by 20.
        assert made.used(bot.name)["USD"] == (400 + 400 + 200 + 210 + 20 if acts else 400)
    for txid in open_orders(made, bots[True]):
        assert ask(bots[True], "CancelOrder", {"txid": txid})["error"] == []


def test_an_operator_ends_unknown_outcomes_beside_the_gateway(faulty: RunningGateway, new_bot: NewBot) -> None:
    """`signer orders` lists them, settles one and releases the other; at once, and on record with who and why."""
    made, bot = faulty.made, new_bot()
    fail_look_ups(made)
    for acts in (True, False):
        made.sandbox.control.add_fault(Status(endpoint="AddOrder", status=502, acts=acts))
        assert "the outcome is unknown" in errors_of(ask(bot, "AddOrder", order()))[1]

    def unknown() -> list[int]:
        rows = json.loads(made.here("orders", "unknown", "--json"))
        return [row["id"] for row in rows if row["client"] == bot.name]

    until(lambda: len(unknown()) == 2, "both outcomes unknown")
    placed, missing = unknown()
    (txid,) = made.orders(bot.account)
    made.here("orders", "settle", str(placed), "--txid", txid, "--reason", "it is there")
    made.here("orders", "release", str(missing), "--reason", "it is not")
    assert made.open_calls(bot.account) == {}
    assert made.used(bot.name)["USD"] == 200
    told = [(record["reason"], record["venue_ids"]) for record in made.records(kind="reconciled", client=bot.name)]
    assert told == [("it is there", [txid]), ("it is not", [])]
    assert ask(bot, "CancelOrder", {"txid": txid})["error"] == []


def open_orders(made: MadeHome, bot: Bot) -> list[str]:
    """The orders of a bot that are open at the exchange."""
    return [txid for txid, row in made.orders(bot.account).items() if row["status"] == "open"]


def test_all_records_are_as_published(faulty: RunningGateway, new_bot: NewBot) -> None:
    """What a gateway under faults has written fits the schema that is published."""
    bot = new_bot()
    faulty.made.sandbox.control.add_fault(CloseAfterActing(endpoint="AddOrder"))
    ask(bot, "AddOrder", order())
    ask(bot, "Withdraw", {"asset": "XBT", "key": "cold", "amount": "1"})
    faulty.made.wait_for_record(client=bot.name, kind="outcome")
    published = jsonschema.Draft202012Validator(SCHEMA)
    for record in faulty.made.records():
        published.validate(record)
