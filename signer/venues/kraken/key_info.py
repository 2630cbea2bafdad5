"""GetApiKeyInfo for ourselves: what Kraken says of a real key (kraken-api.md §1b, §1i). No bot's call comes here."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from signer.errors import VenueError
from signer.model import Action, Call, KeyInfo, WireAnswer

DIGITS: Final = re.compile(r"[0-9]{1,20}")
LAST_S: Final = 253_402_300_799
"""The last second of the year 9999: no later one can be shown."""
MOST_BYTES: Final = 256
MOST_WORDS: Final = 100

CALL: Final = Call("GetApiKeyInfo", Action.READ, {})


def read(answer: WireAnswer) -> KeyInfo:
    """What ``answer`` says. Raises `VenueError` with Kraken's error, or if it is none of Kraken's answers."""
    try:
        envelope = json.loads(answer.body) if answer.status == 200 else {}
        if envelope.get("error"):
            raise VenueError(f"the exchange refused the key: {str(envelope['error'][0])[:80]}")
        return _key_info(envelope["result"])
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
        raise VenueError(f"GetApiKeyInfo was answered with HTTP {answer.status} and nothing that says it") from None


def _key_info(told: Any) -> KeyInfo:
    """Times are Unix seconds as text, "0" where there is none."""
    expires_s = _number(told["validUntil"], LAST_S)
    return KeyInfo(
        name=_text(told["apiKeyName"])[:80],
        permissions=tuple(sorted(_texts(told["permissions"]))),
        expires_us=expires_s * 1_000_000 if expires_s else None,
        nonce=_number(told["nonce"], 2**64 - 1),
        nonce_window=_number(told["nonceWindow"], 2**64 - 1),
        sources=tuple(_texts(told["ipAllowlist"])),
    )


def _number(told: object, most: int) -> int:
    """Digits, as text or as a number. Raises ValueError for anything else: it would be shown and reckoned with."""
    text = str(told) if type(told) is int else _text(told)
    if not DIGITS.fullmatch(text) or int(text) > most:
        raise ValueError
    return int(text)


def _texts(told: object) -> list[str]:
    if not isinstance(told, list) or len(told) > MOST_WORDS:
        raise ValueError
    return [_text(word) for word in told]


def _text(told: object) -> str:
    """Text that can be written down: no half of a pair of surrogates, and not a megabyte."""
    if not isinstance(told, str) or len(told.encode()) > MOST_BYTES:
        raise ValueError
    return told
