"""Requests of Kraken's clients as they arrive at the gateway."""

from __future__ import annotations

from dataclasses import replace

from signer.model import Request


def arriving(
    method: str,
    path: str,
    query: bytes,
    content_type: str,
    api_key: str,
    api_sign: str,
    body: bytes,
    source: str,
    certified: str | None = None,
) -> Request:
    """Return the request with these headers; empty ones are not sent."""
    headers = {"api-key": api_key, "api-sign": api_sign, "content-type": content_type}
    sent = {name: value for name, value in headers.items() if value}
    target = path.encode() + (b"?" + query if query else b"")
    return Request("kraken", method, target, sent, body, source, certified)


def altered(request: Request, *, path: str | None = None, **headers: str) -> Request:
    """Return ``request`` to another path, or with ``api_key`` or ``api_sign`` of another value."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    target = request.target if path is None else path.encode()
    return replace(request, target=target, headers={**request.headers, **given})
