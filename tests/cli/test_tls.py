"""`signer tls` and `signer connect`: what they print, and the one line for what cannot be."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from signer.cli.connect import base_url
from signer.home.lock import Holder, HomeLock
from signer.venues.kraken.libraries import LIBRARIES
from tests.harness.shell import Shell, shell

HARD_CODED = 'listen = ["127.0.0.1:9999", "tls://127.0.0.1:443"]'


@pytest.fixture
def sh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    """A shell in a fresh home."""
    return shell(tmp_path, monkeypatch, capfd)


def set_listen(sh: Shell, line: str, more: str = "") -> None:
    """Write another listen setting, and tables behind it."""
    text = sh.home.config.read_text().replace('listen = "127.0.0.1:9999"', line)
    sh.home.config.write_text(text + more)


def line(sh: Shell, status: int, *arguments: str) -> str:
    """The one line on standard error of a command that fails."""
    got, out, err = sh.run(*arguments)
    assert (got, out) == (status, "")
    assert err.count("\n") == 1, err
    return err


def test_init_names_what_bots_call_it(sh: Shell) -> None:
    """The exchange, this machine by name and address, and what was asked for; `show` tells a script."""
    status, out, err = sh.run("tls", "init", "--host", "Gateway.Example.com", "--host", "192.0.2.7")
    assert (status, out) == (0, "")
    assert "ca.pem is what bots must trust" in err
    _, out, _ = sh.run("tls", "show", "--json")
    names = json.loads(out)["names"]
    assert {"api.kraken.com", "localhost", "127.0.0.1", "::1", "gateway.example.com", "192.0.2.7"} <= set(names)
    assert set(names) - {socket.gethostname().lower()} == set(names[:4]) | {"gateway.example.com", "192.0.2.7"}
    assert sh.reloads == [sh.home]


def test_show_prints_the_certificate_for_bots_and_never_a_key(sh: Shell) -> None:
    """--pem is a file for the bots; the rest is for a person."""
    sh.run("tls", "init")
    assert sh.run("tls", "show", "--pem")[1] == (sh.home.tls / "ca.pem").read_text()
    _, out, _ = sh.run("tls", "show")
    assert "api.kraken.com, localhost" in out
    assert "PRIVATE" not in out


def test_renew_makes_another_leaf(sh: Shell) -> None:
    """The new leaf is of the same CA, and a running gateway is told."""
    sh.run("tls", "init")
    before = json.loads(sh.run("tls", "show", "--json")[1])
    assert sh.run("tls", "renew")[0] == 0
    after = json.loads(sh.run("tls", "show", "--json")[1])
    assert after["fingerprint"] == before["fingerprint"]
    assert after["leaf_serial"] != before["leaf_serial"]
    assert len(sh.reloads) == 2


def test_what_cannot_be_is_one_line_with_the_hint(sh: Shell) -> None:
    """No CA yet; one there already; no home; a name that no certificate can bear."""
    assert "make it with `signer tls init`" in line(sh, 4, "tls", "show")
    assert "make it with `signer tls init`" in line(sh, 4, "tls", "renew")
    sh.run("tls", "init")
    assert "there is a CA already; `signer tls renew`" in line(sh, 3, "tls", "init")
    status, _, err = sh.run("tls", "init", "--host", "*.kraken.com")
    assert status == 2
    assert "is no host name; write it as" in err
    assert sh.run("--home", str(sh.home.folder / "none"), "tls", "init")[0] == 3


TLS_ONLY = {"hummingbot", "node-kraken-api", "kraken-rebalance-bot"}
"""They know no address but Kraken's."""


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_lines_hold_no_secret_and_no_mark(library: str, sh: Shell) -> None:
    """The lines for each library have every mark filled in, and take keys from the environment."""
    set_listen(sh, HARD_CODED)
    for options in ((), ("--tls",)):
        status, out, _ = sh.run("connect", library, "--client", "grid", "--ca-file", "/etc/ca.pem", *options)
        assert status == 0
        assert "@" not in out.replace('"$@"', "").replace("-H @<(", "")
        assert "set -a; . ./grid.env; set +a" in out
    told = json.loads(sh.run("connect", library, "--client", "grid", "--ca-file", "/etc/ca.pem", "--tls", "--json")[1])
    assert "/etc/ca.pem" in json.dumps(told) or library == "kraken-cli"
    assert told["hosts"] == ("127.0.0.1 api.kraken.com" if library in TLS_ONLY else "")


