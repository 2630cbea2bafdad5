"""The eight steps of a call: what each does, what its no leaves undone, and in which order they come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from signer.errors import (
    AuditError,
    Halted,
    LedgerError,
    NotAuthentic,
    NotReserved,
    NotServed,
    NotUnderstood,
    RefusalKind,
    Unanswered,
)
from signer.model import Action, Call, Halt, HaltScope, OrderRef, VenueResult
from tests.harness.virtual import run
from tests.unit.gateway.fakes import REJECTED, UNCLEAR, Fakes
from tests.unit.policy.examples import CLOSE, TXID, add, amend, cancel, order, placed, policy, read

ORDER = add(order(volume="0.01", price="50000"))
READ = read("balance", frozenset({"query-funds"}))
CANCEL = cancel(TXID)
AMEND = amend(TXID, volume=order().volume)
WRITE = Call("export", Action.WRITE, {}, (CLOSE,))
HALT = Halt(HaltScope("bot"), "lunch", "operator", 1)
BEGUN = ["authenticate", "parse", "place", "begin"]
"""Steps 1 to 4 of an order."""


def made(call: Call, fakes: Callable[[Fakes], object] = lambda _: None, result: VenueResult | None = None) -> Fakes:
    """The gateway of a trader, after ``fakes`` has changed what it stands on."""
    given = Fakes(call, policy()) if result is None else Fakes(call, policy(), result)
    fakes(given)
    return given


def answered(fakes: Fakes) -> str:
    """The answer to its call."""
    return run(fakes.answer())


def failing(call: Call, step: str, error: Exception) -> Fakes:
    """A gateway that fails at a step."""
    return made(call, lambda fakes: fakes.fails.update({step: error}))


def test_an_order_is_held_and_recorded_before_it_is_sent() -> None:
    """Its outcome is in the book before its client is answered, and nobody waits for the disk."""
    fakes = made(ORDER)
    assert answered(fakes) == "the venue's words"
    assert fakes.done == [*BEGUN, "turn", "send AddOrder", "hear", "conclude accepted", "answer"]
    assert fakes.alarms == []
    assert (fakes.journal.under_way, fakes.journal.spent) == ([], True)


def test_what_is_held_is_what_was_decided() -> None:
    """The intent has the orders and charges of the decision, and the id of the record."""
    fakes = made(ORDER)
    answered(fakes)
    assert fakes.intent is not None
    assert fakes.trace is not None
    assert fakes.trace.decision is not None
    assert fakes.intent.charges == fakes.trace.decision.charges != ()
    assert (fakes.intent.orders, fakes.intent.record) == (ORDER.orders, fakes.trace.id)


@pytest.mark.parametrize(
    ("step", "error", "kind", "reached"),
    [
        ("authenticate", NotAuthentic(RefusalKind.INVALID_SIGNATURE), "login-failed", 1),
        ("authenticate", NotUnderstood(RefusalKind.INVALID_ARGUMENTS), "denied", 1),
        ("parse", NotUnderstood(RefusalKind.UNKNOWN_ENDPOINT), "denied", 2),
        ("place", NotServed.unavailable("too many calls"), "denied", 3),
        ("begin", NotReserved(RefusalKind.CAP, "100 USD left"), "denied", 4),
        ("begin", Halted.because("lunch"), "denied", 4),
        ("begin", AuditError("the disk is full"), "denied", 4),
        ("begin", LedgerError("a charge makes no sense"), "denied", 4),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_no_before_the_record_ends_the_call(step: str, error: Exception, kind: str, reached: int) -> None:
    """No later step is asked; nothing is held, sent or under way; the refusal is noted."""
    fakes = failing(ORDER, step, error)
    expected = (
        error.kind.value
        if isinstance(error, (NotAuthentic, NotUnderstood, NotServed, NotReserved, Halted))
        else "unavailable"
    )
    assert answered(fakes).startswith(expected)
    assert fakes.done == [*BEGUN[:reached], f"note {kind}", "answer"]
    assert (fakes.journal.under_way, fakes.journal.spent) == ([], False)


def test_a_policy_that_denies_ends_the_call_before_anything_is_held() -> None:
    """The refusal names the rule."""
    fakes = made(add(order(pair="XDGEUR")))
    assert answered(fakes).startswith("not-permitted: pairs")
    assert fakes.done == ["authenticate", "parse", "note denied", "answer"]


def test_an_order_that_cannot_be_recorded_is_not_sent() -> None:
    """Its client is told so."""
    fakes = failing(ORDER, "begin", AuditError("the disk is full"))
    assert answered(fakes) == "unavailable: the audit log cannot be written; nothing was sent"


def test_a_write_that_cannot_be_recorded_is_not_sent() -> None:
    """The log is owed its record and that it was not sent."""
    fakes = failing(WRITE, "record intent", AuditError("the disk is full"))
    assert answered(fakes) == "unavailable: the audit log cannot be written; nothing was sent"
    assert fakes.done == [*BEGUN[:3], "record intent", "conclude not-sent", "answer"]


def test_a_flood_of_writes_is_not_owed_to_a_log_that_fails() -> None:
    """A log that is known to fail is asked for nothing, so its debts stay few. A cancel is owed all the same."""
    fakes = made(WRITE, lambda fakes: setattr(fakes, "healthy", False))
    assert answered(fakes) == "unavailable: the audit log cannot be written; nothing was sent"
    assert fakes.done == [*BEGUN[:3], "note denied", "answer"]
    fakes.call = CANCEL
    assert answered(fakes) == "the venue's words"


def test_a_cancel_without_a_place_is_refused_before_it_is_recorded() -> None:
    """A flood of cancels costs no disk writes, and nothing is owed for it."""
    fakes = failing(CANCEL, "place", NotServed.unavailable("too many calls"))
    assert answered(fakes) == "unavailable: too many calls"
    assert fakes.done[-3:] == ["place", "note denied", "answer"]


def test_closed_orders_that_cannot_be_read_end_the_call() -> None:
    """Nobody knows whether the order that the call names is the client's: nothing is sent."""
    fakes = failing(CANCEL, "find", LedgerError("the disk fails"))
    assert answered(fakes) == "unavailable: the orders on record cannot be read; nothing was sent"
    assert fakes.done == ["authenticate", "parse", "find", "note denied", "answer"]
    assert fakes.trace is not None
    assert fakes.trace.detail == "the disk fails"


