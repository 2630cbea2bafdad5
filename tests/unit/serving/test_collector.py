"""Which objects the garbage collector looks at."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from signer.serving.collector import leave_out, settle


class Held:
    """An object that can be part of a cycle."""

    def __init__(self) -> None:
        self.other: Held | None = None


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Give the collector back to the other tests as it was."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def _in_a_cycle() -> Held:
    one = Held()
    one.other = Held()
    one.other.other = one
    return one


def test_what_lives_on_is_left_out_of_collections() -> None:
    """After it only new objects are looked at."""
    kept = _in_a_cycle()
    settle()
    assert gc.get_freeze_count() > 1_000
    assert not any(one is kept for one in gc.get_objects())


def test_what_was_left_out_before_is_freed_once_it_is_unreachable() -> None:
    """A cycle that was reachable at the first time and is dropped since goes the second time."""
    one = _in_a_cycle()
    gone = weakref.ref(one)
    settle()
    del one
    gc.collect()
    assert gone() is not None, "else the collector looks at everything all the same"
    settle()
    assert gone() is None


def test_what_was_left_out_before_a_fork_is_not_looked_at_after_it() -> None:
    """A worker that looked at the master's objects would have a copy of their memory. A reload looks at them."""
    one = _in_a_cycle()
    gone = weakref.ref(one)
    leave_out()
    del one
    leave_out()
    assert gone() is not None
    settle()
    assert gone() is None
