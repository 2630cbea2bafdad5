"""A Vault and a PKCS#11 token for the whole run, or a skip that says what is missing; in CI a skip is a failure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.vault.found import NoVault, find
from tests.vault.running import RunningVault
from tests.vault.softhsm import Token, module


def pytest_collection_finish(session: pytest.Session) -> None:
    """Build the Vault before the first test, if one needs it: it takes minutes, and a test may take two."""
    needed = any("vault" in f"{item.nodeid} {getattr(item, 'fixturenames', ())}" for item in session.items)
    if needed and not session.config.option.collectonly:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        with contextlib.suppress(NoVault):
            find(lambda text: reporter.write_line(text) if reporter else None)


@pytest.fixture(scope="session")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningVault]:
    """A real Vault, set up by deploy/vault/setup.sh. Whoever seals or kills it brings it back."""
    try:
        find()
    except NoVault as error:
        pytest.skip(f"no real Vault: {error}")
    running = RunningVault.start(tmp_path_factory.mktemp("vault"))
    yield running
    running.stop()


@pytest.fixture(scope="session")
def token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    """A real PKCS#11 token."""
    if module() is None:
        pytest.skip("no PKCS#11 module: apt-get install softhsm2")
    return Token(tmp_path_factory.mktemp("softhsm"))
