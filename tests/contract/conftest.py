"""The backends of the journal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.contract.machines import Files, Machine

BACKENDS: Mapping[str, Callable[[Path], Machine]] = {"files": Files}


@pytest.fixture(name="machine", params=sorted(BACKENDS))
def _machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    return BACKENDS[request.param](tmp_path)
