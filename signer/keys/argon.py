"""Turns a passphrase into keys by Argon2id (RFC 9106), with its parameters kept in the file that the keys open.

The parameters come from a file that an attacker may have written, so both ends are guarded: a file with weaker ones
than RFC 9106 asks for is refused, and so is one that would have us allocate a terabyte or compute for an hour.
"""

from __future__ import annotations

from typing import Annotated, Literal, cast

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from pydantic import Field

from signer.errors import KeyStoreError
from signer.home.checked import Strict

SALT_BYTES = 16
"""RFC 9106 §4."""
KEY_BYTES = 64
"""A 32-byte key-encryption key, then a 32-byte key that authenticates the file as a whole."""
MOST_ITERATIONS = 16
MOST_LANES = 16
MOST_MEMORY_KIB = 4 * 1024 * 1024


class Profile(Strict):
    """A named set of Argon2id parameters, as it stands in the file."""

    name: Annotated[str, Field(pattern="^[a-z0-9-]{1,32}$")]
    algorithm: Literal["argon2id"]
    iterations: int
    lanes: int
    memory_kib: int

    @property
    def for_tests_only(self) -> bool:
        """Whether this is the profile that protects nothing."""
        return self.name == INSECURE_TESTS_ONLY.name


SECOND_CHOICE = Profile(name="rfc9106-second-choice", algorithm="argon2id", iterations=3, lanes=4, memory_kib=64 * 1024)
"""RFC 9106 §4, second recommended option: the default."""
FIRST_CHOICE = Profile(
    name="rfc9106-first-choice", algorithm="argon2id", iterations=1, lanes=4, memory_kib=2 * 1024 * 1024
)
"""RFC 9106 §4, first recommended option, for machines that have 2 GiB to spare at each start."""
INSECURE_TESTS_ONLY = Profile(name="insecure-tests-only", algorithm="argon2id", iterations=1, lanes=1, memory_kib=8)
"""The cheapest Argon2id: any passphrase behind it can be guessed. It is for tests, which open hundreds of stores."""


def require_fit(profile: Profile, *, where: str, allow_test_profile: bool = False) -> None:
    """Raises `KeyStoreError` if ``profile`` is weaker than RFC 9106's two choices, or more than a machine can bear."""
    if profile.for_tests_only:
        _require_test_profile_allowed(profile, where, allow_test_profile)
    elif not any(_as_strong(profile, choice) for choice in (SECOND_CHOICE, FIRST_CHOICE)):
        what = "its Argon2id parameters are weaker than RFC 9106 recommends"
        raise KeyStoreError(what, where=where, hint="restore the file from a backup, or make a new key store")
    elif profile.iterations > MOST_ITERATIONS or profile.lanes > MOST_LANES or profile.memory_kib > MOST_MEMORY_KIB:
        limit = f"{MOST_ITERATIONS} iterations, {MOST_LANES} lanes and {MOST_MEMORY_KIB} KiB"
        what = f"its Argon2id parameters ask for more than {limit}"
        raise KeyStoreError(what, where=where, hint="restore the file from a backup, or make a new key store")


def derive(profile: Profile, salt: bytes, passphrase: bytes | bytearray, *, where: str) -> bytearray:
    """Return the `KEY_BYTES` bytes that ``passphrase`` stands for, to be overwritten by whoever asked.

    Call `require_fit` first. Raises `KeyStoreError`.
    """
    function = Argon2id(
        salt=salt,
        length=KEY_BYTES,
        iterations=profile.iterations,
        lanes=profile.lanes,
        memory_cost=profile.memory_kib,
    )
    keys = bytearray(KEY_BYTES)
    try:
        function.derive_into(cast("bytes", passphrase), keys)  # it takes any buffer; its stub says bytes
    except MemoryError:
        what = f"opening it takes {profile.memory_kib // 1024} MiB of memory, which this machine does not give"
        raise KeyStoreError(what, where=where, hint="free memory, or raise the limit of the service") from None
    return keys


def _as_strong(profile: Profile, choice: Profile) -> bool:
    enough = profile.iterations >= choice.iterations and profile.memory_kib >= choice.memory_kib
    return enough and profile.lanes >= choice.lanes


def _require_test_profile_allowed(profile: Profile, where: str, allowed: bool) -> None:
    if profile != INSECURE_TESTS_ONLY:
        raise KeyStoreError("its test profile has other parameters than ours", where=where, hint="make a new key store")
    if not allowed:
        what = f"it was made with the {profile.name!r} profile, which protects nothing"
        raise KeyStoreError(what, where=where, hint="make a new key store with `signer init`, for real use")
