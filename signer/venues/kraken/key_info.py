"""GetApiKeyInfo: what Kraken says of a real key, and what we tell a client of its virtual one.

(docs/kraken.md §1b, §1i). The call of a bot never leaves.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from signer.errors import VenueError
from signer.model import Action, Call, ClientInfo, Json, KeyInfo, WireAnswer
from signer.secret import fingerprint
from signer.venues.kraken.endpoints import PERMISSIONS

DIGITS: Final = re.compile(r"[0-9]{1,20}")
LAST_S: Final = 253_402_300_799
"""The last second of the year 9999: no later one can be shown."""
MOST_BYTES: Final = 256
MOST_WORDS: Final = 100

HINTS: Final = (
    (
        "EAPI:Invalid key",
        "see at Kraken that the key is there, is a Spot key, has not expired and allows this machine's address; a key "
        "with a password as second factor (2FA) cannot be used, so make one without",
    ),
    ("EAPI:Invalid signature", "the secret is not this key's; paste both anew, or make a new key"),
    ("EAPI:Invalid nonce", "another program counts in larger nonces; make a key that this gateway alone has"),
    ("EAPI:Rate limit exceeded", "wait a minute and try again"),
    ("EAPI:Bad request", "upgrade signer: Kraken does not understand its question"),
    ("EAPI:Feature disabled", "Kraken has switched this off for the account; ask its support"),
    ("EAPI:", "see the key's page at Kraken"),
    ("EAuth:Rate limit exceeded", "wait a quarter of an hour and try again"),
    ("EAuth:Too many requests", "wait a quarter of an hour and try again"),
    ("EAuth:", "see to the account at Kraken: it is disabled, or not confirmed"),
    ("EAccount:", "see to the account at Kraken: it may not do this"),
    ("ETrade:", "the account is locked at Kraken; ask its support"),
    ("EGeneral:Permission denied", "see at Kraken that the key allows this machine's address"),
    ("EGeneral:Invalid arguments", "a key with a query start or end date, or with 2FA, answers so; make one without"),
    ("EGeneral:Unknown method", "this exchange does not tell what a key may do; see accounts.NAME.origin"),
    ("EGeneral:Temporary lockout", "wait a quarter of an hour without trying: each try begins it anew"),
    ("EGeneral:Too many requests", "wait a minute and try again"),
    ("EGeneral:Internal error", "Kraken has a trouble of its own; try again later"),
    ("EDatabase:", "Kraken has a trouble of its own; try again later"),
    ("EService", "Kraken is busy or down (status.kraken.com); try again later"),
)
"""What a key's owner can do about an error, keyed by how the error begins; the first that fits (docs/kraken.md §3)."""

CALL: Final = Call("GetApiKeyInfo", Action.READ, {})


def read(answer: WireAnswer) -> KeyInfo:
    """Return what ``answer`` says. Raises `VenueError` with Kraken's error, or if it is none of Kraken's answers."""
    try:
        envelope = json.loads(answer.body) if answer.status == 200 else {}
        if envelope.get("error"):
            raise _error(str(envelope["error"][0])[:80])
        return _key_info(envelope["result"])
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
        raise VenueError(f"GetApiKeyInfo was answered with HTTP {answer.status} and nothing that says it") from None


def _error(text: str) -> VenueError:
    """Return what is wrong, by Kraken's word for it; that the exchange is busy says nothing of the key."""
    hint = next((hint for start, hint in HINTS if text.startswith(start)), "see Kraken's page of API errors")
    refused = text.startswith(
        ("EAPI:Invalid", "EGeneral:Permission", "EGeneral:Invalid arguments", "EAuth:", "EAccount:")
    )
    what = "the exchange refused the key" if refused else "the exchange did not answer for the key"
    return VenueError(f"{what}: {text}", hint=hint)


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
        account=fingerprint(iban) if (iban := _text(told.get("iban") or "")) else "",
    )


def _number(told: object, limit: int) -> int:
    """Read digits, given as text or as a number. Raises ValueError for anything else."""
    text = str(told) if type(told) is int else _text(told)
    if not DIGITS.fullmatch(text) or int(text) > limit:
        raise ValueError
    return int(text)


def _texts(told: object) -> list[str]:
    if not isinstance(told, list) or len(told) > MOST_WORDS:
        raise ValueError
    return [_text(word) for word in told]


def _text(told: object) -> str:
    """Read text that can be stored: no lone surrogate, and not a megabyte."""
    if not isinstance(told, str) or len(told.encode()) > MOST_BYTES:
        raise ValueError
    return told


def of_client(client: ClientInfo, permissions: Iterable[str]) -> Json:
    """Describe to a client its virtual key: what its policy permits, never what the real key may do.

    Times are Unix seconds as text, "0" where there is none. The highest nonce is not told: it is the account's business
    at Kraken, and ours is a window (docs/kraken.md §8.2).
    """
    held = frozenset(permissions)
    expires = "0" if client.expires_us is None else _seconds(client.expires_us)
    created = _seconds(client.created_us)
    return {
        "apiKeyName": client.name,
        "apiKey": client.api_key,
        "nonce": "0",
        "nonceWindow": "0",
        "permissions": [word for word in PERMISSIONS if word in held],
        "iban": "",
        "validUntil": expires,
        "queryFrom": "0",
        "queryTo": "0",
        "createdTime": created,
        "modifiedTime": created,
        "ipAllowlist": [str(network) for network in client.sources],
        "lastUsed": None,
    }


def _seconds(time_us: int) -> str:
    return str(time_us // 1_000_000)
