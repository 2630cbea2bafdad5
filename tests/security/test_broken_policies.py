"""Threat: a policy file that does not load stops everybody, keeps a brake from acting, or lets its own clients do more.

*Must hold* 8: it concerns its own clients alone, and all of it is said.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from signer.home.lock import read_load
from signer.keys.file import FileKeyStore
from signer.keys.passphrase import from_file
from signer.serving.loaded import reread
from signer.serving.pairs_listing import PairsListing
from signer.serving.warnings import warnings
from tests.harness.bots import AHEAD_NS, LIMIT, Nonces
from tests.harness.inside import inside
from tests.harness.loading import loaded_whole
from tests.harness.policies import NARROW, WIDE
from tests.harness.rig import Rig

DENIED = "EGeneral:Permission denied"
HALF = WIDE.replace('pairs = ["XBT/USD", ', 'pairs = ["XBT/USD", "')
NEEDLE = "half.toml: not valid TOML"


async def test_a_reload_leaves_a_client_the_policy_that_was_loaded(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The client keeps its loaded policy; other changes are taken up; `reload` says so with status 3."""
    bot, other = rig.bot(rig.policy(WIDE)), rig.bot(rig.policy(WIDE))
    home = rig.copied(tmp_path)[0].home
    store = FileKeyStore.open(home.keys, from_file(home.passphrase))
    mine, others = (next(info.policy for info in store.clients() if info.name == one.name) for one in (bot, other))
    async with inside(home) as made:
        assert await made.call(bot, "AddOrder", LIMIT) == []
        (home.policies / f"{mine}.toml").write_text(HALF)
        (home.policies / f"{others}.toml").write_text(NARROW)
        capfd.readouterr()
        assert await made.signer("reload") == 3
        said = capfd.readouterr()
        assert f"policy {mine}: does not load, so client {bot.name} stay under what was loaded of it before" in said.err
        assert "has taken it up" in said.out
        assert await made.call(bot, "AddOrder", LIMIT) == []
        explain = ("policy", "explain", "--client", bot.name, "AddOrder", "pair=XBTUSD")
        assert await made.signer(*explain) == 3
        told = capfd.readouterr()
        assert "Orders pass now: yes" in told.out
        assert f"policy {mine} does not load; what was loaded of it before is in force" in told.out
        assert f"{mine}.toml" in told.err
        assert (await made.call(other, "AddOrder", {**LIMIT, "type": "sell"}))[0] == DENIED
        assert any(text.startswith(f"policy: policy {mine}: does not load") for text in made.watch.heard)
        made.wiring.measure(made.metrics)
        assert f'signer_policy_broken_clients{{policy="{mine}"}} 1.0'.encode() in made.metrics.render()
        load = read_load(home.state)
        assert load is not None
        assert load.error == ""
        (home.policies / f"{mine}.toml").write_text(NARROW)
        assert await made.signer("reload") == 0
        assert (await made.call(bot, "AddOrder", {**LIMIT, "type": "sell"}))[0] == DENIED


@pytest.mark.parametrize("gone", [False, True], ids=["half edited", "removed"])
async def test_at_a_start_its_clients_may_only_cancel_their_own(rig: Rig, tmp_path: Path, gone: bool) -> None:
    """No order, no change, no read; a cancel of an order that they placed goes out, one of somebody else's does not."""
    bot, other = rig.bot(rig.policy(WIDE)), rig.bot("wide")
    home = rig.copied(tmp_path)[0].home
    store = FileKeyStore.open(home.keys, from_file(home.passphrase))
    mine = home.policies / f"{next(info.policy for info in store.clients() if info.name == bot.name)}.toml"
    async with inside(home) as made:
        own = await made.placed(bot, LIMIT)
        foreign = await made.placed(other, LIMIT)
    mine.unlink() if gone else mine.write_text(HALF)
    Nonces.ahead += AHEAD_NS
    async with inside(home) as made:
        for endpoint, fields in (
            ("AddOrder", LIMIT), ("AmendOrder", {"txid": own, "limit_price": "19000"}), ("Balance", {}),
            ("CancelAll", {}), ("CancelOrder", {"txid": foreign}),
        ):  # fmt: skip
            assert (await made.call(bot, endpoint, fields))[0] in {DENIED, "EOrder:Unknown order"}, endpoint
        assert await made.call(other, "AddOrder", LIMIT) == []
        assert await made.call(bot, "CancelOrder", {"txid": own}) == []
        assert any(f"client {bot.name} may only cancel" in text for text in made.watch.heard)
        await made.wiring.reloads.reload()
        assert (await made.call(bot, "Balance"))[0] == DENIED


