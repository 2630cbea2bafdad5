"""Threat: a bot that cancels dead orders without end uses up the turns of the key and the points of the account.

And its opposite: an order that is open is taken for dead, and its cancel is not sent.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from signer.audit.journal import FileJournal
from signer.gateway.aiming import MOST_KEPT, YOUNG_US, KnownClosed
from signer.gateway.cancelling import Cancelling
from signer.model import Order, OrderRef, PlacedOrder
from signer.model.ended import Ended
from signer.sandbox.faults import Errors
from signer.serving.clock import SystemClock
from tests.harness.bots import LIMIT
from tests.harness.inside import inside
from tests.harness.policies import NARROW, WIDE
from tests.harness.rig import Rig

SMALL = {"price": "20000", "volume": "0.001"}
UNKNOWN = ["EOrder:Unknown order"]
PLACED = PlacedOrder("main", "bot", "O1", Order("XXBTZUSD", "buy", "limit", Decimal(1)), placed_us=10 * YOUNG_US)
REF = OrderRef("venue-id", "O1")


@pytest.mark.parametrize("policy", [NARROW, WIDE], ids=["own", "account"])
@pytest.mark.parametrize("by", ["txid", "userref", "cl_ord_id"])
def test_an_order_that_was_cancelled_is_not_cancelled_again(rig: Rig, policy: str, by: str) -> None:
    """We answer in Kraken's words, under each of its names, and nothing arrives."""
    bot = rig.bot(rig.policy(policy))
    names = {"userref": str(secrets.randbelow(2**30) + 1), "cl_ord_id": f"n-{secrets.token_hex(6)}"}
    txid = rig.place(bot, **SMALL, **({by: names[by]} if by in names else {}))
    fields = {"cl_ord_id": names[by]} if by == "cl_ord_id" else {"txid": names.get(by, txid)}
    assert rig.call(bot, "CancelOrder", fields) == []
    with rig.nothing_arrives():
        if policy == NARROW or by == "txid":  # under an account-wide policy others may bear the name
            assert [rig.call(bot, "CancelOrder", fields) for _ in range(3)] == [UNKNOWN] * 3
        assert rig.call(bot, "CancelOrder", {"txid": txid}) == UNKNOWN


def test_of_a_batch_only_what_is_open_is_sent(rig: Rig) -> None:
    """The dead one costs nothing and fails nothing."""
    bot = rig.bot(rig.policy(NARROW))
    dead, alive = rig.place(bot, **SMALL), rig.place(bot, **SMALL)
    assert rig.call(bot, "CancelOrder", {"txid": dead}) == []
    before = len(rig.arrivals())
    assert rig.result(bot, "CancelOrderBatch", {"orders[0]": dead, "orders[1]": alive}) == {"count": 1}
    assert [arrival.endpoint for arrival in rig.arrivals()[before:]] == ["CancelOrder"]
    assert not rig.is_open(alive)


def test_a_young_order_that_kraken_does_not_know_is_cancelled_all_the_same(rig: Rig) -> None:
    """Kraken may not have heard of it yet: the next cancel is sent."""
    bot = rig.bot(rig.policy(NARROW))
    txid = rig.place(bot, **SMALL)
    rig.sandbox.control.add_fault(Errors(endpoint="CancelOrder", errors=("EOrder:Unknown order",)))
    assert rig.call(bot, "CancelOrder", {"txid": txid}) == UNKNOWN
    assert rig.is_open(txid)
    assert rig.call(bot, "CancelOrder", {"txid": txid}) == []
    assert not rig.is_open(txid)


def test_a_userref_of_several_orders_does_not_speak_for_a_young_one(rig: Rig) -> None:
    """Kraken counts orders, not names: three cancelled by a userref are no word about the order named beside it."""
    bot, ref = rig.bot(rig.policy(WIDE)), str(secrets.randbelow(2**30) + 1)
    for _ in range(3):
        rig.place_by_hand(**SMALL, userref=ref)
    txid = rig.place(bot, **SMALL)
    # The userref is asked for first.
    rig.sandbox.control.add_fault(Errors(endpoint="CancelOrder", errors=("EOrder:Unknown order",), skip=1))
    rig.call(bot, "CancelOrderBatch", {"orders[0]": txid, "orders[1]": ref})
    assert rig.is_open(txid)
    assert rig.call(bot, "CancelOrder", {"txid": txid}) == []
    assert not rig.is_open(txid)


