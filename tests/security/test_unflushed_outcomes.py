"""Threat: a crash between an order's answer and the flush of its outcome makes the bot's own order a stranger's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from signer.audit.journal import FileJournal
from tests.harness.bots import AHEAD_NS, LIMIT, Nonces
from tests.harness.inside import inside
from tests.harness.policies import NARROW
from tests.harness.rig import Rig


@pytest.mark.parametrize(
    ("endpoint", "more"),
    [("CancelOrder", {}), ("AmendOrder", {"limit_price": "20001"}), ("QueryOrders", {})],
    ids=["cancel", "change", "query"],
)
async def test_an_order_whose_outcome_was_lost_with_the_process_is_its_bot_s(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str, more: Mapping[str, str]
) -> None:
    """The process dies between the answer and the flush of its outcome: the next one never calls the order unknown.

    A young gateway still measures the exchange's clock. It may have to be asked again.
    """
    bot = rig.bot(rig.policy(NARROW))
    home = rig.copied(tmp_path)[0].home
    async with inside(home) as first:
        with monkeypatch.context() as patch:
            patch.setattr(FileJournal, "conclude", lambda *_, **__: None)  # what never reached the disk is gone
            txid = await first.placed(bot, {**LIMIT, "price": "20000", "volume": "0.001"})
    Nonces.ahead += AHEAD_NS
    async with inside(home) as second:
        while errors := await second.call(bot, endpoint, {"txid": txid, **more}):
            assert errors[0] == "EService:Unavailable"
        assert rig.is_open(txid) == (endpoint != "CancelOrder")
