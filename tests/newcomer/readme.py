"""The commands that README.md tells a new user to type."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
OWN_KEY = "## Use it with your real key"


def first_screen() -> list[str]:
    """The commands of the first block, without their comments."""
    return _commands(_text())


def own_key() -> list[str]:
    """The commands of the block on using a real key."""
    return _commands(_own_key())


def said_next() -> list[str]:
    """The commands that the prose of the same section names, in order."""
    prose = re.sub(r"\s+", " ", re.sub(r"^```.*?^```", "", _own_key(), flags=re.M | re.S))
    return re.findall(r"`(signer [^`]+)`", prose)


def _text() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")


def _own_key() -> str:
    return _text().partition(f"{OWN_KEY}\n")[2].partition("\n## ")[0]


def _commands(text: str) -> list[str]:
    block = re.search(r"^```(?:sh)?\n(.*?)^```", text, re.M | re.S)
    assert block is not None
    lines = [line.partition("  #")[0].strip() for line in block[1].splitlines()]
    return [re.sub(r"^(make \w+) .*", r"\1", line) for line in lines if line]
