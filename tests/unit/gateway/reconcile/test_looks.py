"""One look at an account: it never takes an order for missing that the exchange lists, or may list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.contracts import Journal, Venue
from signer.errors import NotServed
from signer.gateway.forward import Account, VenueTime
from signer.gateway.reconcile.looks import Looks
from signer.gateway.reconcile.matching import LookupResult, Window
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
    """A journal with one open intent, which knows no order."""

    def open_intents(self) -> Sequence[OpenIntent]:
        return (MISSING,)

    def now_us(self) -> int:
        return 1

    def absent(self, account: str, _listed: Sequence[str], _before_us: int) -> Sequence[str]:
        assert account == "main"
        return ()

    def reappeared(self, account: str, _listed: Sequence[str]) -> Sequence[PlacedOrder]:
        assert account == "main"
        return ()

    def find_orders(self, account: str, _: OrderRef) -> Sequence[PlacedOrder]:
        assert account == "main"
        return ()


class Shown:
    """A clock of the venue that was never measured before the call: each reading gives other bounds of its time."""

    def __init__(self, readings: Iterable[Window]) -> None:
        self._readings: Iterator[Window] = iter(readings)
        self._last: Window = (0, 0)

    def shown_at(self, account: str, at_us: int) -> Window:
        assert (account, at_us) == ("main", SENT_US)
        self._last = next(self._readings, self._last)
        return self._last


class MainAccount(FakeAccount):
    """An account that has a name."""

    name = "main"


async def looked(
    answer: Callable[[Call], Listing | None], readings: Iterable[Window], more_answers: int = 0
) -> LookupResult:
    """What one look says of the intent whose outcome is lost; the clock is asked ``more_answers`` times meanwhile."""
    looks = Looks(cast("Journal", OneOpen()), cast("VenueTime", Shown(readings)), VirtualClock())
    account, left = cast("Account", MainAccount(answer)), [True] * more_answers

    async def refined() -> bool:
        return bool(left) and left.pop()

    return (await looks.look(account, cast("Venue", PlacingVenue()), [MISSING], refined))[MISSING.reservation]


def listed_at(opened_us: int) -> Callable[[Call], Listing]:
    """A venue where an order like the lost one is open."""
    listing = Listing({"OA": seen("OA", opened_us)})
    return lambda call: listing if call.endpoint == "OpenOrders" else Listing({}, 0)


@given(st.lists(st.integers(SENT_US - 5, SENT_US), min_size=1, max_size=5))
async def test_an_order_that_is_listed_is_found(readings: list[int]) -> None:
    """However the two clocks jitter between two readings, an order that is on a list is found at the first look."""
    assert await looked(listed_at(SENT_US), [(each, each) for each in readings]) == LookupResult(("OA",))


@given(st.lists(st.integers(SENT_US - 5, SENT_US), min_size=1, max_size=5))
async def test_an_order_that_is_on_no_list_is_missing(readings: list[int]) -> None:
    """Whole lists without it leave no doubt."""
    assert await looked(lambda _: Listing({}, 0), [(each, each) for each in readings]) == LookupResult((None,))


ROUGH = (SENT_US - 500, SENT_US + 500)


@pytest.mark.parametrize("exact_us", [SENT_US - 7, SENT_US])
async def test_a_rough_time_is_measured_on_until_it_tells(exact_us: int) -> None:
    """The order is found as soon as the exchange's clock shows that it was opened after the call."""
    readings = [ROUGH, ROUGH, (SENT_US - 300, SENT_US + 100), (exact_us, exact_us)]
    assert await looked(listed_at(SENT_US + 200), readings, 9) == LookupResult(("OA",))
    assert await looked(listed_at(SENT_US), readings, 9) == LookupResult(("OA",))


async def test_a_twin_within_a_rough_time_is_never_settled() -> None:
    """Somebody placed the same order just before: the measurement that goes on shows that it is older."""
    readings = [ROUGH, ROUGH, (SENT_US - 300, SENT_US + 100), (SENT_US, SENT_US)]
    result = await looked(listed_at(SENT_US - 1), readings, 9)
    assert (result.venue_ids, result.rough, bool(result.doubt)) == ((None,), False, True)


async def test_a_measurement_that_ends_early_leaves_a_doubt() -> None:
    """The exchange stopped answering: neither is the order settled nor called missing."""
    result = await looked(listed_at(SENT_US), [ROUGH], 2)
    assert (result.venue_ids, result.rough, bool(result.doubt)) == ((None,), True, True)


async def test_an_order_that_is_on_no_list_needs_no_closer_time() -> None:
    """Lists that go back to the earliest moment of the call tell that it is missing, however rough the time is."""
    assert await looked(lambda _: Listing({}, 0), [ROUGH]) == LookupResult((None,))


async def test_lists_that_cannot_be_read_leave_a_doubt() -> None:
    """Closed orders that the venue does not list leave the order in doubt, with a reason that a person reads."""
    result = await looked(lambda call: Listing({}) if call.endpoint == "OpenOrders" else None, [(SENT_US, SENT_US)])
    assert (result.venue_ids, result.unread) == ((None,), True)
    assert "the lane is full" in result.doubt


async def test_without_open_orders_nothing_is_said() -> None:
    """Open orders that the venue does not list fail the whole look."""
    with pytest.raises(NotServed):
        await looked(lambda call: None if call.endpoint == "OpenOrders" else Listing({}, 0), [(SENT_US, SENT_US)])


def test_a_doubt_is_never_empty() -> None:
    """An empty doubt would say that the orders were never placed."""
    assert LookupResult.of_unread(MISSING, "").doubt
    assert LookupResult.of_unread(MISSING, "the lane is full") == LookupResult((None,), "the lane is full", unread=True)
