"""docs/limits.md: each bound has the value that the program has, and none is missing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fractions import Fraction

import pytest

from tests.harness.sources import MODULES, PACKAGE, ROOT, text_of, tree_of

PAGE = text_of(ROOT / "docs" / "limits.md")
ROW = re.compile(r"^\| [^|]+ \| ([^|]+) \| `([\w.]+)` \| [^|]+ \|$", re.M)

UNITS: dict[str, int | Fraction] = {
    "B": 1, "KiB": 2**10, "MiB": 2**20, "%": Fraction(1, 100), "": 1,
    "ms": Fraction(1, 1000), "s": 1, "min": 60, "h": 3600, "days": 86400,
}  # fmt: skip
"""What one of a unit counts, in bytes and in seconds."""

NO_BOUND = re.compile(
    r"(?:[\w.]+\.)?(?:VERSION|CONFIG_VERSION|MIB|DAY_US|DAY_S|SECOND_US|KEEP_SIZE|PR_SET_DUMPABLE|MCL_\w+"
    r"|(SALT|KEY|SEED|PASSPHRASE|API_KEY|DATA_KEY|NONCE|TAG|SECRET|SIGNATURE)_BYTES|CLOCK_DIGITS|TEN_DIGITS_US|_LARGEST_IN_SECONDS"
    r"|CANNOT|NOT_ALL|BAD_SETTING|WIDE)|gateway.snapshot.AT_ONCE|venues.kraken.key_info.LAST_S"
)
"""Numbers that bound nothing: versions, the kernel's and cryptography's own, units, exit statuses."""


def constants() -> Iterator[tuple[str, str, float]]:
    """Every number that a module of the gateway gives a name: module, name and value."""
    for path in MODULES:
        module = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        if not module.startswith("sandbox"):
            yield from ((module, name, value) for name, value in numbers(tree_of(path)))


def numbers(tree: ast.Module) -> Iterator[tuple[str, float]]:
    """The names at a module's top that stand for a number, with it."""
    known: dict[str, object] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            names, value = ast.unparse(target).strip("()").split(", "), evaluated(node.value, known)
            for name, one in zip(names, value if isinstance(value, tuple) and len(names) > 1 else [value], strict=True):
                known[name] = one
                if isinstance(one, int | float) and not isinstance(one, bool):
                    yield name, one


def evaluated(node: ast.expr, known: dict[str, object]) -> object:
    """The value of an expression of numbers and of names before it; None of any other."""
    try:
        return eval(compile(ast.Expression(node), "", "eval"), {"__builtins__": {}}, known)  # noqa: S307 our own source
    except Exception:
        return None


def documented() -> dict[str, float]:
    """The page's value of each constant, in bytes, seconds or as it stands."""
    return {name: stated(value) for value, name in ROW.findall(PAGE)}


def stated(text: str) -> float:
    """The number that a text of the page means: ``64 KiB``, ``1/6``, ``2^64``."""
    number, _, unit = text.replace(",", "").partition(" ")
    base, _, power = number.partition("^")
    return float(Fraction(base) ** int(power or 1) * UNITS[unit])


def in_seconds(name: str, value: float) -> float:
    """A constant whose name ends in microseconds, in seconds; any other as it is."""
    return value / 1_000_000 if name.endswith("_US") else value


CONSTANTS = [found for found in constants() if not NO_BOUND.fullmatch(f"{found[0]}.{found[1]}")]


def test_each_value_is_the_programs() -> None:
    """The page names one constant, by its folder or its file, and says its value."""
    for name, value in documented().items():
        room, _, last = name.rpartition(".")
        found = [one for module, known, one in CONSTANTS if known == last and f"{module}.".startswith(f"{room}.")]
        assert [in_seconds(last, one) for one in found] == [pytest.approx(value)], name


def test_no_bound_is_missing() -> None:
    """Each constant is on the page, unless it bounds nothing."""
    rows = documented()
    places = {
        f"{module}.{name}": [f"{module.partition('.')[0]}.{name}", f"{module}.{name}"] for module, name, _ in CONSTANTS
    }
    assert not [place for place, names in places.items() if not rows.keys() & set(names)]


def test_a_wrong_value_is_told() -> None:
    """The units mean what they say."""
    texts = ["64 KiB", "1/6", "2^64", "1.1 ms", "90 days", "5,000", "0.002 %"]
    values = [65536, 1 / 6, 2**64, 0.0011, 7776000, 5000, 2e-5]
    assert [stated(text) for text in texts] == pytest.approx(values)
