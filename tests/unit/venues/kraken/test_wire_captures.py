"""Bodies as real clients sent them: tests/vectors/wire_captures.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.venues.kraken.asking import KRAKEN, parse, refused, request

CAPTURES = json.loads(Path("tests/vectors/wire_captures.json").read_text("utf-8"))


@pytest.mark.parametrize("capture", CAPTURES["accepted"], ids=lambda capture: capture["name"])
def test_a_captured_body_is_read_exactly(capture: dict[str, Any]) -> None:
    """Every shape that a client sends gives the one canonical set of fields, and the nonce as a number."""
    decoded = KRAKEN.decode(request(capture["endpoint"], capture["body"], capture["content_type"]))
    assert decoded.freshness == capture["nonce"]
    assert KRAKEN.parse(decoded).fields == capture["fields"]


@pytest.mark.parametrize("capture", CAPTURES["accepted"], ids=lambda capture: capture["name"])
def test_the_fields_of_a_captured_body_stand_in_one_order(capture: dict[str, Any]) -> None:
    """What is forwarded depends on what was asked, not on the order in which it was."""
    call = parse(capture["endpoint"], capture["body"], capture["content_type"])
    assert list(call.fields) == list(capture["fields"])


@pytest.mark.parametrize("capture", CAPTURES["refused"], ids=lambda capture: capture["name"])
def test_a_captured_body_that_the_exchange_refuses_is_refused(capture: dict[str, Any]) -> None:
    """The error is the exchange's own."""
    assert refused(capture["endpoint"], capture["body"], capture["content_type"])[0] == capture["error"]
