"""One word for one idea: CONTRIBUTING.md's list of words, and those not to use."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIST = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("\n## Words\n")[2]
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]*)\|$", LIST, re.M)[2:]

CODE = sorted([*(ROOT / "signer").rglob("*.py"), *(ROOT / "tests").rglob("*.py")])
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").rglob("*.*")])


def avoided() -> Iterator[tuple[str, str]]:
    """Each word not to use, with what it must not be: ``anything``, a ``method``, a ``parameter`` or a ``class``."""
    for _, _, cell in ROWS:
        kind = cell.rpartition(" as a ")[2].strip() if " as a " in cell else "anything"
        yield from ((word, kind) for word in re.findall(r"`([^`]+)`", cell))


ANYWHERE = [word for word, kind in avoided() if kind == "anything"]
UNWANTED = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, ANYWHERE))})(?![\w-])")
NAMES = {(word, kind) for word, kind in avoided() if kind != "anything"}


def defined(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Every class, method and parameter that a file defines, with which of these it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name, "class"
            yield from ((one.name, "method") for one in node.body if isinstance(one, ast.FunctionDef))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            yield from ((one.arg, "parameter") for one in [*given.posonlyargs, *given.args, *given.kwonlyargs])


def test_the_list_is_understood() -> None:
    """Each kind of word is found in the table."""
    assert {"mend", "sealed_by", "keys forget"} <= set(ANYWHERE)
    assert {("picture", "method"), ("most", "parameter"), ("Standing", "class"), ("Asked", "class")} <= NAMES


@pytest.mark.parametrize("path", [*CODE, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_no_word_of_the_list_is_used(path: Path) -> None:
    """No word of the list stands in code, comments, messages or pages."""
    if path == Path(__file__):
        return
    text = path.read_text(encoding="utf-8")
    assert UNWANTED.findall(text) == []
    if path.is_relative_to(ROOT / "signer"):
        assert set(defined(ast.parse(text))) & NAMES == set()


INVERTED = re.compile(
    r"(?:And|Also|As|But|Nor|Of|Or|So|That|Its|Their|It|By|At the|In the|With) "
    r"(?!most |least |same |file )"
)


def texts_of(path: Path) -> Iterator[str]:
    """The docstrings of a file, those behind names of a module or class too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for one in (
            node.body if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) else []
        ):
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str):
                yield one.value.value


@pytest.mark.parametrize("path", sorted((ROOT / "signer").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_docstring_begins_with_its_verb_or_its_noun(path: Path) -> None:
    """It does not begin in the middle of a sentence, nor with what the sentence is not about."""
    assert [text.partition("\n")[0] for text in texts_of(path) if INVERTED.match(text)] == []
