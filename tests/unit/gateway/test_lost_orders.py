"""A call that names an order id which the book lacks, while the client has an order whose answer was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from signer.gateway.line import LOOK_UP_S
from signer.model import Action, Call, Json, Order, OrderRef
from signer.model.wire import as_json
from tests.harness.virtual import run
from tests.unit.gateway.fakes import Fakes
from tests.unit.policy.examples import CLOSE, TXID, add, amend, cancel, order, placed, policy, read

ORDER = order()
AMEND = amend(TXID, volume=ORDER.volume)
CANCEL = cancel(TXID)
LOST = "unavailable: this may be an order of an earlier call that has no outcome yet; nothing was sent"
STRANGE = "not-permitted: ownership"


def begun(fakes: Fakes, client: str = "bot", lost: Order = ORDER) -> None:
    """A call of an earlier run, which had no outcome on record when that run ended."""
    record: dict[str, Json] = {"kind": "intent", "id": "r1", "reservation": 1, "at": 1, "charges": [], "targets": []}
    fakes.journal.book.apply({**record, "client": client, "account": "main", "orders": [as_json(lost)]})
    fakes.journal.book.apply({"kind": "opened", "at": 2})


def ended(fakes: Fakes, venue_id: str) -> None:
    """The look-up finds its order at the venue."""
    fakes.journal.book.apply(
        {"kind": "reconciled", "id": "r1", "outcome": "accepted", "venue_ids": [venue_id], "at": 3}
    )
    fakes.known = (placed(txid=venue_id),) if venue_id == TXID.value else ()


def after_a_crash(call: Call, found: Sequence[str] = (), **changes: object) -> Fakes:
    """A gateway whose book lacks the order that ``call`` names; a look-up finds the ``found`` ids."""
    fakes = Fakes(call, policy(**changes))
    fakes.known = ()
    begun(fakes)

    async def look_up() -> None:
        for venue_id in found:
            ended(fakes, venue_id)

    fakes.look_up = look_up
    return fakes


@pytest.mark.parametrize("call", [CANCEL, AMEND], ids=["cancel", "change"])
def test_it_waits_for_the_look_up_and_goes_on(call: Call) -> None:
    """The order of the earlier call is the one that it names."""
    fakes = after_a_crash(call, [TXID.value])
    assert run(fakes.answer()) == "the venue's words"
    assert fakes.done.count("look up") == 1
    assert f"send {call.endpoint} {TXID.value}" in fakes.done


@pytest.mark.parametrize("call", [CANCEL, AMEND], ids=["cancel", "change"])
def test_it_is_not_called_unknown_while_nobody_can_tell(call: Call) -> None:
    """The look-up finds nothing yet: the call is unavailable, and nothing is sent."""
    fakes = after_a_crash(call)
    assert run(fakes.answer()) == LOST
    assert fakes.done == ["authenticate", "parse", "find", "look up", "find", "note denied", "answer"]


def test_it_waits_five_seconds_at_most() -> None:
    """A look-up that hangs is not waited for any longer, and goes on."""
    fakes = after_a_crash(CANCEL)

    async def hang() -> None:
        await asyncio.sleep(3600)

    async def timed() -> float:
        began = asyncio.get_running_loop().time()
        assert await fakes.answer() == LOST
        return asyncio.get_running_loop().time() - began

    fakes.look_up = hang
    assert run(timed()) == LOOK_UP_S


def test_it_is_denied_once_every_lost_order_is_found() -> None:
    """The client's order has another id, so the id that the call names is somebody else's, or nobody's."""
    fakes = after_a_crash(CANCEL, ["OTHER"])
    assert run(fakes.answer()).startswith(STRANGE)
    assert fakes.done == ["authenticate", "parse", "find", "look up", "find", "note denied", "answer"]


def test_the_lost_order_of_another_client_is_not_waited_for() -> None:
    """It is never this client's."""
    fakes = Fakes(CANCEL, policy())
    fakes.known = ()
    begun(fakes, "other")
    assert run(fakes.answer()).startswith(STRANGE)
    assert "look up" not in fakes.done


def test_an_order_of_another_client_is_denied_at_once() -> None:
    """The book has the order, so it is no lost one."""
    fakes = after_a_crash(CANCEL)
    fakes.known = (placed("other"),)
    assert run(fakes.answer()).startswith(STRANGE)
    assert "look up" not in fakes.done


def test_an_account_wide_cancel_goes_out_at_once() -> None:
    """The venue is told the id as it is, so nothing need be known of it. A change waits, since it has a charge."""
    fakes = after_a_crash(CANCEL, order_scope="account")
    assert run(fakes.answer()) == "the venue's words"
    assert "look up" not in fakes.done
    fakes = after_a_crash(AMEND, order_scope="account")
    assert run(fakes.answer()) == LOST


def test_a_query_goes_out_at_once() -> None:
    """The venue answers for itself what it knows of an order."""
    fakes = after_a_crash(read("query", frozenset({"query-funds"})))
    assert run(fakes.answer()) == "the venue's words"
    assert "look up" not in fakes.done


@pytest.mark.parametrize("call", [add(ORDER), Call("export", Action.WRITE, {}, (CLOSE,))], ids=["order", "write"])
def test_a_call_that_names_no_order_goes_out_at_once(call: Call) -> None:
    """A lost order holds back none but calls that may name it."""
    fakes = after_a_crash(call)
    assert run(fakes.answer()) == "the venue's words"
    assert "look up" not in fakes.done


def test_a_lost_order_is_cancelled_by_the_name_that_it_was_sent_with() -> None:
    """The look-up tells its id, and the cancel goes out by that."""
    lost = order(client_id="mine")
    fakes = Fakes(cancel(OrderRef("client-id", "mine")), policy())
    fakes.known = ()
    begun(fakes, lost=lost)

    async def look_up() -> None:
        ended(fakes, "V9")
        fakes.known = (placed("bot", lost, txid="V9"),)

    fakes.look_up = look_up
    assert run(fakes.answer()) == "the venue's words"
    assert "send CancelOrder V9" in fakes.done
