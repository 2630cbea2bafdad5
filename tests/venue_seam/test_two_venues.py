"""One home with accounts at two venues: each has its listener, its list of pairs and its policies' words."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import signer.venues
from signer.cli.connect import base_url
from signer.home.lock import read_load
from signer.model import Algorithm
from signer.sandbox.server import RunningSandbox, Settings
from signer.secret import Secret
from tests.harness import bots
from tests.harness.gateways import RunningGateway
from tests.harness.homes import MadeHome
from tests.harness.policies import POLICIES
from tests.harness.waiting import until
from tests.harness.wire import Answer, ask, http
from tests.venue_seam import beside_kraken
from tests.venue_seam.exchange import API_KEY, PASSPHRASE, SECRET, Exchange, exchange
from tests.venue_seam.rig import CLIENT_KEY, CLIENT_PASSPHRASE, CLIENT_SECRET, POLICY, Bot

LIMIT = {"instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "ordType": "limit", "sz": "1", "px": "100"}
NUMBERS = itertools.count(1)
LISTEN = '[gateway.listen]\nkraken = "127.0.0.1:0"\nokx_like = "127.0.0.1:0"\n'


@pytest.fixture(autouse=True)
def _one_more_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the folder of the second venue lay beside Kraken's."""
    monkeypatch.setattr(signer.venues, "__path__", [*signer.venues.__path__, str(Path(__file__).parent)])


@pytest.fixture(scope="module", name="sandbox")
def _sandbox() -> Iterator[RunningSandbox]:
    with RunningSandbox(Settings(tier="unlimited")) as sandbox:
        yield sandbox


@dataclass
class Both:
    """A gateway that runs before both exchanges, and a bot of each venue."""

    made: MadeHome
    far: Exchange
    gateway: RunningGateway
    kraken: bots.Bot
    okx: Bot

    def url(self, venue: str) -> str:
        """Where the bots of a venue connect."""
        return str(dict(zip(self.gateway.ready["venues"], self.gateway.ready["urls"], strict=True))[venue])

    async def ask(self, url: str, sent: bytes) -> Answer:
        """The answer to a request, read while this event loop serves the exchange."""
        answer = await asyncio.to_thread(ask, url, sent)
        assert answer is not None
        return answer

    async def call(self, method: str, path: str, told: Any = None, *, bot: Bot | None = None, at: str = "") -> Answer:
        """The answer to a call of the second venue, at its listener unless ``at`` says otherwise."""
        request = (bot or self.okx).request(method, path, told)
        lines = [f"{name.upper()}: {value}" for name, value in request.headers.items()]
        return await self.ask(at or self.url("okx_like"), http(method, request.target.decode(), request.body, *lines))


def home_of_both(folder: Path, sandbox: RunningSandbox, far: Exchange) -> tuple[MadeHome, bots.Bot, Bot]:
    """A home with an account, a policy and a client at each venue."""
    policies = {name: f'venue = "kraken"\n{text}' for name, text in POLICIES.items()}
    made = MadeHome(folder, sandbox, policies={**policies, "okx": f'venue = "okx_like"\n{POLICY}'})
    made.program = ("-m", beside_kraken.__name__)
    made.home.config.write_text(f"version = 1\n{LISTEN}")
    account = f"main-{next(NUMBERS)}"
    made.add_account(account)
    made.describe_account("other", origin=far.origin, venue="okx_like")
    by, real = Algorithm.HMAC_SHA256, Secret(SECRET, Secret(PASSPHRASE.encode()))
    made.store.add_credential("okx-key", "other", API_KEY, real, created_us=1, algorithm=by)
    virtual = Secret(CLIENT_SECRET, Secret(CLIENT_PASSPHRASE.encode()))
    made.store.add_client("okx-bot", "other", "okx", CLIENT_KEY, virtual, by, created_us=1)
    return made, made.add_client("kraken-bot", account, "trader"), Bot()


@pytest_asyncio.fixture(name="both")
async def _both(tmp_path: Path, sandbox: RunningSandbox) -> AsyncIterator[Both]:
    async with exchange() as far:
        made, kraken, okx = await asyncio.to_thread(home_of_both, tmp_path / "home", sandbox, far)
        both = Both(made, far, await asyncio.to_thread(RunningGateway, made), kraken, okx)
        try:
            yield both
        finally:
            await asyncio.to_thread(both.gateway.stop)


