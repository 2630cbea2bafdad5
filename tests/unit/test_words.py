"""One word for one idea: CONTRIBUTING.md's list of words, and those not to use."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.harness.sources import MODULES, ROOT, name_of, nodes_of, text_of

LIST = text_of(ROOT / "CONTRIBUTING.md").partition("\n## Words\n")[2]
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]*)\|$", LIST, re.M)[2:]

CODE = [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "deploy").rglob("*.*")])


def avoided() -> Iterator[tuple[str, str]]:
    """Each word not to use, with what it must not be: ``anything``, a ``method``, a ``parameter`` or a ``class``."""
    for _, _, cell in ROWS:
        kind = cell.rpartition(" as a ")[2].strip() if " as a " in cell else "anything"
        yield from ((word, kind) for word in re.findall(r"`([^`]+)`", cell))


ANYWHERE = [word for word, kind in avoided() if kind == "anything"]
UNWANTED = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, ANYWHERE))})(?![\w-])")
NAMES = {(word, kind) for word, kind in avoided() if kind != "anything"}


def defined(path: Path) -> Iterator[tuple[str, str]]:
    """Every class, method and parameter that a file defines, with which of these it is."""
    for node in nodes_of(path):
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


def test_no_word_of_the_list_is_used() -> None:
    """No word of the list stands in code, comments, messages or pages."""
    others = [path for path in (*CODE, *PAGES) if path != Path(__file__)]
    found = {name_of(path): UNWANTED.findall(text_of(path)) for path in others}
    assert {name: words for name, words in found.items() if words} == {}


def test_nothing_is_named_by_a_word_of_the_list() -> None:
    """No class, method or parameter of the package has a name that is not for it."""
    found = {name_of(path): set(defined(path)) & NAMES for path in MODULES}
    assert {name: names for name, names in found.items() if names} == {}


INVERTED = re.compile(
    r"(?:And|Also|As|But|Nor|Of|Or|So|That|Its|Their|It|By|At the|In the|With) "
    r"(?!most |least |same |file )"
)


def texts_of(path: Path) -> Iterator[str]:
    """The docstrings of a file, those behind names of a module or class too."""
    for node in nodes_of(path):
        for one in (
            node.body if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) else []
        ):
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str):
                yield one.value.value


def test_a_docstring_begins_with_its_verb_or_its_noun() -> None:
    """It does not begin in the middle of a sentence, nor with what the sentence is not about."""
    texts = ((name_of(path), text) for path in MODULES for text in texts_of(path))
    assert [(name, text.partition("\n")[0]) for name, text in texts if INVERTED.match(text)] == []
