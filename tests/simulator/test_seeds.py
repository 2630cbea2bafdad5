"""Thousands of seeds of concurrent calls with faults; ``SIGNER_SIMULATOR_SEEDS=5000`` runs so many, or ``7000-7100``.

A failing seed is named, and replays exactly.
"""

from __future__ import annotations

import os

import pytest

from tests.simulator.simulation import random_simulation

SEEDS = os.environ.get("SIGNER_SIMULATOR_SEEDS", "120")
FIRST, LAST = (int(number) for number in (SEEDS if "-" in SEEDS else f"0-{SEEDS}").split("-"))
AT_ONCE = 20


@pytest.mark.parametrize("first", range(FIRST, LAST, AT_ONCE))
def test_any_schedule_with_any_faults(first: int) -> None:
    """Bots at work on two accounts, a venue, disks and a clock that fail, crashes in a row: all comes right."""
    for seed in range(first, min(first + AT_ONCE, LAST)):
        replay(seed)


def replay(seed: int) -> int:
    """Simulate one seed; return the digest of all that happened."""
    try:
        return random_simulation(seed)
    except AssertionError as error:
        how = f"SIGNER_SIMULATOR_SEEDS={seed}-{seed + 1} python -m pytest tests/simulator/test_seeds.py"
        raise AssertionError(f"seed {seed}: {error}\nreplay: {how}") from error


@pytest.mark.parametrize("seed", range(4))
def test_a_seed_replays_exactly(seed: int) -> None:
    """The same seed gives the same run, step by step."""
    assert replay(seed) == replay(seed)
