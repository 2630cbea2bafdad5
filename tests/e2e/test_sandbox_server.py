"""The running sandbox: a real process on real sockets."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from signer.errors import ConfigError, VenueError
from signer.sandbox.faults import CloseAfterActing, CloseBeforeReading, CloseMidAnswer, Hang, Latency, Oversized
from signer.sandbox.server import Ready, RunningSandbox, Sandbox, Settings
from signer.sandbox.signing import api_sign

Connect = Callable[[], http.client.HTTPConnection]


@pytest.fixture(scope="module")
def module_sandbox() -> Iterator[RunningSandbox]:
    """Run one process for all tests of this file."""
    with RunningSandbox(Settings(tier="unlimited")) as running:
        yield running


@pytest.fixture
def sandbox(module_sandbox: RunningSandbox) -> Iterator[RunningSandbox]:
    """The running sandbox, left without faults."""
    yield module_sandbox
    module_sandbox.control.clear_faults()
    module_sandbox.control.skew(0)


@pytest.fixture
def connect(sandbox: RunningSandbox) -> Iterator[Connect]:
    """Makes connections that are closed in the end."""
    made: list[http.client.HTTPConnection] = []

    def connection() -> http.client.HTTPConnection:
        made.append(http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=20))
        return made[-1]

    yield connection
    for each in made:
        each.close()


def _post(sandbox: RunningSandbox, connection: http.client.HTTPConnection, endpoint: str, fields: str = "") -> bytes:
    _send(sandbox, connection, endpoint, fields)
    return connection.getresponse().read()


def _send(sandbox: RunningSandbox, connection: http.client.HTTPConnection, endpoint: str, fields: str = "") -> None:
    nonce = str(time.time_ns())
    body = f"nonce={nonce}{fields}".encode()
    path = f"/0/private/{endpoint}"
    headers = {"API-Key": sandbox.api_key, "API-Sign": api_sign(sandbox.api_secret, path, nonce, body)}
    connection.request("POST", path, body, headers)


ORDER = "&pair=XBTUSD&type=buy&ordertype=limit&volume=0.01&price=20000"


def test_a_connection_is_kept_for_many_calls(sandbox: RunningSandbox, connect: Connect) -> None:
    """A connection is kept for call after call, with chunked bodies too."""
    connection = connect()
    assert json.loads(_post(sandbox, connection, "Balance"))["error"] == []
    kept = connection.sock
    connection.request("POST", "/0/public/Time", iter([b"a=", b"b"]), encode_chunked=True)
    assert json.loads(connection.getresponse().read())["error"] == []
    assert json.loads(_post(sandbox, connection, "Balance"))["error"] == []
    assert connection.sock is kept
    assert sandbox.control.arrivals(endpoint="Time")[-1].body == b"a=b"


@pytest.mark.parametrize(("fault", "placed"), [(CloseBeforeReading(), 0), (CloseAfterActing(), 1)])
def test_no_answer_at_all(
    sandbox: RunningSandbox, connect: Connect, fault: CloseBeforeReading | CloseAfterActing, placed: int
) -> None:
    """The connection closes without a byte; the books tell whether the order is there."""
    before = sandbox.control.orders(sandbox.account)
    sandbox.control.add_fault(fault)
    with pytest.raises(http.client.RemoteDisconnected):
        _post(sandbox, connect(), "AddOrder", ORDER)
    assert len(sandbox.control.orders(sandbox.account)) - len(before) == placed
    arrival = sandbox.control.arrivals(endpoint="AddOrder")[-1]
    assert (arrival.acted, arrival.status) == (bool(placed), None)


def test_an_answer_that_breaks_off(sandbox: RunningSandbox, connect: Connect) -> None:
    """Head and half the body arrive, then the connection is closed."""
    sandbox.control.add_fault(CloseMidAnswer())
    with pytest.raises(http.client.IncompleteRead) as broken:
        _post(sandbox, connect(), "AddOrder", ORDER)
    assert broken.value.partial.startswith(b'{"error": [],')
    assert sandbox.control.arrivals(endpoint="AddOrder")[-1].acted


def test_an_oversized_answer(sandbox: RunningSandbox) -> None:
    """The oversized answer comes whole, in chunks."""
    sandbox.control.add_fault(Oversized(size=5_000_000))
    assert len(requests.get(f"{sandbox.url}/0/public/Time", timeout=20).content) == 5_000_000


def test_a_caller_that_gave_up_is_still_served(sandbox: RunningSandbox, connect: Connect) -> None:
    """A late order is placed although nobody waits for its answer."""
    before = sandbox.control.orders(sandbox.account)
    sandbox.control.add_fault(Latency(endpoint="AddOrder", seconds=3600))
    connection = connect()

    def wait() -> None:
        with pytest.raises((OSError, http.client.HTTPException)):
            connection.getresponse()

    caller = threading.Thread(target=wait)
    last = max((arrival.seq for arrival in sandbox.control.arrivals()), default=0)
    _send(sandbox, connection, "AddOrder", ORDER)  # whole: a call that is cut short is another matter
    caller.start()
    arrived = sandbox.control.wait_for_arrival(after=last, endpoint="AddOrder")
    assert connection.sock is not None
    connection.sock.shutdown(socket.SHUT_RDWR)
    caller.join(20)
    assert sandbox.control.orders(sandbox.account) == before
    sandbox.control.clear_faults()
    assert sandbox.control.wait_for_arrival(after=arrived.seq - 1, endpoint="AddOrder", answered=True).acted
    assert len(sandbox.control.orders(sandbox.account)) == len(before) + 1


def test_many_hangs_do_not_stop_the_others(sandbox: RunningSandbox, connect: Connect) -> None:
    """Requests that are held keep their thread, and others are answered."""
    sandbox.control.add_fault(Hang(endpoint="Time", count=20))
    sockets = [connect() for _ in range(20)]
    last = max((arrival.seq for arrival in sandbox.control.arrivals()), default=0)
    for connection in sockets:
        connection.request("GET", "/0/public/Time")
        last = sandbox.control.wait_for_arrival(after=last, endpoint="Time").seq
    assert json.loads(_post(sandbox, connect(), "Balance"))["error"] == []
    sandbox.control.clear_faults()
    for connection in sockets:
        with pytest.raises(http.client.RemoteDisconnected):
            connection.getresponse()


def test_the_control_client_complains_in_the_sandboxs_words(sandbox: RunningSandbox) -> None:
    """A refused control call names its path and what was wrong."""
    with pytest.raises(VenueError, match="sandbox control /prices: E"):
        sandbox.control.set_price("NOPE", 5)
    with pytest.raises(VenueError, match="no call to AddExport arrived within 0"):
        sandbox.control.wait_for_arrival(endpoint="AddExport", seconds=0)


def test_prices_clock_and_keys_by_the_client(sandbox: RunningSandbox) -> None:
    """What is set through the typed client shows on the bots' side."""
    sandbox.control.set_price("XBTUSD", 43210)
    ticker = requests.get(f"{sandbox.url}/0/public/Ticker?pair=XBTUSD", timeout=20).json()["result"]
    assert float(ticker["XXBTZUSD"]["c"][0]) == 43210
    sandbox.control.skew(-3600)
    told = requests.get(f"{sandbox.url}/0/public/Time", timeout=20).json()["result"]["unixtime"]
    assert told < time.time() - 3000
    made = sandbox.control.make_key("other", permissions=["query-funds"], balances={}, name="reader")
    assert made.api_secret not in repr(made)
    assert sandbox.control.balances("other") == {}
    assert [key["name"] for key in sandbox.control.list_keys()][-1] == "reader"


