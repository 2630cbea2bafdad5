"""One look at an account: it never takes an order for missing that the exchange lists, or may list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.contracts import Ledger, Venue
from signer.errors import NotServed
from signer.gateway.forward import Account, VenueTime
from signer.gateway.reconcile.looks import Looks
from signer.gateway.reconcile.matching import LookupResult
from signer.model import Call, Intent, OpenIntent, Order, OrderRef, PlacedOrder
from signer.model.sightings import Listing, Sighting
from tests.harness.virtual import VirtualClock
from tests.unit.gateway.reconcile.test_listings import FakeAccount, FakeVenue
from tests.unit.gateway.reconcile.test_matching import order, seen, unknown

SENT_US = 1_000
MISSING = unknown(1, order(), at_us=SENT_US)


class PlacingVenue(FakeVenue):
    """A venue where every call places orders, and where orders are told apart by their tags."""

    def amended_id(self, _: Intent) -> str | None:
        return None

    def is_alike(self, _: Intent, asked: Order, listed: Sighting) -> bool | None:
        return asked.client_tag == listed.client_tag


class OneOpen:
    """A ledger with one open intent, which knows no order."""

    async def open_intents(self) -> Sequence[OpenIntent]:
        return (MISSING,)

    async def close_absent(self, account: str, _opened: Sequence[str], _before_us: int) -> None:
        assert account == "main"

    async def find_orders(self, account: str, _: OrderRef) -> Sequence[PlacedOrder]:
        assert account == "main"
        return ()


class Jitter:
    """A clock of the venue that was never measured before the call: each reading gives another time of the call."""

    def __init__(self, readings: Iterable[int]) -> None:
        self._readings: Iterator[int] = iter(readings)
        self._last = 0

    def earliest_at(self, account: str, at_us: int) -> int:
        assert (account, at_us) == ("main", SENT_US)
        self._last = next(self._readings, self._last)
        return self._last


class MainAccount(FakeAccount):
    """An account that has a name."""

    name = "main"


async def looked(answer: Callable[[Call], Listing | None], readings: Iterable[int]) -> LookupResult:
    """What one look says of the intent whose outcome is lost."""
    time = cast("VenueTime", Jitter(readings))
    looks = Looks(cast("Ledger", OneOpen()), time, VirtualClock())
    account = cast("Account", MainAccount(answer))
    return (await looks.look(account, cast("Venue", PlacingVenue()), [MISSING]))[MISSING.reservation]


@given(st.lists(st.integers(SENT_US - 5, SENT_US), min_size=1, max_size=5))
async def test_an_order_that_is_listed_is_found(readings: list[int]) -> None:
    """However the two clocks jitter between two readings, an order that is on a list is found at the first look."""
    listed = Listing({"OA": seen("OA", SENT_US)})
    found = await looked(lambda call: listed if call.endpoint == "OpenOrders" else Listing({}, 0), readings)
    assert found == LookupResult(("OA",))


@given(st.lists(st.integers(SENT_US - 5, SENT_US), min_size=1, max_size=5))
async def test_an_order_that_is_on_no_list_is_missing(readings: list[int]) -> None:
    """Whole lists without it leave no doubt."""
    assert await looked(lambda _: Listing({}, 0), readings) == LookupResult((None,))


async def test_lists_that_cannot_be_read_leave_a_doubt() -> None:
    """Closed orders that the venue does not list leave the order in doubt, with a reason that a person reads."""
    result = await looked(lambda call: Listing({}) if call.endpoint == "OpenOrders" else None, [SENT_US])
    assert (result.venue_ids, result.unread) == ((None,), True)
    assert "the lane is full" in result.doubt


async def test_without_open_orders_nothing_is_said() -> None:
    """Open orders that the venue does not list fail the whole look."""
    with pytest.raises(NotServed):
        await looked(lambda call: None if call.endpoint == "OpenOrders" else Listing({}, 0), [SENT_US])


def test_a_doubt_is_never_empty() -> None:
    """An empty doubt would say that the orders were never placed."""
    assert LookupResult.of_unread(MISSING, "").doubt
    assert LookupResult.of_unread(MISSING, "the lane is full") == LookupResult((None,), "the lane is full", unread=True)
