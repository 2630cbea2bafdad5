"""Bots that hard-code https://api.kraken.com, unmodified, through the gateway (the world: tests/e2e/hard_coded.py)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT_IN_NAMESPACES = ["unshare", "--mount", "--net", "--propagation", "private"]
ANYBODY_IN_NAMESPACES = ["unshare", "--map-root-user", *ROOT_IN_NAMESPACES[1:]]


def namespaces() -> list[str]:
    """The command that runs another in namespaces of its own; empty where this machine has none for us."""
    for prefix in (ROOT_IN_NAMESPACES, ANYBODY_IN_NAMESPACES):
        try:
            if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
                return prefix
        except FileNotFoundError:
            break
    print("tests/e2e/test_hard_coded.py: no namespaces here; the bots' own resolver is told instead")  # noqa: T201
    return []


PREFIX = namespaces()


@pytest.fixture(scope="module")
def seen(node_packages: Path) -> dict[str, Any]:
    """What each bot saw in a world of its own."""
    kind = "namespace" if PREFIX else "hook"
    command = [*PREFIX, sys.executable, "-m", "tests.e2e.hard_coded", kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_python_kraken_sdk_trades(seen: dict[str, Any]) -> None:
    """The unchanged client trades with one variable that names the CA, and its withdrawal is refused."""
    assert seen["sdk"] == {
        "balance": "100000.0000",
        "ticker": ["XXBTZUSD"],
        "txids": seen["orders"],
        "withdrawal": "refused",
    }


def test_the_gateway_finds_the_exchange_in_spite_of_the_hosts_entry(seen: dict[str, Any]) -> None:
    """What arrives at the exchange is what the gateway signed: each call once."""
    assert seen["arrived"] == ["/0/private/AddOrder", "/0/private/Balance"]


def test_a_bot_that_was_not_told_of_the_ca_sends_nothing(seen: dict[str, Any]) -> None:
    """The listener cannot pass for the exchange to who does not trust its CA."""
    assert seen["untrusting"] == {"raised": "SSLError"}


def test_an_impostor_at_the_pinned_address_gets_nothing(seen: dict[str, Any]) -> None:
    """An address is not believed: who answers there must prove the exchange's name, or no byte of a call leaves."""
    assert seen["impostor"] == {"raised": "KrakenServiceUnavailableError"}
    assert seen["arrived at the impostor"] == 0


if PREFIX:

    def test_aiohttp_reads_ssl_cert_file(seen: dict[str, Any]) -> None:
        """What hummingbot stands on takes the CA from SSL_CERT_FILE."""
        assert seen["aiohttp"]["time"] > 0

    def test_a_loop_is_refused_at_start(seen: dict[str, Any]) -> None:
        """A gateway that would call itself does not start, and says what to do."""
        assert seen["loop"]["status"] == 3
        assert "accounts.unpinned.origin: its name leads back to this gateway" in seen["loop"]["says"]
        assert "resolve" in seen["loop"]["says"]
        errors = [line for line in seen["loop"]["says"].splitlines() if not line.startswith("signer: warning: ")]
        assert len(errors) == 1

    if shutil.which("node") and shutil.which("npm"):

        def test_node_kraken_api(seen: dict[str, Any]) -> None:
            """The client needs NODE_EXTRA_CA_CERTS and the hosts entry, since its host name is a constant."""
            assert seen["node"] == {"balance": "100000.0000"}
