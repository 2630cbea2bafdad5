"""What every journal must know of orders: one suite, run against each backend."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from signer.contracts import Journal
from signer.model import OrderRef, Outcome, PlacedOrder
from tests.contract.machines import Machine, accept, begin, close_absent, end, place
from tests.harness.virtual import START_US, in_virtual_time
from tests.unit.ledger.calls import DAY_S, charge, order, used

AFTER_US = START_US + 365 * DAY_S * 1_000_000
"""Later than anything here is placed."""


@in_virtual_time
async def test_a_call_without_charges_is_listed(machine: Machine) -> None:
    """A call that charges nothing is open until it ends, and found after a crash like any other."""
    journal = await machine.start()
    intent = await begin(journal)
    machine.crash()
    journal = await machine.start()
    assert [one.intent.record for one in journal.open_intents()] == [intent.record]


@in_virtual_time
async def test_calls_are_listed_oldest_first_as_they_began(machine: Machine) -> None:
    """An open call reads back whole, before a restart and after it."""
    journal = await machine.start()
    first = await begin(journal, charge("1"), orders=(order(client_tag="7"), order(client_id="mine")))
    second = await begin(journal, charge("2"), orders=(order(volume=Decimal("2.50")),), changes="OAAA", replaces=True)
    for _ in range(2):
        assert [replace(one.intent, held_us=0) for one in journal.open_intents()] == [first, second]
        machine.crash()
        journal = await machine.start()


@in_virtual_time
async def test_orders_are_found_by_each_name_newest_first(machine: Machine) -> None:
    """An accepted order is known by txid, userref and cl_ord_id, of each client, on its own account only."""
    journal = await machine.start()
    first, second = order(client_tag="7"), order(client_tag="7", client_id="mine")
    accept(journal, await begin(journal, orders=(first, order())), "OAAA", None)
    await asyncio.sleep(1)
    await place(journal, "OBBB", orders=(second,), client="other")
    for _ in range(2):
        older, newer = await one(journal, "OAAA"), await one(journal, "OBBB")
        assert (older.client, older.order, newer.client, newer.order) == ("bot", first, "other", second)
        assert older.placed_us < newer.placed_us
        assert list(journal.find_orders("main", OrderRef("client-tag", "7"))) == [newer, older]
        assert list(journal.find_orders("main", OrderRef("client-id", "mine"))) == [newer]
        assert list(journal.find_orders("second", OrderRef("client-tag", "7"))) == []
        assert list(journal.open_orders("", "bot")) == [older]
        await machine.stop()
        journal = await machine.start()


@in_virtual_time
async def test_an_amended_order_is_what_it_became_and_stays_its_owners(machine: Machine) -> None:
    """Amending keeps the txid: the order changes, who placed it does not."""
    journal, larger = await machine.start(), order(volume=Decimal("2.50"))
    await place(journal, "OAAA", orders=(order(),))
    await place(journal, "OAAA", orders=(larger,), client="other", changes="OAAA")
    found = await one(journal, "OAAA")
    assert (found.client, found.order) == ("bot", larger)


@in_virtual_time
async def test_an_edited_order_has_the_new_id_and_the_old_one_stays_known(machine: Machine) -> None:
    """An edit places an order under an id of its own; the old one is closed by the venue's list alone."""
    journal, larger = await machine.start(), order(volume=Decimal("2.50"))
    await place(journal, "OAAA", orders=(order(),))
    await place(journal, "OBBB", orders=(larger,), changes="OAAA", replaces=True)
    assert [(await one(journal, name)).order for name in ("OAAA", "OBBB")] == [order(), larger]
    assert journal.may_be_open("main") == 2


