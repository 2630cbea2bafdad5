"""What every ledger must do: one suite, run against each backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
import pytest_asyncio

from signer.errors import Halted, LedgerError, NotReserved
from signer.ledger.sqlite import SqliteLedger
from signer.model import ChainHead, Charge, Halt, Order, OrderRef, PlacedOrder, Usage
from signer.offload.worker import ThreadWorker
from signer.venues.kraken.answers import words
from tests.unit.ledger.calls import DAY_S, START_US, StillClock, charge, close_absent, intent, order, used


@pytest.fixture(name="clock")
def _clock() -> StillClock:
    return StillClock()


@pytest_asyncio.fixture(name="ledger", params=["sqlite"])
async def _ledger(request: pytest.FixtureRequest, tmp_path: Path, clock: StillClock) -> AsyncIterator[SqliteLedger]:
    worker = ThreadWorker("ledger")
    ledger = SqliteLedger(tmp_path / "ledger.db", clock, worker, patience_s=0)
    await ledger.open()
    yield ledger
    await ledger.close()
    worker.close()


async def test_a_cap_can_be_used_to_its_last_unit_and_no_further(ledger: SqliteLedger) -> None:
    """Held charges count, exactly: the limit fits, the least more does not."""
    await ledger.reserve(intent(charge("60")))
    await ledger.reserve(intent(charge("40")))
    with pytest.raises(NotReserved):
        await ledger.reserve(intent(charge("0.00000001")))
    assert await used(ledger) == 100


async def test_all_charges_fit_or_none_is_held(ledger: SqliteLedger) -> None:
    """A call that passes one of its caps leaves the others untouched and no reservation behind."""
    with pytest.raises(NotReserved):
        await ledger.reserve(intent(charge("10"), charge("101", cap="second", unit="EUR")))
    assert await used(ledger) == 0
    assert await ledger.open_intents() == []


async def test_charges_of_one_cap_add_up(ledger: SqliteLedger) -> None:
    """A batch of orders cannot pass a cap that each of them would fit under."""
    with pytest.raises(NotReserved):
        await ledger.reserve(intent(charge("60", leg=0), charge("60", leg=1)))
    await ledger.reserve(intent(charge("60", leg=0), charge("40", leg=1)))
    assert await used(ledger) == 100


async def test_a_changed_limit_keeps_the_total(ledger: SqliteLedger) -> None:
    """A policy may raise or lower a cap, whose name tells its limit: what is used stays used under the new one."""
    await ledger.reserve(intent(charge("60", cap="100 USD / 24h")))
    with pytest.raises(NotReserved, match="'50 USD / 24h' has 0 USD left"):
        await ledger.reserve(intent(charge("1", cap="50 USD / 24h", limit="50")))
    await ledger.reserve(intent(charge("60", cap="120 USD / 1d", limit="120")))
    (used,) = await ledger.usage("client/bot")
    assert used == Usage("120 USD / 1d", "client/bot", "USD", 86_400, Decimal(120), Decimal(120))
    assert list(await ledger.scopes()) == ["client/bot"]


async def test_a_clock_that_jumped_ahead_and_back_makes_nothing_forgotten(
    ledger: SqliteLedger, clock: StillClock
) -> None:
    """A call that is refused while the clock is a year ahead leaves what was spent as it was."""
    await ledger.reserve(intent(charge("60")))
    clock.us += 365 * DAY_S * 1_000_000
    with pytest.raises(NotReserved):
        await ledger.reserve(intent(charge("101")))
    clock.us = START_US
    with pytest.raises(NotReserved):
        await ledger.reserve(intent(charge("41")))


async def test_the_lower_of_two_limits_counts(ledger: SqliteLedger) -> None:
    """One call with two limits for one cap is held to the lower, in whichever order they come."""
    for charges in ([charge("30", limit="100"), charge("30", limit="50")], [charge("60"), charge("0", limit="50")]):
        for order_of_legs in (charges, charges[::-1]):
            with pytest.raises(NotReserved):
                await ledger.reserve(intent(*order_of_legs))


async def test_sums_do_not_round(ledger: SqliteLedger) -> None:
    """Amounts of more digits than the default context has still count to the last digit."""
    limit, tiny = "1000000000000000000000.0000000001", "0.0000000001"
    await ledger.reserve(intent(charge("1000000000000000000000", limit=limit)))
    await ledger.reserve(intent(charge(tiny, limit=limit)))
    with pytest.raises(NotReserved):
        await ledger.reserve(intent(charge(tiny, limit=limit)))


async def test_a_refusal_names_the_cap_and_what_is_left(ledger: SqliteLedger) -> None:
    """The client reads which cap, what is left and what it needed, under Kraken's word for an order at fault."""
    await ledger.reserve(intent(charge("99.5")))
    with pytest.raises(NotReserved) as refused:
        await ledger.reserve(intent(charge("1.25")))
    assert words(refused.value) == (
        "EOrder:Invalid order:policy cap 'notional' has 0.5 USD left and this call needs 1.25",
    )
    assert refused.value.rules == ("notional",)


