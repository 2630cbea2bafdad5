"""A reason keeps what it quotes, and never says what a client library takes for an error of its own."""

from __future__ import annotations

import re
from datetime import UTC

import ccxt
from hypothesis import example, given
from hypothesis import strategies as st
from kraken.exceptions import EXCEPTION_ASSIGNMENT

from signer.venues.kraken.answers import QUOTE_LENGTH, quoted, reason

PHRASES = sorted({*EXCEPTION_ASSIGNMENT, *ccxt.kraken().exceptions["exact"], *ccxt.kraken().exceptions["broad"]})
"""What the installed libraries look for."""

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30)
PIECES = st.sampled_from(PHRASES) | st.sampled_from(["E", "EOrder", ":", "Invalid", " order", "I"]) | PRINTABLE
CODE = re.compile(r"[EW][A-Z][A-Za-z]*:[A-Za-z]")


@given(st.lists(PIECES, max_size=8).map("".join))
@example("EOrder:EOrder:Invalid order")
@example("EEOrder:Invalid nonce")
@example(":Cancel pending" * 20)
@example(":IInsufficient funds:Insufficient funds")
def test_no_phrase_of_any_table_is_left(text: str) -> None:
    """No phrase is left, however phrases, parts of them and other text are put together."""
    safe = reason(text)
    assert not [phrase for phrase in PHRASES if phrase in safe]
    assert reason(safe) == safe


@given(st.lists(PIECES, max_size=4).map("".join))
def test_only_spaces_are_added_and_only_capitals_are_lost(text: str) -> None:
    """What a reason changes can still be read."""
    kept = reason(text).replace(" ", "").lower()
    assert text.replace(" ", "").lower().startswith(kept)


@given(PRINTABLE.filter(lambda text: not CODE.search(text) and not any(each in text for each in PHRASES)))
def test_a_text_without_phrases_is_unaltered(text: str) -> None:
    """A text without phrases loses the blanks at its end at most."""
    assert reason(text) == text.rstrip()


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_is_quoted_as_it_was_written(moment: object) -> None:
    """Colons between digits belong to the value."""
    text = str(moment)
    assert quoted(text)[1:-1][:QUOTE_LENGTH] in reason(f"deadline must be a time, not {quoted(text)}")
