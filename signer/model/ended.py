"""What became of orders that were to be cancelled, as data: one answer of the venue, and all of them together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from signer.model import OrderRef


@dataclass(frozen=True, slots=True)
class CancelAnswer:
    """One answer of the venue to a cancel."""

    count: int = 0
    """Orders that it ended."""
    pending: bool = False
    """Whether they are still to be ended."""
    gone: bool = False
    """The venue knows no open order of that name."""
    too_fast: bool = False
    """Refused for its rate alone: it may be asked again."""
    final: bool = False
    """Refused for what no other try would change. If it is not, one of several orders may have caused the refusal."""
    error: str = ""
    """The venue's first error, or ours; empty if it accepted."""


@dataclass(slots=True)
class Ended:
    """What became of all orders of one cancel: each is in ``done`` or in ``left``."""

    count: int = 0
    pending: bool = False
    done: list[OrderRef] = field(default_factory=list)
    """Not open any more, by the venue's word."""
    untold: list[OrderRef] = field(default_factory=list)
    """Those of ``done`` that our own request may have cancelled, which nobody could tell us."""
    left: dict[OrderRef, str] = field(default_factory=dict)
    """Perhaps open still, each with the venue's error or with why we cannot tell."""

    def leave(self, refs: Iterable[OrderRef], why: str) -> None:
        """Note why they are perhaps open still."""
        self.left |= dict.fromkeys(refs, why)

    def end(self, refs: Iterable[OrderRef]) -> None:
        """Note that they are not open any more."""
        for ref in refs:
            self.left.pop(ref, None)
            self.done.append(ref)
