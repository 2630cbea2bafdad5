"""A gateway whose log has lost records: orders wait for a person unless the checkpoint has what they changed."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from signer.sandbox.server import RunningSandbox
from tests.e2e.refusals import UNAVAILABLE
from tests.e2e.strange_homes import ALARM, Traded, errors, goes_on, restarted
from tests.harness.bots import order
from tests.harness.gateways import RunningGateway
from tests.harness.waiting import until


@pytest.fixture
def traded(tmp_path: Path, shared_sandbox: RunningSandbox) -> Traded:
    """A home that traded."""
    return Traded(tmp_path, shared_sandbox)


def test_a_segment_that_is_missing_is_named_and_the_book_is_that_of_the_checkpoint(traded: Traded) -> None:
    """Verification names segment and records, start and doctor the segment; the checkpoint has all of them, so caps
    hold and orders pass."""
    traded.segments()[1].unlink()
    status, told = traded.told("audit", "verify")
    assert (status, "records 3 to 4 are missing, and segment 2 with them" in told) == (1, True)
    said = goes_on(traded, used=1)
    assert "segment 2 of the audit log is missing or damaged; `signer audit verify` names the place" in said
    assert "segment 2: is missing or damaged" in said
    assert "the book lacks" not in said


def assert_lacking(traded: Traded, gateway: RunningGateway, gap: str) -> None:
    """Orders are refused and not sent, reads and cancels pass, and everything says why and what to do."""
    bot, lacks = traded.bot.at(gateway.url), f"the book lacks {gap}"
    arrived = traded.made.arrivals(traded.account)
    first, second = errors(bot, "AddOrder", **order())
    assert (first, "the book lacks records" in second) == (UNAVAILABLE, True)
    assert traded.made.arrivals(traded.account) == arrived
    assert errors(bot, "Balance") == []
    answer = gateway.get("/-/ready")
    assert answer is not None
    assert (answer.status_code, lacks in answer.text) == (503, True)
    for command in ("status", "doctor"):
        told = traded.told(command)[1]
        assert lacks in told
        assert "look at the open orders at the exchange, then run `signer book accept`" in told
    until(lambda: f"no order is sent: {lacks}" in gateway.log(), "the alarm")


def of_gaps(traded: Traded) -> Sequence[Mapping[str, Any]]:
    """The records that say what the book lacks."""
    return [record for record in traded.made.records(kind="recovered") if "missing" in record]


def accept_gaps(traded: Traded) -> str:
    """Accept what the book lacks; what the command says."""
    status, said = traded.told("book", "accept", "--reason", "looked at the exchange")
    assert status == 0, said
    return said


def test_a_book_that_lacks_a_segment_stops_orders_until_a_person_accepts_it(traded: Traded) -> None:
    """Without segment and checkpoint, the start says which records the book lacks, in an alarm and on record. Orders
    wait over restarts, and pass once it is accepted; the same gap is never asked about again."""
    traded.segments()[1].unlink()
    traded.home.book.unlink()
    what = "records 3 to 4 are missing, and the book lacks them; `signer audit verify` names the place"
    with restarted(traded.made) as gateway:
        until(lambda: what in gateway.log(), "the alarm")
        assert_lacking(traded, gateway, "records 3 to 4")
        assert errors(traded.bot.at(gateway.url), "CancelOrder", txid=traded.txid) == []
    assert [record["text"] for record in of_gaps(traded)] == [what]
    with restarted(traded.made) as gateway:
        assert_lacking(traded, gateway, "records 3 to 4")
        assert "Accepted: the book lacks records 3 to 4. Orders pass again." in accept_gaps(traded)
        assert errors(traded.bot.at(gateway.url), "AddOrder", **order()) == []
        assert gateway.is_ready()
    assert "checkpoint cannot be written" not in gateway.log()
    traded.home.book.unlink()
    with restarted(traded.made) as gateway:
        assert errors(traded.bot.at(gateway.url), "AddOrder", **order()) == []
        assert " and gateway (record " in traded.told("audit", "verify", "--book")[1]
    assert len(of_gaps(traded)) == 1
    status, told = traded.told("book", "accept", "--reason", "again")
    assert (status, "The book lacks no record." in told) == (1, True)


def all_put_back(traded: Traded) -> None:
    """Put log and checkpoint back to what they were before the last order."""
    kept, book = traded.home.folder.with_name("kept"), traded.home.book.read_bytes()
    shutil.copytree(traded.home.audit, kept)
    traded.trades_on()
    shutil.rmtree(traded.home.audit)
    shutil.copytree(kept, traded.home.audit)
    traded.home.book.write_bytes(book)


def put_back_without_checkpoint(traded: Traded) -> None:
    """Put the log back to what it was before the last order, and lose the checkpoint."""
    put_back(traded)
    traded.home.book.unlink()


@pytest.mark.parametrize("cut", [all_put_back, put_back_without_checkpoint])
def test_a_book_that_was_put_back_stops_orders_until_a_person_accepts_it(
    traded: Traded, cut: Callable[[Traded], None]
) -> None:
    """The marks know later records, so what was spent since is forgotten: orders wait until that is accepted, with no
    gateway running."""
    cut(traded)
    told = traded.told("status")[1]
    found = re.search(r"the book lacks (records? [0-9]+(?: to [0-9]+)?);", told)
    assert found is not None, told
    with restarted(traded.made) as gateway:
        assert_lacking(traded, gateway, found[1])
    assert f"Accepted: the book lacks {found[1]}" in accept_gaps(traded)
    goes_on(traded, used=1)
    assert len(of_gaps(traded)) == 1


def test_a_log_that_is_gone_needs_a_persons_word(traded: Traded) -> None:
    """A checkpoint alone counts where the marks know its record. Where they know an earlier one, nothing proves it."""
    shutil.move(traded.home.audit, traded.home.folder.with_name("gone"))
    kept = traded.home.marks.read_bytes()
    said = goes_on(traded, used=1)
    assert "was written: records are missing" in said
    shutil.rmtree(traded.home.audit)
    traded.home.marks.write_bytes(kept)
    with restarted(traded.made) as gateway:
        until(lambda: "no order is sent: the book lacks records 1 to " in gateway.log(), "the alarm")
        assert errors(traded.bot.at(gateway.url), "AddOrder", **order())[0] == UNAVAILABLE


def put_back(traded: Traded) -> None:
    """Put the log back to what it was before the last order."""
    kept = traded.home.folder.with_name("kept")
    shutil.copytree(traded.home.audit, kept)
    traded.trades_on()
    shutil.rmtree(traded.home.audit)
    shutil.copytree(kept, traded.home.audit)


def without_last_segment(traded: Traded) -> None:
    """Remove the log's last segment, with all orders in it."""
    traded.trades_on()
    traded.segments()[-1].unlink()


