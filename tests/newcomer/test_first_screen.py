"""A new user types what the first screen of README.md shows, on a machine that has never seen signer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.newcomer.machine import Machine
from tests.newcomer.readme import first_screen
from tests.newcomer.terminal import Terminal

pytestmark = pytest.mark.timeout(400)


def test_the_first_screen(tmp_path: Path) -> None:
    """`make demo` sets itself up from nothing but Python, make and gcc, and tells the whole story."""
    machine = Machine.with_compiler(tmp_path)
    demo, test = first_screen()
    assert (demo, test) == ("make demo", "make test")  # this is part of the second
    with Terminal(machine.source, machine.environment(), {}) as terminal:
        assert "everything went as it should" in terminal.run(demo)
