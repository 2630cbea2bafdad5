"""Which listed order is which of our intents: only what can be nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

import pytest

from signer.gateway.reconcile.matching import LookupResult, Matching, bearing_names_of
from signer.model import Intent, OpenIntent, Order, Price
from signer.model.sightings import Sighting

SENT_US = 1_000


def order(**fields: Any) -> Order:
    """A small order with the tag 7."""
    given = {"volume": Decimal(1), "price": Price(Decimal(100)), "client_tag": "7", **fields}
    return Order("XXBTZUSD", "buy", "limit", **given)


def unknown(reservation: int, *orders: Order, client: str = "bot", at_us: int = SENT_US) -> OpenIntent:
    """An intent whose outcome is lost."""
    return OpenIntent(reservation, Intent(client, "main", "AddOrder", orders, (), (), "r", at_us), unknown=True)


def seen(txid: str, opened_us: int = SENT_US, **fields: Any) -> Sighting:
    """A listed order like `order`."""
    given = {
        "volume": Decimal(1),
        "price": Price(Decimal(100)),
        "price2": None,
        "client_tag": "7",
        "client_id": "",
        **fields,
    }
    return Sighting(txid, "XXBTZUSD", "buy", "limit", opened_us=opened_us, **given)


def same_price(_: Intent, asked: Order, listed: Sighting) -> bool | None:
    """A venue that knows orders by their price alone, and cannot tell if it is 666."""
    return None if listed.price == Price(Decimal(666)) else asked.price == listed.price


def told(
    intents: list[OpenIntent],
    listed: list[Sighting],
    *,
    taken: Collection[str] = (),
    first_seen: Mapping[str, Collection[int]] | None = None,
    rough_us: int = 0,
) -> list[LookupResult]:
    """What becomes of each; ``rough_us`` is how much later than its own time an intent may have been sent."""
    windows = {one.reservation: (one.intent.at_us, one.intent.at_us + rough_us) for one in intents}
    matching = Matching(intents, listed, windows=windows, taken=taken, first_seen=first_seen or {}, alike=same_price)
    return [matching.told(one) for one in intents]


def test_the_one_order_that_is_alike_is_it() -> None:
    """An order opened at the moment of the call or after it is the one."""
    assert told([unknown(1, order())], [seen("OA")]) == [LookupResult(("OA",))]
    assert told([unknown(1, order(client_tag=None, client_id="x"))], [seen("OA", client_tag="", client_id="x")]) == [
        LookupResult(("OA",))
    ]


def test_none_is_none_without_doubt() -> None:
    """An order that is on no list is missing without doubt."""
    assert told([unknown(1, order())], []) == [LookupResult((None,))]
    assert told([unknown(1, order())], [seen("OA", price=Price(Decimal(99)))]) == [LookupResult((None,))]
    assert told([unknown(1, order())], [seen("OA", client_tag="8")]) == [LookupResult((None,))]


def test_an_order_without_reference_is_never_recognised() -> None:
    """An order without reference cannot be told from somebody else's."""
    (one,) = told([unknown(1, order(client_tag=None))], [seen("OA", client_tag="")])
    assert one.venue_ids == (None,)
    assert "no reference" in one.doubt


def test_a_twin_that_is_older_leaves_doubt() -> None:
    """An older twin is somebody else's, or the venue's clock was measured wrong: nothing is settled or released."""
    (one,) = told([unknown(1, order())], [seen("OA", SENT_US - 1)])
    assert one.venue_ids == (None,)
    assert "before" in one.doubt


def test_a_rough_time_leaves_out_what_it_cannot_tell() -> None:
    """An order that was opened between the earliest and the latest moment of the call may be somebody else's twin."""
    opened = {SENT_US - 1: False, SENT_US: True, SENT_US + 9: True, SENT_US + 10: False}
    for at_us, rough in opened.items():
        (one,) = told([unknown(1, order())], [seen("OA", at_us)], rough_us=10)
        assert (one.venue_ids, one.rough) == (("OA",) if at_us == SENT_US + 10 else (None,), rough)
        assert bool(one.doubt) == (one.venue_ids == (None,))


def test_an_older_twin_within_a_rough_time_keeps_the_own_order_in_doubt() -> None:
    """The closer measurement leaves out the twin, and the own order is found."""
    both = [seen("OA", SENT_US + 5), seen("OB", SENT_US + 15)]
    assert [one.rough for one in told([unknown(1, order())], both, rough_us=10)] == [True]
    assert told([unknown(1, order(), at_us=SENT_US + 6)], both) == [LookupResult(("OB",))]


def test_an_order_within_a_rough_time_of_another_call_leaves_doubt() -> None:
    """The other call may have been sent before the order was opened, so it claims the order too."""
    early, late = unknown(1, order()), unknown(2, order(), at_us=SENT_US + 8)
    results = told([early, late], [seen("OA", SENT_US + 10)], rough_us=10)
    assert [one.venue_ids for one in results] == [(None,), (None,)]
    assert all(one.doubt for one in results)


