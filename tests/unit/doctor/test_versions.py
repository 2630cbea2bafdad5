"""What runs here, and whether it is what was tested."""

from __future__ import annotations

from datetime import date
from importlib import metadata
from pathlib import Path

import pytest

from signer.doctor.versions import CHECKOUT, examine, locked, python
from tests.unit.doctor.looking import only, said


@pytest.mark.parametrize(
    ("version", "today", "weight"),
    [
        ((3, 10), date(2026, 1, 1), "error"),
        ((3, 11), date(2027, 10, 31), "fine"),
        ((3, 11), date(2027, 11, 1), "warning"),
        ((3, 14), date(2027, 11, 1), "fine"),
    ],
)
def test_python_is_supported_for_five_years(version: tuple[int, int], today: date, weight: str) -> None:
    """The end of support follows from the rule of PEP 602, so that no date here goes stale."""
    assert only(python(version, today)).weight == weight


def test_a_package_that_is_not_as_locked(tmp_path: Path) -> None:
    """Named with both versions; a package that is not installed is none."""
    there = metadata.version("click")
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"click=={there} \\\n    --hash=x\nnot-here==1.0 \\\n")
    assert said(locked(tmp_path)) == []
    lock.write_text("click==0.1 \\\n    --hash=x\n")
    assert f"click {there} (locked: 0.1)" in only(locked(tmp_path)).what
    assert list(locked(tmp_path / "nowhere")) == []


def test_this_checkout_is_as_locked() -> None:
    """The environment that the Makefile makes is one of the locks."""
    assert said(locked(CHECKOUT)) == []
    assert any("SQLite" in finding.what for finding in examine(date(2026, 11, 23)))
