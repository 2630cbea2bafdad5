"""What every journal must do about caps and halts: one suite, run against each backend."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from signer.errors import AuditError, Halted, LedgerError, NotReserved, NotServed
from signer.model import Charge, Outcome, Usage
from signer.venues.kraken.answers import words
from tests.contract.machines import Machine, accept, begin, call, end, entry, operate
from tests.harness.virtual import in_virtual_time
from tests.unit.ledger.calls import DAY_S, charge, order, used


@in_virtual_time
async def test_a_cap_can_be_used_to_its_last_unit_and_no_further(machine: Machine) -> None:
    """Held charges count, exactly: the limit fits, the least more does not."""
    journal = await machine.start()
    await begin(journal, charge("60"))
    await begin(journal, charge("40"))
    with pytest.raises(NotReserved):
        await begin(journal, charge("0.00000001"))
    assert used(journal) == 100


@in_virtual_time
async def test_all_charges_fit_or_none_is_held(machine: Machine) -> None:
    """A call that passes one of its caps leaves the others untouched, and no call and no record behind."""
    journal = await machine.start()
    with pytest.raises(NotReserved):
        await begin(journal, charge("10"), charge("101", cap="second", unit="EUR"))
    assert used(journal) == 0
    assert journal.open_intents() == []
    await journal.settled()
    assert "intent" not in {record["kind"] for record in machine.records()}


@in_virtual_time
async def test_charges_of_one_cap_add_up(machine: Machine) -> None:
    """A batch of orders cannot pass a cap that each of them would fit under."""
    journal = await machine.start()
    with pytest.raises(NotReserved):
        await begin(journal, charge("60", leg=0), charge("60", leg=1))
    await begin(journal, charge("60", leg=0), charge("40", leg=1))
    assert used(journal) == 100


@in_virtual_time
async def test_callers_that_wait_together_never_pass_a_cap(machine: Machine) -> None:
    """Of a hundred begins at once exactly those that fit succeed; a refusal does not fail its neighbours."""
    journal = await machine.start()
    asked = [begin(journal, charge("7")) for _ in range(100)]
    refused = [one for one in await asyncio.gather(*asked, return_exceptions=True) if isinstance(one, BaseException)]
    assert len(refused) == 86
    assert all(isinstance(one, NotReserved) for one in refused)
    assert used(journal) == 98


@in_virtual_time
async def test_a_changed_limit_keeps_the_total(machine: Machine) -> None:
    """A policy may raise or lower a cap, whose name tells its limit: what is used stays used under the new one."""
    journal = await machine.start()
    await begin(journal, charge("60", cap="100 USD / 24h"))
    with pytest.raises(NotReserved, match="'50 USD / 24h' has 0 USD left"):
        await begin(journal, charge("1", cap="50 USD / 24h", limit="50"))
    await begin(journal, charge("60", cap="120 USD / 1d", limit="120"))
    assert journal.usage("client/bot") == [
        Usage("120 USD / 1d", "client/bot", "USD", 86_400, Decimal(120), Decimal(120))
    ]
    assert journal.scopes() == ["client/bot"]


@in_virtual_time
async def test_the_lower_of_two_limits_counts(machine: Machine) -> None:
    """One call with two limits for one cap is held to the lower, in whichever order they come."""
    journal = await machine.start()
    for charges in ([charge("30", limit="100"), charge("30", limit="50")], [charge("60"), charge("0", limit="50")]):
        for order_of_legs in (charges, charges[::-1]):
            with pytest.raises(NotReserved):
                await begin(journal, *order_of_legs)


@in_virtual_time
async def test_sums_do_not_round(machine: Machine) -> None:
    """Amounts of more digits than the default context has still count to the last digit."""
    journal = await machine.start()
    limit, tiny = "1000000000000000000000.0000000001", "0.0000000001"
    await begin(journal, charge("1000000000000000000000", limit=limit))
    await begin(journal, charge(tiny, limit=limit))
    with pytest.raises(NotReserved):
        await begin(journal, charge(tiny, limit=limit))


@in_virtual_time
async def test_a_refusal_names_the_cap_and_what_is_left(machine: Machine) -> None:
    """The client reads which cap, what is left and what it needed, under Kraken's word for an order at fault."""
    journal = await machine.start()
    await begin(journal, charge("99.5"))
    with pytest.raises(NotReserved) as refused:
        await begin(journal, charge("1.25"))
    assert words(refused.value) == (
        "EOrder:Invalid order:policy cap 'notional' has 0.5 USD left and this call needs 1.25",
    )
    assert refused.value.rules == ("notional",)


