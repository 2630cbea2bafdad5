"""Threat: a client's flood of orders that find no place in the lane fills the disk with their records.

Whether there is a place is asked before an order is held and recorded, so its refusal is one that is only counted.
"""

from __future__ import annotations

import json
from pathlib import Path

from signer.audit.throttle import IN_FULL
from signer.cli.stage import signer
from signer.sandbox.faults import Hang
from tests.harness.bots import LIMIT
from tests.harness.exchanges import small_exchange
from tests.harness.rig import CREDENTIAL, PERMISSIONS, Rig
from tests.harness.wire import Wire, ask, http

FLOOD = 60


def _one_waits(rig: Rig) -> bool:
    metrics = ask(rig.url, http("GET", "/-/metrics"))
    assert metrics is not None
    return f'signer_lane_waiting{{credential="{CREDENTIAL}"}} 1.0'.encode() in metrics.body


def test_orders_that_find_no_place_leave_counts_and_no_intents(tmp_path: Path) -> None:
    """Of sixty orders that find no place none is recorded as an intent, and all are counted."""
    with small_exchange(PERMISSIONS) as sandbox:
        rig = Rig(tmp_path, sandbox)
        config = rig.home.config
        config.write_text(config.read_text().replace("[accounts.main]\n", "[accounts.main]\nqueue = 1\n"))
        rig.start()
        try:
            bot = rig.bot("wide")
            sandbox.control.add_fault(Hang(endpoint="AddOrder", count=2))
            held = Wire(rig.url)
            held.send(bot.request("AddOrder", LIMIT))
            sandbox.control.wait_for_arrival(endpoint="AddOrder")
            waiting = Wire(rig.url)
            waiting.send(bot.request("AddOrder", LIMIT))
            while not _one_waits(rig):
                pass
            for _ in range(FLOOD):
                first, reason = rig.call(bot, "AddOrder", LIMIT)
                assert first == "EService:Unavailable"
                assert "calls of this client are waiting already; nothing was sent" in reason
            sandbox.control.clear_faults()
            for wire in (held, waiting):
                assert wire.answer() is not None
                wire.close()
        finally:
            rig.gateway.stop()
        found = signer(rig.home.folder, "audit", "search", "--client", bot.name, "--json").splitlines()
        records = [json.loads(line) for line in found]
        kinds = [record["kind"] for record in records]
        assert kinds.count("intent") == 2
        assert 0 < kinds.count("denied") <= 2 * IN_FULL
        assert kinds.count("denied") + sum(record.get("count", 0) for record in records) == FLOOD
