"""A person without a terminal: remembers what he is told, and answers what he was made to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, final

from typing_extensions import override

from signer.home.layout import Home
from signer.keys.passphrase import Passphrase
from signer.operator.person import Person
from signer.operator.session import Session
from tests.harness.stores import PASSPHRASE_TEXT

T = TypeVar("T")


@final
class Told(Person):
    """Knows the passphrase of stores made for tests, unless another is given."""

    def __init__(self, passphrase: str = PASSPHRASE_TEXT) -> None:
        self._passphrase = passphrase
        self.said: list[str] = []
        self.noted: list[str] = []
        self.warned: list[str] = []

    @override
    def say(self, text: str) -> None:
        self.said.append(text)

    @override
    def note(self, text: str) -> None:
        self.noted.append(text)

    @override
    def warn(self, text: str, weight: str = "warning") -> None:
        self.warned.append(f"{weight}: {text}")

    @override
    def passphrase(self) -> Passphrase:
        return Passphrase(self._passphrase.encode(), where="a form")

    @override
    def retry(self, attempt: Callable[[], T]) -> T:
        return attempt()


def told_at(home: Home) -> Session:
    """A session at ``home`` of somebody who knows its passphrase."""
    return Session(home, Told())
