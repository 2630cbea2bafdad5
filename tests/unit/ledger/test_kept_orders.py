"""Closed orders in the checkpoint's file: which ones a name answers, at what cost, and for how long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from signer.book.questions import NEWEST_CLOSED
from signer.book.rows import Row
from signer.errors import LedgerError
from signer.ledger import checkpoint
from signer.ledger.book_format import BOOK
from signer.ledger.checkpoint import BookFile
from signer.ledger.kept_orders import KEPT_US, KeptOrders
from signer.model import OrderRef, PlacedOrder
from tests.unit.ledger.books import changes, placed, store
from tests.unit.ledger.calls import START_US, order

TAG = OrderRef("client-tag", "7")


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> Iterator[BookFile]:
    file = BookFile(tmp_path / "book.db")
    file.load()
    yield file
    file.close()


def names(orders: Sequence[PlacedOrder]) -> Sequence[str]:
    """The venue ids of orders."""
    return [one.venue_id for one in orders]


def test_a_closed_order_reads_back_as_it_was(file: BookFile) -> None:
    """By each of its names, to the last zero of an amount, with the client that placed it."""
    fields = {"client_tag": "7", "client_id": "ä", "flags": frozenset({"fciq"}), "attached": (order(side="sell"),)}
    store(file, changes(placed("A", closed=True, client="bot", at_us=START_US + 3, **fields)))
    refs: Sequence[OrderRef] = (OrderRef("venue-id", "A"), TAG, OrderRef("client-id", "ä"))
    one = PlacedOrder("main", "bot", "A", order(**fields), START_US + 3, closed=True)
    assert [file.closed("main", ref) for ref in refs] == [[one]] * 3
    assert [file.closed("other", ref) for ref in refs] == [[]] * 3


def test_a_name_answers_the_newest_of_each_client(file: BookFile) -> None:
    """A client that gives all its orders one tag hides nobody's order; open ones are found in memory and not here."""
    many = [placed(f"A{n}", closed=True, client_tag="7", at_us=START_US + n) for n in range(NEWEST_CLOSED + 2)]
    other = placed("OTHER", closed=True, client="other", client_tag="7", at_us=START_US - 1)
    store(file, changes(*many, other, placed("OPEN", client_tag="7"), placed("B", closed=True, client_tag="8")))
    assert names(file.closed("main", TAG)) == [f"A{n}" for n in range(NEWEST_CLOSED + 1, 1, -1)] + ["OTHER"]


def test_a_look_up_costs_the_same_however_many_orders_are_kept(file: BookFile, tmp_path: Path) -> None:
    """Each question is answered by an index: its work, counted in steps of SQLite's machine, stays the same."""
    refs = (TAG, OrderRef("client-id", "s5"), OrderRef("venue-id", "A5"), OrderRef("client-id", "none"))
    costs = []
    for count in (1_000, 10_000):
        store(file, changes(*(_numbered(number) for number in range(count)), seq=count))
        costs.append([_cost(tmp_path / "book.db", ref) for ref in refs])
    assert costs[0] == costs[1]


def _numbered(number: int) -> Row:
    tag, client = str(number % 10), f"bot-{number % 3}"
    return placed(f"A{number}", closed=True, client=client, client_tag=tag, client_id=f"s{number}")


def _cost(path: Path, ref: OrderRef) -> int:
    db = BOOK.connect_to_read(path)
    assert db is not None
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    db.set_progress_handler(count, 1)
    KeptOrders(path, db).closed("main", ref)
    db.close()
    return steps


def test_closed_orders_are_forgotten_after_90_days(file: BookFile) -> None:
    """An order that may be open stays however old it is, and so does a closed one that is younger."""
    old = [placed(f"OLD{number}", closed=True) for number in range(50)]
    store(file, changes(*old, placed("OPEN"), placed("YOUNG", closed=True, at_us=START_US + 1)))
    store(file, changes(seq=2, now_us=START_US + KEPT_US + 1))
    assert names(file.closed_among("main", [*(f"OLD{number}" for number in range(50)), "YOUNG"])) == ["YOUNG"]
    loaded = file.load()
    assert loaded is not None
    assert [venue_id for _, venue_id in loaded[0].orders] == ["OPEN"]


def test_a_checkpoint_forgets_a_bounded_number(file: BookFile, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long pause is made up for over several checkpoints, faster than new orders come."""
    monkeypatch.setattr(checkpoint, "OLD_AT_ONCE", 40)
    ids = [f"OLD{number}" for number in range(100)]
    store(file, changes(*(placed(name, closed=True) for name in ids)))
    left = []
    for seq in range(2, 5):
        store(file, changes(seq=seq, now_us=START_US + KEPT_US + 1))
        left.append(len(file.closed_among("main", ids)))
    assert left == [60, 20, 0]


def test_a_damaged_order_is_an_error_and_not_unknown(file: BookFile, tmp_path: Path) -> None:
    """The hint is true for a gateway that runs: the file may be deleted when it has stopped."""
    store(file, changes(placed("A", closed=True, client_tag="7")))
    db = BOOK.connect(tmp_path / "book.db")
    db.execute("UPDATE orders SET document = x'7b7d'")
    db.close()
    for ref in (TAG, OrderRef("venue-id", "A")):
        with pytest.raises(LedgerError, match=r"book\.db: the checkpoint is damaged; stop the gateway and delete"):
            file.closed("main", ref)
