"""A gateway with several listeners: who may connect where, whose word is believed, and a leaf that is renewed."""

from __future__ import annotations

import grp
import json
import os
import re
import shlex
import socket
import ssl
import stat
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests

from signer.sandbox.server import RunningSandbox
from tests.harness.bots import Bot
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import MadeHome
from tests.unit.tls.handshakes import Bots

DOCS = Path(__file__).parents[2] / "docs" / "tls.md"


@pytest.fixture
def made(tmp_path: Path, shared_sandbox: RunningSandbox) -> MadeHome:
    """A home with a CA, that does not run yet."""
    made = MadeHome(tmp_path / "home", shared_sandbox)
    made.add_account(f"listeners-{tmp_path.name}"[:60].replace("_", "-"))
    assert made.signer("tls", "init", "--host", "gateway.test").returncode == 0
    return made


def set_gateway(made: MadeHome, *lines: str) -> None:
    """More settings of [gateway]."""
    text = made.home.config.read_text()
    made.home.config.write_text(text.replace("[gateway]\n", "\n".join(["[gateway]", *lines, ""]), 1))


def bound(made: MadeHome, address: str) -> Path:
    """The env file of a new client that may call from one address only."""
    env = made.home.folder.parent / "bound.env"
    account = made.store.credentials()[0].account
    options = ["--account", account, "--policy", "tracker", "--allow-from", address, "--env-file", str(env)]
    done = made.signer("clients", "add", "bound", *options)
    assert done.returncode == 0, done.stderr
    return env


def balance(bot: Bot, url: str, nonce: int, **options: Any) -> Any:
    """The answer to a signed call at one of the listeners."""
    with requests.Session() as session:
        session.trust_env = False  # a variable of this machine would decide which CA is trusted
        for name, value in options.items():
            setattr(session, name, value)
        return bot.at(url).post("Balance", {}, nonce, session).json()


def shown(url: str, ca: Path) -> int:
    """The serial number of the certificate that a new connection gets."""
    host, port = url.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=ca)
    with socket.create_connection((host, int(port))) as raw, context.wrap_socket(raw, server_hostname=host) as wrapped:
        certificate = wrapped.getpeercert()
        assert certificate is not None
        return int(str(certificate["serialNumber"]), 16)


def test_each_listener_answers_and_says_where(made: MadeHome, tmp_path: Path) -> None:
    """The ready line and `status` name all; the socket is the group's, and gone after the stop."""
    path = tmp_path / "bots"
    made.listen("127.0.0.1:0", "tls://127.0.0.1:0", f"unix:{path}")
    set_gateway(made, f'socket_group = "{grp.getgrgid(os.getegid()).gr_name}"')
    with running(made) as gateway:
        plain, tls, unix = gateway.ready["urls"]
        assert gateway.url == plain
        assert made.status()["gateway"]["listen"] == f"{plain}, {tls}, {unix}"
        bot = gateway.client(made.store.credentials()[0].account)
        assert balance(bot, plain, 1)["error"] == []
        assert balance(bot, tls, 2, verify=str(made.home.tls / "ca.pem"))["error"] == []
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        gateway.kill_worker_and_wait()
        assert balance(bot, plain, 10**15)["error"] == []
        assert balance(bot, tls, 10**15 + 1, verify=str(made.home.tls / "ca.pem"))["error"] == []
        done = subprocess.run(
            ["curl", "-sS", "--unix-socket", path, "http://gateway/-/health"],
            capture_output=True,
            check=True,
            text=True,
        )
        assert done.stdout == "ok\n"
        assert gateway.stop() == 0
    assert not path.exists()


def test_a_socket_is_its_owners_alone_and_has_no_address(made: MadeHome, tmp_path: Path) -> None:
    """Nobody else may connect without socket_group, and a client that is bound to an address is refused there."""
    made.listen(f"unix:{tmp_path}/bots")
    env = bound(made, "127.0.0.1")
    code = json.loads(made.signer("connect", "curl", "--client", "bound", "--json").stdout)["code"]
    with running(made):
        assert stat.S_IMODE((tmp_path / "bots").stat().st_mode) & 0o077 == 0
        script = f"set -a; . {env}; set +a\n{code}\nkraken Balance\n"
        answer = subprocess.run(["bash", "-c", script], capture_output=True, check=True, text=True).stdout
    assert json.loads(answer)["error"] == ["EAPI:Invalid key"]


def test_a_renewed_leaf_is_shown_without_a_restart(made: MadeHome) -> None:
    """`signer tls renew` returns when the running gateway shows the new one; connections that are open stay."""
    made.listen("tls://127.0.0.1:0")
    ca = made.home.tls / "ca.pem"
    with running(made) as gateway, requests.Session() as session:
        session.trust_env, session.verify = False, str(ca)
        assert session.get(f"{gateway.url}/-/health").text == "ok\n"
        first = shown(gateway.url, ca)
        assert made.signer("tls", "renew").returncode == 0
        second = shown(gateway.url, ca)
        assert second != first
        assert f"{second:x}" == json.loads(made.signer("tls", "show", "--json").stdout)["leaf_serial"]
        assert session.get(f"{gateway.url}/-/health").text == "ok\n"
    assert gateway.log().count("alarm") == 0


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """The folder where the commands of docs/tls.md, run as they stand, have made certificates for ``my-bot``."""
    block = re.search(r"^```sh\n(openssl req -x509.*?)```", DOCS.read_text(), re.M | re.S)
    assert block is not None
    folder = tmp_path / "certificates"
    folder.mkdir()
    subprocess.run(["bash", "-ec", block[1]], cwd=folder, capture_output=True, check=True)
    other = block[1].replace("my-bot", "other")
    for line in other.splitlines()[1:]:
        subprocess.run(shlex.split(line), cwd=folder, capture_output=True, check=True)
    return folder


