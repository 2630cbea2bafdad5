"""`signer serve` as a process: how it starts, reloads, stops, and says no."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from signer.home.layout import Home
from signer.ledger import open_marks
from signer.sandbox.faults import Latency
from signer.sandbox.server import RunningSandbox
from tests.e2e.refusals import DENIED
from tests.harness.bots import Bot, order
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import PASSPHRASE, MadeHome
from tests.harness.policies import POLICIES
from tests.harness.waiting import until
from tests.harness.wire import Wire

ACCOUNTS = iter(f"serve-{number}" for number in range(1, 100))


@pytest.fixture
def made(tmp_path: Path, shared_sandbox: RunningSandbox) -> MadeHome:
    """A home of the test's own with one account."""
    made = MadeHome(tmp_path / "home", shared_sandbox)
    made.add_account(next(ACCOUNTS))
    return made


@pytest.fixture
def own(made: MadeHome) -> Iterator[RunningGateway]:
    """A gateway of the test's own, which it may stop and break."""
    with running(made) as gateway:
        yield gateway
        made.sandbox.control.clear_faults()


def account_of(made: MadeHome) -> str:
    """The account of a test's own home."""
    return made.store.credentials()[0].account


def asked(bot: Bot, endpoint: str = "OpenOrders", fields: dict[str, str] | None = None, nonce: int = 0) -> Any:
    """The error array of one call; each has a nonce of its own."""
    return bot.post(endpoint, fields or {}, nonce or next(NONCES)).json()["error"]


NONCES = iter(range(1, 10_000))


class InFlight:
    """An order on its way in a thread of its own."""

    def __init__(self, bot: Bot) -> None:
        self.answer: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._ask, args=(bot,))
        self._thread.start()

    def _ask(self, bot: Bot) -> None:
        self.answer = bot.post("AddOrder", order(), next(NONCES)).json()

    def answered(self) -> dict[str, Any]:
        """Return its answer."""
        self._thread.join(60)
        return self.answer


def test_one_ready_line(own: RunningGateway) -> None:
    """Standard output says once where it listens, even if a worker dies; by then it answers."""
    assert own.is_ready()
    own.kill_worker_and_wait()
    assert own.ready == {
        "ready": True,
        "url": own.url,
        "urls": [own.url],
        "venues": ["kraken"],
        "home": str(own.made.home.folder),
    }
    assert own.stop() == 0
    assert own.rest_of_output == ""


def test_sigterm_answers_what_is_in_flight(own: RunningGateway) -> None:
    """An order at the exchange gets its answer, and its outcome is in the log before the end."""
    account = account_of(own.made)
    bot = own.client(account)
    own.made.sandbox.control.add_fault(Latency(endpoint="AddOrder", seconds=1.0))
    before = len(own.made.sandbox.control.arrivals())
    under_way = InFlight(bot)
    own.made.sandbox.control.wait_for_arrival(after=before, endpoint="AddOrder")
    assert own.stop() == 0
    assert under_way.answered()["error"] == []
    (outcome,) = own.made.records(kind="outcome", client=bot.name)
    assert outcome["venue_ids"] == under_way.answer["result"]["txid"]
    assert own.made.status()["open"] == []
    own.made.verify()


def test_idle_connections_do_not_hold_up_the_stop(own: RunningGateway) -> None:
    """Bots keep their connections open; the gateway ends without waiting for them to go."""
    with requests.Session() as session, socket.create_connection(("127.0.0.1", int(own.url.rpartition(":")[2]))):
        assert session.get(f"{own.url}/-/health", timeout=30).text == "ok\n"
        own.process.terminate()
        assert own.ended(within_s=20) == 0  # gunicorn alone would wait for 45 s


def hang_up_with_an_order_on_its_way(own: RunningGateway, bot: Bot) -> None:
    """Hang up while an order is at the exchange, which goes on when its faults are cleared."""
    control = own.made.sandbox.control
    control.add_fault(Latency(endpoint="AddOrder", seconds=3600))
    before, wire = len(control.arrivals()), Wire(own.url)
    wire.send(bot.request("AddOrder", order(), nonce=str(next(NONCES))))
    control.wait_for_arrival(after=before, endpoint="AddOrder")
    wire.close()


