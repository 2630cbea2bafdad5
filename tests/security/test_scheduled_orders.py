"""Threat: a bot leaves an order that starts, or ends, long after it was halted or revoked.

The exchange keeps such an order by itself, so the policy must say how far ahead it may lie (docs/policy.md).
"""

from __future__ import annotations

import time

import pytest

from tests.harness.bots import LIMIT
from tests.harness.policies import NARROW
from tests.harness.rig import Rig

WEEK = 'schedule = "7d"\ntime_in_force = ["GTC", "GTD"]\n[[cap]]'
FAR_S, NEAR_S = 2_592_000, 3_600


@pytest.mark.parametrize("name", ["starttm", "expiretm"])
@pytest.mark.parametrize("written", ["relative", "absolute"])
def test_no_order_starts_or_ends_beyond_the_schedule(rig: Rig, name: str, written: str) -> None:
    """A month is refused whatever the spelling, in a batch too; without the key an hour is as well."""
    unstated, week = rig.bot("narrow"), rig.bot(rig.policy(NARROW.replace("[[cap]]", WEEK)))

    def at(ahead_s: int) -> str:
        return f"+{ahead_s}" if written == "relative" else str(int(time.time()) + ahead_s)

    row = {key: value for key, value in LIMIT.items() if key != "pair"}
    batch = {f"orders[{n}][{key}]": value for n in (0, 1) for key, value in row.items()} | {"pair": "XBTUSD"}
    with rig.nothing_arrives():
        for bot, ahead_s in ((week, FAR_S), (unstated, FAR_S), (unstated, NEAR_S)):
            assert "schedule" in " ".join(rig.call(bot, "AddOrder", {**LIMIT, name: at(ahead_s)}))
            assert "schedule" in " ".join(rig.call(bot, "AddOrderBatch", {**batch, f"orders[1][{name}]": at(ahead_s)}))
    kind = {"timeinforce": "GTD"} if name == "expiretm" else {}
    assert rig.call(week, "AddOrder", {**LIMIT, **kind, name: at(NEAR_S)}) == []
