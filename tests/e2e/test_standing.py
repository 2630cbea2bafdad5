"""The start checks its keys: by what the exchange says of each, which calls may go by it, and what is said of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from signer.sandbox.faults import Errors
from signer.sandbox.permissions import TRADING
from signer.sandbox.server import RunningSandbox
from signer.secret import Secret
from signer.serving.clock import SystemClock
from tests.e2e.refusals import UNAVAILABLE
from tests.harness.bots import Bot, errors_of, order
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import MadeHome
from tests.harness.waiting import until

NONCES = itertools.count(1)
NUMBERS = itertools.count(1)


@pytest.fixture
def made(tmp_path: Path, shared_sandbox: RunningSandbox) -> Iterator[MadeHome]:
    """A home without any account."""
    yield MadeHome(tmp_path / "home", shared_sandbox)
    shared_sandbox.control.clear_faults()


def account(made: MadeHome, *extra: str, without: str = "") -> str:
    """An account whose key may do what a trader's must, and more or less, without a waiver."""
    name = f"standing-{made.home.folder.parent.name[-20:]}-{next(NUMBERS)}"
    made.add_account(name, permissions=sorted((TRADING | {*extra}) - {without}), waived=False)
    return name


def call(bot: Bot, endpoint: str, fields: dict[str, str] | None = None) -> dict[str, Any]:
    """Make one call; return its answer."""
    answer: dict[str, Any] = bot.post(endpoint, fields or {}, next(NONCES)).json()
    return answer


def at(gateway: RunningGateway, bot: Bot) -> Bot:
    """The bot, calling that gateway."""
    return bot.at(gateway.url)


def said(gateway: RunningGateway, text: str) -> None:
    """The log says it, once it is written: its lines are written in the background."""
    until(lambda: text in gateway.log(), text)


def metric(gateway: RunningGateway, name: str) -> float:
    """The value of one series of the gateway's metrics."""
    answer = gateway.get("/-/metrics")
    assert answer is not None
    return float(next(line for line in answer.text.splitlines() if line.startswith(name)).rpartition(" ")[2])


def test_a_key_that_may_withdraw_signs_nothing_until_it_is_waived(made: MadeHome) -> None:
    """Refused for every call, said in the log, on record, in the metrics and to whoever reloads; other accounts go on.
    A waiver with its reason lets it in, and is said at every start."""
    name, other = account(made, "withdraw-funds"), account(made)
    bot, well = made.add_client("bot", name, "trader"), made.add_client("well", other, "trader")
    with running(made) as gateway:
        assert call(at(gateway, well), "AddOrder", order())["error"] == []
        for endpoint, fields in (("AddOrder", order()), ("Balance", {})):
            assert errors_of(call(at(gateway, bot), endpoint, fields))[0] == UNAVAILABLE
        assert made.arrivals(name, "AddOrder") == made.arrivals(name, "Balance") == []
        text = "may take money out of the account (withdraw-funds)"
        said(gateway, f"refused: credential {name}-key: {text}")
        assert metric(gateway, f'signer_credential_proven{{credential="{name}-key"}}') == 0
        found = f'signer_credential_finding{{credential="{name}-key",kind="may-withdraw"}}'
        assert metric(gateway, found) == 1
        assert text in made.signer("reload").stderr
        record = made.wait_for_record(kind="credential", credential=f"{name}-key")
        assert (record["standing"], record["findings"][0]) == ("refused", "may-withdraw")
        made.waive(f"{name}-key", ["withdraw-funds"])
        assert made.signer("reload").stderr.count("refused") == 0
        assert call(at(gateway, bot), "AddOrder", order())["error"] == []
        assert metric(gateway, found) == 0
    with running(made) as gateway:
        pass
    assert f"credential {name}-key: may have withdraw-funds, by waiver: for tests" in gateway.log()
    made.verify()


def test_a_gateway_whose_only_key_is_refused_is_not_ready(made: MadeHome) -> None:
    """The gateway runs, so that the key can be rotated, and says that it would take no order."""
    bot = made.add_client("bot", account(made, "earn-funds"), "trader")
    with running(made) as gateway:
        answer = gateway.get("/-/ready")
        assert answer is not None
        assert (answer.status_code, "is refused" in answer.text) == (503, True)
        done = made.signer("keys", "test", f"{bot.account}-key")
        assert done.returncode == 1
        assert "may move funds into Earn, where they can be locked (earn-funds)" in done.stderr