def test_a_bot_that_hangs_up_has_its_order_settled(own: RunningGateway) -> None:
    """A client that goes away while its order is at the exchange: recorded and settled as if it had stayed."""
    account = account_of(own.made)
    bot = own.client(account)
    hang_up_with_an_order_on_its_way(own, bot)
    own.made.sandbox.control.clear_faults()  # the exchange goes on
    outcome = own.made.wait_for_record(kind="outcome", client=bot.name)
    assert outcome["outcome"] == "accepted"
    assert outcome["venue_ids"] == list(own.made.orders(account))
    until(lambda: own.made.status()["open"] == [], "the settled order")
    assert asked(bot, "CancelOrder", {"txid": outcome["venue_ids"][0]}) == []


def test_a_stop_waits_for_the_order_of_a_bot_that_hung_up(own: RunningGateway) -> None:
    """The outcome of such an order is known before the end."""
    bot = own.client(account_of(own.made))
    hang_up_with_an_order_on_its_way(own, bot)
    own.process.terminate()
    own.made.sandbox.control.clear_faults()
    assert own.ended() == 0
    (outcome,) = own.made.records(kind="outcome", client=bot.name)
    assert outcome["outcome"] == "accepted"
    assert own.made.status()["open"] == []


def test_clients_change_at_once(own: RunningGateway, tmp_path: Path) -> None:
    """`clients add`, `rotate` and `revoke` are in force in the running gateway when the command returns."""
    account = account_of(own.made)

    def issued(*arguments: str) -> Bot:
        file = tmp_path / "bot.env"
        done = own.made.signer("clients", *arguments, "--env-file", str(file), "--force")
        assert done.returncode == 0, done.stderr
        values = dict(line.split("=", 1) for line in file.read_text().splitlines())
        return Bot("late", values["KRAKEN_API_KEY"], values["KRAKEN_API_SECRET"], account, own.url)

    first = issued("add", "late", "--account", account, "--policy", "trader")
    assert asked(first) == []
    second = issued("rotate", "late")
    assert asked(first) == ["EAPI:Invalid key"]
    assert asked(second) == []
    assert own.made.signer("clients", "revoke", "late").returncode == 0
    assert asked(second) == ["EAPI:Invalid key"]


def test_a_policy_changes_at_once_or_not_at_all(own: RunningGateway) -> None:
    """A changed policy is in force after `signer reload`; a broken one leaves the old one running and is named."""
    bot = own.client(account_of(own.made), "trader")
    policy = own.made.home.policies / "trader.toml"
    policy.write_text(POLICIES["tracker"])
    assert own.made.signer("reload").returncode == 0
    assert asked(bot, "AddOrder", order())[0] == DENIED

    policy.write_text(POLICIES["trader"].replace('sides = ["buy"', 'sides = ["bye"'))
    done = own.made.signer("reload")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert str(policy) in done.stderr
    assert "write 'buy' or 'sell'" in done.stderr  # the hint
    assert asked(bot, "AddOrder", order())[0] == DENIED

    policy.write_text(POLICIES["trader"])
    assert own.reload() == ""
    assert asked(bot, "AddOrder", order()) == []


def test_a_pair_that_the_exchange_does_not_list_stops_alone(made: MadeHome) -> None:
    """A new gateway starts and serves the rest of the policy; start, reload, check and doctor name the pair."""
    policy = made.home.policies / "trader.toml"
    policy.write_text(policy.read_text().replace('"ETH/USD"', '"ETH/USD", "ETH/UST"'))
    account = account_of(made)
    with running(made) as own:
        bot = own.client(account, "trader")
        assert asked(bot, "AddOrder", order()) == []
        assert asked(bot, "AddOrder", order(pair="ETHUST"))[0] == "EQuery:Unknown asset pair"
        said = "the exchange does not list ETH/UST, so no order for it passes; did you mean"
        reloaded = made.signer("reload")
        assert (reloaded.returncode, said in reloaded.stderr) == (0, True)
        assert "ETH/UST" in made.signer("doctor").stdout
        checked = made.signer("policy", "check", str(policy))
        assert (checked.returncode, "the exchange lists no ETH/UST" in checked.stderr) == (3, True)
        until(lambda: said in own.log(), "the warning")


