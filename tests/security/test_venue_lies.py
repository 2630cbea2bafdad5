"""Threat: the exchange, or whoever speaks in its place, answers with what harms us.

*Must hold* 8: what a list of pairs says is taken whole or not at all. Hostile answers to calls are in
tests/unit/upstream and tests/e2e/test_faults.py.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from signer.gateway.trace import Trace
from signer.home.layout import Home
from signer.keys.passphrase import from_file
from signer.model import Json, WireAnswer, WireRequest
from signer.serving import wiring as wiring_module
from signer.serving.pools import PUBLIC
from signer.serving.telemetry import Metrics
from signer.serving.wiring import Wiring
from tests.harness.loading import loaded_whole
from tests.harness.rig import Rig

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
    """A watch that keeps alarms and warnings."""

    def __init__(self) -> None:
        self.alarms: list[str] = []
        self.warnings: list[str] = []

    def finished(self, trace: Trace) -> None:
        return None

    def warn(self, kind: str, text: str) -> None:
        self.warnings.append(text)

    def dropped(self, client: str, endpoint: str, parameters: int) -> None:
        """Take no notice."""

    def alarm(self, kind: str, text: str) -> None:
        self.alarms.append(kind)


def listed_by(home: Home, answer: object) -> tuple[Wiring, Listening]:
    """A gateway whose exchange answers that to every question, and what is heard of it."""
    loaded, watch = loaded_whole(home, from_file(home.passphrase)), Listening()
    wiring = Wiring(loaded, watch, lambda: None)
    wiring.pools._pools[PUBLIC, loaded.config.public("kraken")[0]] = Lying(json.dumps(answer).encode())  # type: ignore[assignment]
    return wiring, watch


@pytest.mark.parametrize(
    "answer",
    [
        {"error": [], "result": {}},
        {"error": ["EService:Busy"], "result": {"XXBTZUSD": XBTUSD}},
        "nonsense",
    ],
    ids=["empty", "with an error", "no list"],
)
async def test_what_is_no_list_of_pairs_is_not_taken(rig: Rig, tmp_path: Path, answer: object) -> None:
    """The list known before stays in force and on disk, and it alarms."""
    home = rig.copied(tmp_path)[0].home
    home.pairs("kraken").unlink(missing_ok=True)
    wiring, watch = listed_by(home, answer)
    await wiring.start()
    pairs = wiring.gateway.snapshot.venues["kraken"].pairs.by_id
    await wiring.stop()
    assert "pairs" in watch.alarms
    assert not home.pairs("kraken").exists()
    assert (pairs["XXBTZUSD"].wsname, pairs["XETHZUSD"].wsname) == ("XBT/USD", "ETH/USD")


@pytest.mark.parametrize(
    "rows",
    [{"XETHZUSD": ETHUSD}, {"XXBTZUSD": XBTUSD, "XXBTUSD2": XBTUSD, "XETHZUSD": ETHUSD}],
    ids=["delisted", "one name twice"],
)
async def test_a_pair_that_the_exchange_lists_no_more_stops_alone(rig: Rig, tmp_path: Path, rows: Json) -> None:
    """The start and every policy go on without it; it is said, counted, and back when it is listed again."""
    home = rig.copied(tmp_path)[0].home
    home.pairs("kraken").unlink(missing_ok=True)
    wiring, watch = listed_by(home, {"error": [], "result": rows})
    await wiring.start()
    at_start = dict(wiring.loaded.policies)
    await wiring.reloads.reload()
    wiring.measure(metrics := Metrics())
    await wiring.stop()
    for policies in (at_start, wiring.loaded.policies, loaded_whole(home, from_file(home.passphrase)).policies):
        assert set(policies["wide"].limits) == {"XETHZUSD"}
        assert set(policies["wide"].unlisted) == {"XBT/USD", "XBT/EUR"}
        assert set(policies["narrow"].limits) == set()
    said = "policy narrow: the exchange does not list XBT/USD, so no order for it passes; did you mean "
    assert len([text for text in watch.warnings if text.startswith(said)]) == 1
    assert b'signer_policy_unlisted_pairs{policy="wide"} 2.0' in metrics.render()


async def test_a_list_that_a_policy_cannot_live_with_is_not_taken(rig: Rig, tmp_path: Path) -> None:
    """A pair that its policy does not bound would stop the next start, so the list is not kept either."""
    home = rig.copied(tmp_path)[0].home
    home.pairs("kraken").unlink(missing_ok=True)
    narrow = home.policies / "narrow.toml"
    narrow.write_text(narrow.read_text().replace('"XBT/USD"', '"XBT/USD", "NEWBIE"'))
    rows = {"XXBTZUSD": XBTUSD, "XETHZUSD": ETHUSD, "NEWBIE": {"altname": "NEWBIE", "wsname": "NEW/BIE"}}
    wiring, watch = listed_by(home, {"error": [], "result": rows})
    await wiring.start()
    await wiring.stop()
    assert "pairs" in watch.alarms
    assert not home.pairs("kraken").exists()


async def test_a_background_task_that_fails_is_heard_of(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that finds a defect of ours must not end what watches over keys and outcomes in silence."""

    async def broken(*_: object) -> None:
        raise RecursionError("a defect")

    monkeypatch.setattr(wiring_module, "count_refusals", broken)
    home = rig.copied(tmp_path)[0].home
    watch = Listening()
    wiring = Wiring(loaded_whole(home, from_file(home.passphrase)), watch, lambda: None)
    await wiring.start()
    await asyncio.wait([wiring.loops.tasks[0]])
    await wiring.stop()
    assert watch.alarms.count("defect") == 1