@pytest.fixture
def mutual(made: MadeHome, certificates: Path) -> Iterator[RunningGateway]:
    """A gateway whose TLS listener asks for certificates."""
    made.listen("tls://127.0.0.1:0")
    with made.home.config.open("a") as file:
        file.write(f'[gateway.tls]\nclient_ca = "{certificates}/bots.pem"\n')
    with running(made) as gateway:
        yield gateway


def test_a_client_needs_its_own_certificate(mutual: RunningGateway, certificates: Path) -> None:
    """A caller without a certificate gets no connection, one with another bot's `EAPI:Invalid key`, one with its own an
    answer."""
    made = mutual.made
    account = made.store.credentials()[0].account
    bot = made.add_client("my-bot", account, "tracker", url=mutual.url)
    assert mutual.reload() == ""
    ca = str(made.home.tls / "ca.pem")

    def with_certificate(name: str, nonce: int) -> Any:
        pair = (str(certificates / f"{name}.pem"), str(certificates / f"{name}-key.pem"))
        return balance(bot, mutual.url, nonce, verify=ca, cert=pair)

    with pytest.raises(requests.ConnectionError):
        balance(bot, mutual.url, 1, verify=ca)
    assert with_certificate("other", 2)["error"] == ["EAPI:Invalid key"]
    assert made.arrivals(account, "Balance") == []
    assert with_certificate("my-bot", 3)["error"] == []
    failed = made.wait_for_record(kind="login-failed")
    assert "EAPI:Invalid key" in json.dumps(failed)


def test_a_reload_takes_up_a_changed_client_ca(mutual: RunningGateway, certificates: Path) -> None:
    """A connection that the CA before let in ends, and its certificate lets nobody in again; a spoilt CA is refused."""
    ca, other = str(mutual.made.home.tls / "ca.pem"), Bots()
    pair = (str(certificates / "my-bot.pem"), str(certificates / "my-bot-key.pem"))
    with requests.Session() as session:
        session.cert = pair
        health = partial(session.get, f"{mutual.url}/-/health", verify=ca)
        assert health().text == "ok\n"
        (certificates / "bots.pem").write_bytes(b"nonsense")
        assert "bots.pem: it cannot be read" in mutual.reload()
        assert health().text == "ok\n"
        (certificates / "bots.pem").write_bytes(other.ca)
        assert mutual.reload() == ""
        with pytest.raises(requests.ConnectionError):
            health()


def test_the_word_of_a_named_proxy_decides_the_source(made: MadeHome) -> None:
    """A client bound to an address is let in by the proxy's word only; what it claims itself is worth nothing."""
    set_gateway(made, 'trusted_proxies = ["127.0.0.1/32"]')
    account, env = made.store.credentials()[0].account, bound(made, "192.0.2.7")
    known = dict(line.split("=", 1) for line in env.read_text().splitlines())
    with running(made) as gateway:
        bot = Bot("bound", known["KRAKEN_API_KEY"], known["KRAKEN_API_SECRET"], account, gateway.url)

        def from_(*said: str) -> requests.Response:
            with requests.Session() as session:
                if said:
                    session.headers["X-Forwarded-For"] = ", ".join(said)
                return bot.post("Balance", {}, next(NONCES), session)

        assert from_("192.0.2.7").json()["error"] == []
        assert from_("192.0.2.7", "198.51.100.1").json()["error"] == ["EAPI:Invalid key"]
        assert from_("198.51.100.1", "192.0.2.7").json()["error"] == []
        assert from_().status_code == 400
    assert "believing X-Forwarded-For from 127.0.0.1/32" in gateway.log()


NONCES = iter(range(1, 100))


@pytest.mark.parametrize(
    ("listen", "says"),
    [
        ("tls://127.0.0.1:0", "make it with `signer tls init`"),
        ("unix:/nowhere/bots", "its folder cannot be used"),
        ("unix:/tmp/bots", "everybody may write to its folder"),
        ("0.0.0.0:0", "allow_wide_listen"),
    ],
)
def test_a_listener_that_cannot_be_is_one_line(
    listen: str, says: str, tmp_path: Path, shared_sandbox: RunningSandbox
) -> None:
    """The start ends with what, where and the hint, whatever other listeners there are."""
    made = MadeHome(tmp_path / "home", shared_sandbox)
    made.listen("127.0.0.1:0", listen)
    with made.home.config.open("a") as file:
        file.write(f'[accounts.main]\norigin = "{shared_sandbox.url}"\n')
    done = made.process("serve")
    assert done.returncode in {3, 4}
    (line,) = [line for line in done.stderr.splitlines() if "warning" not in line]
    assert says in line


def test_a_gateway_before_itself_does_not_start(tmp_path: Path, shared_sandbox: RunningSandbox) -> None:
    """The start says that the origin is where it listens, and frees the port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    made = MadeHome(tmp_path / "home", shared_sandbox)
    path = tmp_path / "bots"
    made.listen(f"127.0.0.1:{port}", f"unix:{path}")
    with made.home.config.open("a") as file:
        file.write(f'[accounts.main]\norigin = "http://127.0.0.1:{port}"\n')
    done = made.process("serve")
    assert done.returncode == 3
    assert "accounts.main.origin: its name leads back to this gateway" in done.stderr
    assert "Traceback" not in done.stderr
    assert not path.exists()
