"""What the venue's answer means for a call: a clear yes, a clear no, or unknown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from signer.model import Call, Outcome, VenueResult, WireAnswer
from tests.unit.venues.kraken.asking import KRAKEN, LIMIT, as_json, form

ROW = {"type": "buy", "ordertype": "limit", "price": "1", "volume": "2"}
ADD = form("AddOrder", LIMIT)
BATCH = as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": [ROW, ROW]})
EDIT = form("EditOrder", {"pair": "XBTUSD", "txid": "OLD", "volume": "1"})
AMEND = form("AmendOrder", {"txid": "OLD", "order_qty": "1"})
CANCEL = form("CancelOrder", {"txid": "OLD"})
READ = form("Balance", {})
EXPORT = form("RetrieveExport", {"id": "ABCD"})


def answer(result: Any = None, *errors: str, status: int = 200) -> WireAnswer:
    """An envelope as Kraken writes it."""
    body = {"error": list(errors), **({} if result is None else {"result": result})}
    return WireAnswer(status, "application/json", json.dumps(body).encode())


def read(call: Call, result: Any = None, *errors: str) -> VenueResult:
    """What an envelope means for a call."""
    return KRAKEN.read_answer(call, answer(result, *errors))


@pytest.mark.parametrize(
    ("call", "result", "txids"),
    [
        (ADD, {"descr": {"order": "buy"}, "txid": ["OA"]}, ("OA",)),
        (BATCH, {"orders": [{"txid": "OA"}, {"txid": "OB"}]}, ("OA", "OB")),
        (EDIT, {"status": "ok", "txid": "ON", "originaltxid": "OLD"}, ("ON",)),
        (EDIT, {"txid": ["ON"]}, ("ON",)),
        (AMEND, {"amend_id": "TA"}, ("OLD",)),
        (CANCEL, {"count": 1}, ()),
        (form("CancelAllOrdersAfter", {"timeout": "60"}), {"currentTime": "x", "triggerTime": "y"}, ()),
        (form("AddOrder", {**LIMIT, "validate": "true"}), {"descr": {"order": "buy"}}, (None,)),
        (form("AddExport", {"report": "trades"}), {"id": "X"}, ()),
    ],
)
def test_an_acceptance_tells_each_order_s_txid(call: Call, result: Any, txids: tuple[str | None, ...]) -> None:
    """An accepted call has a txid for each order; an amend keeps its own, and a dry run places none."""
    assert read(call, result) == VenueResult(Outcome.ACCEPTED, (), txids)


def test_a_warning_with_a_result_is_an_acceptance() -> None:
    """The warning's text is passed on."""
    result = read(ADD, {"txid": ["OA"]}, "WGeneral:Something")
    assert result == VenueResult(Outcome.ACCEPTED, ("WGeneral:Something",), ("OA",))


@pytest.mark.parametrize(
    "result",
    [None, {}, [], "x", {"txid": []}, {"txid": ["OA", "OB"]}, {"txid": [1]}, {"txid": [""]}, {"txid": None}],
)
def test_an_order_accepted_in_a_strange_shape_is_unknown(result: Any) -> None:
    """The order may be placed, but its id is not known."""
    assert read(ADD, result).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("result", [{"status": "err", "txid": "ON"}, {"status": "ok"}, {"txid": ""}])
def test_an_edit_in_a_strange_shape_is_unknown(result: Any) -> None:
    """The original may be gone without a replacement."""
    assert read(EDIT, result).outcome is Outcome.UNKNOWN


def test_an_amend_without_its_id_is_unknown() -> None:
    """The id is all that tells that it was done."""
    assert read(AMEND, {}).outcome is Outcome.UNKNOWN


CERTAIN = [
    "EAPI:Invalid key", "EAPI:Invalid signature", "EAPI:Invalid nonce", "EAPI:Rate limit exceeded", "EAPI:Bad request",
    "EAPI:Feature disabled", "EAPI:Invalid token", "EAuth:Account temporary disabled", "EAuth:Too many requests",
    "ESession:Invalid session", "EGeneral:Permission denied", "EGeneral:Invalid arguments",
    "EGeneral:Invalid arguments:volume", "EGeneral:Unknown method", "EGeneral:Temporary lockout",
    "EGeneral:Too many requests", "EService:Throttled: 1700000000", "EService: Throttled",
    "EService:Market in cancel_only mode", "EOrder:Insufficient funds", "EOrder:Insufficient margin",
    "EOrder:Insufficient initial margin", "EOrder:Order minimum not met", "EOrder:Cost minimum not met",
    "EOrder:Tick size check failed", "EOrder:Invalid price:Invalid price argument", "EOrder:Invalid order",
    "EOrder:Unknown order", "EOrder:Unknown position", "EOrder:Margin allowance exceeded",
    "EOrder:Margin level too low", "EOrder:Margin position size exceeded", "EOrder:Cannot open position",
    "EOrder:Cannot open opposing position", "EOrder:Orders limit exceeded", "EOrder:Positions limit exceeded",
    "EOrder:Scheduled orders limit exceeded", "EOrder:Trading agreement required", "EOrder:Order not editable",
    "EOrder:Not enough leaves qty", "EOrder:No amendable parameters", "EOrder:Reduce only:No position exists",
    "EOrder:Reduce only:Non-PC", "EOrder:Reduce only:Non-ECP", "EOrder:Non-ECP", "EOrder:Post only order",
    "EOrder:Rate limit exceeded",
    "EOrder:Domain rate limit exceeded", "ETrade:Invalid request", "ETrade:Locked", "ETrade:User Locked",
    "EAccount:Invalid permissions", "EFunding:Unknown asset", "EQuery:Unknown asset pair", "EBM:limit exceeded:CAL",
]  # fmt: skip
DOUBTFUL = [
    "EGeneral:Internal error", "EGeneral:Internal error:x", "EDatabase:Internal error", "EService:Unavailable",
    "EService:Busy", "EService:Timeout", "EService:Deadline elapsed", "EOrder:Cancel pending",
    "EOrder:Reduce only:Position is closed", "EOrder:Something new", "ENew:Thing", "", "eorder:invalid order",
]  # fmt: skip