@pytest.mark.parametrize(
    ("listen", "arguments", "says"),
    [
        (
            'listen = "127.0.0.1:9999"',
            ("node-kraken-api",),
            "needs a TLS listener on port 443: it knows only https://api",
        ),
        ('listen = "tls://127.0.0.1:8443"', ("hummingbot",), "needs a TLS listener on port 443"),
        (
            'listen = "127.0.0.1:9999"',
            ("kraken-cli",),
            "kraken-cli needs a TLS listener; run `signer tls init` and add",
        ),
        ('listen = "127.0.0.1:9999"', ("krakenex", "--tls"), "krakenex needs a TLS listener"),
        ('listen = "unix:/run/signer/bots"', ("krakenex",), "krakenex needs a listener on TCP"),
        ('listen = "127.0.0.1:0"', ("krakenex",), "port 0 is another one at each start; choose a fixed port"),
    ],
)
def test_a_library_that_cannot_connect_is_told_what_it_needs(
    listen: str, arguments: tuple[str, ...], says: str, sh: Shell
) -> None:
    """The message has the file and the hint."""
    set_listen(sh, listen)
    said = line(sh, 3, "connect", *arguments, "--client", "grid")
    assert says in said
    assert str(sh.home.config) in said


def test_a_certificate_from_elsewhere_is_called_by_its_name(sh: Shell, tmp_path: Path) -> None:
    """The lines call the name in the certificate, not the address that is listened on, and mention no CA."""
    sh.run("tls", "init", "--host", "gateway.example.com")
    own = f'[gateway.tls]\ncertificate = "{sh.home.tls}/leaf.pem"\nkey = "{sh.home.tls}/leaf.pem"\n'
    set_listen(sh, 'listen = "tls://0.0.0.0:8443"', own)
    told = json.loads(sh.run("connect", "kraken-cli", "--client", "grid", "--json")[1])
    assert told["environment"] == {
        "KRAKEN_SPOT_URL": "https://api.kraken.com:8443",
        "KRAKEN_DANGER_ALLOW_ANY_URL_HOST": "1",
    }
    assert json.loads(sh.run("connect", "requests", "--client", "grid", "--json")[1])["environment"] == {}


def test_an_env_file_names_the_listener_that_a_bot_can_use(sh: Shell, tmp_path: Path) -> None:
    """The first plain one, whatever stands before it."""
    set_listen(sh, 'listen = ["unix:/run/signer/bots", "tls://127.0.0.1:443", "127.0.0.1:9999"]')
    env = tmp_path / "bot.env"
    options = ("--account", "spot", "--policy", "trader", "--env-file", str(env))
    assert sh.run("clients", "add", "grid", *options)[0] == 0
    assert env.read_text().startswith("KRAKEN_BASE_URL=http://127.0.0.1:9999\n")


@pytest.mark.parametrize(("listen", "called"), [("https://0.0.0.0:8443", "https"), ("http://[::]:8787", "http")])
def test_a_gateway_that_listens_everywhere_is_called_by_its_name(sh: Shell, listen: str, called: str) -> None:
    """A bot elsewhere can do nothing with the wildcard that the running gateway announces."""
    lock = HomeLock(sh.home.lock)
    lock.announce(Holder(os.getpid(), 1, listen, ["kraken"]))
    try:
        assert base_url(sh.home, "kraken") == f"{called}://{socket.gethostname()}:{listen.rpartition(':')[2]}"
    finally:
        lock.release()