@in_virtual_time
async def test_a_cap_of_orders_answers_as_a_rate_limit(machine: Machine) -> None:
    """A bot that places too many orders is told to slow down."""
    journal = await machine.start()
    many = charge("1", cap="1 orders / 24h", limit="1", unit="orders")
    await begin(journal, many)
    with pytest.raises(NotReserved) as refused:
        await begin(journal, many)
    assert words(refused.value)[0] == "EOrder:Rate limit exceeded"


@pytest.mark.parametrize(
    "bad",
    [charge("-1"), charge("NaN"), charge("1", limit="Infinity"), charge("1E-90"), charge("1")._replace(window_s=0)],
    ids=["negative", "not a number", "no limit", "too fine to add", "no window"],
)
@in_virtual_time
async def test_a_charge_without_sense_is_refused(machine: Machine, bad: Charge) -> None:
    """A charge that could lower a total, or cannot be added exactly, fails closed and spoils nothing."""
    journal = await machine.start()
    big = charge("10000000000000000000000", limit="100000000000000000000000")
    await begin(journal, big)
    with pytest.raises(LedgerError):
        await begin(journal, bad._replace(limit=bad.limit if bad.limit != 100 else big.limit))
    assert used(journal) == big.amount


@in_virtual_time
async def test_a_record_that_does_not_hold_the_call_begins_nothing(machine: Machine) -> None:
    """An entry that the book cannot read as a call fails closed: no call goes out without its hold."""
    journal, intent = await machine.start(), call(charge("10"))
    with pytest.raises(AuditError):
        await journal.begin(intent, {**entry(intent), "charges": ["10 USD"]})
    assert journal.open_intents() == []


@in_virtual_time
async def test_what_was_not_done_is_given_back_once(machine: Machine) -> None:
    """What was never sent is not spent, and a second end does not give back what others hold."""
    journal = await machine.start()
    kept = await begin(journal, charge("50"))
    given = await begin(journal, charge("50"), orders=(order(),))
    end(journal, given, Outcome.NOT_SENT)
    end(journal, given, Outcome.NOT_SENT)
    accept(journal, given, "LATE")
    assert used(journal) == 50
    assert [one.intent.record for one in journal.open_intents()] == [kept.record]


@in_virtual_time
async def test_what_was_accepted_is_spent_once(machine: Machine) -> None:
    """Rows that the venue rejected are given back; another end changes nothing."""
    journal = await machine.start()
    batch = await begin(journal, charge("60", leg=0), charge("30", leg=1), orders=(order(), order()))
    accept(journal, batch, "OAAA", None)
    accept(journal, batch, None, None)
    end(journal, batch, Outcome.REJECTED)
    assert used(journal) == 60
    assert journal.open_intents() == []


@in_virtual_time
async def test_an_end_is_seen_at_once_by_the_next_begin(machine: Machine) -> None:
    """What a call gives back may be used before its end is durable."""
    journal = await machine.start()
    first = await begin(journal, charge("100"))
    end(journal, first, Outcome.REJECTED)
    await begin(journal, charge("100"))


@in_virtual_time
async def test_an_unknown_outcome_stays_held_until_it_is_known(machine: Machine) -> None:
    """Unknown is a state of its own: listed as such, still counted, and ended later."""
    journal = await machine.start()
    sent = await begin(journal, charge("60"), orders=(order(client_tag="7"),))
    (before,) = journal.open_intents()
    end(journal, sent, Outcome.UNKNOWN)
    (after,) = journal.open_intents()
    assert (before.unknown, after.unknown) == (False, True)
    assert replace(after.intent, held_us=0) == sent
    assert used(journal) == 60
    end(journal, sent, Outcome.NOT_SENT)
    assert used(journal) == 0


