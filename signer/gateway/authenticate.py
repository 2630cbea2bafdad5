"""Step 1: which client is calling?

The key is known, its source allowed, it is not revoked or expired, the venue's own signature over the raw bytes holds,
and the nonce was not seen before. An unknown key costs the same work as a bad signature. Once its source has failed too
often, it costs none. A good signature always passes, whatever else its source does.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable, Mapping

from signer.contracts import Clock, Ledger
from signer.errors import LedgerError, NotAuthentic, NotServed, RefusalKind, Refused
from signer.gateway.client_nonces import FORGIVEN, ClientNonces, name_of
from signer.gateway.snapshot import Client, Snapshot
from signer.gateway.source_rate import SourceRate
from signer.model import Decoded, Request
from signer.model.one_source import one_source
from signer.secret import Secret

LOCKOUT_S = 60
KEY_FAILURES = 30
"""So many failures of one key from one source at once, and as many again within `LOCKOUT_S`, are said to be failures;
the rest are answered as a lockout. A good signature always passes, so nobody locks a bot out by failing in its name."""
SOURCE_FAILURES = 120
"""The same for one source, whatever keys it shows. More than a few broken bots behind one address need; and an unknown
key from a source beyond it is answered without looking at the call."""
USED_NONCE = "the nonce was used before, or is not above those that were"

_DUMMY_KEY = Secret(bytes(64)).key()
"""Signs for callers whose key we do not know: the work must not be less than for one that we know."""


class Authenticator:
    """Knows every client's recent nonces and stores a mark ahead of them, so that a restart forgets none.

    ``on_alarm`` hears, in words and at most once in `LOCKOUT_S` of each, of a source that fails too often.
    """

    def __init__(
        self, ledger: Ledger, clock: Clock, marks: Mapping[str, int], *, on_alarm: Callable[[str], None]
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._marks = marks
        self._nonces: dict[str, ClientNonces] = {}
        self._on_alarm = on_alarm
        self._of_key = SourceRate[tuple[str, str]](KEY_FAILURES / LOCKOUT_S, KEY_FAILURES, clock)
        self._of_source = SourceRate[str](SOURCE_FAILURES / LOCKOUT_S, SOURCE_FAILURES, clock)
        self._alarms = SourceRate[str](1 / LOCKOUT_S, 1, clock)

    async def authenticate(self, request: Request, snapshot: Snapshot) -> tuple[Client, Decoded]:
        """The client that sent ``request``, and the request taken apart. Raises `NotAuthentic` or `NotUnderstood`."""
        try:
            client, decoded, signature = self._identify(request, snapshot)
        except NotAuthentic as refused:
            raise self._counted(request, snapshot, refused) from None
        await self._accept_nonce(client, decoded.nonce, signature)
        return client, decoded

    def author(self, request: Request, snapshot: Snapshot) -> Client | None:
        """Whose request it was that could not be taken apart, if its signature holds. For the log only: its nonce was
        not looked at."""
        venue = snapshot.venues[request.venue]
        client, message = snapshot.clients.get(venue.key_id(request)), venue.claimed_message(request)
        if client is None or message is None:
            return None
        return client if client.key.matches(message, _decoded_signature(request.headers.get("api-sign", ""))) else None

    def _identify(self, request: Request, snapshot: Snapshot) -> tuple[Client, Decoded, bytes]:
        venue = snapshot.venues[request.venue]
        client = snapshot.clients.get(venue.key_id(request))
        if client is None and self._of_source.spent(one_source(request.source)):
            raise NotAuthentic(RefusalKind.INVALID_KEY, detail="unknown key, not looked at")
        signature = _decoded_signature(request.headers.get("api-sign", ""))
        try:
            decoded = venue.decode(request)
        except Refused:
            if client is None:
                raise NotAuthentic(RefusalKind.INVALID_KEY, detail="unknown key") from None
            raise
        matches = (client.key if client else _DUMMY_KEY).matches(decoded.signed, signature)
        if client is None:
            raise NotAuthentic(RefusalKind.INVALID_KEY, detail="unknown key")
        if not matches:
            raise NotAuthentic(RefusalKind.INVALID_SIGNATURE, detail=f"client {client.info.name}")
        self._check_standing(client, request)
        return client, decoded, signature

    def _check_standing(self, client: Client, request: Request) -> None:
        """Asked only of who has proved to hold the secret: nobody else learns that a key is revoked or bound."""
        info = client.info
        if info.revoked:
            raise NotAuthentic(RefusalKind.INVALID_KEY, detail=f"client {info.name} is revoked")
        if info.expires_us is not None and self._clock.now_us() >= info.expires_us:
            raise NotAuthentic(RefusalKind.INVALID_KEY, detail=f"client {info.name} has expired")
        if info.sources and not _within(request.source, client):
            raise NotAuthentic(RefusalKind.INVALID_KEY, detail=f"client {info.name} is not allowed from this address")
        if request.certified not in {None, info.name}:
            raise NotAuthentic(
                RefusalKind.INVALID_KEY, detail=f"client {info.name} showed a certificate of another name"
            )

    async def _accept_nonce(self, client: Client, nonce: int, signature: bytes) -> None:
        name = name_of(client.info.name, client.info.fingerprint)
        nonces = self._nonces.get(name)
        if nonces is None:
            nonces = self._nonces[name] = ClientNonces(name, self._marks, strict=client.info.nonces == "strict")
        try:
            nonces.accept(nonce, signature, self._clock.now_us())
        except NotAuthentic as refused:
            why = refused.detail or USED_NONCE
            raise NotAuthentic(refused.kind, detail=f"client {client.info.name}: {why}") from None
        if nonces.mark_for(nonce, self._clock.now_us()) is not None:
            await self._raise_mark(nonces, nonce)

    async def _raise_mark(self, nonces: ClientNonces, nonce: int) -> None:
        """Store a mark beyond ``nonce`` before the call goes on: after a crash it must be a replay."""
        async with nonces.raising:
            wanted = nonces.mark_for(nonce, self._clock.now_us())
            if wanted is None:
                return
            try:
                await self._ledger.raise_mark(*wanted)
            except LedgerError as error:
                raise NotServed.unavailable("the nonce cannot be stored now; nothing was sent") from error
            nonces.stored(nonce, wanted[1])

    def forgive(self, marks: Mapping[str, int]) -> None:
        """Take up what `signer clients forgive` has stored since."""
        self._marks = {**self._marks, **{name: mark for name, mark in marks.items() if name.endswith(f"/{FORGIVEN}")}}
        for nonces in self._nonces.values():
            nonces.forgive(marks)

    def _counted(self, request: Request, snapshot: Snapshot, refused: NotAuthentic) -> NotAuthentic:
        """``refused``, or a lockout if its key or its source has failed too often. Both are asked either way."""
        source = one_source(request.source)
        key_within = self._of_key.take((source, snapshot.venues[request.venue].key_id(request)[:64]))
        source_within = self._of_source.take(source)
        if not source_within and self._alarms.take(source):
            self._on_alarm(f"{source} has failed {SOURCE_FAILURES} times to prove who it is: locked out for now")
        if key_within and source_within:
            return refused
        return NotAuthentic(RefusalKind.LOCKED_OUT, detail=refused.detail or refused.kind)


def _decoded_signature(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""  # matches nothing


def _within(source: str, client: Client) -> bool:
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return False
    return any(address in network for network in client.info.sources)
