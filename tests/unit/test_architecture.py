"""docs/architecture.md shows the rooms and floors that there are."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.test_layers import FLOORS

PAGE = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text(encoding="utf-8")


def test_the_table_has_each_room_on_its_floor() -> None:
    """The table has a row for each room of the layer test, and no other."""
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| [^|]+ \|$", PAGE, re.M)
    assert {room: int(floor) for floor, room in rows} == FLOORS
    assert len(rows) == len(FLOORS)


def test_the_diagram_has_each_room_on_its_floor() -> None:
    """A box for each floor, from the top down, with the rooms that stand on it."""
    boxes = re.findall(r'subgraph f(\d+)\["floor \1"\]\n +direction LR\n(.*?)\n    end', PAGE, re.S)
    assert {room: int(floor) for floor, rooms in boxes for room in rooms.split()} == FLOORS
    drawn = re.search(r"^    (f\d+(?: --> f\d+)+)$", PAGE, re.M)
    assert drawn
    assert drawn[1].split(" --> ") == [f"f{floor}" for floor in sorted(set(FLOORS.values()), reverse=True)]


def test_the_files_to_look_at_exist() -> None:
    """Each path of the package that the page names is there."""
    named = re.findall(r"`(signer/[\w/.]*)`", PAGE)
    assert named
    assert all((Path(__file__).parents[2] / name).exists() for name in named)
