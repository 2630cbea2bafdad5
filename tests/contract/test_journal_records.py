"""What every journal must do about durability and order: one suite, run against each backend."""

from __future__ import annotations

import asyncio

import pytest

from signer.book.book import Book
from signer.contracts import Journal
from signer.errors import AuditError
from signer.model import Json, Outcome
from tests.contract.machines import Machine, accept, begin, call, end, ended, entry, operate
from tests.harness.virtual import in_virtual_time
from tests.unit.ledger.calls import charge, order, used


def cancel(name: str) -> dict[str, Json]:
    """The record of a cancel, which holds nothing."""
    return {
        "kind": "intent",
        "time": 1,
        "id": name,
        "client": "bot",
        "account": "main",
        "source": "127.0.0.1",
        "endpoint": "CancelOrder",
        "fields": {},
    }


def ids(machine: Machine, *kinds: str) -> list[str]:
    """The ids of the durable records of these kinds, in their order."""
    return [record["id"] for record in machine.records() if record["kind"] in (kinds or ("intent", "outcome"))]


def is_the_log(machine: Machine, journal: Journal) -> bool:
    """Whether the book is the one that the durable records make."""
    book, records = Book(), machine.records()
    for record in records:
        book.apply(record)
    return journal.digest_at_rest() == (records[-1]["seq"], book.digest())


@in_virtual_time
async def test_a_begin_is_durable_when_it_returns(machine: Machine) -> None:
    """And not before: while its record is on the way, what it charges is held and the caller waits."""
    journal, intent = await machine.start(), call(charge("60"))
    begun = asyncio.ensure_future(journal.begin(intent, entry(intent)))
    await asyncio.sleep(0)
    assert not begun.done()
    assert used(journal) == 60
    assert ids(machine) == []
    number = await begun
    (record,) = (record for record in machine.records() if record["kind"] == "intent")
    assert (record["id"], record["reservation"], record["charges"][0]["amount"]) == (intent.record, number, "60")


@in_virtual_time
async def test_records_stand_in_the_order_in_which_they_were_applied(machine: Machine) -> None:
    """The order holds for begins, ends, facts and notes, awaited or not."""
    journal = await machine.start()
    first = await begin(journal, charge("10"))
    end(journal, first, Outcome.REJECTED)
    others = [call(charge("10")) for _ in range(3)]
    begun = [asyncio.ensure_future(journal.begin(one, entry(one))) for one in others]
    await asyncio.sleep(0)
    await journal.record(cancel("cancel"))
    await asyncio.gather(*begun)
    assert ids(machine) == [first.record, first.record, *(one.record for one in others), "cancel"]
    assert is_the_log(machine, journal)


@in_virtual_time
async def test_an_end_is_durable_soon_though_nobody_waits(machine: Machine) -> None:
    """`conclude` returns at once, and the next flush comes by itself."""
    journal = await machine.start()
    intent = await begin(journal, charge("10"))
    end(journal, intent, Outcome.REJECTED)
    assert used(journal) == 0
    await asyncio.sleep(1)
    assert ids(machine) == [intent.record, intent.record]


@in_virtual_time
async def test_a_crash_before_an_end_is_durable_leaves_the_call_open(machine: Machine) -> None:
    """It is unknown then, and what it charged is held, until it is looked up."""
    journal = await machine.start()
    intent = await begin(journal, charge("60"), orders=(order(),))
    accept(journal, intent, "OAAA")
    machine.crash()
    journal = await machine.start()
    assert [(one.intent.record, one.unknown) for one in journal.open_intents()] == [(intent.record, True)]
    assert used(journal) == 60


@in_virtual_time
async def test_a_failed_flush_takes_back_its_begins(machine: Machine) -> None:
    """Their callers are told, they hold nothing, and others may use what they had held."""
    journal = await machine.start()
    machine.fail()
    told = await asyncio.gather(*(begin(journal, charge("50")) for _ in range(2)), return_exceptions=True)
    assert [type(one) for one in told] == [AuditError, AuditError]
    assert used(journal) == 0
    assert journal.open_intents() == []
    was_healthy = journal.healthy
    machine.heal()
    intent = await begin(journal, charge("100"))
    assert ids(machine) == [intent.record]
    assert (was_healthy, journal.healthy) == (False, True)
    assert is_the_log(machine, journal)


@in_virtual_time
async def test_a_failed_flush_owes_its_facts_in_order_before_all_else(machine: Machine) -> None:
    """They count though they are not on record, and no later record comes before them."""
    journal = await machine.start()
    first, second = await begin(journal, charge("60")), await begin(journal, charge("40"))
    machine.fail()
    end(journal, first, Outcome.REJECTED)
    with pytest.raises(AuditError):
        await journal.record(ended(journal, second, Outcome.REJECTED))
    assert used(journal) == 0
    with pytest.raises(AuditError):
        await begin(journal, charge("1"))
    machine.heal()
    third = await begin(journal, charge("100"))
    assert ids(machine) == [first.record, second.record, first.record, second.record, third.record]
    assert is_the_log(machine, journal)


@in_virtual_time
async def test_owed_facts_come_by_themselves(machine: Machine) -> None:
    """The log tries again until the disk takes them, though nobody asks for anything."""
    journal = await machine.start()
    intent = await begin(journal, charge("60"))
    machine.fail()
    end(journal, intent, Outcome.REJECTED)
    await asyncio.sleep(10)
    assert not await journal.settled()
    machine.heal()
    await asyncio.sleep(5)
    assert ids(machine) == [intent.record, intent.record]
    assert await journal.settled()
    assert is_the_log(machine, journal)


