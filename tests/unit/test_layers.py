"""Imports point down only (design.md, *Layers*)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "signer"
LAYERS: dict[str, int] = {
    **dict.fromkeys(
        ("errors", "secret", "model", "intents", "sightings", "contracts", "hints", "allowances", "quiet", "room"), 0
    ),
    **dict.fromkeys(("policy", "venues", "config", "home", "batches", "replay", "listen", "findings"), 1),
    **dict.fromkeys(("strict", "store_config", "limits", "one_source", "client_nonces", "held"), 1),
    **dict.fromkeys(("keys", "ledger", "audit", "lanes", "upstream", "market", "metrics"), 2),
    **dict.fromkeys(("clock", "worker", "occupancy", "logline", "hardening"), 2),
    **dict.fromkeys(
        (
            "accounts",
            "snapshot",
            "trace",
            "pending",
            "records",
            "venue_time",
            "authenticate",
            "tls",
            "source_rate",
            "places",
        ),
        3,
    ),
    **dict.fromkeys(("gateway", "outcomes", "public", "recovery", "probe", "proving", "standing", "admin", "verbs"), 3),
    **dict.fromkeys(("credential", "hearing", "resuming", "paces", "known_closed"), 3),
    **dict.fromkeys(("prepared", "pools", "stores", "lasting", "wiring", "listing"), 4),
    **dict.fromkeys(("app", "console", "sandbox", "doctor"), 5),
    "escaping": 0,
    **dict.fromkeys(("revoking", "readiness", "store_checks", "background"), 3),
    **dict.fromkeys(("health", "loads"), 4),
    "cli": 6,
    "ended": 0,
    "aiming": 3,
    "cancelling": 3,
    "clearing": 3,
}
SIDEWAYS_IN_LAYER_2 = {"keys", "ledger", "audit", "lanes", "upstream", "market", "metrics", "occupancy", "logline"}
FORBIDDEN_NAMES = {"utils", "helpers", "common", "core", "base", "manager", "service"}
SOCKETS_AND_CLOCKS = {"socket", "ssl", "time", "random", "sqlite3", "subprocess", "threading"}


def modules() -> list[Path]:
    """Every file of the package."""
    return sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT or path.name != "__init__.py")


def place(path: Path) -> str:
    """The first name below ``signer`` that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_down_only(path: Path) -> None:
    """A file imports nothing of a higher layer, and the backends of layer 2 do not know each other."""
    here = place(path)
    for name in imported(path):
        parts = name.split(".")
        if parts[0] != "signer" or len(parts) < 2 or parts[1] in {"__version__", here}:
            continue
        there = parts[1]
        assert LAYERS[there] <= LAYERS[here], f"{path} imports {name}, which lies above it"
        assert not (here in SIDEWAYS_IN_LAYER_2 and there in SIDEWAYS_IN_LAYER_2), f"{path} imports {name} sideways"
        assert not (here == "sandbox" and LAYERS[there] > 0), f"{path}: the referee shares no code with the player"


@pytest.mark.parametrize("path", [path for path in modules() if LAYERS[place(path)] <= 1], ids=str)
def test_the_lower_layers_are_pure(path: Path) -> None:
    """Layers 0 and 1 open no sockets and read no clock."""
    roots = {name.split(".")[0] for name in imported(path)}
    assert not roots & SOCKETS_AND_CLOCKS


def test_no_module_is_named_for_nothing() -> None:
    """A name that says nothing collects everything."""
    names = {part.removesuffix(".py") for path in modules() for part in path.relative_to(ROOT).parts}
    assert not names & FORBIDDEN_NAMES
