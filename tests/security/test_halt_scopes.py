"""Threat: a bot gets past a halt of a pair, a group or all but cancels, by spelling, by waiting, or by a reload.

*Must hold* 11. `tests/e2e/test_brakes.py` has the same halts with processes that are stopped and killed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from signer.home.brakes import file_brake, new_id
from signer.home.layout import Home
from tests.harness.bots import AHEAD_NS, LIMIT, Bot, Nonces
from tests.harness.inside import Inside, inside
from tests.harness.rig import Rig
from tests.security.test_brake_files import brake_of, halted, hung, no_files, until

SMALL = {**LIMIT, "price": "20000", "volume": "0.001"}
OTHER = {**SMALL, "pair": "ETHUSD", "price": "2000", "volume": "0.01"}
CANCEL_ONLY = ["EService:Market in cancel_only mode", "EService:Policy cancel-only: drill"]
SPELLINGS = ("XBTUSD", "XBT/USD", "XXBTZUSD", "BTC/USD", "xbtusd")


@asynccontextmanager
async def gateway(rig: Rig, folder: Path, *bots: Bot) -> AsyncIterator[Inside]:
    """A gateway of its own that has answered the bots."""
    async with inside(rig.copied(folder)[0].home) as made:
        for bot in bots:
            assert await made.call(bot, "Balance") == []
        yield made


def batch(pair: str) -> Mapping[str, str]:
    """The fields of a batch of two small orders for the pair."""
    order = {name: value for name, value in SMALL.items() if name != "pair"}
    return {"pair": pair, **{f"orders[{row}][{name}]": value for row in range(2) for name, value in order.items()}}


def group(home: Home, *clients: str) -> None:
    """Write the group of these clients into signer.toml, in the place of the one before."""
    text = home.config.read_text().partition("\n[groups.")[0]
    home.config.write_text(f"{text}\n[groups.grids]\nclients = {json.dumps(clients)}\n" if clients else text)


@pytest.mark.parametrize("written", ["XBT/USD", "btc/usd"])
async def test_no_spelling_gets_an_order_past_the_halt_of_its_pair(rig: Rig, tmp_path: Path, written: str) -> None:
    """Orders, batches, dry runs and changes are refused. Other pairs, reads and cancels pass, after a restart too."""
    bot = rig.bot("wide")
    async with gateway(rig, tmp_path, bot) as made:
        txid = await made.placed(bot, SMALL)
        assert await made.signer("halt", "--pair", written, "--reason", "drill") == 0
        refused = [("AddOrder", {**SMALL, "pair": pair}) for pair in SPELLINGS]
        refused += [("AddOrder", {**SMALL, "validate": "true"})]
        refused += [("AddOrderBatch", dict(batch(pair))) for pair in SPELLINGS]
        refused += [("AmendOrder", {"txid": txid, "order_qty": "0.0011"})]
        refused += [("EditOrder", {"txid": txid, "pair": "XBTUSD", "volume": "0.0011"})]
        with rig.nothing_arrives():
            for endpoint, fields in refused:
                assert await made.call(bot, endpoint, fields) == halted("drill"), (endpoint, fields)
        assert await made.call(bot, "AddOrder", OTHER) == []
        home = made.home
    Nonces.ahead += AHEAD_NS
    async with inside(home) as made:
        assert await made.call(bot, "AddOrder", SMALL) == halted("drill")
        assert await made.call(bot, "AddOrder", OTHER) == []
        assert await made.call(bot, "OpenOrders") == []
        assert await made.call(bot, "CancelOrder", {"txid": txid}) == []
        assert await made.signer("resume", "--pair", "XBTUSD") == 0
        assert await made.call(bot, "AddOrder", SMALL) == []


async def test_an_order_that_waits_is_stopped_by_the_halt_of_its_pair(rig: Rig, tmp_path: Path) -> None:
    """It is refused when its turn comes. One for another pair that waits beside it goes out."""
    bot = rig.bot("wide")
    async with gateway(rig, tmp_path, bot) as made:
        with hung() as (begun, go):
            orders = [asyncio.create_task(made.call(bot, "AddOrder", fields)) for fields in (SMALL, OTHER)]
            await until(begun.is_set)
            assert await made.signer("halt", "--pair", "XBT/USD", "--reason", "drill") == 0
            go.set()
            assert await orders[0] == halted("drill")
            assert await orders[1] == []


async def test_a_group_is_halted_whatever_a_reload_makes_of_it(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A client that is taken out, and a group that is removed, free nobody. One that joins is halted."""
    inner, later, outer = rig.bot("wide"), rig.bot("wide"), rig.bot("wide")
    home = rig.copied(tmp_path)[0].home
    group(home, inner.name)
    async with inside(home) as made:
        assert await made.signer("halt", "--group", "grids", "--reason", "drill") == 0
        assert await made.call(inner, "AddOrder", SMALL) == halted("drill")
        assert await made.call(later, "AddOrder", SMALL) == []
        group(home, later.name)
        assert await made.signer("reload") == 0
        for bot in (inner, later):
            assert await made.call(bot, "AddOrder", SMALL) == halted("drill")
        group(home)
        assert await made.signer("reload") == 0
    Nonces.ahead += AHEAD_NS
    async with inside(home) as made:
        for bot in (inner, later):
            assert await made.call(bot, "AddOrder", SMALL) == halted("drill")
        assert await made.call(outer, "AddOrder", SMALL) == []
        capfd.readouterr()
        assert await made.signer("resume", "--group", "grids") == 0
        assert capfd.readouterr().err == "Resumed group grids.\n"
        assert await made.call(inner, "AddOrder", SMALL) == []


