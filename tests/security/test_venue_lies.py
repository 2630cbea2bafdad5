"""Threat: the exchange, or whoever speaks in its place, answers with what harms us.

*Must hold* 8: what a list of pairs says is taken whole or not at all. Hostile answers to calls are in
tests/unit/upstream and tests/e2e/test_faults.py.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from signer.keys.passphrase import from_file
from signer.model import WireAnswer, WireRequest
from signer.prepared import prepare
from signer.trace import Trace
from signer.wiring import Wiring
from tests.security.rig import Rig, copied

XBTUSD = {"altname": "XBTUSD", "wsname": "XBT/USD", "aclass_base": "currency"}
ETHUSD = {"altname": "ETHUSD", "wsname": "ETH/USD", "aclass_base": "currency"}


class Lying:
    """An exchange that answers one thing to everything."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def send(self, request: WireRequest, deadline: float) -> WireAnswer:
        return WireAnswer(200, "application/json", self._body)

    def close(self) -> None:
        return None


class Listening:
    """A watch that keeps alarms."""

    def __init__(self) -> None:
        self.alarms: list[str] = []

    def finished(self, trace: Trace) -> None:
        return None

    def warn(self, kind: str, text: str) -> None:
        return None

    def dropped(self, client: str, endpoint: str, parameters: int) -> None:
        """Not of interest here."""

    def alarm(self, kind: str, text: str) -> None:
        self.alarms.append(kind)


@pytest.mark.parametrize(
    "answer",
    [
        {"error": [], "result": {}},
        {"error": [], "result": {"XETHZUSD": ETHUSD}},
        {"error": [], "result": {"XXBTZUSD": XBTUSD, "XETHZUSD": XBTUSD}},
        {"error": ["EService:Busy"], "result": {"XXBTZUSD": XBTUSD}},
        "nonsense",
    ],
    ids=["empty", "ours is missing", "one name twice", "with an error", "no list"],
)
async def test_a_list_of_pairs_that_contradicts_us_is_not_taken(rig: Rig, tmp_path: Path, answer: object) -> None:
    """Policies must still load with it; if not, the list known before stays in force and on disk, and it alarms."""
    home, _ = copied(rig, tmp_path)
    home.pairs.unlink(missing_ok=True)
    prepared, watch = prepare(home, from_file(home.passphrase)), Listening()
    wiring = Wiring(prepared, watch, lambda: None)
    wiring._upstreams[prepared.config.public_origin,] = Lying(json.dumps(answer).encode())  # type: ignore[assignment]
    await wiring.start()
    pairs = wiring.gateway.snapshot.pairs
    await wiring.stop()
    assert "pairs" in watch.alarms
    assert not home.pairs.exists()
    assert (pairs["XXBTZUSD"].wsname, pairs["XETHZUSD"].wsname) == ("XBT/USD", "ETH/USD")


async def test_a_background_task_that_fails_is_heard_of(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that finds a defect of ours must not end what watches over keys and outcomes in silence."""

    async def broken(_: Wiring) -> None:
        raise RecursionError("a defect")

    monkeypatch.setattr(Wiring, "_summarise", broken)
    home, _ = copied(rig, tmp_path)
    watch = Listening()
    wiring = Wiring(prepare(home, from_file(home.passphrase)), watch, lambda: None)
    await wiring.start()
    await asyncio.wait([wiring._tasks[1]])
    await wiring.stop()
    assert watch.alarms.count("defect") == 1
