"""Key stores that are cheap to open, and a secret that is easy to search for."""

from __future__ import annotations

import base64
from pathlib import Path

from signer.contracts import ClientKey
from signer.keys.argon import INSECURE_TESTS_ONLY
from signer.keys.file import FileKeyStore
from signer.keys.issue import KeyShape
from signer.keys.passphrase import Passphrase
from signer.model import Algorithm
from signer.secret import HmacKey, Secret
from signer.venues import open_venue

PASSPHRASE_TEXT = "canary passphrase of the tests"
CANARY = b"the-canary-secret-that-must-never-be-seen-anywhere-0123456789abc"
"""64 bytes."""
SHAPE = KeyShape.of_real(open_venue("kraken"))
"""What its API keys are made of, real and virtual."""
API_KEY = "REALkey0" * 7
CLIENT_KEY = "VIRTkey0" * 7
MESSAGE = b"/0/private/Balance"


def passphrase(text: str = PASSPHRASE_TEXT) -> Passphrase:
    """The passphrase of the stores below, or another."""
    return Passphrase(text.encode(), where="test")


def new_store(path: Path) -> FileKeyStore:
    """An empty store that is cheap to open, and protects nothing."""
    return FileKeyStore.create(path, passphrase(), INSECURE_TESTS_ONLY)


def open_store(path: Path, text: str = PASSPHRASE_TEXT) -> FileKeyStore:
    """The store at ``path``, the test profile allowed."""
    return FileKeyStore.open(path, passphrase(text), allow_test_profile=True)


def filled_store(path: Path, algorithm: Algorithm = Algorithm.HMAC_SHA512) -> FileKeyStore:
    """Make a store with the credential `main`, which signs by an HMAC, and the clients `bot` and `other`."""
    store = new_store(path)
    store.add_credential("main", "spot", API_KEY, Secret(CANARY), created_us=1, algorithm=algorithm)
    store.add_client("bot", "spot", "trader", CLIENT_KEY, Secret(CANARY[::-1]), created_us=2)
    store.add_client("other", "spot", "tracker", CLIENT_KEY[::-1], Secret(CANARY[1:] + CANARY[:1]), created_us=3)
    return store


def same_key(one: ClientKey, other: HmacKey) -> bool:
    """Whether two handles sign alike."""
    return one.matches(MESSAGE, other._mac(MESSAGE))


def spellings(raw: bytes) -> list[bytes]:
    """How a secret's bytes might stand in a text: themselves, hex, base64 at each alignment, escaped."""
    texts = [raw, raw.hex().encode(), raw.hex().upper().encode(), repr(raw).encode()]
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + raw)
        texts += [encoded[4:-4], base64.urlsafe_b64encode(bytes(shift) + raw)[4:-4]]
    return texts