@pytest.mark.parametrize(
    ("meanwhile", "answer"),
    [
        (lambda fakes: setattr(fakes, "halt", HALT), "halted: halt: lunch"),
        (lambda fakes: setattr(fakes.gateway, "snapshot", fakes.snapshot(revoked=True)), "invalid-key: "),
    ],
    ids=["halted", "revoked"],
)
@pytest.mark.parametrize("call", [ORDER, WRITE], ids=lambda call: call.endpoint)
def test_a_brake_stops_a_call_that_waits_for_its_turn(
    call: Call, meanwhile: Callable[[Fakes], None], answer: str
) -> None:
    """The brake is asked at the last moment: nothing is sent, and what was held is given back."""
    fakes = made(call)
    fakes.meanwhile = lambda: meanwhile(fakes)
    assert answered(fakes) == answer
    assert not [step for step in fakes.done if step.startswith("send")]
    assert fakes.done[-2:] == ["conclude not-sent", "answer"]
    assert (fakes.journal.under_way, fakes.journal.spent) == ([], False)


def test_where_only_cancels_of_orders_pass_another_change_does_too() -> None:
    """An order is refused in words of its own. A call that changes no order goes out."""
    cancel_only = replace(HALT, state="cancel_only")
    fakes = made(ORDER)
    fakes.meanwhile = lambda: setattr(fakes, "halt", cancel_only)
    assert answered(fakes) == "cancel-only: cancel-only: lunch"
    for call in (WRITE, READ, CANCEL):
        assert answered(made(call, lambda fakes: setattr(fakes, "halt", cancel_only))) == "the venue's words"


