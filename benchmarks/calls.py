"""Makes signed calls before the measurement, which wrk then plays in order."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["Balance", "AddOrder"]

PARAMETERS = {
    "Balance": "",
    "AddOrder": "&ordertype=limit&pair=XBTUSD&price=30000.1&type=buy&volume=0.01",
}


@dataclass(frozen=True, slots=True)
class Credential:
    """A key pair in Kraken's form, made for one run."""

    api_key: str
    api_secret: str


def new_credential() -> Credential:
    """Make a key pair in Kraken's form."""
    key = base64.b64encode(secrets.token_bytes(42)).decode()
    return Credential(key, base64.b64encode(secrets.token_bytes(64)).decode())


def write_calls(path: Path, kind: Kind, count: int, credential: Credential) -> None:
    """Write ``count`` calls with nonces that rise from now (µs), in the form that replay.lua reads."""
    first = time.time_ns() // 1000
    with path.open("wb") as file:
        file.write(b"%d\n" % count)
        for nonce in range(first, first + count):
            call = signed_call(kind, nonce, credential)
            file.write(b"%d\n%b" % (len(call), call))


def signed_call(kind: Kind, nonce: int, credential: Credential) -> bytes:
    """Make one POST as a Python client sends it, signed as in docs/kraken.md §2a."""
    path, body = f"/0/private/{kind}", f"nonce={nonce}{PARAMETERS[kind]}".encode()
    message = path.encode() + hashlib.sha256(str(nonce).encode() + body).digest()
    sign = hmac.digest(base64.b64decode(credential.api_secret), message, "sha512")
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
        f"API-Key: {credential.api_key}\r\nAPI-Sign: {base64.b64encode(sign).decode()}\r\n\r\n"
    )
    return head.encode() + body
