"""Addresses that one caller can choose among are one source."""

from __future__ import annotations

import pytest

from signer.model.one_source import LOOPBACK, one_source


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "127.255.255.254", "::1", "::ffff:127.9.9.9"])
def test_loopback_is_one_source(address: str) -> None:
    """Any program on this machine may bind to all of them."""
    assert one_source(address) == LOOPBACK


@pytest.mark.parametrize("address", ["2001:db8::1", "2001:db8::ffff:1:2:3", "2001:db8:0:0:a::"])
def test_a_network_of_ipv6_is_one_source(address: str) -> None:
    """All addresses of a /64 are one source, since one caller may have all of them."""
    assert one_source(address) == "2001:db8::/64"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("10.0.0.1", "10.0.0.2"),
        ("2001:db8::1", "2001:db8:0:1::1"),
        ("unix", "127.0.0.1"),
        ("0.0.0.0", "::"),
        ("fe80::1%eth0", "fe81::1%eth0"),
    ],
)
def test_others_are_apart(one: str, other: str) -> None:
    """Another host, another network and another kind of listener are other sources."""
    assert one_source(one) != one_source(other)


def test_an_ipv4_address_in_ipv6_is_itself() -> None:
    """A listener for both kinds shows IPv4 callers so."""
    assert one_source("::ffff:10.0.0.1") == one_source("10.0.0.1") == "10.0.0.1"
