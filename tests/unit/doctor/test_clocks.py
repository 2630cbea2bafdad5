"""The exchange's clock against ours, no more precise than it can be told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from signer.doctor.clocks import examine, judged
from signer.home.settings import Config
from signer.sandbox.server import RunningSandbox, Settings
from signer.serving.clock import SystemClock
from signer.upstream import NOWHERE
from signer.upstream.own_addresses import OwnAddresses
from tests.unit.doctor.looking import only, said


@pytest.mark.parametrize(
    ("least", "most", "weight"),
    [
        (-1.0, 0.1, "fine"),
        (-2.5, -1.0, "fine"),
        (-40.0, 40.0, "fine"),
        (1.1, 2.2, "warning"),
        (-9.0, -8.0, "warning"),
        (29.0, 31.0, "warning"),
        (30.1, 31.0, "error"),
        (-99.0, -31.0, "error"),
    ],
)
def test_only_what_is_certain_counts(least: float, most: float, weight: str) -> None:
    """A clock is off by what it is off at least: a slow answer makes nobody wrong."""
    assert judged("exchange", least, most).weight == weight


@pytest.fixture(scope="module")
def sandbox() -> Iterator[RunningSandbox]:
    """An exchange whose clock can be set."""
    with RunningSandbox(Settings()) as running:
        yield running


def config(origin: str) -> Config:
    """Two accounts of one exchange."""
    return Config.model_validate({"accounts": {"main": {"origin": origin}, "other": {"origin": origin}}})


@pytest.mark.parametrize(("seconds", "told"), [(0, ""), (-20, "ahead"), (20, "behind"), (3600, "behind")])
async def test_a_real_answer(sandbox: RunningSandbox, seconds: int, told: str) -> None:
    """Asked once for both accounts; says by how much, and who is ahead."""
    sandbox.control.skew(seconds)
    found = only(await examine(config(sandbox.url), NOWHERE, "signer.toml", SystemClock()))
    assert found.weight == ("fine" if not seconds else "warning" if abs(seconds) < 30 else "error")
    assert told in found.what


async def test_an_exchange_that_cannot_be_reached() -> None:
    """The finding is an error with its hint."""
    found = await examine(config("http://127.0.0.1:9"), NOWHERE, "signer.toml", SystemClock())
    assert said(found) == [("error", "unreachable")]
    assert found[0].hint


async def test_an_exchange_that_is_this_gateway() -> None:
    """A name that leads back is told before anything is sent."""
    own = OwnAddresses(frozenset({("127.0.0.1", 8787)}))
    found = only(await examine(config("http://127.0.0.1:8787"), own, "signer.toml", SystemClock()))
    assert (found.kind, "leads back to this gateway" in found.what) == ("unreachable", True)
