"""How an address to listen on is written, and what it says of who can reach it."""

from __future__ import annotations

import pytest

from signer.home.listener import LONGEST_PATH, Listener


@pytest.mark.parametrize(
    ("text", "listener", "url", "wide"),
    [
        ("127.0.0.1:8787", Listener("tcp", "127.0.0.1", 8787), "http://127.0.0.1:8787", False),
        ("[::1]:0", Listener("tcp", "::1", 0), "http://[::1]:0", False),
        ("localhost:80", Listener("tcp", "localhost", 80), "http://localhost:80", False),
        ("0.0.0.0:8787", Listener("tcp", "0.0.0.0", 8787), "http://0.0.0.0:8787", True),
        ("tls://127.0.0.1:443", Listener("tls", "127.0.0.1", 443), "https://127.0.0.1:443", False),
        ("tls://[::]:443", Listener("tls", "::", 443), "https://[::]:443", True),
        ("unix:/run/signer/bots", Listener("unix", path="/run/signer/bots"), "unix:/run/signer/bots", False),
    ],
)
def test_an_address_is_read_and_written_the_same(text: str, listener: Listener, url: str, wide: bool) -> None:
    """Each of the three forms, what a bot calls, and whether other machines can."""
    assert Listener.parse(text) == listener
    assert str(listener) == text
    assert listener.url == url
    assert listener.wide is wide


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("8787", "address:port"),
        ("127.0.0.1:", "address:port"),
        (":8787", "address:port"),
        ("127.0.0.1:65536", "address:port"),
        ("127.0.0.1:٨", "address:port"),
        ("https://127.0.0.1:443", "tls://"),
        ("tls://127.0.0.1", "tls://"),
        ("tls://127.0.0.1:443/", "tls://"),
        ("tls://tls://127.0.0.1:443", "tls://"),
        ("unix:bots", "not absolute"),
        ("unix:/run/", "whole path"),
        ("unix:/run/\0bots", "whole path"),
        ("unix:/" + "b" * LONGEST_PATH, "shorter path"),
        ("", "address:port"),
    ],
)
def test_what_is_no_address_is_refused_with_the_hint(text: str, says: str) -> None:
    """Another scheme, a path behind the port and half an address are refused, and nothing is guessed."""
    with pytest.raises(ValueError, match=says):
        Listener.parse(text)
