"""The totals of caps in the database."""

from __future__ import annotations

from pathlib import Path

from signer.book.windows import SLOTS
from signer.ledger.caps import Caps
from signer.ledger.database import connect
from tests.unit.ledger.calls import DAY_S, START_US, charge


def test_the_database_holds_a_bounded_number_of_sums(tmp_path: Path) -> None:
    """Rows that have left their window are deleted as time goes on."""
    db = connect(tmp_path / "ledger.db")
    db.execute("BEGIN")
    caps = Caps(db)
    for slot in range(3 * SLOTS):
        now_us = START_US + slot * DAY_S * 1_000_000 // SLOTS
        caps.hold(caps.fit([charge("0.5")], now_us), now_us)
    assert db.execute("SELECT count(*) FROM spent").fetchone() == (SLOTS + 1,)
    db.close()
