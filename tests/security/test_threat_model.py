"""What docs/threat-model.md says is proven is proven by a test that exists, and so is each line of *Must hold*."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODEL = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"tests/[\w/]+\.py", MODEL)))
MUST_HOLD = re.compile(r"\*Must hold\*\s+(\d(?:(?:,| and| to)\s+\d)*)")


def documented(path: Path) -> Iterator[str]:
    """Docstrings of a test file that has tests, and of its tests."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""


@pytest.mark.parametrize("name", NAMED)
def test_each_test_that_the_threat_model_names_exists(name: str) -> None:
    """And has tests in it."""
    assert re.search(r"^(?:async )?def test_", (ROOT / name).read_text(encoding="utf-8"), re.M)


def test_every_security_test_is_named_by_the_threat_model() -> None:
    """A threat that is tested is one that readers should know of."""
    files = {f"tests/security/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    assert files <= set(NAMED)


@pytest.mark.parametrize("number", range(1, 10))
def test_each_line_of_must_hold_is_named_by_a_test(number: int) -> None:
    """By its number, in the docstring of a test or of its file."""
    found = [
        path
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for text in documented(path)
        for listed in MUST_HOLD.findall(text)
        if str(number) in re.findall(r"\d", listed)
    ]
    assert found
