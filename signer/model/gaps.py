"""Words for records that are missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from signer.model.decisions import Gap

ACCEPT: Final = "look at the open orders at the exchange, then run `signer book accept`"
"""The hint for a book that lacks records."""

MOST_NAMED: Final = 5


def missing(gap: Gap) -> str:
    """Say that the records of a gap are missing, and that the book lacks them."""
    is_one = gap.first == gap.last
    return f"{gap} {'is' if is_one else 'are'} missing, and the book lacks {'it' if is_one else 'them'}"


def lacking(gaps: Sequence[Gap]) -> str:
    """Say what the book lacks."""
    named = " and ".join(map(str, gaps[:MOST_NAMED]))
    more = len(gaps) - MOST_NAMED
    return f"the book lacks {named}" if more <= 0 else f"the book lacks {named} and {more} other parts of the log"
