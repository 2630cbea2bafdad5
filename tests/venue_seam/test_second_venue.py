"""A venue that is built otherwise than Kraken runs through the whole line, and only its own folder is new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import signer.venues
from signer.venues import open_venue, venue_names
from tests.venue_seam.exchange import Exchange, exchange
from tests.venue_seam.rig import Bot, Line, line

LIMIT = {"instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "ordType": "limit", "sz": "1", "px": "100"}
ORDER, BATCH, CANCEL = ("POST", "trade/order"), ("POST", "trade/batch-orders"), ("POST", "trade/cancel-order")


@pytest.fixture(autouse=True)
def _one_more_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the folder of the second venue lay beside Kraken's."""
    monkeypatch.setattr(signer.venues, "__path__", [*signer.venues.__path__, str(Path(__file__).parent)])


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[Line, Exchange]]:
    """The line, and the exchange that it leads to."""
    async with exchange() as far, line(open_venue("okx_like"), far, tmp_path) as near:
        yield near, far


def test_a_folder_is_enough() -> None:
    """The registry finds a venue by its folder alone."""
    assert venue_names() == ("kraken", "okx_like")
    assert open_venue("okx_like").name == "okx_like"


async def test_a_read_is_signed_and_relayed(world: tuple[Line, Exchange]) -> None:
    """The venue's own answer comes back with its status and the headers that it lets pass."""
    near, far = world
    answer = await near.answer(Bot().request("GET", "account/balance?ccy=USDT"))
    assert (answer.status, answer.headers, b"totalEq" in answer.body) == (200, (("x-rate-left", "7"),), True)
    assert (far.arrived, far.bodies) == (["GET account/balance"], [{"ccy": "USDT"}])


async def test_an_order_is_held_recorded_and_known(world: tuple[Line, Exchange]) -> None:
    """It bears a name of ours, its id is text, and its intent stands in the log before its outcome."""
    near, far = world
    status, told = await near.ask(Bot().request(*ORDER, LIMIT))
    assert (status, told["data"][0]["ordId"]) == (200, "1000")
    assert far.bodies[0]["clOrdId"].isalnum()
    records = await near.records()
    assert [record["kind"] for record in records] == ["intent", "outcome"]
    assert (records[1]["outcome"], records[1]["venue_ids"], records[1]["nonce"]) == ("accepted", ["BTC-USDT/1000"], "0")
    (placed,) = near.journal.open_orders("main", "bot")
    assert (placed.venue_id, placed.order.own) == ("BTC-USDT/1000", far.bodies[0]["clOrdId"])


async def test_a_batch_settles_row_by_row(world: tuple[Line, Exchange]) -> None:
    """The row that the venue rejects charges nothing; the other stays."""
    near, _ = world
    rows = [{**LIMIT, "clOrdId": "a1"}, {**LIMIT, "clOrdId": "a2", "sz": "777", "px": "1"}]
    status, told = await near.ask(Bot().request(*BATCH, rows))
    assert (status, told["code"], [row["sCode"] for row in told["data"]]) == (200, "2", ["0", "51008"])
    assert [one.order.client_id for one in near.journal.open_orders("main", "bot")] == ["a1"]
    used = {usage.unit: usage.used for usage in near.journal.usage("client/bot")}
    assert used == {"USDT": Decimal(100), "orders": Decimal(1)}


async def test_a_cancel_by_the_clients_name(world: tuple[Line, Exchange]) -> None:
    """It goes out by the venue's id. A second one of the dead order is answered by us, in the venue's code."""
    near, far = world
    bot = Bot()
    await near.ask(bot.request(*ORDER, {**LIMIT, "clOrdId": "mine"}))
    named = {"instId": "BTC-USDT", "clOrdId": "mine"}
    assert (await near.ask(bot.request(*CANCEL, named)))[1]["code"] == "0"
    assert far.bodies[-1] == {"instId": "BTC-USDT", "ordId": "1000"}
    sent = len(far.arrived)
    assert (await near.ask(bot.request(*CANCEL, named)))[1]["code"] == "51400"
    assert len(far.arrived) == sent


async def test_a_lost_answer_is_looked_up(world: tuple[Line, Exchange]) -> None:
    """The outcome is unknown until the venue's list shows the order; then it is the client's."""
    near, far = world
    far.hang_up, bot = True, Bot()
    status, told = await near.ask(bot.request(*ORDER, {**LIMIT, "clOrdId": "lost"}))
    assert (status, told["code"], "unknown" in told["msg"]) == (503, "50001", True)
    assert len(near.journal.open_intents()) == 1
    await near.recovery.look_up("main")
    assert not near.journal.open_intents()
    assert [(one["kind"], one["outcome"]) for one in (await near.records())[1:]] == [
        ("outcome", "unknown"),
        ("reconciled", "accepted"),
    ]
    assert (await near.ask(bot.request(*CANCEL, {"instId": "BTC-USDT", "clOrdId": "lost"})))[1]["code"] == "0"


