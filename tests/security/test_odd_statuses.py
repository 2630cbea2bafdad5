"""Threat: an answer to an order is lost on its way to the bot, because its status has no name in the standard."""

from __future__ import annotations

import pytest

from signer.model import Response
from signer.serving.protocol import _head


@pytest.mark.parametrize(("status", "line"), [(520, b"HTTP/1.1 520 \r\n"), (200, b"HTTP/1.1 200 OK\r\n")])
def test_a_status_without_a_name_is_passed_on(status: int, line: bytes) -> None:
    """A status that only the network before an exchange knows is sent with an empty reason (RFC 9112 §4)."""
    answer = Response(status, "application/json", b"{}", ours=False, headers=(("x-rate-left", "7"),))
    rest = b"content-type: application/json\r\ncontent-length: 2\r\nx-rate-left: 7\r\nServer: gunicorn/asgi\r\nDate: "
    assert _head("1.1", answer, False).startswith(line + rest)
    assert b"\r\nconnection: close\r\n" in _head("1.1", answer, True)
