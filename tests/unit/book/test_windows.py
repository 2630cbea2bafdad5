"""Rolling windows at their edges."""

from __future__ import annotations

from decimal import Decimal

from signer.book.windows import SLOTS, Window, slot_at

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
        window.drop_old(at_us)
        window.add(slot_at(at_us, WINDOW_S), Decimal("0.1"))
    assert len(window.slots) == SLOTS + 1
    assert window.used(2_000 * SLOT_US - 1) == Decimal("0.2") * (SLOTS + 1)


def test_a_window_is_the_same_when_read_back() -> None:
    """The total is that of its slots, in whatever order they are read."""
    window = Window(WINDOW_S, {3: Decimal(3), 1: Decimal(1), 2: Decimal(2)})
    assert window.used(2 * SLOT_US) == 6
    assert window.used((SLOTS + 2) * SLOT_US) == 5


def test_a_question_about_a_later_time_forgets_nothing() -> None:
    """What a clock that jumped ahead no longer counts still counts when the clock is set back."""
    window = Window(WINDOW_S, {3: Decimal(3)})
    assert window.used(1_000 * SLOT_US) == 0
    assert window.used(3 * SLOT_US) == 3


def test_amounts_of_earlier_slots_may_come_later() -> None:
    """The oldest slot leaves first, in whatever order the charges came."""
    window = Window(WINDOW_S, {})
    for slot in (5, 3, 4):
        window.add(slot, Decimal(slot))
    assert window.used((SLOTS + 4) * SLOT_US) == 9
    window.drop_old((SLOTS + 4) * SLOT_US)
    assert list(window.slots) == [4, 5]
