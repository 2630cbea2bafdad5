"""API keys and secrets on their way in and out."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_der_private_key,
)

from signer.errors import KeyStoreError
from signer.keys.issue import (
    ApiKeySecret,
    KeyShape,
    handed_over,
    issue,
    issue_for,
    kept_of,
    read_json,
    read_pasted,
)
from signer.keys.key_pair import new_private, public_half, read_private, signing_handle
from signer.model import Algorithm
from tests.harness.stores import API_KEY, CANARY, SHAPE

SECRET_TEXT = base64.b64encode(CANARY).decode()


def test_what_is_issued_has_krakens_shape() -> None:
    """56 characters without padding, and the base64 of 64 bytes, from the randomness given."""
    issued = issue(SHAPE, lambda count: bytes(range(count)))
    assert issued.api_key == base64.b64encode(bytes(range(42))).decode()
    assert len(issued.api_key) == 56
    assert issued.secret.expose_to(bytes) == bytes(range(64))


def test_two_are_never_the_same() -> None:
    """The default randomness is not a constant."""
    assert issue(SHAPE).api_key != issue(SHAPE).api_key


def test_what_is_handed_over_can_be_read_back() -> None:
    """The env file holds the three lines that bots need, and the secret is the one issued."""
    issued = issue(SHAPE)
    lines = dict(
        line.split("=", 1) for line in handed_over(SHAPE, "http://127.0.0.1:8787", issued).decode().splitlines()
    )
    assert list(lines) == ["KRAKEN_BASE_URL", "KRAKEN_API_KEY", "KRAKEN_API_SECRET"]
    assert lines["KRAKEN_BASE_URL"] == "http://127.0.0.1:8787"
    assert lines["KRAKEN_API_KEY"] == issued.api_key
    assert base64.b64decode(lines["KRAKEN_API_SECRET"]) == issued.secret.expose_to(bytes)


def test_json_is_read_with_white_space_around_the_values() -> None:
    """A pasted value may bring white space along."""
    text = json.dumps({"api_key": f" {API_KEY}\n", "api_secret": f"{SECRET_TEXT} "})
    credential = read_json(text.encode(), SHAPE, where="stdin")
    assert credential.api_key == API_KEY
    assert credential.secret.expose_to(bytes) == CANARY


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff\xfe",
        b"[1, 2]",
        b'["ab", "cd"]',
        b"null",
        b"[" * 3000,
        json.dumps({"api_key": API_KEY}).encode(),
        json.dumps({"api_key": API_KEY, "api_secret": 5}).encode(),
        json.dumps({"api_key": API_KEY, "api_secret": SECRET_TEXT, "otp": "1"}).encode(),
        f'{{"api_key": "{API_KEY}", "api_secret": "{SECRET_TEXT}", "api_secret": "{SECRET_TEXT}"}}'.encode(),
        f'{{"api_key": "{API_KEY}", "api_secret": "{SECRET_TEXT}"'.encode(),
    ],
)
def test_anything_but_the_two_fields_is_refused(text: bytes) -> None:
    """Exactly two texts are taken; the error shows what to write and does not quote what was there."""
    with pytest.raises(KeyStoreError, match=r'write \{"api_key"') as caught:
        read_json(text, SHAPE, where="standard input")
    assert caught.value.__cause__ is None
    assert SECRET_TEXT not in str(caught.value)


def test_a_credential_does_not_show_itself() -> None:
    """Neither key nor secret stands in the repr of what carries both."""
    assert repr(ApiKeySecret(API_KEY, issue(SHAPE).secret)) == "ApiKeySecret(…)"


TEXT = KeyShape("elsewhere", Algorithm.HMAC_SHA256, None, has_passphrase=True)
PAIRS = [
    KeyShape("elsewhere", each, None, has_passphrase=False)
    for each in (Algorithm.ED25519, Algorithm.ECDSA_P256, Algorithm.RSA_SHA256)
]


def _lines(shape: KeyShape, issued: ApiKeySecret) -> dict[str, str]:
    return dict(line.split("=", 1) for line in handed_over(shape, "http://x", issued).decode().splitlines())


def test_a_text_secret_is_handed_over_as_it_is() -> None:
    """Where the text is the secret, the bot's file has exactly the bytes that sign, and the passphrase beside them."""
    issued = issue(TEXT)
    lines = _lines(TEXT, issued)
    assert list(lines)[2:] == ["ELSEWHERE_API_SECRET", "ELSEWHERE_API_PASSPHRASE"]
    assert lines["ELSEWHERE_API_SECRET"].encode() == issued.secret.expose_to(bytes)
    assert issued.secret.passphrase is not None
    assert lines["ELSEWHERE_API_PASSPHRASE"].encode() == issued.secret.passphrase.expose_to(bytes)
    assert len(lines["ELSEWHERE_API_PASSPHRASE"]) == 32


@pytest.mark.parametrize("shape", PAIRS)
async def test_the_store_keeps_the_public_key_of_a_pair(shape: KeyShape) -> None:
    """The bot's file has the private key, which signs; what is kept verifies that and holds nothing of it."""
    issued = issue(shape)
    lines, kept = _lines(shape, issued), kept_of(issued)
    assert list(lines)[2:] == ["ELSEWHERE_API_PRIVATE_KEY"]
    private = read_private(lines["ELSEWHERE_API_PRIVATE_KEY"], shape.algorithm, where="env")
    signature = await signing_handle(private, shape.algorithm).sign(b"a message")
    assert kept.secret.client_key(shape.algorithm).matches(b"a message", signature)
    with pytest.raises(KeyStoreError):
        signing_handle(kept.secret, shape.algorithm)