@in_virtual_time
async def test_a_constant_userref_keeps_other_clients_in_sight(machine: Machine) -> None:
    """However many orders one client gives the same userref, another's order of that userref is still named; and all
    that may be open are."""
    journal, tag = await machine.start(), OrderRef("client-tag", "1")
    await place(journal, "OVICTIM", orders=(order(client_tag="1"),), client="victim")
    await asyncio.sleep(1)
    ids = [f"O{number:02d}" for number in range(40)]
    await place(journal, *ids, orders=tuple(order(client_tag="1") for _ in ids))
    assert [placed.client for placed in journal.find_orders("main", tag)] == ["bot"] * 40 + ["victim"]
    close_absent(journal, "main", ["O03", "OVICTIM"], AFTER_US)
    for _ in range(2):
        found = journal.find_orders("main", tag)
        assert {placed.venue_id for placed in found if not placed.closed} == {"O03", "OVICTIM"}
        await machine.stop()
        journal = await machine.start()
    close_absent(journal, "main", [], AFTER_US)
    for _ in range(2):
        found = journal.find_orders("main", tag)
        assert {placed.client for placed in found} == {"bot", "victim"}
        assert len(found) < 40
        await machine.stop()
        journal = await machine.start()


@in_virtual_time
async def test_found_orders_count_though_others_are_missing(machine: Machine) -> None:
    """What was found is the client's and spent; the rest stays held under the same number, with its places counted
    anew."""
    journal = await machine.start()
    first, second, third = order(client_tag="1"), order(client_tag="2"), order(client_tag="3")
    charges = (charge("50", leg=0), charge("20", leg=1), charge("10", leg=2))
    batch = await begin(journal, *charges, orders=(first, second, third))
    (before,) = journal.open_intents()
    accept(journal, batch, "OAAA", None, "OCCC", part=True)
    for _ in range(2):
        (left,) = journal.open_intents()
        assert (left.reservation, left.intent.orders) == (before.reservation, (second,))
        assert left.intent.charges == (charge("20")._replace(leg=0),)
        assert used(journal) == 80
        assert [(await one(journal, txid)).order for txid in ("OAAA", "OCCC")] == [first, third]
        await machine.stop()
        journal = await machine.start()
    end(journal, batch, Outcome.NOT_SENT)
    assert used(journal) == 60
    assert journal.open_intents() == []


@in_virtual_time
async def test_an_order_is_closed_once_the_venue_lists_it_no_more(machine: Machine) -> None:
    """Only one of that account, only one that was placed before the list was asked for, and only until it is listed;
    a restart changes nothing about it."""
    journal = await machine.start()
    await place(journal, "OLISTED", orders=(order(),))
    await place(journal, "OGONE", orders=(order(),))
    await place(journal, "OELSEWHERE", orders=(order(),), account="second")
    await asyncio.sleep(1)
    asked_us = journal.now_us()
    await place(journal, "OYOUNG", orders=(order(),))
    close_absent(journal, "main", ["OLISTED", "OSTRANGER"], asked_us)
    for _ in range(2):
        assert closed(journal) == {"OLISTED": False, "OGONE": True, "OELSEWHERE": False, "OYOUNG": False}
        await machine.stop()
        journal = await machine.start()
    close_absent(journal, "main", ["OGONE"], START_US)
    for _ in range(2):
        assert closed(journal) == {"OLISTED": False, "OGONE": False, "OELSEWHERE": False, "OYOUNG": False}
        await machine.stop()
        journal = await machine.start()
    close_absent(journal, "main", [], AFTER_US)
    assert (journal.may_be_open("main"), journal.may_be_open("second")) == (0, 1)


@in_virtual_time
async def test_open_orders_are_found_by_a_name_without_the_closed_ones(machine: Machine) -> None:
    """A new order may take the name of a closed one, whatever is still known of that."""
    journal, name = await machine.start(), OrderRef("client-id", "mine")
    await place(journal, "OAAA", orders=(order(client_id="mine"),))
    for _ in range(2):
        assert [one.venue_id for one in journal.open_named("main", name)] == ["OAAA"]
        await machine.stop()
        journal = await machine.start()
    close_absent(journal, "main", [], AFTER_US)
    assert list(journal.open_named("main", name)) == []
    assert [one.venue_id for one in journal.find_orders("main", name)] == ["OAAA"]


