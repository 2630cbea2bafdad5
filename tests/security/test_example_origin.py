"""Threat: an origin copied from a hint leads signed orders to whoever owns that name."""

from __future__ import annotations

import re

import pytest

from signer.errors import ConfigError
from signer.upstream.origin import Origin


def test_the_example_of_an_origin_belongs_to_nobody() -> None:
    """The host in the hint is below a name that is reserved for examples (RFC 2606 §3)."""
    with pytest.raises(ConfigError) as refused:
        Origin.parse("no origin")
    assert re.findall(r"https://[a-z.]+", refused.value.hint) == ["https://api.example.com"]
