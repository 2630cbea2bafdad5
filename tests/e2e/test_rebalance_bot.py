"""kraken-rebalance-bot, whole and unmodified: under the policy of docs/bots.md, and under a notional cap."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_hard_coded import PREFIX


@pytest.fixture(scope="module")
def seen(bots: Path) -> dict[str, Any]:
    """What happened under each policy."""
    kind = "namespace" if PREFIX else "hook"
    command = [*PREFIX, sys.executable, "-m", "tests.e2e.rebalancing", kind, str(bots)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_rebalances(seen: dict[str, Any]) -> None:
    """The bot buys what is missing, once, at the market."""
    bot = seen["rebalancer"]
    assert (bot["status"], bot["denied"]) == (0, []), bot["log"]
    assert [(one["type"], one["ordertype"], one["pair"], one["status"]) for one in bot["orders"]] == [
        ("buy", "market", "XBTUSD", "closed")
    ]
    assert "updated values" in bot["log"]
    assert "Traceback" not in bot["log"]


def test_it_cannot_pass_under_a_notional_cap(seen: dict[str, Any]) -> None:
    """The order is refused, as `connect` says, and the bot ends with its library's own error."""
    bot = seen["spot-trader"]
    assert bot["denied"] == [["order-types", "unpriced"]]
    assert bot["orders"] == []
    assert "KrakenPermissionDeniedError" in bot["log"]
    assert "sends market orders only" in bot["told"]["cannot_pass"][0]


def test_connect_names_the_hosts_entry(seen: dict[str, Any]) -> None:
    """The bot knows one address; the printed line makes it the gateway's."""
    assert seen["rebalancer"]["told"]["hosts"] == "127.0.0.1 api.kraken.com"