async def test_a_cap_of_orders_answers_as_a_rate_limit(ledger: SqliteLedger) -> None:
    """A bot that places too many orders is told to slow down."""
    many = charge("1", cap="1 orders / 24h", limit="1", unit="orders")
    await ledger.reserve(intent(many))
    with pytest.raises(NotReserved) as refused:
        await ledger.reserve(intent(many))
    assert words(refused.value)[0] == "EOrder:Rate limit exceeded"


@pytest.mark.parametrize(
    "bad",
    [charge("-1"), charge("NaN"), charge("1", limit="Infinity"), charge("1E-90"), replace(charge("1"), window_s=0)],
    ids=["negative", "not a number", "no limit", "too fine to add", "no window"],
)
async def test_a_charge_without_sense_is_refused(ledger: SqliteLedger, bad: Charge) -> None:
    """A charge that could lower a total, or cannot be added exactly, fails closed and spoils nothing."""
    big = charge("10000000000000000000000", limit="100000000000000000000000")
    await ledger.reserve(intent(big))
    with pytest.raises(LedgerError):
        await ledger.reserve(intent(replace(bad, limit=bad.limit if bad.limit != 100 else big.limit)))
    assert await used(ledger) == big.amount


async def test_release_gives_everything_back_once(ledger: SqliteLedger) -> None:
    """What was never sent is not spent, and a second release does not give back what others hold."""
    kept = await ledger.reserve(intent(charge("50")))
    given = await ledger.reserve(intent(charge("50")))
    await ledger.release(given)
    await ledger.release(given)
    await ledger.settle(given, ["LATE"])
    assert await used(ledger) == 50
    assert [open_intent.reservation for open_intent in await ledger.open_intents()] == [kept]


async def test_settle_spends_what_was_accepted_once(ledger: SqliteLedger) -> None:
    """Rows that the venue rejected are given back; settling again, or releasing after, changes nothing."""
    batch = intent(charge("60", leg=0), charge("30", leg=1), orders=(order(), order()))
    reservation = await ledger.reserve(batch)
    await ledger.settle(reservation, ["OAAA", None])
    await ledger.settle(reservation, [None, None])
    await ledger.release(reservation)
    assert await used(ledger) == 60
    assert await ledger.open_intents() == []


async def test_hold_keeps_an_unknown_outcome_until_reconciled(ledger: SqliteLedger) -> None:
    """Unknown is a state of its own: listed as such, still counted, and settled or released later."""
    sent = intent(charge("60"), orders=(order(client_tag="7"),))
    reservation = await ledger.reserve(sent)
    (before,) = await ledger.open_intents()
    await ledger.hold(reservation)
    (after,) = await ledger.open_intents()
    assert (before.unknown, after.unknown) == (False, True)
    assert after.intent == sent
    assert await used(ledger) == 60
    await ledger.release(reservation)
    assert await used(ledger) == 0


async def test_spent_amounts_leave_with_their_window(ledger: SqliteLedger, clock: StillClock) -> None:
    """A charge counts for its whole window, and is gone a 120th of it later at most."""
    reservation = await ledger.reserve(intent(charge("100"), orders=(order(),)))
    await ledger.settle(reservation, ["OAAA"])
    clock.us = START_US + DAY_S * 1_000_000
    with pytest.raises(NotReserved):
        await ledger.reserve(intent(charge("1")))
    clock.us += DAY_S * 1_000_000 // 120
    await ledger.reserve(intent(charge("100")))


