"""What every test lives under: no socket but loopback, a cheap hypothesis profile, no ambient home."""

from __future__ import annotations

import ipaddress
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.vault.fixtures"]

settings.register_profile(
    "signer", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.register_profile("thorough", parent=settings.get_profile("signer"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "signer"))

TESTS = Path(__file__).parent
LONGEST_FIRST = (
    "simulator", "newcomer", "e2e", "cli", "security", "vault", "deploy", "property", "contract", "venue_seam",
    "unit",
)  # fmt: skip
"""The kinds of tests, those with the longest files first, so that no worker is left with one at the end."""

_connect = socket.socket.connect


def _loopback_only(self: socket.socket, address: Any) -> None:
    if self.family in {socket.AF_INET, socket.AF_INET6} and not _is_loopback(str(address[0])):
        raise AssertionError(f"a test tried to reach {address!r}; only loopback is allowed")
    _connect(self, address)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_getaddrinfo = socket.getaddrinfo


def _names_of_this_machine(host: Any, *arguments: Any, **options: Any) -> Any:
    if host is not None and not _is_address(str(host)) and str(host) not in {"localhost", socket.gethostname()}:
        raise socket.gaierror(socket.EAI_NONAME, "no other name resolves in a test")
    return _getaddrinfo(host, *arguments, **options)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@pytest.fixture(autouse=True)
def _guards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", _loopback_only)
    monkeypatch.setattr(socket, "getaddrinfo", _names_of_this_machine)
    for name in ("SIGNER_HOME", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the files by kind, as xdist hands them out."""
    kinds = {kind: place for place, kind in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: kinds[item.path.relative_to(TESTS).parts[0]])


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI nothing may be skipped: what cannot be had there is a failure, not a silence."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped") and exitstatus == 0:
        session.exitstatus = 1
