"""Threat: an answer to an order is lost on its way to the bot, because its status has no name in the standard."""

from __future__ import annotations

from signer.serving.protocol import _head


def test_a_status_without_a_name_is_passed_on() -> None:
    """A status that only the network before an exchange knows is sent with an empty reason (RFC 9112 §4)."""
    assert _head("1.1", 520, []).startswith(b"HTTP/1.1 520 \r\nServer: ")
    assert _head("1.1", 200, []).startswith(b"HTTP/1.1 200 OK\r\nServer: ")