@in_virtual_time
async def test_a_full_disk_takes_what_is_urgent_and_the_facts_before_it(machine: Machine) -> None:
    """A cancel goes into the room that is kept for it, after the end that was owed, and no order does."""
    journal = await machine.start()
    first = await begin(journal, charge("60"))
    machine.fill()
    await fill_the_slack(journal)
    end(journal, first, Outcome.REJECTED)
    order_, cancelled = await asyncio.gather(
        begin(journal, charge("1")), journal.record(cancel("cancel"), urgent=True), return_exceptions=True
    )
    assert (type(order_), cancelled) == (AuditError, None)
    assert ids(machine)[-2:] == [first.record, "cancel"]
    machine.heal()
    await begin(journal, charge("1"))
    assert is_the_log(machine, journal)


async def fill_the_slack(journal: Journal) -> None:
    """Use up what the log has claimed beside the room for cancels."""
    for _ in range(1_000):
        try:
            end(journal, await begin(journal), Outcome.REJECTED)
        except AuditError:
            return
    pytest.fail("the disk is not full")


@pytest.mark.parametrize("seconds", [4.0, 60.0])
@in_virtual_time
async def test_a_begin_that_takes_long_is_told_within_seconds(machine: Machine, seconds: float) -> None:
    """After five seconds it is not sent: if it is durable after all, it ends on record, and gives all back."""
    journal = await machine.start()
    loop = asyncio.get_running_loop()
    machine.hang(seconds)
    asked_at, intent = loop.time(), call(charge("60"))
    is_late = seconds > 5
    if is_late:
        with pytest.raises(AuditError):
            await journal.begin(intent, entry(intent))
    else:
        await journal.begin(intent, entry(intent))
    assert loop.time() - asked_at < 7
    await asyncio.sleep(seconds + 5)
    assert ids(machine) == [intent.record] * (1 + is_late)
    assert used(journal) == (0 if is_late else 60)
    assert is_the_log(machine, journal)


@in_virtual_time
async def test_who_comes_while_the_disk_hangs_is_told_within_seconds(machine: Machine) -> None:
    """A begin that waits behind a hanging flush holds nothing afterwards, and leaves no record."""
    journal = await machine.start()
    machine.hang(60.0)
    end(journal, call(), Outcome.REJECTED)
    await asyncio.sleep(1)
    asked_at = asyncio.get_running_loop().time()
    with pytest.raises(AuditError):
        await begin(journal, charge("60"))
    assert asyncio.get_running_loop().time() - asked_at < 7
    assert used(journal) == 0
    await asyncio.sleep(60)
    assert ids(machine, "intent") == []
    assert is_the_log(machine, journal)


@in_virtual_time
async def test_what_is_urgent_is_told_at_once_though_the_disk_hangs(machine: Machine) -> None:
    """A cancel that waits for a hanging disk goes out without its record, which is owed."""
    journal = await machine.start()
    machine.hang(60.0)
    asked_at = asyncio.get_running_loop().time()
    with pytest.raises(AuditError):
        await journal.record(cancel("cancel"), urgent=True)
    assert asyncio.get_running_loop().time() - asked_at < 3
    await asyncio.sleep(65)
    assert ids(machine) == ["cancel"]


@pytest.mark.parametrize("gives_up_after", [0.0, 0.5])
@in_virtual_time
async def test_a_caller_that_gives_up_sends_nothing_and_holds_nothing(machine: Machine, gives_up_after: float) -> None:
    """Whenever it gives up: its begin ends on record as not sent once it is durable."""
    journal, intent = await machine.start(), call(charge("60"))
    machine.hang(2.0)
    begun = asyncio.ensure_future(journal.begin(intent, entry(intent)))
    await asyncio.sleep(gives_up_after)
    begun.cancel()
    await asyncio.sleep(5)
    assert used(journal) == 0
    assert [record.get("outcome") for record in machine.records() if record.get("id") == intent.record] == [
        None,
        "not-sent",
    ]
    assert is_the_log(machine, journal)


@in_virtual_time
async def test_a_fact_that_fails_counts_all_the_same(machine: Machine) -> None:
    """A halt and an end are in effect at once, whatever the disk does, and are never taken back."""
    journal = await machine.start()
    intent = await begin(journal, charge("60"))
    machine.fail()
    with pytest.raises(AuditError):
        await journal.record(ended(journal, intent, Outcome.REJECTED))
    with pytest.raises(AuditError):
        await operate(journal, "halt", "begun", client="bot")
    assert used(journal) == 0
    assert journal.open_intents() == []
    assert journal.halted("bot", "main") is not None


@in_virtual_time
async def test_a_stop_leaves_nothing_undone(machine: Machine) -> None:
    """What nobody waited for is durable after a clean stop."""
    journal = await machine.start()
    intent = await begin(journal, charge("60"))
    journal.note({"kind": "stop", "time": 1})
    end(journal, intent, Outcome.REJECTED)
    await machine.stop()
    assert [record["kind"] for record in machine.records()][-2:] == ["stop", "outcome"]


@in_virtual_time
async def test_at_every_crash_the_checkpoint_and_its_tail_are_the_log(machine: Machine) -> None:
    """Wherever the last checkpoint stands: a start makes the book that the durable records make."""
    journal = await machine.start()
    for number in range(25):
        intent = await begin(journal, charge("1"), orders=(order(),))
        if number % 3:
            accept(journal, intent, f"O{number}")
        await asyncio.sleep(0.4 * (number % 2))
        machine.crash()
        journal = await machine.start()
        await journal.settled()
        assert is_the_log(machine, journal)
    assert used(journal) == 25