@pytest.mark.parametrize("shape", PAIRS)
def test_a_bot_may_make_the_pair_itself(shape: KeyShape) -> None:
    """Its public key is taken in PEM or base64; the bot is told its API key and no secret."""
    public = public_half(new_private(shape.algorithm), shape.algorithm)
    text = base64.encodebytes(public.expose_to(bytes)).decode()
    for written in (text, f"-----BEGIN PUBLIC KEY-----\n{text}-----END PUBLIC KEY-----\n"):
        issued = issue_for(written, shape, where="key.pem")
        assert issued.secret.expose_to(bytes) == public.expose_to(bytes)
        content = handed_over(shape, "http://x", issued, has_private=True).decode()
        assert content == f"ELSEWHERE_BASE_URL=http://x\nELSEWHERE_API_KEY={issued.api_key}\n"


def test_a_private_key_is_never_taken_for_a_public_one() -> None:
    """A bot's private key, given by mistake, is refused with the way to make the public one, and not quoted."""
    text = base64.encodebytes(new_private(Algorithm.ED25519).expose_to(bytes)).decode()
    for written in (text, f"-----BEGIN PRIVATE KEY-----\n{text}-----END PRIVATE KEY-----\n"):
        with pytest.raises(KeyStoreError, match="openssl pkey") as refused:
            issue_for(written, PAIRS[0], where="key.pem")
        assert text.strip() not in str(refused.value)
    with pytest.raises(KeyStoreError, match="shared secret"):
        issue_for(text, TEXT, where="key.pem")


@pytest.mark.parametrize(
    ("secret", "passphrase", "says"),
    [
        ("short", "phrase", "no API secret"),
        ("with blanks in it", "phrase", "no API secret"),
        ("käse" * 4, "phrase", "no API secret"),
        ("0123456789abcdef", "", "passphrase, which is missing"),
        ("0123456789abcdef", "p" * 129, "no passphrase of an API key"),
        ("0123456789abcdef", " phrase", "no passphrase of an API key"),
        ("0123456789abcdef", "a\nb", "no passphrase of an API key"),
    ],
)
def test_a_text_secret_and_its_passphrase_are_read_strictly(secret: str, passphrase: str, says: str) -> None:
    """The error says what is wrong and quotes neither."""
    with pytest.raises(KeyStoreError, match=says) as refused:
        read_pasted(TEXT, "an-api-key", secret, passphrase, where="here")
    assert secret not in str(refused.value)


def test_a_passphrase_that_the_venue_does_not_know_is_refused() -> None:
    """Its key would do without, so something else was meant."""
    with pytest.raises(KeyStoreError, match="has no passphrase; leave it out"):
        read_pasted(SHAPE, API_KEY, SECRET_TEXT, "phrase", where="here")


def test_json_has_the_passphrase_exactly_if_the_venue_has() -> None:
    """One missing or too many is refused with the members to write."""
    members = {"api_key": "an-api-key", "api_secret": "0123456789abcdef"}
    text, whole = json.dumps(members).encode(), json.dumps({**members, "api_passphrase": "a phrase"}).encode()
    found = read_json(whole, TEXT, where="stdin").secret.passphrase
    assert found is not None
    assert found.expose_to(bytes) == b"a phrase"
    for raw, shape in ((text, TEXT), (whole, SHAPE)):
        with pytest.raises(KeyStoreError, match=r'write \{"api_key"') as refused:
            read_json(raw, shape, where="stdin")
        assert ('"api_passphrase"' in str(refused.value)) is shape.has_passphrase


@pytest.mark.parametrize("shape", PAIRS)
async def test_a_private_key_is_read_as_people_have_it(shape: KeyShape) -> None:
    """PEM of PKCS #8, with newlines or as JSON escapes them, and its base64 alone are the same key."""
    der = new_private(shape.algorithm).expose_to(bytes)
    lines = base64.encodebytes(der).decode()
    pem = f"-----BEGIN PRIVATE KEY-----\n{lines}-----END PRIVATE KEY-----\n"
    for text in (pem, pem.replace("\n", "\\n"), lines, lines.replace("\n", "")):
        read = read_pasted(shape, "an-api-key", text, where="here")
        assert (read.secret.expose_to(bytes), read.algorithm) == (der, shape.algorithm)


@pytest.mark.parametrize("shape", PAIRS)
def test_what_is_no_private_key_for_the_venue_is_refused(shape: KeyShape) -> None:
    """Garbage, a public key, another kind of key and a locked one are refused, and not quoted."""
    others = [each for each in (Algorithm.ED25519, Algorithm.ECDSA_P256) if each is not shape.algorithm]
    locked = load_der_private_key(new_private(shape.algorithm).expose_to(bytes), None)
    pem = locked.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass")).decode()
    public = public_half(new_private(shape.algorithm), shape.algorithm)
    texts = ["canary", "Y2FuYXJ5", pem, base64.b64encode(public.expose_to(bytes)).decode()]
    texts += [base64.b64encode(new_private(each).expose_to(bytes)).decode() for each in others]
    for text in texts:
        with pytest.raises(KeyStoreError, match=f"no private key for {shape.algorithm}") as refused:
            read_pasted(shape, "an-api-key", text, where="here")
        assert text not in str(refused.value)
        assert refused.value.__suppress_context__
