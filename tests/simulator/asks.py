"""What the clients asked for, and what they were told: the clients' own memory, which no crash of ours takes."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode

from signer.model import Request, Response
from signer.sandbox.signing import api_sign
from tests.harness.arriving import arriving

Told = Literal["nothing", "yes", "no", "unknown"]

CLIENTS = {"ada": "north", "bob": "north", "cyd": "south"}
"""The account that each trades on."""

CREDENTIALS = {"key-north": "north", "key-south": "south"}


def secret_of(name: str) -> bytes:
    """The secret of a client or a credential."""
    return hashlib.sha512(name.encode()).digest()


def signature_of(name: str, path: str, nonce: str, body: bytes) -> str:
    """What a client or a credential signs with its secret."""
    return api_sign(base64.b64encode(secret_of(name)).decode(), path, nonce, body)


@dataclass(eq=False)
class Ask:
    """One call of a client.

    ``marks`` name the orders that it places or changes: each has a price (or else a volume) that no other call has, so
    that the venue's books can be compared with what was asked for, without believing anything that we wrote down.
    """

    client: str
    endpoint: str
    fields: Mapping[str, object]
    marks: tuple[str, ...] = ()
    good_signature: bool = True
    asked_at: float = 0.0
    """The world's time."""
    told: dict[str, Told] = field(default_factory=dict)
    """By mark."""
    txids: dict[str, str] = field(default_factory=dict)
    """By mark, where the client was told one."""
    errors: tuple[str, ...] = ()

    @property
    def account(self) -> str:
        """Return the account that it concerns."""
        return CLIENTS[self.client]

    def request(self, nonce: int) -> Request:
        """Return it as it arrives."""
        path = f"/0/private/{self.endpoint}"
        if any(isinstance(value, list) for value in self.fields.values()):
            content_type, body = "application/json", json.dumps({"nonce": str(nonce), **self.fields}).encode()
        else:
            content_type = "application/x-www-form-urlencoded"
            body = urlencode({"nonce": nonce, **self.fields}).encode()
        signature = signature_of(self.client if self.good_signature else "nobody", path, str(nonce), body)
        return arriving("POST", path, b"", content_type, f"API-{self.client}", signature, body, "127.0.0.1")

    def hear(self, response: Response) -> None:
        """Take the answer as a careful client would: only a clear yes or no is one."""
        answer = json.loads(response.body)
        self.errors = tuple(answer["error"])
        if self.errors:
            unclear = any("outcome is unknown" in error for error in self.errors) or "Busy" in self.errors[0]
            self.told = dict.fromkeys(self.marks, "unknown" if unclear else "no")
            return
        result = answer["result"]
        rows = result["orders"] if self.endpoint == "AddOrderBatch" else [result] * len(self.marks)
        for mark, row in zip(self.marks, rows, strict=True):
            self.told[mark] = "no" if row.get("error") else "yes"
            if row.get("txid"):
                self.txids[mark] = row["txid"] if isinstance(row["txid"], str) else row["txid"][0]
