"""Reads the files that people keep API keys in, as editors and systems bend them; in doubt it refuses.

Nothing here quotes what stands in the file: messages name formats, members and variables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NamedTuple

from signer.errors import KeyStoreError
from signer.keys.issue import ApiKeySecret, KeyShape, read_pasted

MOST_BYTES = 64 * 1024
"""A bot's whole settings may stand beside the key."""

_UNBENT = str.maketrans({"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "\u00a0": " ", "\u200b": "", "\ufeff": ""})
"""What word processors and messengers make of quotes and blanks."""
_KEYS = frozenset({"api_key", "apikey", "key", "public_key", "publickey"})
_SECRETS = frozenset({"api_secret", "apisecret", "secret", "private_key", "privatekey", "secret_key", "secretkey"})
_ASSIGNED = re.compile(r"(?:export\s+|set\s+|\$env:)?([A-Za-z_][A-Za-z0-9_.]{0,39})\s*[=:]\s*(\S.*)", re.IGNORECASE)
"""A name is short: a secret that ends in = must not be taken for one, since messages show names."""
_BARE = re.compile(r"[A-Za-z0-9+/]{40,100}={0,2}")
_BARE_TEXT = re.compile(r"[A-Za-z0-9_-]{8,128}")
"""A key or secret on a line of its own: of venues that write secrets in base64, and of others."""
_PASSPHRASES = frozenset({"api_passphrase", "apipassphrase", "passphrase", "password"})
_COMMENT = re.compile(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMA = re.compile(r'("(?:\\.|[^"\\])*")|,(?=\s*[}\]])', re.DOTALL)
"""Text is kept; comments and commas before a bracket go, which freqtrade allows in its settings."""

HINT = "name a file with the API key and its secret: two lines, KEY=… and SECRET=…, or JSON (docs/cli.md)"


class KeyFile(NamedTuple):
    """What was read."""

    credential: ApiKeySecret
    kind: str
    """What the file was read as, in words."""


class _Pair(NamedTuple):
    name: str
    """Where in the file it stands."""
    key: str
    secret: str
    passphrase: str = ""

    def __repr__(self) -> str:
        return f"_Pair({self.name!r}, …)"


def read_key_file(raw: bytes | bytearray, *, shape: KeyShape, where: str) -> KeyFile:
    """Read the key and secret of the venue in a file, and the passphrase if its keys have one.

    Raises `KeyStoreError` naming ``where`` if there are none, or several pairs.
    """
    text = _text(raw, where).translate(_UNBENT).replace("\r\n", "\n").replace("\r", "\n").strip()
    if text.startswith("{"):
        return _of_json(text, shape, where)
    lines = [line.strip() for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    bare = [line.strip("\"'") for line in lines]
    form, count = _BARE if shape.secret_bytes else _BARE_TEXT, 3 if shape.has_passphrase else 2
    if len(bare) == count and all(form.fullmatch(line) for line in bare[:2]):
        return KeyFile(read_pasted(shape, *bare, where=where), "three lines" if shape.has_passphrase else "two lines")
    return _of_variables(lines, shape, where)


def _text(raw: bytes | bytearray, where: str) -> str:
    """Decode text, also as Windows writes it. Raises `KeyStoreError` if it is no text."""
    encoding = "utf-16" if bytes(raw[:2]) in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        raise KeyStoreError("this is no text", where=where, hint=HINT) from None


def _of_json(text: str, shape: KeyShape, where: str) -> KeyFile:
    try:
        for allowed in (_COMMENT, _LAST_COMMA):
            text = allowed.sub(lambda each: each[1] or "", text)
        found = json.loads(text)
    except (ValueError, RecursionError):
        # `from None`: the chained exception carries the text that did not read.
        raise KeyStoreError("this begins like JSON and does not read as it", where=where, hint=HINT) from None
    venue, exchange = shape.venue, found.get("exchange")
    pair, kind = _only(list(_pairs_in(found, "")), venue, where), "JSON"
    if pair.name == "exchange" and isinstance(exchange, dict):
        if str(exchange.get("name", venue)).lower() not in {venue, ""}:
            raise KeyStoreError("the key in it is for another exchange", where=where, hint=f"name that of {venue}")
        kind = "the settings of freqtrade"
    elif pair.name:
        kind = f"JSON, member {pair.name}"
    return KeyFile(read_pasted(shape, pair.key, pair.secret, pair.passphrase, where=where), kind)


def _pairs_in(value: object, name: str) -> Iterator[_Pair]:
    if not isinstance(value, dict):
        return
    words = {member.lower(): text for member, text in value.items() if isinstance(text, str) and text.strip()}
    keys, secrets = [words[one] for one in _KEYS & words.keys()], [words[one] for one in _SECRETS & words.keys()]
    if len(keys) == 1 and len(secrets) == 1:
        shown = [words[one] for one in _PASSPHRASES & words.keys()]
        yield _Pair(name, keys[0], secrets[0], shown[0] if len(shown) == 1 else "")
    for member, inner in value.items():
        yield from _pairs_in(inner, f"{name}.{member}" if name else member)


def _of_variables(lines: list[str], shape: KeyShape, where: str) -> KeyFile:
    stated = {found[1]: _value(found[2]) for line in lines if (found := _ASSIGNED.fullmatch(line))}
    secrets = {name: text for name, text in stated.items() if re.search("secret|private", name, re.IGNORECASE) and text}
    keys = {name: text for name, text in stated.items() if "key" in name.lower() and name not in secrets and text}
    pairs = [_Pair(f"{key} and {secret}", keys[key], secrets[secret]) for key in keys for secret in secrets]
    pair = _only(pairs, shape.venue, where)
    shown = {name: text for name, text in stated.items() if re.search("passphrase|password", name, re.IGNORECASE)}
    named = [text for name, text in shown.items() if shape.venue in name.lower()]
    chosen = named or (list(shown.values()) if shape.has_passphrase else [])
    passphrase = chosen[0] if len(chosen) == 1 else ""
    credential = read_pasted(shape, pair.key, pair.secret, passphrase, where=where)
    return KeyFile(credential, f"variables ({pair.name})")


def _value(text: str) -> str:
    """Strip its quotes, or the comment behind it."""
    quoted = re.fullmatch(r"""(["'])(.*?)\1\s*;?\s*(?:#.*)?""", text)
    return (quoted[2] if quoted else re.split(r"\s+#", text)[0]).strip().rstrip(";").strip()


def _only(pairs: list[_Pair], venue: str, where: str) -> _Pair:
    """Choose the only pair, or the one that is named for ``venue``. Raises `KeyStoreError` otherwise."""
    named = [pair for pair in pairs if all(venue in word for word in pair.name.lower().split(" and "))]
    chosen = pairs if len(pairs) == 1 else named
    if len(chosen) == 1:
        return chosen[0]
    if not pairs:
        raise KeyStoreError("there is no API key with a secret in it", where=where, hint=HINT)
    names = "; ".join(pair.name or "the outermost members" for pair in (chosen or pairs)[:6])
    hint = f"leave only that of {venue} in the file"
    raise KeyStoreError(f"more than one key could be meant ({names})", where=where, hint=hint)
