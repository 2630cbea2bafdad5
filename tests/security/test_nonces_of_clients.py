"""Threat: a call of a client is sent again after a restart; and its price: a client that its own nonces lock out.

The units of time that a client counts in are apart, and in none of them a nonce that was used is accepted again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from signer.client_nonces import FORGIVEN, MOST_WINDOWS, ClientNonces, name_of
from signer.errors import NotAuthentic

NOW_US = 1_795_000_000_123_456
NAME = name_of("bot", "abcd")
UNITS: Mapping[str, int] = {
    "seconds": NOW_US // 1_000_000,
    "milliseconds since 2020": NOW_US // 1000 - 1_577_836_800_000,
    "milliseconds": NOW_US // 1000,
    "microseconds": NOW_US,
    "tens of nanoseconds": NOW_US * 100,
    "nanoseconds": NOW_US * 1000,
    "the highest": 2**64 - 1,
}


class Life:
    """The nonces of one client through restarts, with all that a ledger keeps of them."""

    def __init__(self, *, strict: bool = False) -> None:
        self.marks: dict[str, int] = {}
        self._strict = strict
        self.restart()

    def restart(self) -> None:
        self.nonces = ClientNonces(NAME, dict(self.marks), strict=self._strict)

    def forgive(self) -> None:
        """As `signer clients forgive` does beside a gateway."""
        self.marks[f"{NAME}/{FORGIVEN}"] = max(self.marks.values())
        self.nonces.forgive(self.marks)

    def accepted(self, nonce: int, signature: bytes = b"s") -> bool:
        """Whether a call passes, its mark stored first."""
        try:
            self.nonces.accept(nonce, signature)
        except NotAuthentic:
            return False
        wanted = self.nonces.mark_for(nonce, NOW_US)
        if wanted is not None:
            self.marks[wanted[0]] = max(wanted[1], self.marks.get(wanted[0], 0))
            self.nonces.stored(nonce, wanted[1])
        return True


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit != "the highest"])
@pytest.mark.parametrize("larger", ["nanoseconds", "the highest", "tens of nanoseconds"])
def test_a_nonce_in_a_larger_unit_locks_nobody_out(unit: str, larger: str) -> None:
    """Before and after a restart the client goes on in its usual unit."""
    life = Life()
    assert life.accepted(UNITS[unit])
    if UNITS[larger] > UNITS[unit]:
        assert life.accepted(UNITS[larger])
    assert life.accepted(UNITS[unit] + 1)
    life.restart()
    per_second = UNITS[unit] // (NOW_US // 1_000_000)
    assert life.accepted(UNITS[unit] + 3 * max(per_second, 1) + 1)


def _as_it_is(_: Life) -> None:
    """Nothing happens."""


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("between", [_as_it_is, Life.restart, Life.forgive], ids=["at once", "restarted", "forgiven"])
def test_no_call_is_accepted_twice(between: Callable[[Life], None], strict: bool) -> None:
    """Whatever units it has used in which order, and however it was forgiven and restarted meanwhile."""
    life = Life(strict=strict)
    used = [nonce for nonce in sorted(UNITS.values()) if life.accepted(nonce)]
    assert used == sorted(UNITS.values())
    between(life)
    assert not any(life.accepted(nonce) for nonce in used)
    life.forgive()
    life.restart()
    assert not any(life.accepted(nonce) for nonce in used)


def test_a_strict_client_is_forgiven_a_larger_unit() -> None:
    """Kraken's own rule shuts its usual unit; forgiven, it counts on from where it was, also after a restart."""
    life = Life(strict=True)
    ms = UNITS["milliseconds"]
    assert life.accepted(ms)
    assert life.accepted(UNITS["nanoseconds"])
    assert not life.accepted(ms + 5000)
    life.forgive()
    assert not life.accepted(ms)
    assert life.accepted(ms + 5000)
    assert not life.accepted(ms + 4999)
    life.restart()
    assert not life.accepted(ms + 5000)
    assert life.accepted(ms + 10_000)
    assert not life.accepted(UNITS["nanoseconds"])


def test_units_beyond_the_remembered_ones_stay_shut_below_their_highest() -> None:
    """Memory is bounded: of a unit that was not used lately everything up to its highest counts as used."""
    life = Life()
    numbers = [10**digits for digits in range(10, 10 + MOST_WINDOWS + 2)]
    assert all(life.accepted(number + 50) for number in numbers)
    assert not life.accepted(numbers[0] + 49, b"another call")
    assert life.accepted(numbers[0] + 51)
    assert not life.accepted(numbers[0] + 50)
