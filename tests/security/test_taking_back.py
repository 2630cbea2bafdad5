"""Threat: `clients revoke` or `rotate` leaves a bot trading, because something else in the home is broken."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from signer.errors import ConfigError, HomeError
from signer.gateway.snapshot import AT_ONCE, Revocations
from signer.home.layout import Home
from signer.home.lock import RELOAD
from signer.keys.file import FileKeyStore
from signer.keys.passphrase import Passphrase, from_file
from signer.model import Json
from signer.operator import braking, reload, taking_back
from signer.serving.admin import ask
from tests.harness.bots import LIMIT, Bot
from tests.harness.inside import Inside, inside
from tests.harness.rig import Rig
from tests.harness.waiting import PATIENCE_S

REFUSED = ["EAPI:Invalid key"]
NEW_PASSPHRASE = b"another passphrase of this test"


def half_edited(home: Home) -> None:
    """A policy file that nobody uses, in the middle of an edit."""
    (home.policies / "draft.toml").write_text("version = 1\npermissions = [")


def own_policy_broken(home: Home) -> None:
    """The client's own policy does not load."""
    (home.policies / "tracker.toml").write_text("version = 1\npermissions = 7\n")


def policies_gone(home: Home) -> None:
    """The folder of policies is not there."""
    home.policies.rename(home.folder / "elsewhere")


def settings_broken(home: Home) -> None:
    """A key of signer.toml that there is not."""
    home.config.write_text(home.config.read_text() + "\n[gatway]\n")


def settings_gone(home: Home) -> None:
    """No signer.toml."""
    home.config.unlink()


def passphrase_changed(home: Home) -> None:
    """Seal the key store under another passphrase, which the gateway has no file to read from."""
    store = FileKeyStore.open(home.keys, from_file(home.passphrase))
    store.change_passphrase(Passphrase(NEW_PASSPHRASE, where="test"))
    home.passphrase.write_bytes(NEW_PASSPHRASE)


def fine(_: Home) -> None:
    """All is well."""


STATES: tuple[Callable[[Home], None], ...] = (
    fine, half_edited, own_policy_broken, policies_gone, settings_broken, settings_gone, passphrase_changed
)  # fmt: skip


@contextlib.asynccontextmanager
async def gateway(rig: Rig, folder: Path, bot: Bot) -> AsyncIterator[Inside]:
    """A gateway of its own that has answered the bot."""
    home = rig.copied(folder)[0].home
    async with inside(home) as made:
        assert await made.call(bot, "Balance") == []
        yield made


@contextlib.contextmanager
def fixed(home: Home) -> Iterator[None]:
    """What the block does to settings and policies is undone behind it."""
    kept = home.folder.parent / "kept"
    shutil.copytree(home.policies, kept)
    settings = home.config.read_text()
    yield
    home.config.write_text(settings)
    shutil.rmtree(home.policies, ignore_errors=True)
    kept.rename(home.policies)


def revoked(home: Home) -> set[str]:
    """Return the clients that the key store calls revoked."""
    store = FileKeyStore.open(home.keys, from_file(home.passphrase))
    return {info.name for info in store.clients() if info.revoked}


def revoked_in_force(made: Inside) -> set[str]:
    """Return the clients that the running gateway refuses."""
    clients = made.wiring.gateway.snapshot.clients.values()
    return {client.info.name for client in clients if client.info.revoked}


async def until(seen: Callable[[], object]) -> None:
    """Wait for what the gateway in this process does by itself."""
    while not seen():
        await asyncio.sleep(0.01)


