"""Which addresses count as one caller: whoever can use one of them can use them all."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

LOOPBACK = "loopback"
"""127.0.0.0/8 and ::1: any program on this machine may bind to any of 16 million addresses."""
PREFIX = 64
"""Bits of an IPv6 address that a network gives out at least; whoever has one has all below it (RFC 6177 §2)."""


@lru_cache(maxsize=4096)
def one_source(address: str) -> str:
    """Return what ``address`` is counted under. A text that is no address (``unix``) is counted under itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        if mapped is None and not parsed.is_loopback:
            return str(ipaddress.IPv6Network((int(parsed), PREFIX), strict=False))
        parsed = mapped or parsed
    return LOOPBACK if parsed.is_loopback else str(parsed)