def test_the_exchange_is_asked_once_what_is_open_of_many_names(rig: Rig) -> None:
    """One cancel asks at most once what is open, however many userrefs it names."""
    bot, refs = rig.bot(rig.policy(NARROW)), [str(secrets.randbelow(2**30) + 1) for _ in range(3)]
    txids = [rig.place(bot, **SMALL, userref=ref) for ref in refs for _ in range(2)]
    before = len(rig.sandbox.control.arrivals())
    named = {f"orders[{index}]": ref for index, ref in enumerate([*refs, *refs, *refs])}
    assert rig.result(bot, "CancelOrderBatch", named) == {"count": len(txids)}
    arrived = [one.endpoint for one in rig.sandbox.control.arrivals()[before:]]
    assert arrived.count("OpenOrders") == 1
    assert not any(rig.is_open(txid) for txid in txids)


async def test_a_word_about_an_order_is_as_old_as_the_call(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cancel of several may go on for minutes: what was heard of a young order at its beginning is no later news."""
    bot = rig.bot(rig.policy(NARROW))
    home = rig.copied(tmp_path)[0].home
    now_us, run, later_us = FileJournal.now_us, Cancelling.run, [0]

    async def slow(cancelling: Cancelling, refs: Sequence[OrderRef]) -> Ended:
        ended = await run(cancelling, refs)
        later_us[0] += YOUNG_US
        return ended

    async with inside(home) as made:
        txid = await made.placed(bot, {**LIMIT, **SMALL})
        monkeypatch.setattr(FileJournal, "now_us", lambda journal: now_us(journal) + later_us[0])
        monkeypatch.setattr(Cancelling, "run", slow)
        rig.sandbox.control.add_fault(Errors(endpoint="CancelOrder", errors=("EOrder:Unknown order",)))
        assert await made.call(bot, "CancelOrder", {"txid": txid}) == UNKNOWN
        assert rig.is_open(txid)
        assert await made.call(bot, "CancelOrder", {"txid": txid}) == []
        assert not rig.is_open(txid)


async def test_a_clock_that_is_set_ahead_makes_no_order_old(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kraken's word about a young order is as little final as ever, though the machine's clock has jumped meanwhile."""
    bot, now_us = rig.bot(rig.policy(NARROW)), SystemClock.now_us
    async with inside(rig.copied(tmp_path)[0].home) as made:
        txid = await made.placed(bot, {**LIMIT, **SMALL})
        monkeypatch.setattr(SystemClock, "now_us", lambda clock: now_us(clock) + 2 * YOUNG_US)
        rig.sandbox.control.add_fault(Errors(endpoint="CancelOrder", errors=("EOrder:Unknown order",)))
        assert await made.call(bot, "CancelOrder", {"txid": txid}) == UNKNOWN
        assert await made.call(bot, "CancelOrder", {"txid": txid}) == []
        assert not rig.is_open(txid)


@pytest.mark.parametrize(
    ("cancelled", "after_us", "known"),
    [(True, 0, True), (False, YOUNG_US, True), (False, YOUNG_US - 1, False), (False, 0, False)],
)
def test_what_an_answer_tells(*, cancelled: bool, after_us: int, known: bool) -> None:
    """A cancelled order is known to be closed at any age, an order that the exchange does not know only if it is not
    young."""
    closed = KnownClosed()
    assert not closed.has(PLACED)
    closed.note("main", [REF], cancelled=cancelled, now_us=PLACED.placed_us + after_us)
    assert closed.has(PLACED) == known
    assert not closed.has(replace(PLACED, account="other"))
    assert not closed.has(replace(PLACED, venue_id="O2"))


def test_what_the_book_has_closed_is_known() -> None:
    """An order that a list of open orders has left out is known to be closed."""
    assert KnownClosed().has(replace(PLACED, closed=True))


def test_only_so_many_are_kept_in_mind() -> None:
    """The oldest are forgotten: their cancels are sent again, and do no harm."""
    closed = KnownClosed()
    closed.note("main", [REF], cancelled=True, now_us=1)
    closed.note("main", [OrderRef("venue-id", f"N{n}") for n in range(MOST_KEPT)], cancelled=True, now_us=1)
    assert not closed.has(PLACED)