async def test_each_bot_trades_at_its_own_exchange(both: Both) -> None:
    """Reads, orders and public calls of a listener reach its venue's exchange, and come back in that venue's form."""
    kraken = await both.ask(both.url("kraken"), both.kraken.request("AddOrder", bots.order()))
    okx = await both.call("POST", "trade/order", {**LIMIT, "clOrdId": "mine"})
    assert (kraken.errors, json.loads(okx.body)["data"][0]["ordId"]) == ([], "1000")
    assert len(both.made.orders(both.kraken.account)) == len(both.far.orders) == 1
    assert (await both.call("GET", "account/balance")).status == 200
    time = json.loads((await both.ask(both.url("kraken"), http("GET", "/0/public/Time"))).body)
    assert "unixtime" in time["result"]
    assert "ts" in json.loads((await both.call("GET", "public/time")).body)["data"][0]
    listed = {name: json.loads(both.made.home.pairs(name).read_text()).keys() for name in ("kraken", "okx_like")}
    assert ("XXBTZUSD" in listed["kraken"], set(listed["okx_like"])) == (True, {"BTC-USDT"})
    intents = {(one["account"], one["endpoint"]) for one in both.made.records(kind="intent")}
    assert intents == {(both.kraken.account, "AddOrder"), ("other", "POST trade/order")}


async def test_a_client_is_unknown_at_the_other_venues_listener(both: Both) -> None:
    """It is refused as an unknown key is, in the words of the listener's venue; neither exchange hears of it."""
    before = len(both.far.arrived)
    as_okx = Bot(b"no matter", api_key=both.kraken.api_key)
    answer = await both.call("POST", "trade/order", LIMIT, bot=as_okx)
    assert (answer.status, json.loads(answer.body)["code"]) == (401, "50111")
    as_kraken = bots.Bot("x", both.okx.api_key, both.kraken.api_secret)
    assert (await both.ask(both.url("kraken"), as_kraken.request("Balance"))).errors == ["EAPI:Invalid key"]
    paths = [
        (both.url("okx_like"), both.kraken.request("Balance")),
        (both.url("kraken"), http("GET", "/api/v5/public/time")),
    ]
    assert [(await both.ask(*each)).status for each in paths] == [404, 404]
    assert (len(both.far.arrived), both.made.orders(both.kraken.account)) == (before, {})


async def test_the_commands_tell_the_venues_apart(both: Both, tmp_path: Path) -> None:
    """The ready line, status, doctor and the bots' files name each listener with its venue."""
    status = await asyncio.to_thread(both.made.status)
    gateway = status["gateway"]
    assert gateway["venues"] == ["kraken", "okx_like"]
    assert gateway["listen"] == ", ".join(both.gateway.ready["urls"])
    assert status["orders"]["trouble"] == ""
    words = ("--account", both.kraken.account, "--policy", "trader", "--env-file", str(tmp_path / "a"))
    await asyncio.to_thread(both.made.here, "clients", "add", "a", *words)
    assert (tmp_path / "a").read_text().startswith(f"KRAKEN_BASE_URL={both.url('kraken')}\n")
    assert base_url(both.made.home, "okx_like") == both.url("okx_like")
    done = await asyncio.to_thread(both.made.signer, "doctor")
    for url in both.gateway.ready["urls"]:
        assert f"listener {url}: answers, and would take an order" in done.stdout, done.stdout
    for origin in (both.made.sandbox.url, both.far.origin):
        assert f"exchange {origin}: answers, and its clock and ours agree" in done.stdout


async def test_a_client_under_a_policy_of_another_venue_may_only_cancel(both: Both) -> None:
    """The command refuses such a policy. One that is written so later changes nothing until a restart, and says why."""
    refused = await asyncio.to_thread(both.made.signer, "clients", "update", "okx-bot", "--policy", "trader")
    assert refused.returncode == 3
    assert "policy trader is for kraken, and account other is at okx_like; name a policy for okx_like" in refused.stderr
    path = both.made.home.policies / "okx.toml"
    path.write_text((both.made.home.policies / "trader.toml").read_text())
    assert await asyncio.to_thread(both.gateway.reload) == ""
    assert (await both.call("POST", "trade/order", LIMIT)).status == 200
    load = read_load(both.made.home.state)
    assert load is not None
    assert "venue: it is for kraken, and client okx-bot trades at okx_like; give" in load.broken[0]
    assert (await both.ask(both.url("kraken"), both.kraken.request("AddOrder", bots.order()))).errors == []
    await asyncio.to_thread(both.gateway.stop)
    both.gateway = await asyncio.to_thread(RunningGateway, both.made)
    await asyncio.to_thread(until, both.okx.is_above_the_mark, "a time above the mark that the restart left")
    denied = json.loads((await both.call("POST", "trade/order", LIMIT)).body)
    assert (denied["code"], denied["data"][0]["sCode"]) == ("1", "50027")
    assert (
        json.loads((await both.call("POST", "trade/cancel-order", {"instId": "BTC-USDT", "ordId": "1000"})).body)[
            "code"
        ]
        == "0"
    )
