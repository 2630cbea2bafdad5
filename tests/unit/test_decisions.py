"""docs/decisions.md: one dated entry each, in lines that fit a screen."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "decisions.md").read_text(encoding="utf-8")
ENTRY = re.compile(r"(\d{4}-\d\d-\d\d)\. \*\*[^*]")


def entries() -> list[str]:
    """The paragraphs whose first words are bold, with or without a date."""
    return [block for block in PAGE.split("\n\n") if re.match(r"(\S+ )?\*\*", block)]


def test_no_line_is_longer_than_120_characters() -> None:
    """No line is longer, in tables too."""
    assert not [line for line in PAGE.splitlines() if len(line) > 120]


def test_every_entry_begins_with_its_day() -> None:
    """An entry reads `2026-11-27. **What was decided.** Why.`"""
    assert len(entries()) > 80
    for entry in entries():
        day = ENTRY.match(entry)
        assert day, entry
        assert date(2026, 11, 23) <= date.fromisoformat(day[1])
