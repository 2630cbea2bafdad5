"""The key store's file: what stands in it, read strictly, and what proves that all of it belongs together.

Four things guard a file, each with an error of its own (docs/key-store.md):

- ``digest``: a plain SHA-256 of everything else, so that damage is told apart from a wrong passphrase;
- ``check``: a MAC of the header, which only the right passphrase reproduces;
- each entry's seal: bound to all that the entry says about itself, and to this store;
- ``manifest``: a MAC of header, generation and all entries together, so that no entry can be taken away or exchanged
  for an older version of itself.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NoReturn, TypeAlias

from cryptography.exceptions import InvalidTag
from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from signer.errors import KeyStoreError, WrongPassphrase
from signer.home.checked import Strict
from signer.home.settings import HOME_FILE
from signer.keys.argon import Profile
from signer.keys.sealing import RandomBytes, Sealed, StoreKeys
from signer.model import Algorithm, Network, Role
from signer.secret import Secret

FORMAT: Final = "signer-key-store"
VERSION: Final = 1
MOST_BYTES = 16 * 1024 * 1024
"""More than `MOST_ENTRIES` of the largest take up; a bigger file is not ours."""
MOST_ENTRIES = 4096
MOST_SOURCES = 32
RESTORE = "restore the file from a backup"
USUAL: Final = {
    "store": HOME_FILE,
    "role": Role.TRADE,
    "algorithm": Algorithm.HMAC_SHA512,
    "has_passphrase": False,
}
"""What an entry does not say of itself, because most would say it."""

Name = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9._-]{0,63}$")]
ApiKey = Annotated[str, Field(pattern="^[A-Za-z0-9+/_-]{8,128}$", repr=False)]
"""They are 32 to 95 characters. No ``=``: a private key pasted in its place is refused."""
Hex = Annotated[str, Field(pattern="^([0-9a-f]{2})+$")]
Hex16 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Hex32 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Time = Annotated[int, Field(ge=0)]


class About(Strict):
    """What is said of every secret. Bound to it: a changed word, and it does not open."""

    name: Name
    api_key: ApiKey
    algorithm: Annotated[Algorithm, Field(strict=False)] = Algorithm.HMAC_SHA512
    has_passphrase: bool = False
    """Whether a passphrase is sealed with the secret."""

    @model_serializer(mode="wrap")
    def _without_the_usual(self, fields: SerializerFunctionWrapHandler) -> dict[str, object]:
        # An entry of a file written before a word was known is bound to its words without it.
        return {key: value for key, value in fields(self).items() if key not in USUAL or USUAL[key] != value}


class AboutCredential(About):
    """All that is said of a real credential."""

    kind: Literal["credential"]
    account: Name
    created_us: Time
    role: Annotated[Role, Field(strict=False)] = Role.TRADE
    store: Name = HOME_FILE
    """Where the secret is. If not in this file, the entry seals an empty one: its seal still binds all of this."""


class AboutClient(About):
    """All that is said of a client and its virtual credential, whose secret is a public key if it signs by a pair."""

    kind: Literal["client"]
    account: Name
    policy: Name
    sources: Annotated[tuple[Network, ...], Field(max_length=MOST_SOURCES)]
    expires_us: Time | None
    nonces: Literal["window", "strict"]
    revoked: bool
    created_us: Time


class Former(About):
    """What the virtual credential of the client ``name`` was before a rotation, for as long as it still passes."""

    kind: Literal["former"]
    until_us: Time


AnyAbout: TypeAlias = AboutCredential | AboutClient | Former


class SealedEntry(Strict):
    """One secret: what it is, in the clear, and itself, sealed."""

    about: Annotated[AnyAbout, Field(discriminator="kind")]
    data_key: Hex
    secret: Hex

    def __str__(self) -> str:
        return f"{self.about.kind} {self.about.name}"


class Header(Strict):
    """What makes one store differ from every other, and its keys from every other's."""

    store: Hex16
    salt: Hex16
    profile: Profile


class Envelope(Strict):
    """The whole file."""

    format: Literal["signer-key-store"]
    version: Literal[1]
    header: Header
    check: Hex32
    generation: Annotated[int, Field(ge=1)]
    entries: Annotated[tuple[SealedEntry, ...], Field(max_length=MOST_ENTRIES)]
    manifest: Hex32
    digest: Hex32

    def text(self) -> bytes:
        """Return the file's bytes."""
        return json.dumps(self.model_dump(mode="json"), indent=1).encode() + b"\n"


def parse(raw: bytes | bytearray, *, where: str) -> Envelope:
    """Read a file that nothing is known about yet. Raises `KeyStoreError`: not ours, newer, unknown field, damaged."""
    try:
        data = json.loads(raw.decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError):
        _damaged("is not valid JSON", where)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise KeyStoreError("this is not a key store of signer", where=where, hint="name the right file")
    _require_known_version(data.get("version"), where)
    try:
        envelope = Envelope.model_validate_json(raw)
    except ValidationError as error:
        _refuse_shape(error, where)
    if not hmac.compare_digest(_digest(envelope), envelope.digest):
        _damaged("its digest is not that of its content", where)
    return envelope


def check_of(header: Header, keys: StoreKeys) -> str:
    """Return the value by which a passphrase is known to be the right one."""
    return keys.mac(b"check", _canonical(header))