def test_a_halt_is_asked_for_the_orders_that_the_call_leaves() -> None:
    """The pair of a changed order is that of its target."""
    for call in (ORDER, amend(TXID)):
        fakes = made(call)
        fakes.known = (placed("bot"),)
        answered(fakes)
        assert {one.pair for one in fakes.asked_for} == {"XXBTZUSD"}, call.endpoint


def test_an_order_that_found_no_way_is_given_back() -> None:
    """The charges are free before the client is answered."""
    fakes = failing(ORDER, "turn", NotServed.unavailable("no connection; nothing was sent"))
    assert answered(fakes) == "unavailable: no connection; nothing was sent"
    assert fakes.done == [*BEGUN, "turn", "conclude not-sent", "answer"]
    assert (fakes.journal.under_way, fakes.journal.spent) == ([], False)


def test_a_rejected_order_is_given_back_before_its_client_hears_of_it() -> None:
    """The venue's own words are the answer."""
    fakes = made(ORDER, result=REJECTED)
    assert answered(fakes) == "the venue's words"
    assert fakes.done == [*BEGUN, "turn", "send AddOrder", "hear", "conclude rejected", "answer"]
    assert (fakes.journal.under_way, fakes.journal.spent) == ([], False)


@pytest.mark.parametrize("unclear", ["no answer", "no result"])
def test_an_unknown_outcome_stays_held(unclear: str) -> None:
    """Once bytes have left, no clear answer means unknown: the charges are kept, and the order is sent once."""
    fakes = made(ORDER, result=UNCLEAR)
    if unclear == "no answer":
        fakes.fails["hear"] = Unanswered("cut off")
    assert "the outcome is unknown" in answered(fakes)
    assert fakes.done == [*BEGUN, "turn", "send AddOrder", "hear", "conclude unknown", "answer"]
    assert (fakes.journal.under_way, fakes.journal.spent) == ([True], True)


def test_a_read_costs_no_write_before_it_leaves() -> None:
    """A read is noted behind its answer."""
    fakes = made(READ)
    answered(fakes)
    assert fakes.done == ["authenticate", "parse", "turn", "send balance", "hear", "note read", "answer"]


def test_a_read_passes_a_halt_and_not_a_revocation() -> None:
    """A halt stops what spends, a revocation everything."""
    halted = made(READ, lambda fakes: setattr(fakes, "halt", HALT))
    assert answered(halted) == "the venue's words"
    revoked = made(READ)
    revoked.meanwhile = lambda: setattr(revoked.gateway, "snapshot", revoked.snapshot(revoked=True))
    assert answered(revoked).startswith("invalid-key")


def test_a_dry_run_holds_nothing() -> None:
    """An order that is only validated goes the way of a read."""
    fakes = made(replace(ORDER, dry_run=True))
    answered(fakes)
    assert fakes.done == ["authenticate", "parse", "turn", "send AddOrder", "hear", "note read", "answer"]


def test_a_local_call_is_answered_by_us() -> None:
    """A local call never takes a turn."""
    fakes = made(replace(READ, local=True))
    assert answered(fakes) == "by us"
    assert fakes.done == ["authenticate", "parse", "note read", "answer"]


def test_a_cancel_goes_for_the_clients_own_order_by_its_id() -> None:
    """Whatever name the client gave it; it is recorded first, urgently, and holds nothing."""
    fakes = made(cancel(OrderRef("client-id", "mine")))
    fakes.known = (placed("bot", order(client_id="mine"), txid="V9"),)
    assert answered(fakes) == "the venue's words"
    assert fakes.done == [
        "authenticate", "parse", "find", "find", "place", "record urgent intent", "turn", "send CancelOrder V9", "hear",
        "conclude accepted", "answer",
    ]  # fmt: skip


