"""Reading the venue's lists: page by page, within our share of the key's counter, and how far back they are whole."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, cast

import pytest

from signer.contracts import Venue
from signer.errors import NotServed, VenueError
from signer.gateway.forward import Account
from signer.gateway.reconcile.listings import LOOK_S, MOST_PAGES, Listings
from signer.model import Action, Call, Outcome, VenueResult, WireAnswer
from signer.model.sightings import Listing, Sighting
from tests.harness.virtual import VirtualClock

PAGE = 50
Answer = Callable[[Call], "Listing | str | None"]


def seen(number: int) -> Sighting:
    """The order of that number, which was opened and closed so many microseconds after the epoch."""
    return Sighting(f"O{number}", "P", "buy", "limit", Decimal(1), None, None, "", "", number, number + 1)


class FakeVenue:
    """A venue whose calls say what they ask for, and whose answers are lists already."""

    reads_at_once = 50

    def open_orders(self) -> Call:
        return Call("OpenOrders", Action.READ, {})

    def closed_orders(self, since_us: int, skip: int) -> Call:
        return Call("ClosedOrders", Action.READ, {"start": since_us, "ofs": skip})

    def orders_by_id(self, txids: Sequence[str]) -> Call:
        return Call("QueryOrders", Action.READ, {"txid": list(txids)})

    def read_orders(self, answer: Any) -> Listing | None:
        return answer if isinstance(answer, Listing) else None


class FakeAccount:
    """Answers as told, and has its own idea of when a read fits into the counter."""

    def __init__(self, answer: Answer, waits: Sequence[float] = ()) -> None:
        self.asked: list[Call] = []
        self._answer = answer
        self._waits = list(waits)

    def wait_for_own(self, _venue: Venue, _call: Call) -> float:
        return self._waits.pop(0) if self._waits else 0.0

    async def forward(self, _venue: Venue, call: Call, client: str, *_: object) -> tuple[Any, VenueResult]:
        assert client == "@recovery"
        self.asked.append(call)
        answer = self._answer(call)
        if isinstance(answer, str):
            return WireAnswer(200, "", b""), VenueResult(Outcome.REJECTED, (answer,))
        if answer is None:
            raise NotServed.unavailable("the lane is full")
        return answer, VenueResult(Outcome.ACCEPTED)


def made(answer: Answer, waits: Sequence[float] = ()) -> tuple[Listings, FakeAccount]:
    """A look at an account that answers so."""
    account = FakeAccount(answer, waits)
    return Listings(cast(Account, account), cast(Venue, FakeVenue()), VirtualClock()), account


def pages(total: int, *, counted: bool = True) -> Answer:
    """Closed orders ``total - 1`` down to 0, in pages."""

    def answer(call: Call) -> Listing:
        skip = cast(int, call.fields["ofs"])
        numbers = range(total - 1 - skip, max(-1, total - 1 - skip - PAGE), -1)
        return Listing({f"O{number}": seen(number) for number in numbers}, total if counted else None)

    return answer


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("total", [0, 1, 49, 50, 51, 100, 123])
async def test_all_pages_are_read(total: int, counted: bool) -> None:
    """The last page is read, whether or not the venue says how many there are."""
    lists, _ = made(pages(total, counted=counted))
    await lists.read_closed(7)
    assert set(lists.sightings) == {f"O{number}" for number in range(total)}
    assert (lists.whole_since_us, lists.trouble) == (7, "")


async def test_a_refused_page_does_not_void_the_pages_before_it() -> None:
    """The list is whole back to the moment at which the oldest order of the last good page was closed."""
    good = pages(123)
    lists, _ = made(lambda call: good(call) if call.fields["ofs"] != 100 else "EAPI:Rate limit exceeded")
    await lists.read_closed(0)
    assert len(lists.sightings) == 100
    assert lists.whole_since_us == (123 - 100) + 2
    assert "EAPI:Rate limit exceeded" in lists.trouble


@pytest.mark.parametrize("answer", ["EGeneral:Permission denied", None])
async def test_without_a_first_page_nothing_is_whole(answer: str | None) -> None:
    """A first page that is refused or not sent leaves nothing whole."""
    lists, _ = made(lambda _: answer)
    await lists.read_closed(0)
    assert lists.whole_since_us is None
    assert lists.trouble


async def test_a_venue_that_says_more_than_it_shows_is_not_believed() -> None:
    """An empty page before the last is no end."""
    lists, _ = made(lambda call: Listing({} if call.fields["ofs"] else {"O5": seen(5)}, 80))
    await lists.read_closed(0)
    assert (lists.whole_since_us, list(lists.sightings)) == (7, ["O5"])
    assert "1 of 80" in lists.trouble


async def test_a_list_that_shrinks_is_whole_as_far_as_it_was_read_before() -> None:
    """Where the list lost a row between two pages, an order may stand on neither."""
    first = pages(60)

    def answer(call: Call) -> Listing:
        if not call.fields["ofs"]:
            return cast(Listing, first(call))
        return Listing({f"O{number}": seen(number) for number in range(9)}, 59)  # O9 is on neither page

    lists, _ = made(answer)
    await lists.read_closed(0)
    assert lists.whole_since_us == 10 + 2
    assert "shorter" in lists.trouble


async def test_a_list_that_grows_is_whole() -> None:
    """The end of one page comes again at the beginning of the next, and no order is missed."""
    first, then = pages(60), pages(61)
    lists, _ = made(lambda call: (then if call.fields["ofs"] else first)(call))
    await lists.read_closed(7)
    assert set(lists.sightings) == {f"O{number}" for number in range(60)}
    assert (lists.whole_since_us, lists.trouble) == (7, "")


async def test_a_list_without_end_is_left() -> None:
    """Reading ends after so many pages, and the orders that they show count."""
    lists, account = made(pages(1_000_000))
    await lists.read_closed(0)
    assert len(account.asked) == MOST_PAGES
    assert lists.whole_since_us == 1_000_000 - MOST_PAGES * PAGE + 2
    assert "longer" in lists.trouble


async def test_open_orders_that_are_not_listed_raise() -> None:
    """A missing list of open orders raises, since nothing can be told without it."""
    lists, _ = made(lambda _: "EService:Busy")
    with pytest.raises(VenueError, match="EService:Busy"):
        await lists.read_open()


async def test_an_order_that_closed_between_the_reads_is_shown_as_open() -> None:
    """The order is listed once, as it was read first."""
    lists, _ = made(lambda call: Listing({"O1": seen(1)}, 1 if call.fields else None))
    assert list(await lists.read_open()) == ["O1"]
    await lists.read_closed(0)
    assert list(lists.sightings) == ["O1"]


async def test_only_what_is_not_listed_is_asked_for_by_its_id() -> None:
    """Fifty ids are asked for at once, and none of them is listed already."""
    lists, account = made(
        lambda call: Listing({str(txid): seen(9) for txid in cast("list[str]", call.fields.get("txid", ["O1"]))})
    )
    await lists.read_open()
    await lists.read_missing(["O1", *(f"A{number}" for number in range(60))])
    assert [len(cast("list[str]", call.fields["txid"])) for call in account.asked[1:]] == [50, 10]
    assert len(lists.sightings) == 61


async def test_a_read_waits_for_our_share_of_the_counter() -> None:
    """A read that would wait for longer than a look may take is not made."""
    lists, account = made(pages(1), waits=[0.01, 0.01])
    await lists.read_closed(0)
    assert len(account.asked) == 1
    lists, account = made(pages(1), waits=[LOOK_S + 1])
    await lists.read_closed(0)
    assert (account.asked, lists.whole_since_us) == ([], None)
    assert "share" in lists.trouble