def require_keys(envelope: Envelope, keys: StoreKeys, *, where: str) -> None:
    """Raises `WrongPassphrase` unless ``keys`` are those that wrote the file's header."""
    if not hmac.compare_digest(check_of(envelope.header, keys), envelope.check):
        raise WrongPassphrase("the passphrase is not the one of this key store", where=where, hint="try another")


def require_whole(envelope: Envelope, keys: StoreKeys, *, where: str) -> None:
    """Raises `KeyStoreError` unless the entries are exactly those that were written together."""
    if not hmac.compare_digest(_manifest(envelope, keys), envelope.manifest):
        what = "an entry was added, removed or put back to an earlier state by something other than signer"
        raise KeyStoreError(what, where=where, hint=RESTORE)


def sealed_entry(
    about: AnyAbout, secret: Secret, header: Header, keys: StoreKeys, random_bytes: RandomBytes
) -> SealedEntry:
    """Seal ``secret`` to what is said ``about`` it, in this store and no other."""
    whole = _with_passphrase(secret) if about.has_passphrase and _keeps_secret(about) else secret
    sealed = keys.seal(whole, _identity(about, header), random_bytes)
    return SealedEntry(about=about, data_key=sealed.data_key, secret=sealed.secret)


def opened_entry(entry: SealedEntry, header: Header, keys: StoreKeys, *, where: str) -> Secret:
    """Return the secret of ``entry``, for the store to use and wipe. Raises `KeyStoreError` naming the entry."""
    try:
        whole = keys.open(Sealed(entry.data_key, entry.secret), _identity(entry.about, header))
    except (InvalidTag, ValueError):
        what = f"the entry of {entry} was changed, renamed or moved here by something other than signer"
        raise KeyStoreError(what, where=where, hint=RESTORE) from None
    return _taken_apart(whole) if entry.about.has_passphrase and _keeps_secret(entry.about) else whole


def enveloped(header: Header, generation: int, entries: Sequence[SealedEntry], keys: StoreKeys) -> Envelope:
    """Make a file of these entries, authenticated as a whole."""
    blank = "0" * 64
    bare = Envelope(
        format=FORMAT,
        version=VERSION,
        header=header,
        check=check_of(header, keys),
        generation=generation,
        entries=tuple(entries),
        manifest=blank,
        digest=blank,
    )
    whole = bare.model_copy(update={"manifest": _manifest(bare, keys)})
    return whole.model_copy(update={"digest": _digest(whole)})


def _keeps_secret(about: AnyAbout) -> bool:
    """Return whether the secret is in this file."""
    return not isinstance(about, AboutCredential) or about.store == HOME_FILE


def _with_passphrase(secret: Secret) -> Secret:
    """Return what is sealed of a secret with a passphrase: the passphrase's length in one byte, itself, the secret."""
    shown = secret.passphrase
    assert shown is not None  # noqa: S101 - its entry says that there is one
    packed = shown.expose_to(lambda text: bytearray([len(text)]) + text)
    secret.expose_to(packed.extend)
    return Secret.taken_from(packed)


def _taken_apart(whole: Secret) -> Secret:
    """Return the secret and the passphrase that `_with_passphrase` put together, which is wiped."""
    size = whole.expose_to(lambda raw: raw[0])
    shown = whole.expose_to(lambda raw: Secret(raw[1 : 1 + size]))
    secret = whole.expose_to(lambda raw: Secret(raw[1 + size :], shown))
    whole.wipe()
    return secret


def _identity(about: AnyAbout, header: Header) -> bytes:
    return header.store.encode() + b"\0" + _canonical(about)


def _manifest(envelope: Envelope, keys: StoreKeys) -> str:
    return keys.mac(b"manifest", _canonical(envelope, leave_out={"manifest", "digest"}))


def _digest(envelope: Envelope) -> str:
    return hashlib.sha256(_canonical(envelope, leave_out={"digest"})).hexdigest()


def _canonical(part: Strict, leave_out: set[str] | None = None) -> bytes:
    """Write it in its one spelling: the values are authenticated, not the file's white space."""
    return json.dumps(part.model_dump(mode="json", exclude=leave_out), sort_keys=True, separators=(",", ":")).encode()


def _without_duplicates(members: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two readers may believe different ones of two equal keys.
    if len(dict(members)) != len(members):
        raise ValueError("duplicate key")
    return dict(members)


def _require_known_version(version: object, where: str) -> None:
    if not isinstance(version, int) or isinstance(version, bool):
        _damaged("it names no version", where)
    if version != VERSION:
        what = f"it is of version {version}, and this signer reads version {VERSION}"
        raise KeyStoreError(what, where=where, hint="use the signer that wrote it, or upgrade")


def _refuse_shape(error: ValidationError, where: str) -> NoReturn:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"] if isinstance(part, int) or part.isidentifier())
    if first["type"] == "extra_forbidden":
        what = f"it has a field that this signer does not know: {field[:80]}"
        raise KeyStoreError(what, where=where, hint="use the signer that wrote it, or upgrade") from None
    _damaged(f"{field[:80]} does not read", where)


def _damaged(how: str, where: str) -> NoReturn:
    raise KeyStoreError(f"the key store is damaged: {how}", where=where, hint=RESTORE) from None
