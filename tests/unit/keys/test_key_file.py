"""The files that people keep an API key in, bent as editors and systems bend them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping

import pytest

from signer.errors import KeyStoreError
from signer.keys.key_file import read_key_file

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
    found = read_key_file(BENT[bent](FILES[name]), venue="kraken", where="key")
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
    assert read_key_file(raw, venue="kraken", where="key").kind == "variables (ONE_KEY and ONE_SECRET)"


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_none_or_could_be_two_is_refused(name: str) -> None:
    """A file without exactly one key is refused; the message quotes its names and none of its values."""
    raw, words = REFUSED[name]
    with pytest.raises(KeyStoreError) as caught:
        read_key_file(raw, venue="kraken", where="key")
    assert words in str(caught.value)
    assert KEY not in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