@pytest.mark.parametrize(
    "broken", ["listen = 5", "[accounts.main]\norgin = 'x'", "[gateway]", "]]"], ids=["type", "key", "twice", "toml"]
)
def test_a_broken_config_leaves_the_old_one_running(gateway: RunningGateway, account: str, broken: str) -> None:
    """SIGHUP with a signer.toml that does not read: named, and nothing changes."""
    bot = gateway.client(account)
    config = gateway.made.home.config
    good = config.read_text()
    config.write_text(good + broken + "\n")
    try:
        assert str(config) in gateway.reload()
        assert asked(bot) == []
    finally:
        config.write_text(good)
    assert gateway.reload() == ""


def test_a_reborn_worker_knows_what_was_changed(made: MadeHome) -> None:
    """A new worker refuses a client that was revoked since the start, and knows one that was added."""
    account = account_of(made)
    gone = made.add_client("gone", account, "trader")
    with running(made) as own:
        gone = gone.at(own.url)
        there = own.client(account)
        assert asked(gone) == []
        made.store.update_client("gone", revoked=True)
        assert own.reload() == ""
        assert asked(gone) == ["EAPI:Invalid key"]
        own.kill_worker_and_wait()
        assert asked(gone) == ["EAPI:Invalid key"]
        assert asked(there) == []


def test_a_worker_comes_back_although_nobody_reads_its_output(own: RunningGateway) -> None:
    """A worker comes back after whoever started the gateway has closed the pipe behind the ready line."""
    assert own.process.stdout is not None
    own.process.stdout.close()
    own.kill_worker_and_wait()


def test_a_second_gateway_refuses(gateway: RunningGateway) -> None:
    """The message names the process that holds the home, and where it listens."""
    done = gateway.made.process("serve")
    assert done.returncode == 5
    assert_one_line(done, str(gateway.process.pid), gateway.url)
    assert gateway.is_ready()


def assert_one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Check that there is one error line with all of ``parts`` and a hint, and no traceback."""
    lines = [line for line in done.stderr.splitlines() if not line.startswith("signer: warning: ")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("signer: ")
    assert all(part in lines[0] for part in parts), done.stderr
    assert "; " in lines[0]
    assert done.stdout == ""


def _missing(made: MadeHome) -> list[str]:
    shutil.rmtree(made.home.folder)
    return [str(made.home.folder), "signer init"]


def _wrong_passphrase(made: MadeHome) -> list[str]:
    made.home.passphrase.write_text(PASSPHRASE[::-1])
    return [str(made.home.keys), "passphrase"]


def _newer_config(made: MadeHome) -> list[str]:
    made.home.config.write_text(made.home.config.read_text().replace("version = 1", "version = 2"))
    return [str(made.home.config), "upgrade"]


def _newer_keys(made: MadeHome) -> list[str]:
    stored = json.loads(made.home.keys.read_text())
    made.home.keys.write_text(json.dumps({**stored, "version": 99}))
    return [str(made.home.keys), "upgrade"]


async def _make_marks(home: Home) -> None:
    await (await open_marks(home)).close()


def _newer_marks(made: MadeHome) -> list[str]:
    asyncio.run(_make_marks(made.home))
    with sqlite3.connect(made.home.marks) as marks:
        marks.execute("PRAGMA user_version = 99")
    marks.close()
    made.home.marks.chmod(0o600)
    return [str(made.home.marks), "upgrade"]


def _typo(made: MadeHome) -> list[str]:
    made.home.config.write_text(made.home.config.read_text().replace("listen", "lisen"))
    return [str(made.home.config), "gateway.lisen", "no such key"]


def _open_keys(made: MadeHome) -> list[str]:
    made.home.keys.chmod(0o644)
    return [str(made.home.keys), "chmod 600"]


def _audit_gone_wrong(made: MadeHome) -> list[str]:
    made.home.audit.mkdir(mode=0o755)
    return [str(made.home.audit), "chmod 700"]


@pytest.mark.parametrize(
    ("breaks", "status"),
    [
        (_missing, 3),
        (_wrong_passphrase, 4),
        (_newer_config, 3),
        (_newer_keys, 4),
        (_newer_marks, 5),
        (_typo, 3),
        (_open_keys, 4),
        (_audit_gone_wrong, 5),
    ],
)
def test_what_cannot_start_says_why(made: MadeHome, breaks: Any, status: int) -> None:
    """One line says what, where and the hint, and the exit status is the documented one."""
    parts = breaks(made)
    done = made.process("serve")
    assert_one_line(done, *parts)
    assert done.returncode == status


def test_a_policy_that_does_not_load_is_said_and_the_gateway_serves(made: MadeHome) -> None:
    """A start line for each, with the file and what is wrong there; a bot that has it may only cancel."""
    bot = made.add_client("bot", account_of(made), "trader")
    trader, slow = made.home.policies / "trader.toml", made.home.policies / "slow.toml"
    trader.write_text(trader.read_text().replace('"ETH/USD"', '"ETH/USD", "ETH/"'))
    slow.write_text("version = ")
    with running(made) as gateway:
        assert bot.at(gateway.url).post("Balance", {}, 1).json()["error"][0] == "EGeneral:Permission denied"
    assert f"policy trader: does not load, so client bot may only cancel: {trader}: pairs[2]" in gateway.log()
    assert f"policy slow: does not load, and no client has it: {slow}: not valid TOML" in gateway.log()


def test_a_port_in_use(tmp_path: Path, shared_sandbox: RunningSandbox) -> None:
    """One line names the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        made = MadeHome(tmp_path / "home", shared_sandbox, listen=address)
        made.add_account(next(ACCOUNTS))
        done = made.process("serve")
    assert_one_line(done, address, "in use")
    assert done.returncode == 5


