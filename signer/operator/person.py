"""Says how a person is told what happened, and asked what only a person knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from signer.keys.passphrase import Passphrase

T = TypeVar("T")


class Person(Protocol):
    """Stands for whoever sits at the terminal, or behind a form."""

    def say(self, text: str) -> None:
        """Tell the result of an act."""

    def note(self, text: str) -> None:
        """Tell something beside the result."""

    def warn(self, text: str, weight: str = "warning") -> None:
        """Warn of something. Never raises: a full disk must not keep a brake from working."""

    def passphrase(self) -> Passphrase:
        """Ask for the passphrase of the key store. Raises `KeyStoreError` where nobody can be asked."""

    def retry(self, attempt: Callable[[], T]) -> T:
        """Answer what ``attempt`` answers. It may be called again after a `KeyStoreError`, if the person can."""