def test_what_cannot_be_told_leaves_doubt() -> None:
    """An order that cannot be compared settles nothing and releases nothing."""
    (one,) = told([unknown(1, order())], [seen("OA", price=Price(Decimal(666)))])
    assert one.venue_ids == (None,)
    assert "not listed" in one.doubt


def test_a_twin_that_was_seen_before_the_intent_is_not_it() -> None:
    """Whatever any clock says: no intent places an order that was listed before it."""
    first_seen = {"OA": frozenset({1}), "OB": frozenset({1, 2})}
    assert told([unknown(2, order())], [seen("OA"), seen("OB")], first_seen=first_seen) == [LookupResult(("OB",))]
    assert told([unknown(2, order())], [seen("OA", 0)], first_seen=first_seen) == [LookupResult((None,))]


def test_an_order_that_the_book_knows_is_not_it() -> None:
    """An order that the book knows is not the lost one, even if it is the client's own."""
    assert told([unknown(1, order())], [seen("OA"), seen("OB")], taken={"OA"}) == [LookupResult(("OB",))]


def test_two_candidates_leave_doubt() -> None:
    """Of two candidates neither is taken."""
    (one,) = told([unknown(1, order())], [seen("OA"), seen("OB")])
    assert one.venue_ids == (None,)
    assert "2 orders" in one.doubt


@pytest.mark.parametrize("other", ["bot", "else"])
def test_an_order_that_two_intents_may_have_placed_is_neither_s(other: str) -> None:
    """Twins of two calls, whoever made them; also while the other call is under way."""
    first, second = told([unknown(1, order()), unknown(2, order(), client=other)], [seen("OA")])
    assert first.venue_ids == second.venue_ids == (None,)
    assert "another call" in first.doubt
    assert "another call" in second.doubt


def test_an_order_that_cannot_be_told_from_another_call_s_leaves_doubt() -> None:
    """The pair of the other call is not listed, so the order may be that call's: it is settled for neither."""
    unlisted = order(price=Price(Decimal(666)))

    def alike(_: Intent, asked: Order, __: Sighting) -> bool | None:
        return None if asked == unlisted else True

    intents = [unknown(1, order()), unknown(2, unlisted, client="else")]
    windows = {one.reservation: (SENT_US, SENT_US) for one in intents}
    matching = Matching(intents, [seen("OA")], windows=windows, taken=(), first_seen={}, alike=alike)
    results = [matching.told(one) for one in intents]
    assert [one.venue_ids for one in results] == [(None,), (None,)]
    assert all(one.doubt for one in results)


def test_a_later_twin_claims_nothing_that_is_older() -> None:
    """An order opened before the second was sent can only be the first's."""
    later = unknown(2, order(), at_us=SENT_US + 500)
    first, second = told([unknown(1, order()), later], [seen("OA", SENT_US + 100)])
    assert first == LookupResult(("OA",))
    assert second.venue_ids == (None,)


def test_legs_of_a_batch_are_found_one_by_one() -> None:
    """The legs of a batch that are listed are found, even if others are missing or in doubt."""
    legs = [order(price=Price(Decimal(price))) for price in (100, 101, 102)]
    listed = [seen("OA"), seen("OC", price=Price(Decimal(102))), seen("OD", price=Price(Decimal(102)))]
    (one,) = told([unknown(1, *legs)], listed)
    assert one.venue_ids == ("OA", None, None)
    assert "2 orders" in one.doubt
    assert told([unknown(1, *legs)], [seen("OA")]) == [LookupResult(("OA", None, None))]


def test_twins_in_a_batch_are_told_apart_by_number() -> None:
    """Twins are interchangeable: as many as are listed are taken, the oldest first, and never more."""
    batch = unknown(1, order(), order())
    assert told([batch], [seen("OB", SENT_US + 2), seen("OA", SENT_US + 1)]) == [LookupResult(("OA", "OB"))]
    assert told([batch], [seen("OA")]) == [LookupResult(("OA", None))]
    (one,) = told([batch], [seen("OA"), seen("OB"), seen("OC")])
    assert one.venue_ids == (None, None)
    assert one.doubt


def test_one_row_is_never_two_different_legs() -> None:
    """Legs that differ only in what the venue does not show: a row that is like both is neither's."""
    (one,) = told([unknown(1, order(), order(volume=Decimal(2)))], [seen("OA")])
    assert one.venue_ids == (None, None)
    assert "another" in one.doubt


def test_only_orders_with_our_references_are_worth_a_look_into_the_book() -> None:
    """An order with our tag or the client's id is looked up in the book, no other."""
    listed = [
        seen("OA"),
        seen("OB", client_tag="8"),
        seen("OC", client_tag="", client_id="x"),
        seen("OD", client_tag=""),
    ]
    intents = [
        unknown(1, order()),
        unknown(2, order(client_tag=None, client_id="x")),
        unknown(3, order(client_tag=None)),
    ]
    assert [one.venue_id for one in bearing_names_of(intents, listed)] == ["OA", "OC"]
