"""Threat: an operator believes that a bot is stopped, or may trade, because one command says other than the next.

*Must hold* 8: `status`, `doctor`, `policy explain` and `/-/ready` say the same of every state, and what they say is so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from signer.audit.journal import FileJournal
from signer.cli.readiness import lines
from signer.doctor import orders
from signer.errors import StoreUnavailable
from signer.gateway.credential import Credential
from signer.keys.file import FileKeyStore
from signer.keys.passphrase import from_file
from signer.model import Halt, HaltScope, KeyInfo
from signer.operator.readiness import readiness_of
from signer.serving.clock import SystemClock
from signer.serving.readiness import InForce, judged, read_answer
from tests.harness.bots import AHEAD_NS, LIMIT, Bot, Nonces
from tests.harness.inside import Inside, inside
from tests.harness.policies import NARROW, WIDE
from tests.harness.rig import Rig

ORDER = [f"{key}={value}" for key, value in LIMIT.items()]


class Sealed:
    """The handle of a key whose store is away."""

    async def sign(self, _: bytes) -> bytes:
        raise StoreUnavailable("Vault is sealed")


@dataclass
class Bench:
    """A gateway with a bot, and what an operator can ask about it."""

    made: Inside
    bot: Bot
    capfd: pytest.CaptureFixture[str]
    policy: Path

    @property
    def credential(self) -> Credential:
        """The only real key."""
        (account,) = self.made.wiring.gateway.snapshot.accounts.values()
        return account.credentials[0]

    def store(self) -> FileKeyStore:
        """The key store, to change it behind the gateway's back."""
        return FileKeyStore.open(self.made.home.keys, from_file(self.made.home.passphrase))

    async def told(self, *arguments: str) -> tuple[int, Any]:
        """Exit status and JSON answer of a command."""
        self.capfd.readouterr()
        status = await self.made.signer(*arguments)
        return status, json.loads(self.capfd.readouterr().out)

    async def agreed(self) -> tuple[bool, set[str], str]:
        """Whether an order of the bot passes, by all four; kinds of what stops it or is noted; the trouble of all."""
        _, status = await self.told("status", "--json")
        says = status["orders"]
        own = [each for one in says["clients"] if one["client"] == self.bot.name for each in one["obstacles"]]
        stopping = [*says["everybody"], *own]
        code, explained = await self.told("policy", "explain", "--client", self.bot.name, "--json", "AddOrder", *ORDER)
        assert code == (1 if stopping else 0)
        shown = [f"{each['what']}; {each['hint']}" if each["hint"] else each["what"] for each in stopping]
        assert explained["obstacles"] == shown
        ready = self.made.wiring.not_ready_reason()
        assert ready == says["trouble"]
        assert self.bot.name not in ready
        found = await asyncio.to_thread(readiness_of, self.made.home)
        first, *rest = orders.examine(found)
        assert ready in first.what
        assert ("do not pass" in first.what) == bool(ready)
        kinds = {each["kind"] for each in [*stopping, *says["notes"]]}
        assert kinds - orders.SAID_ELSEWHERE <= {finding.kind for finding in rest}
        return not stopping, kinds, ready


@asynccontextmanager
async def bench(rig: Rig, folder: Path, capfd: pytest.CaptureFixture[str]) -> AsyncIterator[Bench]:
    """Make a bench whose bot may trade."""
    bot = rig.bot(rig.policy(WIDE))
    home = rig.copied(folder)[0].home
    store = FileKeyStore.open(home.keys, from_file(home.passphrase))
    name = next(info.policy for info in store.clients() if info.name == bot.name)
    async with inside(home) as made:
        yield Bench(made, bot, capfd, home.policies / f"{name}.toml")