async def test_a_clock_set_back_frees_nothing(ledger: SqliteLedger, clock: StillClock) -> None:
    """What is charged while the clock is wrong counts from the latest time ever seen."""
    await ledger.reserve(intent(charge("1")))
    clock.us = START_US - 12 * 3600 * 1_000_000
    await ledger.reserve(intent(charge("99")))
    clock.us = START_US + 20 * 3600 * 1_000_000
    with pytest.raises(NotReserved):
        await ledger.reserve(intent(charge("1")))


async def test_giving_back_after_the_window_changes_nothing(ledger: SqliteLedger, clock: StillClock) -> None:
    """A charge that has left its window cannot be taken off a second time."""
    old = await ledger.reserve(intent(charge("60")))
    clock.us += 2 * DAY_S * 1_000_000
    await ledger.reserve(intent(charge("40")))
    await ledger.release(old)
    assert await used(ledger) == 40


async def test_a_dry_run_charges_nothing_and_is_still_listed(ledger: SqliteLedger) -> None:
    """An intent without charges is held and found after a crash like any other."""
    reservation = await ledger.reserve(intent())
    assert [found.reservation for found in await ledger.open_intents()] == [reservation]


@pytest.mark.parametrize(
    ("halt", "stops_bot", "stops_other", "stops_elsewhere"),
    [(("", ""), True, True, True), (("bot", ""), True, False, True), (("", "main"), True, True, False)],
    ids=["everything", "a client", "an account"],
)
async def test_whom_a_halt_stops(
    ledger: SqliteLedger, halt: tuple[str, str], stops_bot: bool, stops_other: bool, stops_elsewhere: bool
) -> None:
    """A halt stops a client, an account or everything, and `resume` ends it."""
    await ledger.halt(Halt(*halt, "drill", "op", START_US))
    assert bool(ledger.halted("bot", "main")) == stops_bot
    assert bool(ledger.halted("other", "main")) == stops_other
    assert bool(ledger.halted("bot", "second")) == stops_elsewhere
    assert await ledger.resume(*halt)
    assert not await ledger.resume(*halt)
    assert ledger.halted("bot", "main") is None


async def test_reserve_refuses_while_halted(ledger: SqliteLedger) -> None:
    """A halted client's order holds nothing, and the answer says why in Kraken's words."""
    await ledger.halt(Halt("", "main", "drill", "op", START_US))
    with pytest.raises(Halted) as refused:
        await ledger.reserve(intent(charge("1")))
    assert words(refused.value) == ("EGeneral:Permission denied", "EGeneral:Policy halt: drill")
    assert await used(ledger) == 0
    assert [halt.reason for halt in await ledger.halts()] == ["drill"]


async def test_orders_are_found_by_each_name_newest_first(ledger: SqliteLedger, clock: StillClock) -> None:
    """An accepted order is known by txid, userref and cl_ord_id, on its own account only."""
    first, second = order(client_tag="7"), order(client_tag="7", client_id="mine")
    await ledger.settle(await ledger.reserve(intent(orders=(first, order()))), ["OAAA", None])
    await ledger.settle(await ledger.reserve(intent(orders=(second,), client="other")), ["OBBB"])
    older = PlacedOrder("main", "bot", "OAAA", first, START_US)
    newer = PlacedOrder("main", "other", "OBBB", second, START_US)
    assert list(await ledger.find_orders("main", OrderRef("client-tag", "7"))) == [newer, older]
    assert list(await ledger.find_orders("main", OrderRef("venue-id", "OAAA"))) == [older]
    assert list(await ledger.find_orders("main", OrderRef("client-id", "mine"))) == [newer]
    assert list(await ledger.find_orders("second", OrderRef("client-tag", "7"))) == []


async def test_an_amended_order_is_what_it_became_and_stays_its_owners(ledger: SqliteLedger) -> None:
    """Amending keeps the txid: the order changes, who placed it does not."""
    await ledger.settle(await ledger.reserve(intent(orders=(order(),))), ["OAAA"])
    larger = order(volume=Decimal("2.50"))
    amend = intent(orders=(larger,), client="other", endpoint="AmendOrder")
    await ledger.settle(await ledger.reserve(amend), ["OAAA"])
    (found,) = await ledger.find_orders("main", OrderRef("venue-id", "OAAA"))
    assert (found.client, found.order) == ("bot", larger)