@pytest.mark.parametrize("cut", [put_back, without_last_segment])
def test_a_log_whose_end_is_gone_is_said_and_caps_hold(traded: Traded, cut: Callable[[Traded], None]) -> None:
    """Doctor, verify and the start say it. The checkpoint has what the log lacks: nothing spent is forgotten, and a
    cancel finds its order."""
    cut(traded)
    assert "and marks.db knows record" in traded.told("doctor")[1]
    status, told = traded.told("audit", "verify")
    assert (status, "the end was cut off" in told) == (1, True)
    said = goes_on(traded, used=2)
    assert ALARM in said
    assert "was written: records are missing; `signer audit verify` names the place" in said
    assert "audit log: lacks record" in said
    status, told = traded.told("audit", "verify")
    assert (status, "are missing" in told) == (1, True)  # the gap stays for ever


def test_marks_that_were_put_back_stop_nothing(traded: Traded) -> None:
    """They prove less of the log's end, which verify says; the book does not depend on them."""
    kept = traded.home.marks.read_bytes()
    traded.trades_on()
    traded.home.marks.write_bytes(kept)
    status, told = traded.told("audit", "verify")
    assert (status, "note: the end is not proven: records are known up to" in told) == (0, True)
    assert ALARM not in goes_on(traded, used=2)