def test_revoking_the_last_trader_leaves_all_others_alone(made: MadeHome) -> None:
    """The key may then do more than anybody needs: a warning, in the log and the metrics, and nobody is stopped."""
    name = account(made)
    trader, tracker = made.add_client("trader", name, "trader"), made.add_client("tracker", name, "tracker")
    with running(made) as gateway:
        assert call(at(gateway, trader), "AddOrder", order())["error"] == []
        assert made.signer("clients", "revoke", "trader").returncode == 0
        assert call(at(gateway, tracker), "Balance")["error"] == []
        said(gateway, "may do more than any client of it can use (close-trades, modify-trades)")
        found = f'signer_credential_finding{{credential="{name}-key",kind="unused-permission"}}'
        assert metric(gateway, found) == 1
        assert metric(gateway, f'signer_credential_proven{{credential="{name}-key"}}') == 1


def test_a_key_that_may_do_too_little_is_an_error_that_names_the_policy(made: MadeHome) -> None:
    """The gateway goes on with the calls that the key may make."""
    bot = made.add_client("bot", account(made, without="close-trades"), "trader")
    with running(made) as gateway:
        said(gateway, "may not do what policy trader promises (close-trades)")
        assert call(at(gateway, bot), "AddOrder", order())["error"] == []
        done = made.signer("keys", "test", f"{bot.account}-key", "--json")
        kinds = [finding["kind"] for finding in json.loads(done.stdout)["findings"]]
        assert kinds == ["missing-permission", "any-address"]


def test_only_reads_pass_until_the_exchange_could_be_asked(made: MadeHome) -> None:
    """The start does not wait for it; orders are refused and nothing of them is sent or held; it heals by itself."""
    bot = made.add_client("bot", account(made), "trader")
    made.sandbox.control.add_fault(Errors(endpoint="GetApiKeyInfo", count=1000, errors=("EService:Unavailable",)))
    with running(made) as gateway:
        bot = at(gateway, bot)
        assert call(bot, "Balance")["error"] == []
        first, second = errors_of(call(bot, "AddOrder", order()))
        assert first == UNAVAILABLE
        assert "the exchange has not said yet what it may do; nothing was sent" in second
        assert made.arrivals(bot.account) == []
        assert made.used(bot.name).get("USD", 0) == 0
        assert not gateway.is_ready()
        said(gateway, "could not be asked about, only reads go by it until it is")
        made.sandbox.control.clear_faults()
        until(gateway.is_ready, "the key proven")
        assert call(bot, "AddOrder", order())["error"] == []


@pytest.mark.parametrize("before", [1, 1000, 100_000, 1_000_000], ids=["ms", "us", "10 ns", "ns"])
def test_a_key_that_another_program_uses_too(made: MadeHome, before: int) -> None:
    """What it was used for before us is no news, in whatever unit; that its nonce moves without us now, is."""
    name = account(made)
    made.add_client("bot", name, "trader")
    made.store.remove_credential(f"{name}-key")
    key = made.sandbox.control.make_key(name, tier="unlimited")
    secret = Secret.from_base64(key.api_secret, where="test")
    made.store.add_credential(f"{name}-key", name, key.api_key, secret, created_us=1)
    thief = Bot("thief", key.api_key, key.api_secret, name, made.sandbox.url)
    assert thief.post("Balance", {}, SystemClock().now_us() * before // 1000).json()["error"] == []
    finding = f'signer_credential_finding{{credential="{name}-key",kind="used-elsewhere"}}'
    with running(made) as gateway:
        assert metric(gateway, finding) == 0
        assert gateway.is_ready()
        tested = made.signer("keys", "test", f"{name}-key")
        assert (tested.returncode, "another program" in tested.stderr) == (0, False)

        def is_caught() -> bool:
            # The thief's nonce is news only while it is ahead of the clock, so a machine that pauses needs another.
            thief.post("Balance", {}, (SystemClock().now_us() + 5_000_000) * max(before // 1000, 1))
            return "is used by another program too" in made.signer("keys", "test", f"{name}-key").stderr

        until(is_caught, "the word of another program")
        assert metric(gateway, finding) == 1
        said(gateway, "is used by another program too")
        assert gateway.is_ready()


def test_a_key_that_is_added_is_proven_at_once(made: MadeHome) -> None:
    """`keys add` beside a gateway asks about it before it ends, and says what is wrong with it."""
    bot = made.add_client("bot", account(made), "trader")
    with running(made) as gateway:
        made.store.remove_credential(f"{bot.account}-key")
        for permissions, complaint in ((TRADING, "any address"), (TRADING | {"earn-funds"}, "(earn-funds)")):
            key = made.sandbox.control.make_key(bot.account, tier="unlimited", permissions=permissions)
            pasted = json.dumps({"api_key": key.api_key, "api_secret": key.api_secret})
            named = f"new-{len(permissions)}"
            done = made.signer("keys", "add", named, "--account", bot.account, "--stdin", stdin=pasted)
            assert done.returncode == 0, done.stderr
            assert complaint in done.stderr
            assert call(at(gateway, bot), "AddOrder", order())["error"] == []