def test_ready_tells_the_truth(own: RunningGateway) -> None:
    """The gateway is not ready while the audit log cannot be written, and recovers by itself."""
    bot = own.client(account_of(own.made))
    assert asked(bot, "AddOrder", order()) == []
    audit, away = own.made.home.audit, own.made.home.folder / "away"
    audit.rename(away)
    audit.write_text("in the way")
    assert asked(bot, "AddOrder", order())[0] == "EService:Unavailable"
    answer = own.get("/-/ready")
    assert answer is not None
    assert (answer.status_code, answer.text) == (503, "the audit log cannot be written\n")
    health = own.get("/-/health")
    assert health is not None
    assert health.status_code == 200
    audit.unlink()
    away.rename(audit)
    until(own.is_ready, "readiness")
    assert asked(bot, "AddOrder", order()) == []
    assert own.stop() == 0
    own.made.verify()
    assert len(own.made.orders(bot.account)) == 2


def test_halt_and_resume_act_within_the_next_call(gateway: RunningGateway, account: str) -> None:
    """A halted client places nothing and may still read and cancel; after `resume` it trades again."""
    bot, other = gateway.client(account), gateway.client(account)
    (txid,) = bot.post("AddOrder", order(), next(NONCES)).json()["result"]["txid"]
    gateway.made.here("halt", "--client", bot.name, "--reason", "drill")
    assert asked(bot, "AddOrder", order()) == [DENIED, "EGeneral:Policy halt: drill"]
    assert asked(bot) == []
    assert asked(bot, "CancelOrder", {"txid": txid}) == []
    assert asked(other, "AddOrder", order()) == []
    assert gateway.made.signer("resume", "--client", bot.name).returncode == 0
    assert asked(bot, "AddOrder", order()) == []


def test_never_a_second_worker(own: RunningGateway) -> None:
    """SIGTTIN, with which gunicorn's users add workers, adds none, and its other signals end nothing."""
    (worker,) = own.workers()
    for number in (signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2, signal.SIGWINCH):
        own.process.send_signal(number)
    assert own.reload() == ""  # signals are handled in order: those before have been by now
    assert own.workers() == [worker]
    assert own.is_ready()


def test_ctrl_c_is_a_clean_stop(own: RunningGateway) -> None:
    """SIGINT reaches master and worker at once, as from a terminal; nothing in flight is lost."""
    bot = own.client(account_of(own.made))
    own.made.sandbox.control.add_fault(Latency(endpoint="AddOrder", seconds=1.0))
    before = len(own.made.sandbox.control.arrivals())
    under_way = InFlight(bot)
    own.made.sandbox.control.wait_for_arrival(after=before, endpoint="AddOrder")
    for pid in (*own.workers(), own.process.pid):
        os.kill(pid, signal.SIGINT)
    assert own.ended() == 0
    assert under_way.answered()["error"] == []
    assert own.made.status()["open"] == []
