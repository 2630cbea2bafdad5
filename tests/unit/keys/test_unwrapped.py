"""Secret-ids that outlive a worker."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from signer.errors import KeyStoreError
from signer.keys import unwrapped as module
from signer.keys.unwrapped import Unwrapped


def gives(text: str) -> Callable[[], str]:
    """An unwrapping that works."""
    return lambda: text


def fails() -> str:
    """A second unwrapping of the same token."""
    raise KeyStoreError("used up")


def test_each_token_is_unwrapped_once() -> None:
    """Each wrapped token has its own result, which a process forked before the unwrapping finds too."""
    kept = Unwrapped()
    child = os.fork()
    if child == 0:
        kept.secret_id("a", gives("one"))
        kept.secret_id("b", gives("two"))
        os._exit(0)
    os.waitpid(child, 0)
    assert [kept.secret_id(token, fails) for token in ("a", "b")] == ["one", "two"]
    with pytest.raises(KeyStoreError):
        kept.secret_id("c", fails)
    assert kept.secret_id("c", gives("three")) == "three"
    assert "one" not in repr(kept)


def test_memory_that_is_full_loses_nothing_that_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit any more serves its caller, and only that is unknown afterwards."""
    monkeypatch.setattr(module, "MEMORY_BYTES", 100)
    kept = Unwrapped()
    assert kept.secret_id("a", gives("x" * 40)) == "x" * 40
    assert kept.secret_id("b", gives("y" * 40)) == "y" * 40
    assert kept.secret_id("a", fails) == "x" * 40
    with pytest.raises(KeyStoreError):
        kept.secret_id("b", fails)
