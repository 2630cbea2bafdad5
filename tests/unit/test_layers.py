"""Imports point down only (docs of the rooms: each folder's first line)."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from tests.harness.sources import MODULES, nodes_of, text_of
from tests.harness.sources import PACKAGE as ROOT

TESTS = Path(__file__).parent
FLOORS: dict[str, int] = {
    "model": 0,
    "errors": 1,
    **dict.fromkeys(("secret", "findings", "home", "upstream", "book"), 2),
    **dict.fromkeys(("policy", "contracts", "tls"), 3),
    **dict.fromkeys(("lanes", "venues", "offload"), 4),
    "gateway": 5,
    **dict.fromkeys(("ledger", "audit", "keys", "keycheck", "market"), 6),
    "serving": 7,
    **dict.fromkeys(("operator", "doctor", "sandbox"), 8),
    "cli": 9,
}
"""Each room's floor. No room imports another of its own floor."""

THIRD_PARTY: dict[str, set[str]] = {
    "click": {"cli"},
    "rich": {"cli"},
    "flask": {"sandbox"},
    "werkzeug": {"sandbox"},
    "gunicorn": {"serving", "sandbox"},
    "uvloop": {"serving"},
    "prometheus_client": {"serving"},
    "httptools": {"upstream"},
    "orjson": {"audit", "ledger"},
    "hvac": {"keys", "doctor"},
    "pkcs11": {"keys", "doctor"},
    "typing_extensions": {"*"},
    "requests": {"keys", "doctor", "sandbox"},
    "cryptography": {"secret", "keys", "tls", "serving", "doctor", "cli"},
    "pydantic": {"home", "policy", "book", "keys", "sandbox"},
    "pydantic_core": {"home", "policy"},
    "krakenex": {"cli"},
}
"""The rooms that may import a package that is not ours, ``*`` for all. A new one is entered here on purpose."""

LOOSE = {"errors", "findings", "secret"}
"""The files that stand in no folder."""

ENTRIES = {"__init__.py", "__main__.py"}
"""What makes the package one, and runs it."""

PURE = {"model", "book", "errors", "secret", "findings", "policy", "contracts"}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "core", "base", "manager", "service"}
SOCKETS_AND_CLOCKS = {"socket", "ssl", "time", "random", "sqlite3", "subprocess", "threading"}


def modules() -> list[Path]:
    """Every file of the package."""
    return [path for path in MODULES if path.parent != ROOT or path.name not in ENTRIES]


def place(path: Path) -> str:
    """The first name below ``signer`` that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


@cache
def imported(path: Path) -> Sequence[str]:
    """Every module that a file imports, wherever in the file."""
    names: list[str] = []
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            names += (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += (f"{node.module}.{alias.name}" for alias in node.names)
    return names


def imports(room: str) -> Iterator[tuple[Path, str]]:
    """Each file of a room, with each module that it imports."""
    return ((path, name) for path in modules() if place(path) == room for name in imported(path))


@pytest.mark.parametrize("here", FLOORS)
def test_imports_point_down_only(here: str) -> None:
    """The files of a room import rooms of lower floors only, and packages that the room may use."""
    for path, name in imports(here):
        top, *below = name.split(".")
        if top != "signer":
            assert top in sys.stdlib_module_names or THIRD_PARTY[top] & {here, "*"}, f"{path} imports {name}"
            continue
        there = below[0] if below else here
        if there not in {"__version__", here}:
            assert FLOORS[there] < FLOORS[here], f"{path} imports {name}, which does not lie below it"
            assert here != "sandbox" or FLOORS[there] <= 1, f"{path}: the referee shares no code with the player"


def test_the_lower_floors_are_pure() -> None:
    """Rooms that only decide open no sockets and read no clock."""
    names = (found for room in PURE for found in imports(room))
    assert [(path, name) for path, name in names if name.split(".")[0] in SOCKETS_AND_CLOCKS] == []


def test_nothing_stands_loose() -> None:
    """Each file has a room, but for the few that every room knows; each room has a floor."""
    assert {path.stem for path in ROOT.glob("*.py") if path.name not in ENTRIES} == LOOSE
    rooms = {path.name for path in ROOT.iterdir() if (path / "__init__.py").exists()} | LOOSE
    assert rooms == FLOORS.keys()


def test_the_house_is_small() -> None:
    """There are at most ten floors and twenty-five rooms."""
    assert len(set(FLOORS.values())) <= 10
    assert len(FLOORS) <= 25


def test_files_and_functions_are_short() -> None:
    """No file has more than 400 lines, and no function more than 40, from its ``def`` to its last line."""
    assert [path for path in modules() if len(text_of(path).splitlines()) > 400] == []
    long = [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in modules()
        for node in nodes_of(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 40
    ]
    assert long == []


def test_each_room_states_its_rule() -> None:
    """The README of each room has at most six lines."""
    rooms = [path for path in ROOT.iterdir() if (path / "__init__.py").exists()]
    assert [room.name for room in rooms if len((room / "README.md").read_text("utf-8").splitlines()) > 6] == []


def test_no_module_is_named_for_nothing() -> None:
    """A name that says nothing collects everything."""
    names = {part.removesuffix(".py") for path in modules() for part in path.relative_to(ROOT).parts}
    assert not names & FORBIDDEN_NAMES


def test_unit_tests_mirror_the_rooms() -> None:
    """Each folder of unit tests has the name of the folder that it tests."""
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py")}
    assert all((ROOT / folder).is_dir() for folder in folders), folders


def test_no_two_classes_share_a_name() -> None:
    """A class is known by its name alone, wherever it stands; a contract and what implements it have two names."""
    places = [
        (node.name, str(path.relative_to(ROOT)))
        for path in MODULES
        for node in nodes_of(path)
        if isinstance(node, ast.ClassDef)
    ]
    counts = Counter(name for name, _ in places)
    assert [(name, place) for name, place in sorted(places) if counts[name] > 1] == []


OPENED_IN = {"SqliteMarks": "ledger", "FileJournal": "audit", "Account": "gateway", "Gateway": "serving"}
"""The only room that constructs each: others call ``open_marks``, ``open_journal``, ``open_account``."""


def test_there_is_one_composition_root() -> None:
    """Each backend is constructed in one room."""
    made = {
        (node.func.id, place(path))
        for path in modules()
        for node in nodes_of(path)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in OPENED_IN
    }
    assert made == set(OPENED_IN.items())