async def test_a_reload_of_settings_that_do_not_read_is_known_to_the_gateway(rig: Rig, tmp_path: Path) -> None:
    """The command fails, and the gateway knows of it too: `status` must not say that all is taken up."""
    home = rig.copied(tmp_path)[0].home
    async with inside(home) as made:
        home.config.write_text("[gateway\n")
        assert await made.signer("reload") == 3
        load = read_load(home.state)
        assert load is not None
        assert "signer.toml: not valid TOML" in load.error


async def test_a_file_that_nobody_uses_stops_nothing(rig: Rig, tmp_path: Path) -> None:
    """A start and a reload go on, with a warning."""
    bot = rig.bot("tracker")
    home = rig.copied(tmp_path)[0].home
    (home.policies / "half.toml").write_text(HALF)
    async with inside(home) as made:
        assert await made.call(bot, "Balance") == []
        assert await made.signer("reload") == 0
        assert [finding for finding in warnings(made.wiring.loaded, date.max) if NEEDLE in finding.what]


def test_a_worker_that_starts_does_not_go_by_what_its_master_once_read(rig: Rig, tmp_path: Path) -> None:
    """What the master read at its own start may have been narrowed by a reload since: the narrow one is not known."""
    bot = rig.bot(rig.policy(WIDE))
    home = rig.copied(tmp_path)[0].home
    master = loaded_whole(home, from_file(home.passphrase))
    mine = next(info.policy for info in master.store.clients() if info.name == bot.name)
    (home.policies / f"{mine}.toml").write_text(HALF)
    assert reread(master, running=False).policies[mine].only_cancels
    assert reread(master, running=True).policies[mine] == master.policies[mine]


async def test_all_that_look_at_policies_say_the_same(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The start, `reload`, `policy check` and `doctor` name the file and the problem in the same words."""
    bot = rig.bot(rig.policy(WIDE))
    home = rig.copied(tmp_path)[0].home
    store = FileKeyStore.open(home.keys, from_file(home.passphrase))
    mine = next(info.policy for info in store.clients() if info.name == bot.name)
    path = home.policies / f"{mine}.toml"
    path.write_text(WIDE.replace("leverage = 5", "levrage = 5"))
    async with inside(home) as made:
        capfd.readouterr()
        assert await made.signer("policy", "check", str(path)) == 3
        _, _, problem = capfd.readouterr().err.strip().partition(f"{path}: ")
        assert problem.startswith("levrage: there is no such key")
        assert [finding for finding in warnings(loaded_whole(home, from_file(home.passphrase)), date.max)
                if problem in finding.what]  # fmt: skip
        assert await made.signer("reload") == 3
        assert problem in capfd.readouterr().err
        assert await made.signer("doctor", "--json") == 1
        found = json.loads(capfd.readouterr().out)["findings"]
        said = [f"{one['what']}; {one['hint']}" for one in found if one["about"] == f"policy {mine}"]
        assert problem in said
        assert any(f"at a start {bot.name} may only cancel" in text for text in said)


async def test_a_defect_in_a_reload_leaves_all_as_it_was_and_is_said(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is: nothing is half applied, and its text, which may hold anything, is not shown."""
    home = rig.copied(tmp_path)[0].home

    async def refreshed(_: PairsListing, __: object) -> bool:
        return True  # nothing but the reload shall change what is in force

    monkeypatch.setattr(PairsListing, "refresh", refreshed)
    async with inside(home) as made:
        before = made.wiring.loaded, made.wiring.gateway.snapshot

        async def fail() -> None:
            raise RuntimeError("the canary secret is in this text")

        monkeypatch.setattr(made.wiring.reloads, "_swap", fail)
        assert await made.signer("reload") == 3
        assert (made.wiring.loaded, made.wiring.gateway.snapshot) == before
        (said,) = [text for text in made.watch.heard if text.startswith("reload: ")]
        assert "a defect (RuntimeError)" in said
        assert "canary" not in said


async def test_a_load_that_cannot_be_published_is_in_force_all_the_same(rig: Rig, tmp_path: Path) -> None:
    """A full disk, on which commands cannot be told, ends neither a start nor a reload."""
    home = rig.copied(tmp_path)[0].home
    async with inside(home) as made:
        home.state.unlink()
        home.state.mkdir()
        await made.wiring.reloads.reload()
        home.state.rmdir()
        assert "reload: what was loaded cannot be told to commands: Is a directory" in made.watch.heard
