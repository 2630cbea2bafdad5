"""Threat: a reload moves the accounts to another venue, and calls that were decided for one are signed for the other.

*Must hold* 8: a bad config leaves the old one running, whole.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from signer.contracts import Venue
from signer.home.lock import read_load
from signer.model import Algorithm
from signer.serving import loaded
from signer.venues import open_venue
from tests.harness.bots import LIMIT
from tests.harness.inside import inside
from tests.harness.policies import WIDE
from tests.harness.rig import Rig
from tests.venue_seam.okx_like.venue import OkxLike, opened


def _venue(name: str, *_: object) -> Venue:
    return opened(None) if name == "okx_like" else open_venue(name)


async def test_a_reload_to_another_venue_is_refused_and_the_old_one_goes_on(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload that changes the venue of the accounts changes nothing, and names the file and the hint."""
    bot = rig.bot(rig.policy(WIDE))
    home = rig.copied(tmp_path)[0].home
    async with inside(home) as made:
        monkeypatch.setattr(loaded, "open_venue", _venue)
        monkeypatch.setattr(OkxLike, "has_passphrase", False)  # or the keys would be refused first
        for owner in ("client", "key"):
            monkeypatch.setattr(OkxLike, f"{owner}_algorithm", Algorithm.HMAC_SHA512)
        before = made.wiring.gateway.snapshot
        text = home.config.read_text()
        assert "\n[accounts.main]\n" in text
        home.config.write_text(text.replace("\n[accounts.main]\n", '\n[accounts.main]\nvenue = "okx_like"\n'))
        await made.wiring.reloads.reload()
        assert made.wiring.gateway.snapshot is before
        assert await made.call(bot, "AddOrder", LIMIT) == []
        load = read_load(home.state)
        assert load is not None
        assert load.error == (
            f"{home.config}: the venue of the accounts has changed; restart the gateway for that, or change it back"
        )
