"""Binds one person to one home, with the event loop in which connections of stores live."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Self, TypeVar, final

from signer.home.layout import Home
from signer.operator.person import Person

T = TypeVar("T")


@final
class Session:
    """Holds what every act of one command or one form needs. Use it as a context manager, or `close` it."""

    def __init__(
        self, home: Home, person: Person, *, passphrase_file: Path | None = None, vault_token_file: Path | None = None
    ) -> None:
        self.home = home
        self.person = person
        self.passphrase_file = passphrase_file
        """Where the passphrase of the key store is read, if somebody has said so."""
        self.vault_token_file = vault_token_file
        """Where the token of a Vault's administrator is read, if somebody has said so."""
        self._runner = asyncio.Runner()
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, work: Coroutine[None, None, T]) -> T:
        """Run ``work`` in the session's event loop: a store's connections live and die in it."""
        return self._runner.run(work)

    def call_on_close(self, close: Callable[[], object]) -> None:
        """Call ``close`` when the session ends, before its event loop does."""
        self._closing.callback(close)

    def close(self) -> None:
        """End the event loop, and before it whatever was opened in it."""
        try:
            self._closing.close()
        finally:
            self._runner.close()