async def test_calls_go_side_by_side(world: tuple[Line, Exchange]) -> None:
    """The lane is parallel: nobody waits for another's answer."""
    near, far = world
    bot = Bot()
    calls = [near.ask(bot.request("GET", "account/balance")) for _ in range(8)]
    assert {status for status, _ in await asyncio.gather(*calls)} == {200}
    assert far.most_at_once > 1


REFUSED: dict[str, tuple[Bot, int, str]] = {
    "signature": (Bot(secret=b"another"), 401, "50113"),
    "passphrase": (Bot(passphrase="another"), 401, "50105"),
    "no passphrase": (Bot(passphrase=""), 401, "50105"),
    "key": (Bot(api_key="another"), 401, "50111"),
}


@pytest.mark.parametrize("wrong", REFUSED)
async def test_who_does_not_prove_to_be_a_client(world: tuple[Line, Exchange], wrong: str) -> None:
    """Each is refused with the venue's status and code, and nothing is sent."""
    near, far = world
    bot, status, code = REFUSED[wrong]
    answered, told = await near.ask(bot.request(*ORDER, LIMIT))
    assert (answered, told["code"], far.arrived) == (status, code, [])
    assert (await near.records())[0]["kind"] == "login-failed"


async def test_a_replay_is_refused(world: tuple[Line, Exchange]) -> None:
    """The same request passes once; one that is too old or from the future does not."""
    near, far = world
    bot = Bot()
    request = bot.request(*ORDER, LIMIT)
    assert (await near.ask(request))[0] == 200
    others = [request, bot.request(*ORDER, LIMIT, late_ms=31_000), bot.request(*ORDER, LIMIT, late_ms=-60_000)]
    assert [(await near.ask(each))[1]["code"] for each in others] == ["50102"] * 3
    assert far.arrived == ["POST trade/order"]


DENIED: dict[str, tuple[tuple[str, str], Any, int, str]] = {
    "too large": (ORDER, {**LIMIT, "sz": "100"}, 200, "50027"),
    "a market order": (ORDER, {**LIMIT, "ordType": "market"}, 200, "50027"),
    "a row of a batch": (BATCH, [LIMIT, {**LIMIT, "sz": "100"}], 200, "50027"),
    "a transfer": (("POST", "asset/transfer"), {"amt": "1"}, 200, "50027"),
    "an unknown pair": (ORDER, {**LIMIT, "instId": "DOGE-USDT"}, 200, "51001"),
    "an unknown parameter": (ORDER, {**LIMIT, "autoBorrow": "true"}, 400, "51000"),
    "a margin order": (ORDER, {**LIMIT, "tdMode": "cross"}, 400, "51000"),
    "an unknown endpoint": (("POST", "finance/savings/purchase-redempt"), {}, 404, "50015"),
}


@pytest.mark.parametrize("what", DENIED)
async def test_a_denial_has_the_venues_shape(world: tuple[Line, Exchange], what: str) -> None:
    """An order that is denied has a row for each order, anything else a code; nothing is sent or held."""
    near, far = world
    where, told, status, code = DENIED[what]
    answered, body = await near.ask(Bot().request(*where, told))
    codes = [row["sCode"] for row in body["data"]] if body["data"] else [body["code"]]
    orders = len(told) if isinstance(told, list) else 1
    assert (answered, codes, far.arrived) == (status, [code] * (orders if body["data"] else 1), [])
    assert not near.journal.open_intents()


async def test_who_calls_too_fast_is_told_so_by_status(world: tuple[Line, Exchange]) -> None:
    """The policy's bound answers 429 in the venue's code; a cancel passes."""
    near, far = world
    bot = Bot()
    answers = [await near.ask(bot.request(*ORDER, {**LIMIT, "px": "10"})) for _ in range(13)]
    assert [status for status, _ in answers] == [200] * 12 + [429]
    assert (answers[-1][1]["code"], len(far.orders)) == ("50011", 12)
    assert (await near.ask(bot.request(*CANCEL, {"instId": "BTC-USDT", "ordId": "1000"})))[0] == 200


async def test_a_local_answer_shows_nothing_of_the_real_key(world: tuple[Line, Exchange]) -> None:
    """The bot reads what it may do, without asking the venue."""
    near, far = world
    status, told = await near.ask(Bot().request("GET", "account/config"))
    assert (status, told["data"][0]["perm"], far.arrived) == (200, "read_only,trade", [])
