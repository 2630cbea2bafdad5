"""A start finishes what a crash left between the log and the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from signer.audit import close_audit, open_audit
from signer.audit.disk import LocalDisk
from signer.audit.tail import records_after
from signer.gateway.trace import held_fields, reconciled_record
from signer.home.layout import Home
from signer.ledger import open_ledger
from signer.ledger.sqlite import SqliteLedger
from signer.model import ChainHead, Intent, Json, OrderRef, Outcome
from tests.unit.ledger.calls import START_US, StillClock, charge, intent, order, used

CALL = replace(
    intent(charge("10", leg=0), charge("20", leg=1), orders=(order(), order(client_tag="2"))), held_us=START_US
)
LATER_US = START_US + 5_000_000


def begun(call: Intent, reservation: int) -> dict[str, Json]:
    """The record of a call that is about to be sent."""
    entry: dict[str, Json] = {"kind": "intent", "time": START_US, "id": call.record, "client": call.client}
    return {**entry, "account": call.account, "endpoint": call.endpoint, **held_fields(call, reservation)}


async def started(home: Home, records: Sequence[Mapping[str, Json]]) -> SqliteLedger:
    """The ledger after two starts of the log: in the first these records are written, and then the machine dies."""
    ledger = await open_ledger(home, StillClock())
    log = await open_audit(home, ledger, StillClock(), print)
    for record in records:
        await log.record(record)
    await log.close()  # the ledger hears nothing of it
    log = await open_audit(home, ledger, StillClock(), print)
    await close_audit(log, ledger)
    return ledger


async def reserved(home: Home) -> int:
    """The number of a call that is held."""
    ledger = await open_ledger(home, StillClock())
    number = await ledger.reserve(CALL)
    await ledger.close()
    return number


def records(home: Home) -> list[Mapping[str, Any]]:
    """All records."""
    return list(records_after(LocalDisk(), home.audit, 0))


async def test_a_call_that_was_accepted_on_record_is_settled(tmp_path: Path) -> None:
    """What was accepted is spent and known, the rest is given back; the log gets no second end."""
    home = Home(tmp_path)
    number = await reserved(home)
    ended = reconciled_record(CALL, Outcome.ACCEPTED, ["OA", None], LATER_US)
    ledger = await started(home, [begun(CALL, number), {**ended, "kind": "outcome"}])
    assert await ledger.open_intents() == []
    assert await used(ledger) == 10
    (placed,) = await ledger.find_orders("main", OrderRef("venue-id", "OA"))
    assert (placed.client, placed.placed_us) == ("bot", LATER_US)
    assert [record["kind"] for record in records(home)] == ["segment", "intent", "outcome"]
    await ledger.close()


@pytest.mark.parametrize(("outcome", "left", "state"), [(Outcome.REJECTED, 0, []), (Outcome.UNKNOWN, 30, [True])])
async def test_a_call_that_was_refused_or_lost_on_record(
    tmp_path: Path, outcome: Outcome, left: int, state: list[bool]
) -> None:
    """A refused call is given back, a lost one stays held and counts as unknown."""
    home = Home(tmp_path)
    number = await reserved(home)
    ledger = await started(home, [begun(CALL, number), reconciled_record(CALL, outcome, [], LATER_US)])
    assert await used(ledger) == left
    assert [one.unknown for one in await ledger.open_intents()] == state
    await ledger.close()


async def test_orders_that_were_found_on_record_are_settled_once(tmp_path: Path) -> None:
    """The others stay open; records that the ledger has followed already change nothing."""
    home = Home(tmp_path)
    number = await reserved(home)
    part = reconciled_record(CALL, Outcome.ACCEPTED, ["OA", None], LATER_US, part=True)
    for entries in ([begun(CALL, number), part], []):
        ledger = await started(home, entries)
        (left,) = await ledger.open_intents()
        assert (left.intent.orders, await used(ledger)) == (CALL.orders[1:], Decimal(30))
        await ledger.close()


async def test_a_call_that_was_never_sent_ends_on_record(tmp_path: Path) -> None:
    """The write of an intent failed and was found on the disk all the same: the ledger had given the call back."""
    home = Home(tmp_path)
    number = await reserved(home)
    ledger = await open_ledger(home, StillClock())
    await ledger.release(number)
    await ledger.close()
    await (await started(home, [begun(CALL, number)])).close()
    assert [record["kind"] for record in records(home)] == ["segment", "intent", "reconciled"]
    assert (records(home)[-1]["id"], records(home)[-1]["outcome"]) == (CALL.record, "not-sent")


@pytest.mark.parametrize("cut", ["middle", "end"])
async def test_a_log_that_lacks_records_ends_no_call(tmp_path: Path, cut: str) -> None:
    """Somebody took the record of the call's end away, so the log must not say that it was never sent."""
    home = Home(tmp_path)
    number = await reserved(home)
    ended = reconciled_record(CALL, Outcome.ACCEPTED, ["OA", "OB"], LATER_US)
    await (await started(home, [begun(CALL, number), ended, {"kind": "stop", "time": LATER_US}])).close()
    (segment,) = home.audit.iterdir()
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join([*lines[:2], *(lines[3:] if cut == "middle" else [])]))
    ledger = await open_ledger(home, StillClock())
    held = await ledger.reserve(replace(CALL, record="another"), ChainHead(1, "0" * 64))
    await (await started(home, [])).close()
    assert held > number
    assert not [one for one in records(home) if one["kind"] == "reconciled" and one["outcome"] == "not-sent"]
    await ledger.close()


async def test_a_call_of_another_ledger_is_left_alone(tmp_path: Path) -> None:
    """A ledger that was lost knows nothing of the calls of its log, so it ends none."""
    home = Home(tmp_path)
    await (await started(home, [begun(CALL, 7)])).close()
    assert [record["kind"] for record in records(home)] == ["segment", "intent"]


async def test_a_call_without_a_record_stays_for_the_look_up(tmp_path: Path) -> None:
    """The machine died before the intent was on record: the exchange is asked."""
    home = Home(tmp_path)
    await reserved(home)
    ledger = await started(home, [])
    assert [one.intent for one in await ledger.open_intents()] == [CALL]
    await ledger.close()


async def test_only_later_segments_are_read(tmp_path: Path) -> None:
    """Reading begins with the segment that can hold the next record."""
    home = Home(tmp_path)
    ledger = await open_ledger(home, StillClock())
    for _ in range(3):
        log = await open_audit(home, ledger, StillClock(), print, segment_bytes=1)
        await log.record({"kind": "start", "time": 1})
        await log.close()
    await ledger.close()
    assert len(list(home.audit.iterdir())) == 3
    next(home.audit.iterdir()).parent.joinpath(sorted(path.name for path in home.audit.iterdir())[0]).write_bytes(b"")
    assert [record["seq"] for record in records_after(LocalDisk(), home.audit, 3)] == [4, 5, 6]
