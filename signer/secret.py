"""Secrets that cannot be shown by accident, and the handle that signs in their place.

A secret enters the program once, as a `Secret`, and leaves it in one of two ways only: sealed by an encryption
function (`Secret.expose_to`), or as a handle that can sign (`Secret.key`). Neither gives its bytes back.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import NoReturn, TypeVar, final

from signer.errors import KeyStoreError

T = TypeVar("T")

SECRET_BYTES = 64
"""A Kraken secret is the base64 of 64 bytes (docs/kraken.md §2)."""


@final
class HmacKey:
    """A key that signs with HMAC-SHA512, Kraken's API-Sign (docs/kraken.md §2a).

    It keeps an already keyed hash state inside OpenSSL rather than the secret's bytes: there is nothing to ask for.
    """

    __slots__ = ("_keyed",)

    def __init__(self, keyed: hmac.HMAC) -> None:
        self._keyed = keyed

    async def sign(self, message: bytes) -> bytes:
        """The 64-byte HMAC-SHA512 of ``message``."""
        return self._mac(message)

    def matches(self, message: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's over ``message``, compared in constant time."""
        return hmac.compare_digest(self._mac(message), signature)

    def _mac(self, message: bytes) -> bytes:
        mac = self._keyed.copy()
        mac.update(message)
        return mac.digest()

    def __repr__(self) -> str:
        return "HmacKey(…)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key cannot be copied out of the process")


@final
class Secret:
    """The bytes of a secret, which no `repr`, format, pickle or comparison shows."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes | bytearray) -> None:
        self._raw = bytearray(raw)

    @classmethod
    def from_base64(cls, text: str, *, where: str) -> Secret:
        """Read a secret as Kraken shows it. Raises `KeyStoreError` naming ``where``, never quoting the text."""
        hint = "paste the private key (88 characters, ends in ==), not the public one"
        try:
            raw = base64.b64decode(text.strip().encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            # `from None`: the chained exception would carry the text.
            raise KeyStoreError("the API secret is not base64", where=where, hint=hint) from None
        if len(raw) != SECRET_BYTES:
            what = f"the API secret decodes to {len(raw)} bytes, Kraken's have {SECRET_BYTES}"
            raise KeyStoreError(what, where=where, hint=hint)
        return cls(raw)

    @classmethod
    def taken_from(cls, raw: bytearray) -> Secret:
        """The bytes in ``raw``, which is overwritten."""
        secret = cls(raw)
        raw[:] = bytes(len(raw))
        return secret

    def key(self) -> HmacKey:
        """The handle that signs with this secret."""
        return HmacKey(hmac.new(self._raw, digestmod=hashlib.sha512))

    def expose_to(self, seal: Callable[[bytearray], T]) -> T:
        """What ``seal`` (an encryption) makes of the bytes. The only way they go anywhere.

        It is lent our own copy, not a new one that nobody could overwrite, and must not keep it.
        """
        return seal(self._raw)

    def wipe(self) -> None:
        """Overwrite our copy. Copies that Python made on the way in are beyond reach (docs/threat-model.md)."""
        self._raw[:] = bytes(len(self._raw))

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        raise TypeError("secrets are not compared; compare signatures")

    __hash__ = None  # type: ignore[assignment]  # a hash would tell two secrets apart

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be copied out of the process")


def fingerprint(api_key: str) -> str:
    """How a key is named in lists and logs: the first 16 hex digits of its SHA-256, never the key."""
    return hashlib.sha256(api_key.encode()).hexdigest()[:16]
