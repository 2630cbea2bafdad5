"""An operator ends a call whose outcome is unknown: that counts at once, whether or not it is on record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from signer.book.book import Book
from signer.book.questions import BookQuestions
from signer.contracts import Journal
from signer.errors import AuditError
from signer.gateway.reconcile.by_hand import record_by_hand
from signer.model import Json, OrderRef
from signer.model.wire import as_json
from tests.unit.gateway.reconcile.test_matching import order


class FailingLog(BookQuestions):
    """A journal with one unknown call, whose log takes no record."""

    def __init__(self) -> None:
        self.book = Book()
        super().__init__(self.book, None, lambda: 5)
        begun: dict[str, Json] = {"kind": "intent", "id": "r1", "client": "bot", "account": "main", "charges": []}
        self.book.apply({**begun, "reservation": 1, "at": 1, "orders": [as_json(order())], "targets": []})
        self.book.apply({"kind": "opened", "at": 2})

    async def record(self, entry: Mapping[str, Json], *, urgent: bool = False) -> None:
        """Apply the record, and fail to write it."""
        self.book.apply(entry)
        raise AuditError("the disk is full")


@pytest.mark.parametrize("venue_ids", [["OA"], []], ids=["placed", "never placed"])
async def test_a_word_that_is_not_on_record_is_in_effect_and_told_so(venue_ids: list[str | None]) -> None:
    """The command fails with what is in effect and what is not on record."""
    journal = FailingLog()
    (unknown,) = journal.open_intents()
    with pytest.raises(AuditError) as raised:
        await record_by_hand(cast("Journal", journal), unknown, venue_ids, "op", 1000, "I looked")
    assert "in effect, not on record: the disk is full; it is recorded as soon as" in str(raised.value)
    assert not journal.open_intents()
    assert len(journal.find_orders("main", OrderRef("venue-id", "OA"))) == len(venue_ids)