async def test_halts_are_said_alike(rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A halt of everybody, of an account and of a client is said alike by all, and so is its end."""
    async with bench(rig, tmp_path, capfd) as on:
        assert await on.agreed() == (True, set(), "")
        for whom in ((), ("--account", "main"), ("--client", on.bot.name)):
            assert await on.made.signer("halt", *whom) == 0
            passes, kinds, _ = await on.agreed()
            assert (passes, kinds) == (False, {"halt"}), whom
            assert (await on.made.call(on.bot, "AddOrder", LIMIT))[0] == "EGeneral:Permission denied"
            assert await on.made.signer("resume", "--all") == 0
        assert await on.agreed() == (True, set(), "")
        assert await on.made.call(on.bot, "AddOrder", LIMIT) == []


async def test_explain_names_the_halt_of_the_orders_pair(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """An order for the pair would not pass now, and one for another pair would."""
    async with bench(rig, tmp_path, capfd) as on:
        assert await on.made.signer("halt", "--pair", "ETH/USD", "--cancel-only", "--reason", "drill") == 0
        for pair, passes in (("XBTUSD", True), ("ETHUSD", False)):
            fields = ("type=buy", "ordertype=limit", "price=2000", "volume=0.01", f"pair={pair}")
            explain = ("policy", "explain", "--client", on.bot.name, "--json", "AddOrder", *fields)
            status, answer = await on.told(*explain)
            assert (status == 0, answer["obstacles"] == []) == (passes, passes), answer
        assert "pair XETHZUSD may only cancel, as told by " in answer["obstacles"][0]


async def test_explain_shows_what_max_calls_leaves(rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """`policy explain` says how many calls are left, as the gateway counts them, and whether another one passes."""
    bot = rig.bot(rig.policy(WIDE + '[[max_calls]]\nwindow = "1h"\nnew = 2\n'))
    home = rig.copied(tmp_path)[0].home
    explain = ("policy", "explain", "--client", bot.name, "--json", "AddOrder", *ORDER)
    async with inside(home) as made:
        on = Bench(made, bot, capfd, home.config)
        for left in (2, 1, 0):
            status, answer = await on.told(*explain)
            row = {"limit": "at most 2 new in 1h", "needs": 1, "left": left, "fits": left > 0}
            assert (status, answer["allowed"], answer["calls"]) == (0 if left else 1, True, [row])
            refused = await made.call(bot, "AddOrder", LIMIT)
            assert (refused == []) == (left > 0)


async def test_keys_and_stores_are_said_alike(rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A key that is refused, stopped, or whose store is sealed; and the gateway does what they say."""
    async with bench(rig, tmp_path, capfd) as on:
        known, key = on.credential.status.key, on.credential.key

        def judged(info: KeyInfo | None) -> None:
            on.credential.status.key = info
            on.made.wiring.key_checks.judge(on.made.wiring.gateway.snapshot)

        def held_by(handle: object) -> None:
            object.__setattr__(on.credential, "key", handle)

        states: list[tuple[str, Callable[[], None], Callable[[], None]]] = [
            (
                "key",
                lambda: judged(KeyInfo("", ("earn-funds",), None, 0, 0, ())),
                lambda: judged(known),
            ),
            ("key", lambda: on.credential.lane.stop("it is refused"), on.credential.lane.resume),
            ("store", lambda: held_by(Sealed()), lambda: held_by(key)),
        ]
        for kind, make, repair in states:
            make()
            passes, kinds, trouble = await on.agreed()
            assert (passes, kinds) == (False, {kind})
            assert "no key may sign orders now" in trouble
            assert (await on.made.call(on.bot, "AddOrder", LIMIT))[0] == "EService:Unavailable"
            repair()
            assert await on.agreed() == (True, set(), "")


async def test_the_log_the_reload_and_the_policy_are_said_alike(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log that takes no record stops orders; what is merely not in force yet is noted, and stops none."""
    async with bench(rig, tmp_path, capfd) as on:
        with monkeypatch.context() as patch:
            patch.setattr(FileJournal, "healthy", property(lambda _: False))
            assert await on.agreed() == (False, {"audit"}, "the audit log cannot be written")
        config = on.made.home.config.read_text()
        on.made.home.config.write_text(config + "\n[gatway]\n")
        await on.made.wiring.reloads.reload()
        assert await on.agreed() == (True, {"reload"}, "")
        on.made.home.config.write_text(config)
        await on.made.wiring.reloads.reload()
        on.policy.write_text(NARROW)
        assert await on.agreed() == (True, {"changed"}, "")
        await on.made.wiring.reloads.reload()
        assert await on.agreed() == (True, set(), "")
        on.policy.write_text(WIDE.replace("leverage", "levrage"))
        _, status = await on.told("status", "--json")
        assert [note["kind"] for note in status["orders"]["notes"]] == ["changed"]
        code = await on.made.signer("policy", "explain", "--client", on.bot.name, "AddOrder", *ORDER)
        assert code == 3


async def test_clients_that_are_over_are_said_alike(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Expired, revoked, and under a policy that did not load at the start."""
    async with bench(rig, tmp_path, capfd) as on:
        on.store().update_client(on.bot.name, expires_us=SystemClock().now_us() - 1)
        await on.made.wiring.reloads.reload()
        passes, kinds, _ = await on.agreed()
        assert (passes, kinds) == (False, {"expired"})
        assert await on.made.signer("clients", "revoke", on.bot.name) == 0
        passes, kinds, _ = await on.agreed()
        assert (passes, kinds) == (False, {"revoked"})
        _, told = await on.told("doctor", "--json")
        assert [one["what"] for one in told["findings"] if one["kind"] == "revoked" and on.bot.name in one["what"]]


async def test_without_an_answering_gateway_they_judge_from_the_home_and_say_so(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without a gateway, halts, revocations and policies of the home are said; a deaf gateway is said to be deaf."""
    async with bench(rig, tmp_path, capfd) as on:
        home, name = on.made.home, on.bot.name
        await on.made.wiring.admin.close()
        found = await asyncio.to_thread(readiness_of, home)
        assert [each.kind for each in found.everybody] == ["gateway"]
        assert "does not answer" in found.not_ready_reason
        await on.made.wiring.admin.open()
    Nonces.ahead += AHEAD_NS
    found = await asyncio.to_thread(readiness_of, home, name)
    assert (found.of_client(name), [note.kind for note in found.notes]) == ([], ["alone"])
    said = list(orders.examine(found))
    assert (said[0].what, said[-1].kind) == ("not checked", "alone")
    assert next(lines(found, name)) == "Orders pass now: not checked"
    assert on.made.home == home
    on.policy.write_text("version = ")
    FileKeyStore.open(home.keys, from_file(home.passphrase)).update_client(name, revoked=True)
    found = await asyncio.to_thread(readiness_of, home)
    assert {each.kind for each in found.of_client(name)} == {"revoked", "policy"}


def test_what_is_told_of_some_clients_is_the_truth_of_all() -> None:
    """The socket's answer names only clients that are stopped; that others trade is not forgotten over that."""
    names = [InForce(name, "main") for name in ("ada", "bob")]
    halt = Halt(HaltScope("ada"), "why", "op", 1)
    one = judged(names, lambda client, _: halt if client == "ada" else None, {})
    both = judged(names, lambda client, _: replace(halt, scope=HaltScope(client)) if client else None, {})
    for said, passes in ((one, True), (both, False)):
        told = read_answer(json.loads(json.dumps(said.as_json())))
        assert (told.not_ready_reason == said.not_ready_reason, not told.not_ready_reason) == (True, passes)
        assert next(lines(told)) == f"Orders pass now: {'yes' if passes else 'no'}"
