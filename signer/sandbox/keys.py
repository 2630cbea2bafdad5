"""Toy API keys: identifies callers, verifies their signatures and checks their permissions."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Annotated, final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from signer.sandbox.key_limits import REST_TIERS, Lockouts, Nonces, RestCounter
from signer.sandbox.permissions import PERMISSIONS, TRADING, permits
from signer.sandbox.signing import is_signed

KEY_BYTES = 42
"""The bytes of an API key, which Kraken writes as 56 characters of base64."""

SECRET_BYTES = 64

TOKEN_S = 900
"""How long a WebSocket token can be used (docs/kraken.md §7b)."""


class CallDenied(Exception):
    """The call is refused. The exception has Kraken's error text."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class KeySettings(BaseModel):
    """The settings of a new key. Raises `ValueError` with what is wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    account: Annotated[str, Field(min_length=1)]
    name: str = ""
    """The key's name; if empty, one is generated."""
    permissions: frozenset[str] = TRADING
    nonce_window: Annotated[int, Field(ge=0)] = 0
    tier: str | None = None
    """The tier of its account; None for the one that the account has, or the sandbox's for a new account."""
    api_key: str = ""
    """The API key; if empty, a random one. A given pair allows to replay published vectors."""
    api_secret: str = Field(default="", repr=False)

    @field_validator("permissions")
    @classmethod
    def _known_words(cls, words: frozenset[str]) -> frozenset[str]:
        unknown = sorted(words - PERMISSIONS)
        if unknown:
            raise ValueError(f"unknown {', '.join(unknown)}; Kraken's are {', '.join(sorted(PERMISSIONS))}")
        return words

    @field_validator("tier")
    @classmethod
    def _known_tier(cls, tier: str | None) -> str | None:
        if tier is not None:
            check_tier(tier)
        return tier

    @field_validator("api_secret")
    @classmethod
    def _base64(cls, secret: str) -> str:
        try:
            base64.b64decode(secret, validate=True)
        except ValueError:
            raise ValueError("not base64; leave it out to have one made") from None
        return secret


def check_tier(tier: str) -> None:
    """Raise `ValueError` with a message for a person if there is no such tier."""
    if tier not in REST_TIERS:
        raise ValueError(f"unknown {tier!r}; choose one of {', '.join(REST_TIERS)}")


@final
class ApiKey:
    """One key of an account, with its counters."""

    def __init__(self, settings: KeySettings, tier: str, created: float) -> None:
        self.settings = settings
        self.tier = tier
        self.created = created
        self.last_used: float | None = None
        self.nonces = Nonces(settings.nonce_window)
        self.counter = RestCounter(tier)

    def set_tier(self, tier: str) -> None:
        """Change the tier of its counter, which keeps its level."""
        self.tier = tier
        self.counter.set_tier(tier)

    @property
    def name(self) -> str:
        """The key's name in lists and arrivals."""
        return self.settings.name

    def info(self) -> dict[str, object]:
        """Answer GetApiKeyInfo. Times are Unix seconds as text, ``0`` where not set (docs/kraken.md §1i)."""
        return {
            "apiKeyName": self.name,
            "apiKey": self.settings.api_key,
            "nonce": str(self.nonces.highest),
            "nonceWindow": str(self.nonces.window),
            "permissions": sorted(self.settings.permissions),
            "iban": f"IIBAN of {self.settings.account}",
            "validUntil": "0",
            "queryFrom": "0",
            "queryTo": "0",
            "createdTime": str(int(self.created)),
            "modifiedTime": str(int(self.created)),
            "ipAllowlist": [],
            "lastUsed": None if self.last_used is None else str(int(self.last_used)),
        }


@final
class Keys:
    """Holds all keys, and locks out callers who fail too often.

    ``random_bytes`` makes keys and tokens. It is not safe for threads; its owner holds a lock.
    """

    def __init__(self, *, now: Callable[[], float], random_bytes: Callable[[int], bytes]) -> None:
        self._now = now
        self._random_bytes = random_bytes
        self._keys: dict[str, ApiKey] = {}
        self._lockouts = Lockouts()

    def __iter__(self) -> Iterator[ApiKey]:
        return iter(list(self._keys.values()))

    def make(self, settings: KeySettings, tier: str) -> ApiKey:
        """Make a key of an account of this tier. Raises `ValueError` if its name or the key itself is taken."""
        made = settings.model_copy(
            update={
                "name": settings.name or f"key-{len(self._keys) + 1}",
                "api_key": settings.api_key or self._base64(KEY_BYTES),
                "api_secret": settings.api_secret or self._base64(SECRET_BYTES),
            }
        )
        if made.api_key in self._keys or any(key.name == made.name for key in self._keys.values()):
            raise ValueError(f"there is a key {made.name!r} already, or this API key is taken; choose another")
        key = self._keys[made.api_key] = ApiKey(made, tier, self._now())
        return key

    def set_tier(self, account: str, tier: str) -> None:
        """Change the tier of an account's keys."""
        for key in self._keys.values():
            if key.settings.account == account:
                key.set_tier(tier)

    def find(self, api_key: str, source: str) -> ApiKey:
        """Find an API key that was used from address ``source``. Raises `CallDenied` with Kraken's error."""
        now = self._now()
        # Kraken locks out the address, whatever key it uses next. So a gateway must never forward an unknown key.
        if self._lockouts.locked(source, now) or self._lockouts.locked(api_key, now):
            raise CallDenied("EGeneral:Temporary lockout")
        key = self._keys.get(api_key)
        if key is None:
            self._lockouts.failed(source, now)
            raise CallDenied("EAPI:Invalid key")
        self._lockouts.passed(source)
        return key

    def authenticate(self, key: ApiKey, *, signature: str, path: str, nonce: str, body: bytes) -> None:
        """Check that ``key`` signed this request, and accept its nonce. Raises `CallDenied`."""
        api_key = key.settings.api_key
        if not is_signed(signature, key.settings.api_secret, path, nonce, body):
            raise CallDenied("EAPI:Invalid signature")
        if not key.nonces.accept(nonce):
            self._lockouts.failed(api_key, self._now())
            raise CallDenied("EAPI:Invalid nonce")
        self._lockouts.passed(api_key)

    def permit(self, key: ApiKey, endpoint: str) -> None:
        """Count the call and check the key's permissions for it. Raises `CallDenied`."""
        if not key.counter.spend(endpoint, self._now()):
            raise CallDenied("EAPI:Rate limit exceeded")
        if not permits(key.settings.permissions, endpoint):
            raise CallDenied("EGeneral:Permission denied")
        key.last_used = self._now()

    def websocket_token(self) -> dict[str, object]:
        """Answer GetWebSocketsToken."""
        return {"token": self._base64(KEY_BYTES), "expires": TOKEN_S}

    def _base64(self, length: int) -> str:
        return base64.b64encode(self._random_bytes(length)).decode()
