"""Every upstream test runs on asyncio's own loop and on uvloop: they differ in how they close, write and end TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest_asyncio
import uvloop

from tests.unit.upstream.venue import Venue


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run each test on both event loops."""
    return {"asyncio": asyncio.SelectorEventLoop, "uvloop": uvloop.new_event_loop}


@pytest_asyncio.fixture
async def venue() -> AsyncIterator[Venue]:
    """A venue on plain HTTP that plays what the test tells it."""
    venue = Venue()
    await venue.start()
    yield venue
    await venue.stop()
