"""A client of the gateway: what it knows, and how it signs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

import requests

from signer.sandbox.signing import api_sign
from tests.harness.wire import http

FORM = "application/x-www-form-urlencoded"
LIMIT = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "20000", "volume": "0.01"}
AHEAD_NS = 3_000_000_000
"""After a restart the gateway refuses what is less than two seconds above the last nonce (docs/book.md)."""


class Nonces:
    """Nanoseconds that only rise."""

    last = 0
    ahead = 0

    @classmethod
    def fresh(cls) -> str:
        """The next one."""
        cls.last = max(cls.last + 1, time.time_ns() + cls.ahead)
        return str(cls.last)


@dataclass(frozen=True, slots=True)
class Bot:
    """What a bot knows: its virtual credential, and where to call."""

    name: str
    api_key: str
    api_secret: str = field(repr=False)
    account: str = ""
    url: str = ""

    def at(self, url: str) -> Bot:
        """Return the same bot, calling there."""
        return replace(self, url=url)

    def sign(self, path: str, nonce: str, body: bytes) -> str:
        """The API-Sign of ``body``, by the exchange's own code: tests share none with the gateway."""
        return api_sign(self.api_secret, path, nonce, body)

    def signed(self, path: str, fields: Mapping[str, str] | None = None, nonce: str = "") -> tuple[bytes, list[str]]:
        """A form body and the three header lines that go with it; a fresh nonce unless one is given."""
        nonce = nonce or Nonces.fresh()
        body = urlencode({"nonce": nonce, **(fields or {})}).encode()
        lines = [f"API-Key: {self.api_key}", f"API-Sign: {self.sign(path, nonce, body)}", f"Content-Type: {FORM}"]
        return body, lines

    def request(self, endpoint: str, fields: Mapping[str, str] | None = None, *lines: str, nonce: str = "") -> bytes:
        """A whole HTTP request for a private endpoint, with more header ``lines`` if given."""
        path = f"/0/private/{endpoint}"
        body, own = self.signed(path, fields, nonce)
        return http("POST", path, body, *own, *lines)

    def post(
        self,
        endpoint: str,
        fields: Mapping[str, str],
        nonce: int,
        session: requests.Session | None = None,
        *,
        timeout: float = 60,
    ) -> requests.Response:
        """Make a call with a nonce of the caller's choice."""
        path = f"/0/private/{endpoint}"
        body = urlencode({"nonce": nonce, **fields}).encode()
        headers = {"API-Key": self.api_key, "API-Sign": self.sign(path, str(nonce), body), "Content-Type": FORM}
        post = session.post if session else requests.post
        return post(self.url + path, data=body, headers=headers, timeout=timeout)


def order(price: str = "20000", volume: str = "0.01", **more: str) -> dict[str, str]:
    """A limit order that rests, as a bot sends it: 200 USD."""
    return {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": volume, "price": price, **more}


def errors_of(answer: Mapping[str, Any]) -> list[str]:
    """The error array of an answer that says no: there is no result beside it."""
    assert "result" not in answer
    errors: list[str] = answer["error"]
    assert errors
    return errors
