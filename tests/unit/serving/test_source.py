"""Whose word on the source of a call is believed: that of named proxies, and only its end."""

from __future__ import annotations

import pytest

from signer.serving.edge import NO_PROXIES, UNIX, Sources

PROXIES = Sources(["10.0.0.0/24", "2001:db8::1/128", "unix"])


@pytest.mark.parametrize("peer", ["127.0.0.1", "192.0.2.7", "::1", UNIX])
def test_nobody_is_believed_by_default(peer: str) -> None:
    """The header of whoever is no proxy changes nothing, not even of a loopback peer."""
    assert NO_PROXIES.source(peer, ["203.0.113.9"]) == peer
    assert Sources(["10.0.0.0/24"]).source(peer, ["203.0.113.9"]) == peer


@pytest.mark.parametrize(
    ("peer", "forwarded", "source"),
    [
        ("10.0.0.7", ["203.0.113.9"], "203.0.113.9"),
        (UNIX, ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.7", ["127.0.0.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.7", ["127.0.0.1", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.7", ["127.0.0.1, 203.0.113.9, 10.0.0.8"], "203.0.113.9"),
        ("2001:db8::1", ["2001:DB8:0::9"], "2001:db8::9"),
    ],
)
def test_the_last_that_is_no_proxy_is_the_source(peer: str, forwarded: list[str], source: str) -> None:
    """What stands before it is that one's claim: a bot cannot lend itself another address."""
    assert PROXIES.source(peer, forwarded) == source


@pytest.mark.parametrize("forwarded", [[], [""], ["unknown"], ["203.0.113.9, "], ["203.0.113.9:1234"], ["10.0.0.8"]])
def test_a_proxy_that_names_no_source_is_refused(forwarded: list[str]) -> None:
    """Else everybody behind it would come from the proxy's own address."""
    with pytest.raises(ValueError, match=r"."):
        PROXIES.source("10.0.0.7", forwarded)
