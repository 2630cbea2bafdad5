"""The second venue through the gateway's own listener and edge: status, headers and body as a bot reads them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

import signer.venues
from signer.serving.clock import SystemClock
from signer.serving.edge import Edge
from signer.upstream.held import HeldAnswers
from signer.venues import open_venue
from tests.harness.listening import listening
from tests.harness.wire import Answer, ask, http
from tests.venue_seam.exchange import Exchange, exchange
from tests.venue_seam.rig import Bot, line

LIMIT = {"instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "ordType": "limit", "sz": "1", "px": "100"}
ORDER, BATCH = ("POST", "trade/order"), ("POST", "trade/batch-orders")


class App:
    """What the listener asks of its application."""

    request_seconds = answer_seconds = 20.0

    def __init__(self, edge: Edge) -> None:
        self.answer = edge
        self.held = HeldAnswers(1024 * 1024)


class Api:
    """The second venue's API as the gateway serves it on a loopback port."""

    def __init__(self, url: str, far: Exchange) -> None:
        self._url = url
        self.far = far

    async def ask(self, bot: Bot, method: str, path: str, told: Any = None) -> Answer:
        """The answer to a signed request of ``bot`` on a connection of its own."""
        request = bot.request(method, path, told)
        lines = [f"{name.upper()}: {value}" for name, value in request.headers.items()]
        sent = http(method, request.target.decode(), request.body, *lines)
        answer = await asyncio.to_thread(ask, self._url, sent)
        assert answer is not None
        return answer


@pytest_asyncio.fixture
async def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    """A gateway between bots and the exchange."""
    monkeypatch.setattr(signer.venues, "__path__", [*signer.venues.__path__, str(Path(__file__).parent)])
    venue = open_venue("okx_like")
    async with exchange() as far, line(venue, far, tmp_path) as near:
        answer = near.gateway.answer
        edge = Edge(
            venue, answer, answer, lambda _: None, clock=SystemClock(), body_seconds=20.0, on_defect=pytest.fail
        )
        async with listening(App(edge)) as (host, port):
            yield Api(f"http://{host}:{port}", far)


def headers_of(answer: Answer) -> dict[str, str]:
    """The headers of an answer by their names in small letters, but for the date."""
    lines = [line.partition(": ") for line in answer.head.decode().split("\r\n")[1:]]
    return {name.lower(): value for name, _, value in lines if name.lower() != "date"}


def framed(body: bytes) -> dict[str, str]:
    """The headers that each answer has."""
    return {"content-type": "application/json", "content-length": str(len(body)), "server": "gunicorn/asgi"}


async def test_a_read_brings_the_venues_status_headers_and_body(api: Api) -> None:
    """A bot reads the venue's own bytes, with the header that the venue's folder lets through."""
    answer = await api.ask(Bot(), "GET", "account/balance?ccy=USDT")
    assert (answer.status, json.loads(answer.body)) == (200, {"code": "0", "msg": "", "data": [{"totalEq": "1000"}]})
    assert headers_of(answer) == framed(answer.body) | {"x-rate-left": "7"}
    assert (api.far.arrived, api.far.bodies) == (["GET account/balance"], [{"ccy": "USDT"}])


async def test_an_order_reaches_the_venue_and_its_id_comes_back(api: Api) -> None:
    """A bot places an order by a JSON body, and reads the id as text, and its own name of the order."""
    answer = await api.ask(Bot(), *ORDER, {**LIMIT, "clOrdId": "mine"})
    (row,) = json.loads(answer.body)["data"]
    assert (answer.status, row) == (200, {"ordId": "1000", "clOrdId": "mine", "sCode": "0", "sMsg": ""})
    assert (api.far.arrived, api.far.orders["1000"]["clOrdId"] != "mine") == (["POST trade/order"], True)


REFUSED: dict[str, tuple[Bot, Any, int, str, str]] = {
    "a signature by another secret": (Bot(secret=b"another"), LIMIT, 401, "50113", "signer: invalid-signature"),
    "an unknown parameter": (Bot(), {**LIMIT, "autoBorrow": "true"}, 400, "51000", "signer: autoBorrow is not known"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_refusal_has_the_venues_4xx_status_and_envelope(api: Api, what: str) -> None:
    """A bot reads the status, the code and an empty list of rows; the exchange hears nothing."""
    bot, told, status, code, msg = REFUSED[what]
    answer = await api.ask(bot, *ORDER, told)
    assert (answer.status, json.loads(answer.body)) == (status, {"code": code, "msg": msg, "data": []})
    assert headers_of(answer) == framed(answer.body)
    assert api.far.arrived == []


async def test_a_denied_batch_has_an_error_in_each_row(api: Api) -> None:
    """A bot reads status 200 and one row for each order, under the client's id; the exchange hears nothing."""
    rows = [{**LIMIT, "clOrdId": "a1"}, {**LIMIT, "clOrdId": "a2", "sz": "100"}]
    answer = await api.ask(Bot(), *BATCH, rows)
    told = json.loads(answer.body)
    assert (answer.status, told["code"]) == (200, "1")
    assert [(row["ordId"], row["clOrdId"], row["sCode"]) for row in told["data"]] == [
        ("", "a1", "50027"),
        ("", "a2", "50027"),
    ]
    assert headers_of(answer) == framed(answer.body)
    assert api.far.arrived == []


async def test_the_venues_own_row_errors_come_back(api: Api) -> None:
    """A bot reads which of its orders the venue has rejected."""
    rows = [{**LIMIT, "clOrdId": "a1"}, {**LIMIT, "clOrdId": "a2", "sz": "777", "px": "1"}]
    answer = await api.ask(Bot(), *BATCH, rows)
    told = json.loads(answer.body)
    assert (answer.status, told["code"], [row["sCode"] for row in told["data"]]) == (200, "2", ["0", "51008"])
    assert headers_of(answer) == framed(answer.body) | {"x-rate-left": "7"}
