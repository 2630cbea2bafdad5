"""Which Argon2id parameters a file may ask for."""

from __future__ import annotations

import pytest

from signer.errors import KeyStoreError
from signer.keys import argon
from signer.keys.argon import FIRST_CHOICE, INSECURE_TESTS_ONLY, KEY_BYTES, SECOND_CHOICE, Profile


def _profile(iterations: int = 3, lanes: int = 4, memory_kib: int = 65536, name: str = "own") -> Profile:
    return Profile(name=name, algorithm="argon2id", iterations=iterations, lanes=lanes, memory_kib=memory_kib)


@pytest.mark.parametrize("profile", [SECOND_CHOICE, FIRST_CHOICE, _profile(4, 8, 131072)])
def test_rfc_9106_and_stronger_is_accepted(profile: Profile) -> None:
    """Both choices of RFC 9106, and more than them, may be used."""
    argon.require_fit(profile, where="keys.json")


@pytest.mark.parametrize(
    "profile",
    [
        _profile(iterations=2),
        _profile(lanes=3),
        _profile(memory_kib=65535),
        _profile(iterations=0),
        _profile(iterations=1, memory_kib=2 * 1024 * 1024 - 1),
        _profile(1, 1, 8, name="renamed-test-profile"),
    ],
)
def test_weaker_than_rfc_9106_is_refused(profile: Profile) -> None:
    """One parameter below is enough for a refusal, whatever the profile is called."""
    with pytest.raises(KeyStoreError, match="weaker than RFC 9106"):
        argon.require_fit(profile, where="keys.json", allow_test_profile=True)


@pytest.mark.parametrize(
    "profile", [_profile(iterations=17), _profile(lanes=17), _profile(memory_kib=2**30), _profile(iterations=2**62)]
)
def test_more_than_a_machine_can_bear_is_refused(profile: Profile) -> None:
    """A hostile file cannot have us allocate a terabyte or compute for a day."""
    with pytest.raises(KeyStoreError, match="ask for more than"):
        argon.require_fit(profile, where="keys.json")


def test_the_test_profile_needs_leave() -> None:
    """The profile that protects nothing is refused unless it is allowed by name."""
    argon.require_fit(INSECURE_TESTS_ONLY, where="keys.json", allow_test_profile=True)
    with pytest.raises(KeyStoreError, match="protects nothing"):
        argon.require_fit(INSECURE_TESTS_ONLY, where="keys.json")


def test_the_test_profile_has_our_parameters_only() -> None:
    """The name of the test profile opens no way around the bounds."""
    hostile = _profile(1, 1, 2**40, name=INSECURE_TESTS_ONLY.name)
    with pytest.raises(KeyStoreError, match="other parameters"):
        argon.require_fit(hostile, where="keys.json", allow_test_profile=True)


def test_a_machine_without_the_memory_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Running out of memory is an error with a hint, not a traceback."""

    class Starved:
        def __init__(self, **parameters: object) -> None: ...

        def derive_into(self, passphrase: bytes, keys: bytearray) -> int:
            raise MemoryError

    monkeypatch.setattr(argon, "Argon2id", Starved)
    with pytest.raises(KeyStoreError, match="2048 MiB of memory"):
        argon.derive(FIRST_CHOICE, b"0" * 16, b"passphrase", where="keys.json")


def test_the_default_profile_derives_both_keys() -> None:
    """RFC 9106's second choice gives enough bytes for both keys, and others for another salt."""
    one = argon.derive(SECOND_CHOICE, b"0" * 16, b"passphrase", where="keys.json")
    other = argon.derive(SECOND_CHOICE, b"1" * 16, b"passphrase", where="keys.json")
    assert len(one) == len(other) == KEY_BYTES
    assert one != other
