"""Rolling windows at their edges."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from signer.ledger.caps import SLOTS, Caps, Window, slot_at
from signer.ledger.database import connect
from tests.unit.ledger.calls import DAY_S, START_US, charge

WINDOW_S = 60
SLOT_US = WINDOW_S * 1_000_000 // SLOTS


def test_a_charge_leaves_when_its_whole_slot_has_left() -> None:
    """A charge counts for the whole window however late in its slot it came, and is gone one slot later."""
    for at_us in (0, SLOT_US - 1):
        window = Window(WINDOW_S, {})
        window.add(slot_at(at_us, WINDOW_S), Decimal(5))
        assert window.used(at_us + WINDOW_S * 1_000_000) == 5
        assert window.used((SLOTS + 1) * SLOT_US - 1) == 5
        assert window.used((SLOTS + 1) * SLOT_US) == 0


def test_a_window_holds_a_bounded_number_of_sums() -> None:
    """Thousands of charges in a row leave 121 slots, and their exact sum."""
    window = Window(WINDOW_S, {})
    for at_us in range(0, 2_000 * SLOT_US, SLOT_US // 2):
        window.used(at_us)
        window.add(slot_at(at_us, WINDOW_S), Decimal("0.1"))
    assert len(window.slots) == SLOTS + 1
    assert window.used(2_000 * SLOT_US - 1) == Decimal("0.2") * (SLOTS + 1)


def test_a_window_is_the_same_when_read_back() -> None:
    """The total is that of its slots, in whatever order they are read."""
    window = Window(WINDOW_S, {3: Decimal(3), 1: Decimal(1), 2: Decimal(2)})
    assert window.used(2 * SLOT_US) == 6
    assert window.used((SLOTS + 2) * SLOT_US) == 5


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
