"""Certificates that end, and those that nobody renews."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from signer.doctor.certificates import examine
from signer.home.layout import Home
from signer.home.settings import Config
from signer.tls.authority import AUTHORITY_LIFE, LEAF_LIFE, server_name
from signer.tls.folder import TlsFolder
from tests.unit.doctor.looking import said
from tests.unit.upstream.certificates import Authority

NOW = datetime.now(UTC).replace(microsecond=0)


def config(**tls: str) -> Config:
    """Settings with a TLS listener."""
    gateway = {"listen": "tls://127.0.0.1:0", "tls": tls}
    return Config.model_validate({"gateway": gateway, "accounts": {"main": {}}})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a CA of its own."""
    TlsFolder(tmp_path / "tls").create([server_name("api.kraken.com")], "test", NOW, replace=False)
    return Home(tmp_path)


@pytest.mark.parametrize(
    ("later", "running", "expected"),
    [
        (timedelta(), True, []),
        (LEAF_LIFE - timedelta(days=12), True, []),
        (LEAF_LIFE - timedelta(days=8), True, [("error", "certificate")]),
        (LEAF_LIFE + timedelta(days=8), False, []),
        (AUTHORITY_LIFE - timedelta(days=13), False, [("warning", "certificate")]),
        (AUTHORITY_LIFE, False, [("error", "certificate")]),
    ],
)
def test_our_own(home: Home, later: timedelta, running: bool, expected: list[tuple[str, str]]) -> None:
    """The leaf renews itself, so only one that did not is said; of the CA a fortnight ahead."""
    found = examine(home, config(), NOW + later, running=running)
    assert said(found) == expected
    assert later or any("api.kraken.com" in finding.what for finding in found)


def test_a_listener_without_a_certificate(tmp_path: Path) -> None:
    """Says how to make one, and looking makes none."""
    assert said(examine(Home(tmp_path), config(), NOW, running=False)) == [("error", "key-store")]
    assert said(examine(Home(tmp_path), None, NOW, running=False)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("days", "expected"), [(30, []), (9, [("warning", "certificate")]), (-1, [("error", "config")])]
)
def test_ones_own_certificate(tmp_path: Path, days: int, expected: list[tuple[str, str]]) -> None:
    """The check says when the certificate ends, and that it loads as it does at the start."""
    Authority(tmp_path).server("bots.example.com", timedelta(days=days, seconds=5))
    (tmp_path / "server.pem").chmod(0o600)
    found = examine(Home(tmp_path), config(certificate="server.pem", key="server.pem"), NOW, running=True)
    assert said(found) == expected
    assert days < 30 or "bots.example.com" in found[0].what


def test_the_ca_of_the_clients(home: Home) -> None:
    """Ends like any other; one that does not read is named."""
    authority = Authority(home.folder)
    assert said(examine(home, config(client_ca=authority.file.name), NOW, running=True)) == [("warning", "certificate")]
    authority.file.write_text("nonsense")
    assert said(examine(home, config(client_ca=authority.file.name), NOW, running=True)) == [("error", "config")]
