"""Where a gateway would listen, and what one that runs has loaded."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from signer import __version__
from signer.doctor.known import KnownHome
from signer.doctor.listeners import answer, examine, loaded, own_addresses
from signer.home.layout import Home
from signer.home.lock import NOTHING_YET, Holder, Load
from signer.home.settings import Config
from tests.unit.doctor.looking import only, said


def known(folder: Path, *listen: str, gateway: Holder | None = None) -> KnownHome:
    """A home that listens there."""
    config = Config.model_validate({"gateway": {"listen": list(listen)}, "accounts": {"main": {}}})
    return KnownHome(Home(folder), config, gateway=gateway)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """Each listener is tried by itself, and what is free is said too."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        found = examine(known(tmp_path, taken, "127.0.0.1:0", f"unix:{tmp_path}/missing/bots"))
    assert said(found) == [("error", "listener"), ("error", "listener")]
    assert (found[1].about, found[1].what) == (f"listener {taken}", "Address already in use")


def test_a_gateway_that_is_still_starting(tmp_path: Path) -> None:
    """Is no error, and nothing else is asked."""
    assert said(examine(known(tmp_path, "127.0.0.1:0", gateway=Holder(1, 1, NOTHING_YET)))) == [("warning", "gateway")]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "https://127.0.0.1:9", "unix:/nowhere/bots"])
def test_a_listener_that_does_not_answer(url: str) -> None:
    """The finding names the listener."""
    found = answer(url)
    assert (found.weight, found.about) == ("error", f"listener {url}")


def test_own_addresses_are_those_announced(tmp_path: Path) -> None:
    """The addresses are those that the running gateway announced, else those of the settings; a unix socket has
    none."""
    running = Holder(1, 1, "http://127.0.0.1:4711, https://[::1]:4712, unix:/run/bots")
    assert own_addresses(known(tmp_path, "127.0.0.1:0", gateway=running)).listening == {
        ("127.0.0.1", 4711),
        ("::1", 4712),
    }
    assert own_addresses(known(tmp_path, "127.0.0.1:8787")).listening == {("127.0.0.1", 8787)}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Files that were last changed at second 100."""
    home = Home(tmp_path)
    home.policies.mkdir()
    for path in (home.config, home.keys, home.policies / "trader.toml", home.policies):
        path.touch()
        os.utime(path, (100, 100))
    return home


LOAD = Load(1, 1, 101_000_000, "", version=__version__)


def test_what_is_loaded_is_what_is_on_disk(home: Home) -> None:
    """A gateway that has loaded what is on disk gives no finding."""
    assert only(loaded(home, LOAD)).weight == "fine"


def test_what_was_changed_since_is_named(home: Home) -> None:
    """The finding names the settings, the policy or the key store that was changed."""
    assert only(loaded(home, replace(LOAD, at_us=99_000_000))).what.endswith(
        "signer.toml, keys.json, policies, trader.toml"
    )
    os.utime(home.policies / "trader.toml", (102, 102))
    found = only(loaded(home, LOAD))
    assert (found.kind, found.what.endswith("than trader.toml")) == ("stale", True)


def test_a_load_that_failed_and_one_of_another_version(home: Home) -> None:
    """A load that failed is said with its error; an older gateway says no version."""
    failed = replace(LOAD, error="signer.toml: no")
    assert said(loaded(home, failed)) == [("error", "load")]
    assert said(loaded(home, replace(LOAD, version=""))) == [("warning", "version")]
    assert said(loaded(home, None)) == [("error", "load")]
