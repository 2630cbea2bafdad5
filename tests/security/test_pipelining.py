"""Threat: a request hidden behind another on one connection is taken for part of it, or borrows its signature."""

from __future__ import annotations

import json

import pytest

from tests.harness.bots import LIMIT, Bot
from tests.harness.rig import Rig
from tests.harness.wire import Wire, http


@pytest.fixture(scope="module")
def bot(rig: Rig) -> Bot:
    """A client that may do everything that a policy can allow: what is refused here, no policy refused."""
    return rig.bot("wide")


def test_pipelined_calls_are_answered_in_order_each_by_its_own_signature(rig: Rig, bot: Bot) -> None:
    """What comes behind a request waits its turn: none is dropped, and none rides on another's signature."""
    other = rig.bot("tracker")
    forged = bot.request("Balance").replace(bot.api_key.encode(), other.api_key.encode())
    order = bot.request("AddOrder", {**LIMIT, "validate": "true"})
    before = len(rig.arrivals())
    wire = Wire(rig.url)
    wire.send(bot.request("Balance") + forged + order + http("GET", "/0/public/Time") + other.request("Balance")[:-9])
    answers = [wire.answer() for _ in range(4)]
    bodies = [json.loads(answer.body) for answer in answers if answer is not None]
    assert "XXBT" in bodies[0]["result"]
    assert bodies[1]["error"] == ["EAPI:Invalid signature"]
    assert "descr" in bodies[2]["result"]
    assert "unixtime" in bodies[3]["result"]
    assert [arrival.endpoint for arrival in rig.arrivals()[before:]] == ["Balance", "AddOrder"]
    wire.close()


def test_what_comes_behind_a_refused_request_is_not_read(rig: Rig, bot: Bot) -> None:
    """The body of a request that was refused for its framing is never taken for the next request."""
    inner = bot.request("AddOrder", LIMIT)
    with rig.nothing_arrives():
        for outer in (
            bot.request("Balance", None, "Content-Encoding: gzip"),
            http("GET", "/nowhere"),
            bot.request("Balance", None, "API-Key: x"),
        ):
            wire = Wire(rig.url)
            wire.send(outer + inner)
            answer = wire.answer()
            assert answer is not None
            assert 400 <= answer.status < 500
            assert wire.closed()
            wire.close()
    assert rig.call(bot, "Balance") == []