def test_somebody_elses_order_is_not_cancelled() -> None:
    """The call is denied as if there were no such order."""
    fakes = made(CANCEL)
    fakes.known = (placed("other"),)
    answered(fakes)
    assert fakes.done == ["authenticate", "parse", "find", "note denied", "answer"]


def test_a_cancel_passes_a_halt() -> None:
    """A brake never keeps risk on the books."""
    fakes = made(CANCEL, lambda fakes: setattr(fakes, "halt", HALT))
    assert answered(fakes) == "the venue's words"


def test_a_cancel_that_the_log_cannot_take_goes_out_and_is_alarmed() -> None:
    """The journal owes it to the log already, so nothing is noted a second time."""
    fakes = failing(CANCEL, "record urgent intent", AuditError("the disk is full"))
    assert answered(fakes) == "the venue's words"
    assert fakes.done[-4:] == [f"send CancelOrder {TXID.value}", "hear", "conclude accepted", "answer"]
    assert fakes.alarms == ["audit"]


def test_a_change_may_follow_its_order_at_once() -> None:
    """The order is in the book before its client is answered, with its venue id."""
    fakes = made(add(order(client_id="mine")))
    answered(fakes)
    fakes.call, fakes.done = amend(OrderRef("client-id", "mine")), []
    fakes.known = tuple(placed.placed(*key) for key, placed in fakes.journal.book.orders.items())
    assert answered(fakes) == "the venue's words"
    assert "send AmendOrder V1" in fakes.done


def test_a_change_of_an_order_without_an_outcome_is_refused() -> None:
    """An order that has no venue id yet is not changed: nothing is held or sent."""
    fakes = made(add(order(client_id="mine")), result=UNCLEAR)
    answered(fakes)
    fakes.call, fakes.known, fakes.done = amend(OrderRef("client-id", "mine")), (), []
    assert "an earlier call for this order has no outcome yet" in answered(fakes)
    assert fakes.done == ["authenticate", "parse", "find", "note denied", "answer"]


def test_two_changes_of_one_order_go_one_after_the_other() -> None:
    """The second change is refused while the first has no outcome, since both would start from what the order was."""
    fakes = made(AMEND, result=UNCLEAR)
    answered(fakes)
    assert fakes.journal.under_way == [True]
    fakes.done = []
    assert "an earlier call for this order has no outcome yet" in answered(fakes)
    assert "begin" not in fakes.done


@pytest.mark.parametrize(("name", "denied"), [("bot", True), ("other", False)])
def test_a_client_s_id_is_taken_while_its_order_is_on_its_way(name: str, denied: bool) -> None:
    """Two orders of one client may not have it at once, and another client's may."""
    fakes = made(add(order(client_id="mine")), result=UNCLEAR)
    answered(fakes)
    fakes.client = replace(fakes.client, info=replace(fakes.client.info, name=name))
    fakes.gateway.snapshot, fakes.known, fakes.done = fakes.snapshot(), (), []
    assert ("choose another" in answered(fakes)) is denied


def test_an_account_that_was_removed_meanwhile_is_not_used() -> None:
    """A reload may take it away between two steps."""
    fakes = made(ORDER)
    fakes.accounts.clear()
    assert answered(fakes) == "unavailable: the account was removed; nothing was sent"
    assert fakes.done == ["authenticate", "parse", "note denied", "answer"]


@pytest.mark.parametrize("call", [replace(READ, local=True), add(order(pair="XDGEUR"))], ids=["own answer", "denial"])
def test_a_flood_is_counted_instead_of_recorded(call: Call) -> None:
    """What the throttle does not admit leaves no record, and no line in the log."""
    fakes = made(call, lambda fakes: setattr(fakes, "admits", False))
    answered(fakes)
    assert not [step for step in fakes.done if step.startswith(("note", "record"))]
    assert fakes.trace is not None
    assert fakes.trace.counted_only