def test_it_ends_with_whoever_started_it() -> None:
    """The sandbox ends when its standard input closes, as after a kill -9 of its parent."""
    child = subprocess.Popen(
        [sys.executable, "-m", "signer.sandbox.server", "{}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.readline()
    child.stdin.close()
    assert child.wait(20) == 0
    child.stdout.close()


def test_lost_books_end_it() -> None:
    """The sandbox ends with an error if the process that holds its books is killed."""
    child = subprocess.Popen(
        [sys.executable, "-m", "signer.sandbox.server", "{}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    (worker,) = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    os.kill(int(worker), signal.SIGKILL)
    _, complaints = child.communicate(timeout=20)
    assert child.returncode == 1
    assert b"its books with it" in complaints


def test_a_sandbox_that_cannot_start_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    """RunningSandbox raises instead of waiting for ever."""
    with pytest.raises(VenueError, match="did not start"):
        RunningSandbox(Settings(listen="127.0.0.1:x"))
    assert "'127.0.0.1:x' is not HOST:PORT" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (Settings(listen="nonsense"), "--listen: 'nonsense' is not HOST:PORT; write it as 127.0.0.1:8080"),
        (Settings(listen="127.0.0.1:99999"), "--listen: '127.0.0.1:99999' is not HOST:PORT"),
        (Settings(listen="192.0.2.1:0"), "--listen: cannot listen on 192.0.2.1:0"),
        (Settings(control_listen="0.0.0.0:0"), "--control-listen: the control interface must stay on this machine"),
        (Settings(permissions=("trade",)), "--permissions: Value error, unknown trade; Kraken's are add-funds"),
        (Settings(tier="gold"), "--tier: Value error, unknown 'gold'"),
    ],
)
def test_wrong_settings_are_one_line(settings: Settings, complaint: str) -> None:
    """Each names the flag, what is wrong and the hint."""
    with pytest.raises(ConfigError) as refused:
        Sandbox(settings)
    assert str(refused.value).startswith(complaint)
    assert "\n" not in str(refused.value)


def test_a_port_in_use_is_named() -> None:
    """A second sandbox on the same port does not start."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"--listen: cannot listen on {address}: .*in use"):
            Sandbox(Settings(listen=address))


def test_the_env_file_is_its_owners(tmp_path: Path) -> None:
    """The env file is 0600 even where a wider one lay, and is whole or not there."""
    path = tmp_path / "bot.env"
    path.write_text("old")
    path.chmod(0o644)
    Ready("http://a", "http://b", "demo", "K", "S==").write_env_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().splitlines() == [
        "KRAKEN_BASE_URL=http://a",
        "KRAKEN_API_KEY=K",
        "KRAKEN_API_SECRET=S==",
        "SANDBOX_URL=http://a",
        "SANDBOX_CONTROL_URL=http://b",
    ]
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ConfigError, match=r"cannot write .*; choose another path"):
        Ready("http://a", "http://b", "demo", "K", "S").write_env_file(tmp_path / "no" / "bot.env")


def test_a_wider_listener_warns() -> None:
    """Listening beyond loopback is allowed for the bots' side, and said."""
    command = [sys.executable, "-m", "signer", "sandbox", "--listen", "0.0.0.0:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        ready = child.stdout.readline()
        child.terminate()
        _, complaints = child.communicate(timeout=20)
    assert ready.startswith("sandbox ready: http://0.0.0.0:")
    assert "secret" in ready
    assert complaints == "signer: --listen 0.0.0.0:0: others on the network can reach this sandbox\n"


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_command_prints_one_line_and_stops_on_a_signal(tmp_path: Path, end: signal.Signals) -> None:
    """`signer sandbox --json`: a ready line without the secret that is in the env file, and status 0 at the end."""
    env_file = tmp_path / "bot.env"
    command = [sys.executable, "-m", "signer", "sandbox", "--json", "--env-file", str(env_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        ready = json.loads(child.stdout.readline())
        assert requests.get(f"{ready['url']}/0/public/Time", timeout=20).json()["error"] == []
        child.send_signal(end)
        rest, complaints = child.communicate(timeout=20)
    assert (child.returncode, rest, complaints) == (0, "", "")
    assert "api_secret" not in ready
    assert f"KRAKEN_API_KEY={ready['api_key']}" in env_file.read_text()


def test_the_owners_hand_and_a_bot_share_an_account(sandbox: RunningSandbox, connect: Connect) -> None:
    """What is placed by hand is in the bot's lists; its fills in part make close orders that refer to it."""
    control, account = sandbox.control, sandbox.account
    order = {"pair": "ETHUSD", "type": "buy", "ordertype": "limit", "volume": "0.1", "price": "2000", "userref": 7}
    (txid,) = control.act(account, "AddOrder", **order, close={"ordertype": "limit", "price": "4000"})["txid"]
    control.set_close_userref(keep=True)
    control.fill(account, txid, "0.04")
    rows = json.loads(_post(sandbox, connect(), "OpenOrders", "&userref=7"))["result"]["open"]
    assert sorted((row["vol"], row["vol_exec"], row["refid"]) for row in rows.values()) == [
        ("0.04000000", "0.00000000", txid),
        ("0.10000000", "0.04000000", None),
    ]
    control.fill(account, txid)
    assert control.orders(account)[txid]["status"] == "closed"
    control.set_close_userref(keep=False)
    control.act(account, "CancelAll")