async def test_a_group_of_a_client_that_is_not_there_is_not_taken_up(rig: Rig, tmp_path: Path) -> None:
    """Its halt would stop nobody of that name. The settings before stay in force."""
    bot = rig.bot("wide")
    home = rig.copied(tmp_path)[0].home
    async with inside(home) as made:
        group(home, f"{bot.name}x")
        assert await made.signer("reload") == 3
        (said,) = [text for text in made.watch.heard if "groups.grids.clients" in text]
        assert f"names {bot.name}x, which is no client; known are: " in said


async def test_only_cancels_pass_where_only_cancels_are_to(rig: Rig, tmp_path: Path) -> None:
    """Orders get the exchange's own words for such a market. A stricter halt stays, and only a person ends it."""
    bot = rig.bot("wide")
    async with gateway(rig, tmp_path, bot) as made:
        txid = await made.placed(bot, SMALL)
        halt = ("halt", "--client", bot.name, "--reason", "drill")
        assert await made.signer(*halt, "--cancel-only") == 0
        with rig.nothing_arrives():
            assert await made.call(bot, "AddOrder", SMALL) == CANCEL_ONLY
            assert await made.call(bot, "AmendOrder", {"txid": txid, "order_qty": "0.0011"}) == CANCEL_ONLY
        assert await made.call(bot, "Balance") == []
        assert await made.call(bot, "CancelOrder", {"txid": txid}) == []
        assert await made.signer(*halt) == 0
        assert await made.signer(*halt, "--cancel-only") == 0
        assert await made.call(bot, "AddOrder", SMALL) == halted("drill")
        made.wiring.measure(made.metrics)
        assert b'signer_halts{scope="client",state="halted"} 1.0' in made.metrics.render()


async def test_a_start_honours_the_files_of_such_halts(rig: Rig, tmp_path: Path) -> None:
    """A pair that no list of pairs has been asked about, a group and a state are on record after it."""
    bot, other = rig.bot("wide"), rig.bot("wide")
    home = rig.copied(tmp_path)[0].home
    group(home, other.name)
    halt = brake_of("halt", "")
    file_brake(home.brakes, replace(halt, id=new_id(1), pair="xbt/usd", state="cancel_only"))
    file_brake(home.brakes, replace(halt, id=new_id(2), group="grids"))
    file_brake(home.brakes, replace(halt, id=new_id(3), client=bot.name, state="cancel_only"))
    async with inside(home) as made:
        await until(lambda: no_files(home))
        assert await made.call(bot, "AddOrder", OTHER) == CANCEL_ONLY
        assert await made.call(other, "AddOrder", OTHER) == halted("drill")
        assert await made.signer("resume", "--client", bot.name) == 0
        assert await made.call(bot, "AddOrder", SMALL) == CANCEL_ONLY
        assert await made.call(bot, "AddOrder", OTHER) == []
        halts = made.wiring.journal.halts()
        assert {(one.scope.pair, one.scope.group, one.clients) for one in halts} == {
            ("", "grids", (other.name,)),
            ("XXBTZUSD", "", ()),
        }
