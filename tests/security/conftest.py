"""One exchange and one gateway for all tests here that need them running; each test brings bots of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.rig import Rig, serving_rig


@pytest.fixture(scope="session")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A running gateway."""
    with serving_rig(tmp_path_factory.mktemp("rig")) as made:
        yield made