@pytest.mark.parametrize("error", CERTAIN)
def test_an_error_that_is_a_clear_no_rejects(error: str) -> None:
    """The "no" rows of docs/kraken.md §3."""
    result = read(ADD, None, error)
    assert (result.outcome, result.errors, result.venue_ids) == (Outcome.REJECTED, (error,), ())
    assert result.bad_nonce == (error == "EAPI:Invalid nonce")


@pytest.mark.parametrize("error", DOUBTFUL)
def test_any_other_error_leaves_an_order_unknown(error: str) -> None:
    """The "maybe" rows, and whatever we have never seen; one of several is enough."""
    assert read(ADD, None, error).outcome is Outcome.UNKNOWN
    assert read(ADD, None, "EOrder:Insufficient funds", error).outcome is Outcome.UNKNOWN


def test_an_error_beside_a_result_is_unknown() -> None:
    """A no that comes with an order is not clear."""
    assert read(ADD, {"txid": ["OA"]}, "EOrder:Insufficient funds").outcome is Outcome.UNKNOWN


def test_a_batch_is_read_row_by_row() -> None:
    """Some rows may be placed and others not; all refused is a rejection."""
    rows = [{"txid": "OA"}, {"error": "EOrder:Insufficient funds"}]
    assert read(BATCH, {"orders": rows}) == VenueResult(Outcome.ACCEPTED, ("EOrder:Insufficient funds",), ("OA", None))
    result = read(BATCH, {"orders": [rows[1], rows[1]]})
    assert (result.outcome, result.venue_ids) == (Outcome.REJECTED, (None, None))


@pytest.mark.parametrize(
    "rows",
    [
        None,
        [],
        [{"txid": "OA"}],
        [{"txid": "OA"}, {}],
        [{"txid": "OA"}, "x"],
        [{"txid": "OA"}, {"error": "EService:Busy"}],
        [{"txid": "OA"}, {"txid": "OB", "error": "EOrder:Invalid order"}],
    ],
)
def test_a_batch_with_a_doubtful_row_is_unknown(rows: Any) -> None:
    """All of it stays held until it is looked up."""
    assert read(BATCH, {"orders": rows}).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("result", [{}, {"orders": []}, {"orders": [{"descr": {"order": "buy"}}] * 2}])
def test_a_dry_run_of_a_batch_places_nothing(result: Any) -> None:
    """Whatever its answer looks like."""
    call = as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": [ROW, ROW], "validate": True})
    assert read(call, result) == VenueResult(Outcome.ACCEPTED, (), (None, None))


@pytest.mark.parametrize(
    "reply",
    [
        answer({"txid": ["OA"]}, status=502),
        answer(None, "EOrder:Insufficient funds", status=403),
        answer(None, "EAPI:Rate limit exceeded", status=429),
        WireAnswer(429, "text/html", b"<html>"),
        WireAnswer(200, "text/html", b"<html>520</html>"),
        WireAnswer(200, "application/json", b'{"error":[],"result":{"txid":["OA"'),
        WireAnswer(200, "application/json", b""),
        WireAnswer(200, "application/json", b"[]"),
        WireAnswer(200, "application/json", b'{"result":{"txid":["OA"]}}'),
        WireAnswer(200, "application/json", b'{"error":"EOrder:Invalid order"}'),
        WireAnswer(200, "application/json", b'{"error":[1]}'),
        WireAnswer(200, "application/json", b"[" * 100_000),
        WireAnswer(200, "application/json", b'{"error":[],"result":"\xff"}'),
    ],
)
def test_what_is_no_whole_answer_of_kraken_s_is_unknown(reply: WireAnswer) -> None:
    """The edge in front of Kraken has answered 502 for orders that were placed."""
    for call in (ADD, BATCH, EDIT, AMEND, CANCEL):
        assert KRAKEN.read_answer(call, reply).outcome is Outcome.UNKNOWN


def test_a_read_is_answered_or_refused() -> None:
    """A refused nonce is told, so that the lane heals."""
    assert read(READ, {"ZUSD": "1"}) == VenueResult(Outcome.ACCEPTED)
    assert read(READ, {"ZUSD": "1"}, "WGeneral:x").outcome is Outcome.ACCEPTED
    assert read(READ, None, "EAPI:Invalid nonce") == VenueResult(
        Outcome.REJECTED, ("EAPI:Invalid nonce",), bad_nonce=True
    )


@pytest.mark.parametrize("status", [403, 502])
def test_a_read_that_the_edge_answered_has_no_verdict(status: int) -> None:
    """An answer of the edge is not passed on, and a read holds nothing."""
    assert KRAKEN.read_answer(READ, WireAnswer(status, "text/html", b"<html>")) == VenueResult(Outcome.UNKNOWN)


def test_an_export_is_binary() -> None:
    """An export succeeds as a zip file and fails as the usual envelope; no other call may be answered so."""
    archive = WireAnswer(200, "application/octet-stream", b"PK\x03\x04")
    assert KRAKEN.read_answer(EXPORT, archive).outcome is Outcome.ACCEPTED
    assert KRAKEN.read_answer(READ, archive).outcome is Outcome.UNKNOWN
    assert read(EXPORT, None, "EGeneral:Invalid arguments").outcome is Outcome.REJECTED
