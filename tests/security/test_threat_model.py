"""Each proof that docs/threat-model.md names exists, and each line of docs/design.md's *Must hold* has a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"tests/[\w/]+\.py", MODEL)))
MUST_HOLD = re.compile(r"\*Must hold\*\s+(\d+(?:(?:,| and| to)\s+\d+)*)")
LINES = re.search(r"^## Must hold\n+(.*?)^`", (ROOT / "docs" / "design.md").read_text(encoding="utf-8"), re.M | re.S)


def documented(path: Path) -> Iterator[str]:
    """Docstrings of a test file that has tests, and of its tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


@cache
def lines_named() -> frozenset[str]:
    """The numbers of the lines of *Must hold* that docstrings of tests name."""
    texts = (text for path in (ROOT / "tests").rglob("test_*.py") for text in documented(path))
    return frozenset(
        number for text in texts for listed in MUST_HOLD.findall(text) for number in re.findall(r"\d+", listed)
    )


@pytest.mark.parametrize("name", NAMED)
def test_each_test_that_the_threat_model_names_exists(name: str) -> None:
    """The file is there and has tests in it."""
    assert re.search(r"^(?:async )?def test_", (ROOT / name).read_text(encoding="utf-8"), re.M)


def test_every_security_test_is_named_by_the_threat_model() -> None:
    """The threat model names every file of tests/security."""
    files = {f"tests/security/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    assert files <= set(NAMED)


def test_the_lines_of_must_hold_are_numbered() -> None:
    """docs/design.md counts them from 1, so that a number names one line."""
    assert LINES
    assert re.findall(r"^(\d+)\. ", LINES[1], re.M) == [str(number) for number in range(1, 12)]


@pytest.mark.parametrize("number", range(1, 12))
def test_each_line_of_must_hold_is_named_by_a_test(number: int) -> None:
    """The docstring of a test, or of its file, names the line by its number."""
    assert str(number) in lines_named()
