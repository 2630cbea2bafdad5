"""Fixtures of the sandbox's tests."""

from __future__ import annotations

import pytest

from tests.unit.sandbox.desk import Desk


@pytest.fixture
def desk() -> Desk:
    """A customer at a fresh exchange."""
    return Desk()
