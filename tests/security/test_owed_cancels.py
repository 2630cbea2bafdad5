"""Threat: a disk that fails keeps bots from cancelling, so that what is open trades on while nobody can stop it.

*Must hold* 3 and 11: a cancel that the log cannot take goes out, is owed to the log and alarmed. Nothing else does.
"""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from signer.audit.disk import LocalFile
from tests.harness.bots import LIMIT
from tests.harness.inside import inside
from tests.harness.policies import NARROW, WIDE
from tests.harness.rig import Rig

SMALL = {**LIMIT, "price": "20000", "volume": "0.001"}


def _unable(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize(("policy", "by"), [(NARROW, "CancelOrder"), (WIDE, "CancelAll")], ids=["own", "all"])
async def test_a_cancel_goes_out_though_the_log_takes_no_record(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str, by: str
) -> None:
    """An order does not. The cancel and its outcome are on record once the log takes them, in their order."""
    bot = rig.bot(rig.policy(policy))
    home = rig.copied(tmp_path)[0].home
    async with inside(home) as made:
        txid = await made.placed(bot, SMALL)
        with monkeypatch.context() as patch:
            patch.setattr(LocalFile, "append", _unable)
            with rig.nothing_arrives():
                assert (await made.call(bot, "AddOrder", SMALL))[0] == "EService:Unavailable"
            assert await made.call(bot, by, {"txid": txid} if by == "CancelOrder" else None) == []
            assert not rig.is_open(txid)
        assert any(text.startswith("audit: a cancel of ") for text in made.watch.heard)
    lines = [json.loads(line) for path in home.audit.glob("*.jsonl") for line in path.read_text().splitlines()]
    mine = [line for line in lines if (line.get("client"), line.get("endpoint")) == (bot.name, by)]
    of_cancel = [line["kind"] for line in mine]
    assert of_cancel == ["intent", "outcome"]


async def test_an_account_that_is_not_in_force_is_said(rig: Rig, tmp_path: Path) -> None:
    """A brake must not say that it cancelled all of an account that it cannot reach."""
    home = rig.copied(tmp_path)[0].home
    async with inside(home) as made:
        config = home.config.read_text()
        home.config.write_text(config + '\n[accounts.later]\norigin = "https://api.kraken.com"\n')
        assert await made.signer("halt", "--account", "later", "--cancel-orders") == 5