async def test_a_constant_userref_keeps_other_clients_in_sight(ledger: SqliteLedger) -> None:
    """However many orders one client gives the same userref, another's order of that userref is still named; and all
    that may be open are."""
    await ledger.settle(await ledger.reserve(intent(orders=(order(client_tag="1"),), client="victim")), ["OVICTIM"])
    many = tuple(order(client_tag="1") for _ in range(40))
    await ledger.settle(await ledger.reserve(intent(orders=many)), [f"O{number}" for number in range(40)])
    found = await ledger.find_orders("main", OrderRef("client-tag", "1"))
    assert [placed.client for placed in found] == ["bot"] * 40 + ["victim"]
    await close_absent(ledger, "main", ["O3"], START_US + 1)
    found = await ledger.find_orders("main", OrderRef("client-tag", "1"))
    assert [placed.client for placed in found] == ["bot"] * 17 + ["victim"]
    assert (found[0].venue_id, found[16].venue_id) == ("O39", "O3")


async def test_found_orders_settle_though_others_are_missing(ledger: SqliteLedger, clock: StillClock) -> None:
    """What was found is the client's and spent; the rest stays held under the same number."""
    first, second, third = order(client_tag="1"), order(client_tag="2"), order(client_tag="3")
    batch = intent(charge("50", leg=0), charge("20", leg=1), charge("10", leg=2), orders=(first, second, third))
    reservation = await ledger.reserve(batch)
    await ledger.settle_found(reservation, ["OAAA", None, "OCCC"])
    (left,) = await ledger.open_intents()
    assert (left.reservation, left.intent.orders) == (reservation, (second,))
    assert left.intent.charges == (replace(charge("20"), leg=0),)
    assert await used(ledger) == 80
    assert [await known(ledger, txid) for txid in ("OAAA", "OCCC")] == [first, third]
    await ledger.release(reservation)
    assert await used(ledger) == 60
    assert await ledger.open_intents() == []
    await ledger.settle_found(reservation, ["OLATE"])
    assert await known(ledger, "OLATE") is None


async def test_what_was_found_counts_from_when_it_was_found(ledger: SqliteLedger, clock: StillClock) -> None:
    """A charge that may have been spent only just now leaves its window a day from now."""
    reservation = await ledger.reserve(intent(charge("40", leg=0), charge("60", leg=1), orders=(order(), order())))
    clock.us += DAY_S * 1_000_000 // 2
    await ledger.settle_found(reservation, ["OAAA", None])
    await ledger.release(reservation)
    clock.us += DAY_S * 1_000_000 * 2 // 3
    assert await used(ledger) == 40


async def test_an_order_is_closed_once_the_venue_lists_it_no_more(ledger: SqliteLedger, clock: StillClock) -> None:
    """Only one of that account, only one that was placed before the list was asked for, and only until it is listed."""
    for txid in ("OLISTED", "OGONE"):
        await place(ledger, txid)
    await place(ledger, "OELSEWHERE", account="second")
    clock.us += 1
    await place(ledger, "OYOUNG")
    await close_absent(ledger, "main", ["OLISTED", "OSTRANGER"], START_US + 1)
    assert await closed(ledger) == {"OLISTED": False, "OGONE": True, "OELSEWHERE": False, "OYOUNG": False}
    await close_absent(ledger, "main", ["OGONE"], START_US)
    assert await closed(ledger) == {"OLISTED": False, "OGONE": False, "OELSEWHERE": False, "OYOUNG": False}
    await close_absent(ledger, "main", [], START_US + 2)
    assert (await ledger.may_be_open("main"), await ledger.may_be_open("second")) == (0, 1)


async def test_orders_that_may_be_open_are_never_forgotten(ledger: SqliteLedger, clock: StillClock) -> None:
    """However old they are and however many come after them; closed ones go after 90 days."""
    for txid in ("OLISTED", "OGONE"):
        await place(ledger, txid)
    await close_absent(ledger, "main", ["OLISTED"], START_US + 1)
    clock.us += 91 * DAY_S * 1_000_000
    for number in range(5):
        await place(ledger, f"ONEW{number}")
    assert await closed(ledger) == {"OLISTED": False}
    assert await known(ledger, "OLISTED") == order()