@pytest.mark.parametrize("restarts", [False, True])
@in_virtual_time
async def test_an_order_that_comes_back_is_whose_it_was(machine: Machine, restarts: bool) -> None:
    """A closed order that the venue lists again is its client's, though it had left the memory."""
    journal = await machine.start()
    await place(journal, "OAAA", orders=(order(client_id="mine"),))
    before = await one(journal, "OAAA")
    close_absent(journal, "main", [], AFTER_US)
    if restarts:
        await machine.stop()
        journal = await machine.start()
    assert list(journal.reappeared("main", ["OAAA", "OSTRANGER"])) == [replace(before, closed=True)]
    close_absent(journal, "main", ["OAAA"], AFTER_US)
    assert await one(journal, "OAAA") == before


@in_virtual_time
async def test_orders_that_may_be_open_are_never_forgotten(machine: Machine) -> None:
    """However old they are and however many come after them; closed ones go after 90 days."""
    journal = await machine.start()
    for txid in ("OLISTED", "OGONE"):
        await place(journal, txid, orders=(order(),))
    close_absent(journal, "main", ["OLISTED"], AFTER_US)
    await machine.stop()
    await asyncio.sleep(91 * DAY_S)
    journal = await machine.start()
    journal.trust_clock()
    for number in range(5):
        await place(journal, f"ONEW{number}", orders=(order(),))
    await machine.stop()
    journal = await machine.start()
    assert closed(journal) == {"OLISTED": False}
    assert (await one(journal, "OLISTED")).order == order()


@in_virtual_time
async def test_all_of_many_orders_are_closed(machine: Machine) -> None:
    """More than one record closes at once."""
    journal, tag = await machine.start(), OrderRef("client-tag", "1")
    many = tuple(order(client_tag="1") for _ in range(2_100))
    await place(journal, *(f"O{number}" for number in range(len(many))), orders=many)
    close_absent(journal, "main", ["O7"], AFTER_US)
    found = journal.find_orders("main", tag)
    assert [one.venue_id for one in found if not one.closed] == ["O7"]
    assert len(found) <= 17


@in_virtual_time
async def test_all_that_may_be_open_is_told_however_much_it_is(machine: Machine) -> None:
    """A bot that has placed thousands of orders within the hour does not hide the one that rests from its operator."""
    journal = await machine.start()
    many = tuple(order(client_tag="1") for _ in range(1_200))
    await place(journal, *(f"O{number}" for number in range(len(many))), orders=many)
    assert len(journal.open_orders("main", "bot")) == journal.may_be_open("main") == len(many)
    assert len(journal.find_orders("main", OrderRef("client-tag", "1"))) == len(many)


@in_virtual_time
async def test_who_waits_for_a_move_hears_of_each_end(machine: Machine) -> None:
    """A known end and a lost answer both wake those who wait for an order that is on its way."""
    journal = await machine.start()
    for outcome in (Outcome.UNKNOWN, Outcome.REJECTED):
        intent = await begin(journal, orders=(order(),))
        waiting = asyncio.ensure_future(journal.moved())
        await asyncio.sleep(1)
        assert not waiting.done()
        end(journal, intent, outcome)
        await waiting


async def one(journal: Journal, txid: str) -> PlacedOrder:
    """What is known of an order of the account ``main``."""
    (found,) = journal.find_orders("main", OrderRef("venue-id", txid))
    return found


def closed(journal: Journal) -> dict[str, bool]:
    """Which orders of the tests above are known, and whether they are closed."""
    names = {"OLISTED": "main", "OGONE": "main", "OELSEWHERE": "second", "OYOUNG": "main"}
    found = [one for txid, name in names.items() for one in journal.find_orders(name, OrderRef("venue-id", txid))]
    return {one.venue_id: one.closed for one in found}
