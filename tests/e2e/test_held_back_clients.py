"""Client libraries that the gateway was not built with, each unmodified, from an order to its cancel."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import HAS_NODE
from tests.harness.bots import Bot
from tests.harness.gateways import RunningGateway
from tests.harness.waiting import PATIENCE_S

BEGIN = """
import json, os
url, key, secret = (os.environ[name] for name in ("KRAKEN_BASE_URL", "KRAKEN_API_KEY", "KRAKEN_API_SECRET"))
seen = {}
"""
END = "\nprint(json.dumps(seen))\n"

PYTHON = {
    "krakipy": """
import ast
from krakipy import KrakenAPI
from krakipy.krakipy import KrakenAPIError
client = KrakenAPI(key, secret)
client.uri = url
order = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": 20000, "validate": False}
seen["balance"] = float(client.get_account_balance().loc["ZUSD"].iloc[0])
(seen["txid"],) = ast.literal_eval(client.add_standard_order(volume=0.01, **order))["txid"]
seen["cancelled"], _ = client.cancel_order(seen["txid"])
try:
    client.add_standard_order(volume=40, **order)
except KrakenAPIError as error:
    seen["refused"] = str(error)
""",
    "typed-kraken": """
import asyncio
from typed_core.exceptions import ApiError
from typed_kraken.core.auth import Credentials
from typed_kraken.core.transport.http import HttpRpcClient
from typed_kraken.spot import Spot
order = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "20000"}
async def trade():
    async with HttpRpcClient(base_url=url, credentials=Credentials(key, secret)) as http:
        spot = Spot(client=http)
        seen["balance"] = float((await spot.account.balance())["ZUSD"])
        (seen["txid"],) = (await spot.trading.add_order({**order, "volume": "0.01"}))["txid"]
        seen["cancelled"] = (await spot.trading.cancel_order(seen["txid"]))["count"]
        try:
            await spot.trading.add_order({**order, "volume": "40"})
        except ApiError as error:
            seen["refused"] = str(error)
asyncio.run(trade())
""",
}
"""By library, a program that reads the balance, places an order, cancels it, and has one refused that is too large."""

KRAKEN_API = """
const KrakenClient = require("kraken-api");
const { KRAKEN_BASE_URL: url, KRAKEN_API_KEY: key, KRAKEN_API_SECRET: secret } = process.env;
const client = new KrakenClient(key, secret, { url });
const order = { pair: "XBTUSD", type: "buy", ordertype: "limit", price: "20000" };
(async () => {
    const balance = Number((await client.api("Balance")).result.ZUSD);
    const [txid] = (await client.api("AddOrder", { ...order, volume: "0.01" })).result.txid;
    const cancelled = (await client.api("CancelOrder", { txid })).result.count;
    const refused = await client.api("AddOrder", { ...order, volume: "40" }).catch(error => error.message);
    console.log(JSON.stringify({ balance, txid, cancelled, refused }));
})();
"""


def seen_by(command: list[str], bot: Bot, folder: Path, **more: str) -> dict[str, Any]:
    """What a program printed that was started with the bot's env file."""
    own = {"KRAKEN_BASE_URL": bot.url, "KRAKEN_API_KEY": bot.api_key, "KRAKEN_API_SECRET": bot.api_secret}
    environment = {**os.environ, **own, **more, "HOME": str(folder)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def check(gateway: RunningGateway, account: str, seen: dict[str, Any]) -> None:
    """The client saw what the exchange has, and the order that is too large never reached the exchange."""
    (order,) = gateway.made.orders(account).items()
    assert (seen["txid"], order[1]["status"], order[1]["descr"]["price"]) == (order[0], "canceled", "20000.0")
    assert (seen["balance"], seen["cancelled"]) == (100_000, 1)
    assert "Invalid order" in seen["refused"]
    assert len(gateway.made.arrivals(account)) == 1


@pytest.mark.parametrize("library", PYTHON)
def test_python(
    library: str, gateway: RunningGateway, new_account: Callable[..., str], bots: Path, tmp_path: Path
) -> None:
    """Each library trades, and raises its own error for an order that is refused."""
    account = new_account()
    program = f"{BEGIN}{PYTHON[library]}{END}"
    seen = seen_by([str(bots / "python"), "-W", "ignore", "-c", program], gateway.client(account), tmp_path)
    check(gateway, account, seen)


if HAS_NODE:

    def test_kraken_api_in_node(
        gateway: RunningGateway, new_account: Callable[..., str], node_packages: Path, tmp_path: Path
    ) -> None:
        """npm's kraken-api, which names no content type, trades too."""
        account = new_account()
        seen = seen_by(["node", "-e", KRAKEN_API], gateway.client(account), tmp_path, NODE_PATH=str(node_packages))
        check(gateway, account, seen)