async def test_revoke_and_rotate_act_whatever_state_the_home_is_in(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The next call is refused and the key store says so, though the gateway can read nothing of the home.

    Of a rotation the old pair is refused, though the new one may have to wait for a home that reads.
    """
    other = rig.bot("wide")
    first = [rig.bot("tracker") for _ in STATES]
    second = [rig.bot("tracker") for _ in STATES]
    async with gateway(rig, tmp_path, other) as made:
        for state, goes, turns in zip(STATES, first, second, strict=True):
            with fixed(made.home):
                state(made.home)
                capfd.readouterr()
                assert await made.signer("clients", "revoke", goes.name) == 0, state
                said = capfd.readouterr().err
                assert f"Revoked client {goes.name}." in said, state
                assert "MAY STILL CALL" not in said, state
                await made.signer("clients", "rotate", turns.name)
                for bot in (goes, turns):
                    assert await made.call(bot, "Balance") == REFUSED, state
                await made.wiring.reloads.reload()
                for bot in (goes, turns):
                    assert await made.call(bot, "Balance") == REFUSED, state
                assert await made.call(other, "Balance") == [], state
        assert revoked(made.home) >= {bot.name for bot in first}
        assert made.wiring.journal.halts() == []
        assert await made.signer("clients", "revoke", first[0].name) == 0
        assert "Already revoked" in capfd.readouterr().err


async def test_an_overlap_ends_although_no_reload_succeeds(rig: Rig, tmp_path: Path) -> None:
    """The gateway itself knows until when the old credential passes."""
    bot = rig.bot("tracker")
    async with gateway(rig, tmp_path, bot) as made:
        settings_broken(made.home)
        await made.signer("clients", "rotate", bot.name, "--overlap", "1h")
        assert await made.call(bot, "Balance") == []
        client = made.wiring.gateway.snapshot.clients[bot.api_key]
        assert client.info.expires_us is not None
        now_us = made.wiring._clock.now_us()
        assert 0 < client.info.expires_us - now_us <= 3_600_000_000


async def test_a_gateway_that_does_not_confirm_is_said(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never "Revoked" alone: the bot may still call, and the command fails. The brake's file reaches the gateway."""
    bot = rig.bot("wide")
    async with gateway(rig, tmp_path, bot) as made:
        monkeypatch.setattr(braking, "CONFIRM_S", 0.2)
        monkeypatch.setattr(reload, "RELOAD_S", 0.2)
        await made.wiring.admin.close()
        asyncio.get_running_loop().add_signal_handler(RELOAD, lambda: None)  # deaf on both ears
        assert await made.signer("clients", "revoke", bot.name) == 5
        said = capfd.readouterr().err
        assert "THE BOT MAY STILL TRADE" in said
        assert "Revoked" not in said
        await asyncio.wait_for(until(lambda: bot.name in revoked_in_force(made)), PATIENCE_S)
        assert await made.call(bot, "AddOrder", LIMIT) == REFUSED
        await made.wiring.admin.open()


async def test_a_rotation_that_is_not_confirmed_halts_the_client(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old pair may still pass, so the client's orders are halted; the command fails and says how to end that."""
    bot = rig.bot("wide")
    async with gateway(rig, tmp_path, bot) as made:

        def unanswered(*_: object, **__: object) -> None:
            raise HomeError("the running gateway does not answer")

        monkeypatch.setattr(taking_back, "ask_within", unanswered)
        monkeypatch.setattr(reload, "RELOAD_S", 0.2)
        asyncio.get_running_loop().add_signal_handler(RELOAD, lambda: None)
        assert await made.signer("clients", "rotate", bot.name) == 5
        said = capfd.readouterr().err
        assert "THE BOT MAY STILL CALL" in said
        assert "EGeneral:Policy halt: its credential is taken back" in await made.call(bot, "AddOrder", LIMIT)
        hint = said.partition("`signer resume")[2].partition("`")[0]
        assert await made.signer("resume", *shlex.split(hint)) == 0
        assert made.wiring.journal.halted(bot.name, "main") is None


@pytest.mark.parametrize("passphrase", ["not the passphrase of this store", None], ids=["wrong", "none"])
async def test_a_key_store_that_cannot_be_changed_does_not_let_it_in_again(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str], passphrase: str | None
) -> None:
    """The command fails and says what to repeat; the log has the client revoked at every start."""
    bot = rig.bot("wide")
    async with gateway(rig, tmp_path, bot) as made:
        kept = made.home.passphrase.read_bytes()
        made.home.passphrase.unlink()
        if passphrase is not None:
            made.home.passphrase.touch(0o600)
            made.home.passphrase.write_text(passphrase)
        assert await made.signer("clients", "revoke", bot.name) == 4
        said = capfd.readouterr().err
        assert f"{bot.name} stays revoked, but the key store does not say so" in said
        assert "Revoked" not in said
        assert await made.call(bot, "Balance") == REFUSED
        made.home.passphrase.touch(0o600)
        made.home.passphrase.write_bytes(kept)
    async with inside(made.home) as again:
        assert await again.call(bot, "Balance") == REFUSED


async def test_a_revocation_is_on_record_and_a_wrong_name_changes_nothing(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Begun and done, as any act of an operator; a name that nobody knows is an error without a trace."""
    bot = rig.bot("tracker")
    async with gateway(rig, tmp_path, bot) as made:
        assert await made.signer("clients", "revoke", "nobody") == 4
        assert "there is no client 'nobody'" in capfd.readouterr().err
        assert made.wiring.journal.halts() == []
        settings_broken(made.home)
        await made.signer("clients", "revoke", bot.name, "--reason", "left the team")
        lines = b"".join(path.read_bytes() for path in sorted(made.home.audit.glob("audit-*.jsonl"))).splitlines()
        acts = [record for record in map(json.loads, lines) if record.get("act") == "clients revoke"]
        told = [(act["stage"], act["client"], act.get("reason")) for act in acts]
        assert [one for one in told if one[1] in {bot.name, "nobody"}] == [
            ("begun", bot.name, "left the team"),
            ("done", bot.name, None),
        ]


async def test_a_key_issued_anew_after_it_was_taken_back_works(rig: Rig, tmp_path: Path) -> None:
    """`clients add --import-stdin` may give a bot the pair that it had; what names no credential takes none back."""
    bot = rig.bot("tracker")
    async with gateway(rig, tmp_path, bot) as made:
        clients = made.wiring.gateway.snapshot.clients
        for since, refused in ((0, True), (-1, False)):
            taken = Revocations()
            taken.take_back({bot.api_key: AT_ONCE}, clients[bot.api_key].info.created_us + since)
            assert taken.applied(clients)[bot.api_key].info.revoked is refused
        wrongs: tuple[Json, ...] = ([bot.api_key], "x", {bot.api_key: "now"})
        for wrong in wrongs:
            question = partial(ask, made.home.admin, "take_back", credentials=wrong)
            with pytest.raises(ConfigError, match="names no credentials"):
                await asyncio.to_thread(question)
        assert await made.call(bot, "Balance") == []
