"""The contract for telling a person about results and asking for a passphrase."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from signer.keys.passphrase import Passphrase

T = TypeVar("T")


class Person(Protocol):
    """Stands for the person at a terminal or behind a form."""

    def say(self, text: str) -> None:
        """Tell the result of an act."""

    def note(self, text: str) -> None:
        """Tell something beside the result."""

    def warn(self, text: str, weight: str = "warning") -> None:
        """Warn of something. Never raises: a full disk must not keep a brake from working."""

    def passphrase(self) -> Passphrase:
        """Ask for the passphrase of the key store. Raises `KeyStoreError` if nobody can answer."""

    def retry(self, attempt: Callable[[], T]) -> T:
        """Return the result of ``attempt``. It may be repeated after a `KeyStoreError` if the person can try again."""
