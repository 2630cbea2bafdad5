"""Threat: two bots that flood use up what Kraken allows the key and the account, and everybody else is refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from signer.errors import Refused
from signer.gateway.snapshot import Client
from signer.lanes.shares import Paces, PairCounters
from signer.model import Action, Call, Change, ClientInfo, Order, OrderRef, PlacedOrder
from signer.policy.load import load_policy
from signer.sandbox.key_limits import RestCounter
from signer.sandbox.limits import TIERS as SANDBOX_TIERS
from signer.sandbox.limits import CallCounters
from signer.sandbox.rejected import Rejected
from signer.secret import Secret
from signer.venues.kraken.encode import TIERS
from signer.venues.kraken.orders import PairTable
from signer.venues.kraken.venue import Kraken
from signer.venues.kraken.vocabulary import WORDS
from tests.harness.clocks import SetClock
from tests.harness.virtual import run
from tests.harness.ways import CANCEL, ORDER, READ, Ways

FULL = "EAPI:Rate limit exceeded"
TOO_MANY = "EOrder:Rate limit exceeded"
PAIRS = PairTable.built_in()
VENUE = Kraken(PAIRS)
PLACED = Order("XXBTZUSD", "buy", "limit", Decimal("0.01"))
TRADER = load_policy(Path(__file__).parents[2] / "policies" / "spot-trader.toml", WORDS, PAIRS.find)


@pytest.mark.parametrize("tier", ["starter", "intermediate", "pro"])
def test_two_flooders_and_a_newcomer_share_the_reads_of_a_key(tier: str) -> None:
    """Kraken (the sandbox's own counter) never refuses; the flooders hear its words from us; the newcomer's reads all
    pass, and so do orders and cancels."""

    async def story() -> None:
        ways = Ways(reads=TIERS[tier].reads)
        kraken, refused_by_kraken = RestCounter(tier), []
        send = ways.exchange.send

        async def counted(request, deadline):  # type: ignore[no-untyped-def]
            endpoint = request.target.rpartition("/")[2]
            if not kraken.spend(endpoint, asyncio.get_running_loop().time()):
                refused_by_kraken.append(endpoint)
            return await send(request, deadline)

        ways.exchange.send = counted  # type: ignore[method-assign]
        answers: dict[str, list[str]] = {"a": [], "b": []}

        async def flood(client: str) -> None:
            while True:
                answers[client] += (await ways.call(READ, client))[:1] or ["passed"]
                await asyncio.sleep(0.1)

        floods = [asyncio.create_task(flood(client)) for client in answers]
        await asyncio.sleep(60)
        for _ in range(12):
            assert await ways.call(READ, "newcomer") == []
            assert [await ways.call(ORDER, "newcomer"), await ways.call(CANCEL, "newcomer")] == [[], []]
            await asyncio.sleep(10)
        for task in floods:
            task.cancel()
        await asyncio.gather(*floods, return_exceptions=True)
        assert refused_by_kraken == []
        assert set(answers["a"]) == set(answers["b"]) == {"passed", FULL}
        passed = [answers[client].count("passed") for client in answers]
        assert abs(passed[0] - passed[1]) <= 3
        assert sum(passed) >= 0.7 * 180 * TIERS[tier].reads.decay  # type: ignore[union-attr]

    run(story())


class Desk:
    """One account's orders by the sandbox's counter, and what our side lets through to it."""

    def __init__(self, tier: str) -> None:
        self.clock = SetClock()
        self.warnings: list[str] = []
        self.paces = Paces(self.clock, lambda kind, text: self.warnings.append(f"{kind} {text}"))
        self.counters = PairCounters(TIERS[tier].orders)
        self.kraken = CallCounters(SANDBOX_TIERS[tier])
        self.refused_by_kraken = 0

    def require(self, client: Client, call: Call) -> None:
        """Count a call against its client's policy."""
        self.paces.require(client.info.name, client.policy.max_calls, call)

    def ask(self, client: str, call: Call, *targets: PlacedOrder) -> str:
        """What the client hears: ``passed``, or the first word of our refusal."""
        costs = VENUE.order_costs(call, targets, self.clock.now_us())
        try:
            self.paces.require_share(client, call, costs, self.counters)
        except Refused as refused:
            return VENUE.words(refused, call)[0]
        self.paces.count(client, costs, self.counters)
        for pair, cost in costs.items():
            try:
                if call.action is Action.CANCEL:
                    self.kraken.add(pair, cost, self.clock.monotonic())
                else:
                    self.kraken.charge(pair, cost, self.clock.monotonic())
            except Rejected:
                self.refused_by_kraken += 1
        return "passed"

    def placed(self, age_s: float = 0.0) -> PlacedOrder:
        """An order of that age."""
        return PlacedOrder("main", "bot", "O1", PLACED, self.clock.now_us() - round(age_s * 1_000_000))

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.clock.us += round(seconds * 1_000_000)


NEW = Call("AddOrder", Action.ORDER, {}, orders=(PLACED,))
BATCH = replace(NEW, endpoint="AddOrderBatch", orders=(PLACED,) * 15)
EDIT = Call("EditOrder", Action.ORDER, {}, targets=(OrderRef("venue-id", "O1"),), change=Change(replaces=True))
AMEND = replace(EDIT, endpoint="AmendOrder", change=Change(replaces=False))


@pytest.mark.parametrize("tier", ["starter", "intermediate", "pro"])
@pytest.mark.parametrize("flood", [NEW, BATCH, EDIT, AMEND], ids=lambda call: call.endpoint)
def test_two_flooders_and_a_newcomer_share_the_orders_of_a_pair(tier: str, flood: Call) -> None:
    """Kraken never refuses, the newcomer's orders and changes all pass, the flooders are refused in Kraken's words."""
    desk, heard = Desk(tier), set()
    for second in range(600):
        for client in ("a", "b"):
            heard |= {desk.ask(client, flood, desk.placed()) for _ in range(5)}
        if second > 120 and second % 10 == 0:
            assert desk.ask("newcomer", NEW) == "passed"
        if second > 120 and second % 30 == 0:
            assert desk.ask("newcomer", EDIT, desk.placed(age_s=60)) == "passed"
        desk.wait(1)
    assert heard == {"passed", TOO_MANY}
    assert desk.refused_by_kraken == 0


def test_cancels_are_counted_and_never_refused() -> None:
    """A bot that cancels young orders without end uses up its share of new orders, not the right to cancel."""
    desk = Desk("starter")
    for _ in range(50):
        assert desk.ask("a", CANCEL, desk.placed()) == "passed"
    assert desk.counters.of("XXBTZUSD").level(desk.clock.monotonic()) == pytest.approx(400)
    assert desk.ask("a", NEW) == TOO_MANY
    assert desk.ask("a", CANCEL, desk.placed(age_s=400)) == "passed"
    desk.wait(341)
    assert desk.ask("a", NEW) == "passed"


@pytest.mark.parametrize(
    ("call", "age_s", "cost"),
    [
        (NEW, 0, 1), (BATCH, 0, 8.5), (AMEND, 0, 4), (AMEND, 5, 3), (AMEND, 10, 2), (AMEND, 15, 1),
        (EDIT, 0, 7), (EDIT, 9.9, 6), (EDIT, 14, 5), (EDIT, 44, 3), (EDIT, 89, 2), (EDIT, 299, 1), (EDIT, 300, 1),
        (CANCEL, 0, 8), (CANCEL, 5, 6), (CANCEL, 10, 5), (CANCEL, 15, 4), (CANCEL, 45, 2), (CANCEL, 90, 1),
        (CANCEL, 300, 0),
    ],
)  # fmt: skip
def test_what_kraken_counts(call: Call, age_s: float, cost: float) -> None:
    """The table of docs/kraken.md §4, by the order's age."""
    desk = Desk("starter")
    assert VENUE.order_costs(call, [desk.placed(age_s)], desk.clock.now_us()) == {"XXBTZUSD": cost}


def client(name: str = "bot") -> Client:
    """A client of the shipped trader's policy: 20 new, 20 amend, 50 cancel, 30 read in 10 s."""
    info = ClientInfo(name, "main", "spot-trader", "K", "f", (), None, "window", False, 1)
    return Client(info, Secret(b"0" * 64).key(), TRADER)


@pytest.mark.parametrize(
    ("call", "most", "words"),
    [(NEW, 20, TOO_MANY), (EDIT, 20, TOO_MANY), (AMEND, 20, TOO_MANY), (READ, 30, FULL), (BATCH, 1, TOO_MANY)],
    ids=lambda value: getattr(value, "endpoint", ""),
)
def test_max_calls_of_a_policy(call: Call, most: int, words: str) -> None:
    """A client may make so many calls within any ten seconds; refused ones do not count, and others have their own."""
    desk, bot = Desk("unlimited"), client()
    for _ in range(most):
        desk.wait(0.01)
        desk.require(bot, call)
    with pytest.raises(Refused) as refused:
        desk.require(bot, call)
    assert (VENUE.words(refused.value, call)[0], refused.value.rules) == (words, ("max-calls",))
    assert "in 10s" in VENUE.words(refused.value, call)[1]
    desk.require(client("other"), call)
    wait_s = refused.value.retry_after_s
    assert wait_s is not None
    desk.wait(wait_s - 0.001)
    with pytest.raises(Refused):
        desk.require(bot, call)
    desk.wait(0.002)
    desk.require(bot, call)


def test_a_policys_limit_of_cancels_warns_and_refuses_none() -> None:
    """The warning comes once in each window, and no cancel is refused."""
    desk, bot = Desk("unlimited"), client()
    for _ in range(200):
        desk.require(bot, CANCEL)
        desk.wait(0.1)
    assert len(desk.warnings) == 2
    assert "bot cancels faster than its policy says (at most 50 cancel in 10s)" in desk.warnings[0]
