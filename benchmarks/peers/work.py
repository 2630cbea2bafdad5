"""The work of both Python peers: verify a call, sign it anew, chain a record. Settings come from the environment."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import threading
import time
from urllib.parse import parse_qsl, urlencode


class Work:
    """Verifies the virtual signature, signs with the real key and writes an audit line. It is safe for threads."""

    def __init__(self) -> None:
        self._client = os.environ["CLIENT_KEY"], base64.b64decode(os.environ["CLIENT_SECRET"])
        self._real = os.environ["REAL_KEY"], base64.b64decode(os.environ["REAL_SECRET"])
        self._audit = os.open(os.environ["AUDIT"], os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)
        self._lock = threading.Lock()
        self._nonce, self._prev = 0, ""

    def signed_anew(self, path: str, api_key: str, api_sign: str, body: bytes) -> tuple[dict[str, str], bytes] | None:
        """Return the headers and body to forward, None if the client's signature is wrong."""
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
        key, secret = self._client
        if api_key != key or not hmac.compare_digest(api_sign, _sign(secret, path, fields["nonce"], body)):
            return None
        with self._lock:
            self._nonce = max(self._nonce + 1, time.time_ns() // 1000)
            fields["nonce"] = str(self._nonce)
        out = urlencode(fields).encode()
        real_key, real_secret = self._real
        headers = {
            "API-Key": real_key,
            "API-Sign": _sign(real_secret, path, fields["nonce"], out),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self._record(path, fields)
        return headers, out

    def _record(self, path: str, fields: dict[str, str]) -> None:
        with self._lock:
            entry = {"time": time.time_ns() // 1000, "client": "bench", "path": path, "fields": fields}
            line = json.dumps({**entry, "prev": self._prev}).encode()
            self._prev = hashlib.sha256(line).hexdigest()
            os.write(self._audit, line + b"\n")


def _sign(secret: bytes, path: str, nonce: str, body: bytes) -> str:
    message = path.encode() + hashlib.sha256(nonce.encode() + body).digest()
    return base64.b64encode(hmac.digest(secret, message, "sha512")).decode()