async def test_all_of_many_orders_are_closed(ledger: SqliteLedger, clock: StillClock) -> None:
    """More than one transaction marks at once."""
    many = tuple(order(client_tag="1") for _ in range(2_100))
    await ledger.settle(await ledger.reserve(intent(orders=many)), [f"O{number}" for number in range(len(many))])
    clock.us += 1
    await close_absent(ledger, "main", ["O7"], clock.us)
    found = await ledger.find_orders("main", OrderRef("client-tag", "1"))
    assert [one.venue_id for one in found if not one.closed] == ["O7"]
    assert len(found) == 17


async def test_all_that_may_be_open_is_told_however_much_it_is(ledger: SqliteLedger, clock: StillClock) -> None:
    """A bot that has placed thousands of orders within the hour does not hide the one that rests from its operator."""
    many = tuple(order(client_tag="1") for _ in range(1_200))
    await ledger.settle(await ledger.reserve(intent(orders=many)), [f"O{number}" for number in range(len(many))])
    assert len(await ledger.open_orders("main", "bot")) == await ledger.may_be_open("main") == len(many)
    assert len(await ledger.find_orders("main", OrderRef("client-tag", "1"))) == len(many)


async def place(ledger: SqliteLedger, txid: str, account: str = "main") -> None:
    """An order of ``bot`` that was accepted."""
    placed = replace(intent(orders=(order(),)), account=account)
    await ledger.settle(await ledger.reserve(placed), [txid])


async def known(ledger: SqliteLedger, txid: str) -> Order | None:
    """What the ledger says of an order of the account ``main``."""
    found = await ledger.find_orders("main", OrderRef("venue-id", txid))
    return found[0].order if found else None


async def closed(ledger: SqliteLedger) -> dict[str, bool]:
    """Which orders of the tests above are known, and whether they are closed."""
    names = {"OLISTED": "main", "OGONE": "main", "OELSEWHERE": "second", "OYOUNG": "main"}
    found = [one for txid, name in names.items() for one in await ledger.find_orders(name, OrderRef("venue-id", txid))]
    return {one.venue_id: one.closed for one in found}


async def test_an_outcome_shares_the_next_flush(tmp_path: Path, clock: StillClock) -> None:
    """A settlement waits for the next write and is stored with it; closing writes what still waits."""
    worker = ThreadWorker("ledger")
    ledger = SqliteLedger(tmp_path / "ledger.db", clock, worker, patience_s=3600)
    await ledger.open()
    settling = asyncio.ensure_future(ledger.settle(await ledger.reserve(intent()), []))
    await asyncio.sleep(0)
    second = await ledger.reserve(intent())
    assert settling.done()
    holding = asyncio.ensure_future(ledger.hold(second))
    await asyncio.sleep(0)
    await ledger.close()
    assert holding.done()
    worker.close()


async def test_marks_only_rise(ledger: SqliteLedger) -> None:
    """A lower mark changes nothing, and a mark may have the 64 bits of a nonce."""
    await ledger.raise_mark("credential/a", 2**64 - 1)
    await ledger.raise_mark("credential/a", 9)
    await ledger.raise_mark("client/b", 9)
    assert await ledger.marks() == {"credential/a": 2**64 - 1, "client/b": 9}


async def test_the_chain_head_moves_forward_only(ledger: SqliteLedger) -> None:
    """The latest head counts, whether it came with a reservation or alone; an earlier one that is late does not."""
    assert await ledger.head() is None
    await ledger.reserve(intent(), ChainHead(5, "e5"))
    await ledger.keep_head(ChainHead(4, "e4"))
    assert await ledger.head() == ChainHead(5, "e5")
    await ledger.keep_head(ChainHead(6, "e6"))
    assert await ledger.head() == ChainHead(6, "e6")


async def test_callers_that_wait_together_never_pass_a_cap(ledger: SqliteLedger) -> None:
    """Of a hundred reservations at once exactly those that fit succeed; a refusal does not fail its neighbours."""
    answers = await asyncio.gather(*(ledger.reserve(intent(charge("7"))) for _ in range(100)), return_exceptions=True)
    assert sum(isinstance(answer, int) for answer in answers) == 14
    assert all(isinstance(answer, int | NotReserved) for answer in answers)
    assert await used(ledger) == 98
