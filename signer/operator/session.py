"""Binds one person to one home, with the event loop of the stores' connections."""

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
    """Holds person, home and event loop for the acts of one command or form. Use it as a context manager."""

    def __init__(
        self, home: Home, person: Person, *, passphrase_file: Path | None = None, vault_token_file: Path | None = None
    ) -> None:
        self.home = home
        self.person = person
        self.passphrase_file = passphrase_file
        """The file with the passphrase of the key store, if one was named."""
        self.vault_token_file = vault_token_file
        """The file with the token of a Vault's administrator, if one was named."""
        self._runner = asyncio.Runner()
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, work: Coroutine[None, None, T]) -> T:
        """Run ``work`` in the session's event loop, to which the stores' connections belong."""
        return self._runner.run(work)

    def call_on_close(self, close: Callable[[], object]) -> None:
        """Call ``close`` when the session ends, before its event loop does."""
        self._closing.callback(close)

    def close(self) -> None:
        """Close everything that was opened in the event loop, then end the loop."""
        try:
            self._closing.close()
        finally:
            self._runner.close()