@in_virtual_time
async def test_spent_amounts_leave_with_their_window(machine: Machine) -> None:
    """A charge counts for its whole window, and is gone a 120th of it later at most."""
    journal = await machine.start()
    accept(journal, await begin(journal, charge("100"), orders=(order(),)), "OAAA")
    await asyncio.sleep(DAY_S - 1)
    with pytest.raises(NotReserved):
        await begin(journal, charge("1"))
    await asyncio.sleep(DAY_S // 120 + 2)
    await begin(journal, charge("100"))


@in_virtual_time
async def test_what_an_open_call_holds_never_leaves(machine: Machine) -> None:
    """A call whose end is not known may be spent yet, however long ago it began."""
    journal = await machine.start()
    lost = await begin(journal, charge("60"))
    end(journal, lost, Outcome.UNKNOWN)
    await asyncio.sleep(3 * DAY_S)
    with pytest.raises(NotReserved):
        await begin(journal, charge("41"))
    assert used(journal) == 60


@in_virtual_time
async def test_giving_back_after_the_window_changes_nothing(machine: Machine) -> None:
    """A charge that has left its window cannot be taken off a second time."""
    journal = await machine.start()
    old = await begin(journal, charge("60"))
    await asyncio.sleep(2 * DAY_S)
    await begin(journal, charge("40"))
    end(journal, old, Outcome.NOT_SENT)
    assert used(journal) == 40


@in_virtual_time
async def test_what_was_found_late_counts_from_then_on(machine: Machine) -> None:
    """A charge that may have been spent only just now leaves its window a day from now."""
    journal = await machine.start()
    lost = await begin(journal, charge("40", leg=0), charge("60", leg=1), orders=(order(), order()))
    await asyncio.sleep(DAY_S / 2)
    accept(journal, lost, "OAAA", None, part=True)
    end(journal, lost, Outcome.NOT_SENT)
    await asyncio.sleep(DAY_S * 2 / 3)
    assert used(journal) == 40


@pytest.mark.parametrize("ending", ["stop", "crash"])
@in_virtual_time
async def test_a_clock_set_back_frees_nothing(machine: Machine, ending: str) -> None:
    """What is charged by a run whose clock is behind the log's counts from the latest time on record."""
    journal = await machine.start()
    await asyncio.sleep(DAY_S / 2)
    await begin(journal, charge("1"))
    await _restart(machine, ending)
    machine.set_clock(-DAY_S / 2)
    journal = await machine.start()
    await begin(journal, charge("99"))
    await machine.stop()
    machine.set_clock(20 * 3600 - DAY_S / 2)
    journal = await machine.start()
    journal.trust_clock()
    with pytest.raises(NotReserved):
        await begin(journal, charge("1"))


@in_virtual_time
async def test_a_clock_that_is_set_while_it_runs_moves_no_cap(machine: Machine) -> None:
    """Charges are dated by the time that has passed."""
    journal = await machine.start()
    await begin(journal, charge("60"))
    for ahead_s in (365 * DAY_S, -365 * DAY_S):
        machine.set_clock(ahead_s)
        with pytest.raises(NotReserved):
            await begin(journal, charge("41"))


@in_virtual_time
async def test_a_clock_far_ahead_takes_no_orders_until_somebody_agrees(machine: Machine) -> None:
    """One jump at a start does not date charges years ahead."""
    journal = await machine.start()
    await begin(journal, charge("60"))
    await machine.stop()
    machine.set_clock(365 * DAY_S)
    journal = await machine.start()
    with pytest.raises(NotServed):
        await begin(journal, charge("1"))
    journal.trust_clock()
    await begin(journal, charge("1"))


@pytest.mark.parametrize("ending", ["stop", "crash"])
@in_virtual_time
async def test_a_restart_knows_all_that_is_used(machine: Machine, ending: str) -> None:
    """What was spent, held and given back counts as before; the open calls are unknown now."""
    journal = await machine.start()
    for number in range(15):
        accept(journal, await begin(journal, charge("4"), orders=(order(),)), f"O{number}")
    end(journal, await begin(journal, charge("20")), Outcome.REJECTED)
    await journal.settled()
    left = await begin(journal, charge("30"))
    await _restart(machine, ending)
    journal = await machine.start()
    assert used(journal) == 90
    assert [(one.intent.record, one.unknown) for one in journal.open_intents()] == [(left.record, True)]
    with pytest.raises(NotReserved):
        await begin(journal, charge("11"))


async def _restart(machine: Machine, ending: str) -> None:
    if ending == "stop":
        await machine.stop()
    else:
        machine.crash()


@pytest.mark.parametrize(
    ("whom", "stops_bot", "stops_other", "stops_elsewhere"),
    [
        ({}, True, True, True),
        ({"client": "bot"}, True, False, True),
        ({"account": "main"}, True, True, False),
        ({"group": "grids", "clients": ["bot", "eve"]}, True, False, True),
        ({"group": "grids"}, True, True, True),
        ({"pair": "XXBTZUSD"}, True, True, True),
        ({"pair": "XETHZUSD"}, False, False, False),
    ],
    ids=["everything", "a client", "an account", "a group", "a group of nobody known", "a pair", "another pair"],
)
@in_virtual_time
async def test_whom_a_halt_stops(
    machine: Machine, whom: dict[str, Any], stops_bot: bool, stops_other: bool, stops_elsewhere: bool
) -> None:
    """A halt stops what it names, a restart changes nothing about it, and a resume ends it."""
    journal, orders = await machine.start(), [order()]
    await operate(journal, "halt", "begun", **whom)
    machine.crash()
    journal = await machine.start()
    assert bool(journal.halted("bot", "main", orders)) == stops_bot
    assert bool(journal.halted("other", "main", orders)) == stops_other
    assert bool(journal.halted("bot", "second", orders)) == stops_elsewhere
    await operate(journal, "resume", "done", **{kind: name for kind, name in whom.items() if kind != "clients"})
    assert journal.halted("bot", "main", orders) is None


@in_virtual_time
async def test_a_halted_pair_begins_nothing_and_others_do(machine: Machine) -> None:
    """The book refuses it too, so that a call that was decided before the halt holds nothing."""
    journal = await machine.start()
    await operate(journal, "halt", "begun", pair="XXBTZUSD", state="cancel_only")
    with pytest.raises(Halted) as refused:
        await begin(journal, charge("1"), orders=(order(),))
    assert words(refused.value) == ("EService:Market in cancel_only mode", "EService:Policy cancel-only: drill")
    assert used(journal) == 0
    await operate(journal, "halt", "begun", pair="XETHZUSD")
    await operate(journal, "resume", "done", pair="XXBTZUSD")
    await begin(journal, charge("1"), orders=(order(),))
    assert used(journal) == 1


@in_virtual_time
async def test_a_weaker_halt_takes_no_stricter_one_away(machine: Machine) -> None:
    """Only a person resumes: neither a later halt nor a restart lets more pass, or frees a client of a group."""
    journal = await machine.start()
    for state, clients in (("cancel_only", ["bot"]), ("halted", ["eve"]), ("cancel_only", ["zoe"])):
        await operate(journal, "halt", "begun", group="grids", state=state, clients=[*clients])
    await operate(journal, "halt", "joined", group="grids", clients=["ada"])
    await operate(journal, "halt", "joined", group="unknown", clients=["max"])
    machine.crash()
    journal = await machine.start()
    (halt,) = journal.halts()
    assert (halt.state, halt.clients) == ("halted", ("ada", "bot", "eve", "zoe"))
    assert journal.halted("max", "main") is None


@in_virtual_time
async def test_a_halted_client_begins_nothing(machine: Machine) -> None:
    """A halted client's order holds nothing, and the answer says why in Kraken's words."""
    journal = await machine.start()
    await operate(journal, "halt", "begun", account="main")
    with pytest.raises(Halted) as refused:
        await begin(journal, charge("1"))
    assert words(refused.value) == ("EGeneral:Permission denied", "EGeneral:Policy halt: drill")
    assert used(journal) == 0
    assert [halt.reason for halt in journal.halts()] == ["drill"]


@in_virtual_time
async def test_a_halt_and_a_revocation_count_though_the_log_cannot_take_them(machine: Machine) -> None:
    """A brake works whatever else is broken, and is on record as soon as the disk lets it."""
    journal = await machine.start()
    machine.fail()
    with pytest.raises(AuditError):
        await operate(journal, "halt", "begun", client="bot")
    with pytest.raises(AuditError):
        await operate(journal, "clients revoke", "begun", client="other")
    with pytest.raises(Halted):
        await begin(journal, charge("1"))
    machine.heal()
    await asyncio.sleep(5)
    machine.crash()
    journal = await machine.start()
    assert journal.halted("bot", "main") is not None
    assert list(journal.revoked()) == ["other"]


@in_virtual_time
async def test_two_changes_of_one_order_go_one_after_the_other(machine: Machine) -> None:
    """The charge of a change is calculated from the order as it is, so an open change keeps the next one waiting."""
    journal = await machine.start()
    first = await begin(journal, changes="OAAA", orders=(order(),))
    with pytest.raises(NotServed):
        await begin(journal, changes="OAAA", orders=(order(),), client="other")
    await begin(journal, changes="OAAA", orders=(order(),), account="second")
    accept(journal, first, "OAAA")
    await begin(journal, changes="OAAA", orders=(order(),))


@in_virtual_time
async def test_a_client_cannot_give_one_name_twice_at_once(machine: Machine) -> None:
    """While an order of a name is on its way, its client may not give that name again, and any other client may."""
    journal = await machine.start()
    first = await begin(journal, orders=(order(client_id="mine"),))
    with pytest.raises(NotServed):
        await begin(journal, orders=(order(client_id="mine"),))
    await begin(journal, orders=(order(client_id="mine"),), client="other")
    end(journal, first, Outcome.REJECTED)
