"""GetApiKeyInfo for ourselves: what Kraken says of a real key (kraken-api.md §1b, §1i). No bot's call comes here."""

from __future__ import annotations

import json
from typing import Any, Final

from signer.errors import VenueError
from signer.model import Action, Call, KeyInfo, WireAnswer

CALL: Final = Call("GetApiKeyInfo", Action.READ, {})


def read(answer: WireAnswer) -> KeyInfo:
    """What ``answer`` says. Raises `VenueError` with Kraken's error, or if it is none of Kraken's answers."""
    try:
        envelope = json.loads(answer.body) if answer.status == 200 else {}
        if envelope.get("error"):
            raise VenueError(f"the exchange refused the key: {str(envelope['error'][0])[:80]}")
        return _key_info(envelope["result"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise VenueError(f"GetApiKeyInfo was answered with HTTP {answer.status} and nothing that says it") from None


def _key_info(told: Any) -> KeyInfo:
    """Times are Unix seconds as text, "0" where there is none."""
    expires_s = int(told["validUntil"])
    return KeyInfo(
        name=str(told["apiKeyName"])[:80],
        permissions=tuple(sorted(map(str, told["permissions"]))),
        expires_us=expires_s * 1_000_000 if expires_s else None,
        nonce=int(told["nonce"]),
        nonce_window=int(told["nonceWindow"]),
        sources=tuple(map(str, told["ipAllowlist"])),
    )
