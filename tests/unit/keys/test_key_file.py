"""The files that people keep an API key in, bent as editors and systems bend them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping

import pytest

from signer.errors import KeyStoreError
from signer.keys.issue import KeyShape
from signer.keys.key_file import read_key_file
from signer.model import Algorithm
from tests.harness.stores import SHAPE

KEY = base64.b64encode(bytes(range(42))).decode()
RAW = bytes(range(64, 128))
SECRET = base64.b64encode(RAW).decode()
EXCHANGE: dict[str, object] = {"name": "kraken", "key": KEY, "secret": SECRET, "ccxt_config": {}}
FREQTRADE = {"exchange": EXCHANGE, "telegram": {"token": "x"}}
CCXT = {"kraken": {"apiKey": KEY, "secret": SECRET, "enableRateLimit": True}}

FILES = {
    "two lines": f"{KEY}\n{SECRET}\n",
    "our own env file": f"KRAKEN_BASE_URL=http://127.0.0.1:1\nKRAKEN_API_KEY={KEY}\nKRAKEN_API_SECRET={SECRET}\n",
    "exports": f'# mine\nexport API_KEY="{KEY}"\nexport API_SECRET="{SECRET}"  # secret\n',
    "single quotes": f"KRAKEN_KEY='{KEY}'\nKRAKEN_PRIVATE_KEY='{SECRET}'\n",
    "PowerShell": f'$env:KRAKEN_API_KEY = "{KEY}"\n$env:KRAKEN_API_SECRET = "{SECRET}"\n',
    "cmd": f"set KRAKEN_API_KEY={KEY}\nset KRAKEN_API_SECRET={SECRET}\n",
    "YAML": f"api_key: {KEY}\napi_secret: '{SECRET}'\n",
    "freqtrade's environment": f"FREQTRADE__EXCHANGE__KEY={KEY}\nFREQTRADE__EXCHANGE__SECRET={SECRET}\n",
    "among others": f"TELEGRAM_KEY=abc\nKRAKEN_API_KEY={KEY}\nKRAKEN_API_SECRET={SECRET}\nBINANCE_SECRET=x\n",
    "our own JSON": json.dumps({"api_key": KEY, "api_secret": SECRET}),
    "ccxt": json.dumps({"apiKey": KEY, "secret": SECRET, "enableRateLimit": True}),
    "ccxt's keys.json": json.dumps({"binance": {"apiKey": "a", "secret": "b"}, **CCXT}, indent=2),
    "freqtrade": json.dumps(FREQTRADE, indent=4),
    "freqtrade with comments": "{ // mine\n" + json.dumps(FREQTRADE, indent=4)[1:-2] + ", /* last */\n}\n",
}
BENT: Mapping[str, Callable[[str], bytes]] = {
    "as it is": lambda text: text.encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "old Mac": lambda text: text.replace("\n", "\r").encode() if "//" not in text else text.encode(),
    "BOM": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "UTF-16 of Notepad": lambda text: text.encode("utf-16"),
    "UTF-16 big": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "blanks at ends": lambda text: "\n".join(f"{line} \t" for line in text.split("\n")).encode() + b"\n\n",
    "smart quotes": lambda text: text.replace(' "', " “").replace('"', "”").encode(),
    "no break spaces": lambda text: text.replace(" ", "\u00a0").encode(),
    "no newline at the end": lambda text: text.rstrip().encode(),
}


@pytest.mark.parametrize("bent", BENT)
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_people_have_is_read(name: str, bent: str) -> None:
    """The key and secret come out as they are, and what it was read as names neither."""
    found = read_key_file(BENT[bent](FILES[name]), shape=SHAPE, where="key")
    assert found.credential.api_key == KEY
    assert found.credential.secret.expose_to(bytes) == RAW
    assert KEY not in found.kind
    assert SECRET not in found.kind


REFUSED = {
    "empty": (b"", "no API key with a secret"),
    "a picture": (b"\x89PNG\r\n\x1a\n\xff", "no text"),
    "a key alone": (f"KRAKEN_API_KEY={KEY}\n".encode(), "no API key with a secret"),
    "broken JSON": (f'{{"api_key": "{KEY}"'.encode(), "does not read as it"),
    "two pairs": (
        f"ONE_KEY={KEY}\nONE_SECRET={SECRET}\nTWO_KEY={KEY}\nTWO_SECRET={SECRET}\n".encode(),
        "more than one key could be meant (ONE_KEY and ONE_SECRET",
    ),
    "two of Kraken": (
        json.dumps({"kraken": CCXT["kraken"], "kraken_two": CCXT["kraken"]}).encode(),
        "more than one key could be meant (kraken; kraken_two)",
    ),
    "another exchange": (
        json.dumps({"exchange": {**EXCHANGE, "name": "binance"}}).encode(),
        "for another exchange",
    ),
    "swapped": (f"{SECRET}\n{KEY}\n".encode(), "swapped"),
    "deep": (b'{"a":' * 20_000, "does not read as it"),
}


def test_a_secret_is_never_taken_for_a_name() -> None:
    """Names are shown: a line that ends in = looks like a variable, and its text may hold the word key by chance."""
    secret = "Ab1" * 25 + "key" + "Ab1" * 2 + "Abc" + "=="
    raw = f"my bot\n{KEY}\n{secret}\nONE_KEY={KEY}\nONE_SECRET={SECRET}\n".encode()
    assert read_key_file(raw, shape=SHAPE, where="key").kind == "variables (ONE_KEY and ONE_SECRET)"


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_none_or_could_be_two_is_refused(name: str) -> None:
    """A file without exactly one key is refused; the message quotes its names and none of its values."""
    raw, words = REFUSED[name]
    with pytest.raises(KeyStoreError) as caught:
        read_key_file(raw, shape=SHAPE, where="key")
    assert words in str(caught.value)
    assert KEY not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


TEXT = KeyShape("okx", Algorithm.HMAC_SHA256, None, has_passphrase=True)
UUID, TOKEN, PHRASE = "1f2e3d4c-0000-4000-8000-aabbccddeeff", "0A1B2C3D4E5F60718293A4B5C6D7E8F9", "my own Phrase!"
WITH_PASSPHRASE = {
    "three lines": f"{UUID}\n{TOKEN}\n{PHRASE}\n",
    "variables": f"OKX_API_KEY={UUID}\nOKX_API_SECRET={TOKEN}\nOKX_API_PASSPHRASE='{PHRASE}'\n",
    "among others": f"KEY={UUID}\nSECRET={TOKEN}\nPASSPHRASE='{PHRASE}'\nDATABASE=x\n",
    "named among others": (f"OKX_KEY={UUID}\nOKX_SECRET={TOKEN}\nOKX_PASSPHRASE='{PHRASE}'\nDB_PASSWORD=x\n"),
    "our own JSON": json.dumps({"api_key": UUID, "api_secret": TOKEN, "api_passphrase": PHRASE}),
    "ccxt": json.dumps({"apiKey": UUID, "secret": TOKEN, "password": PHRASE}),
    "freqtrade": json.dumps({"exchange": {"name": "okx", "key": UUID, "secret": TOKEN, "password": PHRASE}}),
}


@pytest.mark.parametrize("name", WITH_PASSPHRASE)
def test_a_passphrase_is_read_beside_the_key(name: str) -> None:
    """A venue whose keys have one is given it, from each kind of file; what the file was read as does not name it."""
    found = read_key_file(WITH_PASSPHRASE[name].encode(), shape=TEXT, where="key")
    secret = found.credential.secret
    assert (found.credential.api_key, secret.expose_to(bytes)) == (UUID, TOKEN.encode())
    assert secret.passphrase is not None
    assert secret.passphrase.expose_to(bytes) == PHRASE.encode()
    assert PHRASE not in found.kind


@pytest.mark.parametrize(
    "text",
    [
        f"{UUID}\n{TOKEN}\n",
        f"OKX_KEY={UUID}\nOKX_SECRET={TOKEN}\n",
        f"KEY={UUID}\nSECRET={TOKEN}\nDB_PASSWORD=x\nAPI_PASSPHRASE=y\n",
        json.dumps({"apiKey": UUID, "secret": TOKEN}),
    ],
)
def test_a_missing_passphrase_is_asked_for(text: str) -> None:
    """Without one, or with two that could be it, the key could never log in."""
    with pytest.raises(KeyStoreError, match=r"passphrase, which is missing|no API key with a secret"):
        read_key_file(text.encode(), shape=TEXT, where="key")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"apiKey": KEY, "secret": SECRET, "password": "x"}),
        f"KRAKEN_KEY={KEY}\nKRAKEN_SECRET={SECRET}\nKRAKEN_PASSPHRASE=x\n",
    ],
)
def test_a_passphrase_that_the_venue_does_not_know_is_refused(text: str) -> None:
    """Kraken's keys have none beside the signature; what stands there may be the second factor that we cannot use."""
    with pytest.raises(KeyStoreError, match="has no passphrase"):
        read_key_file(text.encode(), shape=SHAPE, where="key")
