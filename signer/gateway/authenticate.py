"""Step 1: finds out which client sent a request.

The client's key must be known, not revoked and not expired, and its source allowed. The signature must hold by the
venue's own scheme over the raw bytes. The nonce or timestamp must be fresh. An unknown key costs the same work as a bad
signature, and no work once its source has failed too often. A good signature passes whatever else its source has sent.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Mapping
from hashlib import sha256
from secrets import token_bytes

from signer.contracts import Clock, Marks, Venue
from signer.errors import LedgerError, NotAuthentic, NotServed, RefusalKind, Refused
from signer.gateway.replay import FORGIVEN, Replays, name_of, replays_of
from signer.gateway.snapshot import Client, Snapshot
from signer.gateway.source_rate import SourceRate
from signer.model import Decoded, Freshness, Proof, Request
from signer.model.one_source import one_source
from signer.secret import ApiPassphrase, dummy_key

LOCKOUT_S = 60
KEY_FAILURES = 30
"""How many failures of one key from one source are answered as failures within `LOCKOUT_S`, after as many at once.

Further ones are answered as a lockout. A good signature always passes, so nobody can lock out a bot by failing in its
name."""
SOURCE_FAILURES = 120
"""The same bound for one source and all its keys; a few broken bots behind one address stay below it.

An unknown key from a source beyond it is refused without a look at the call."""
STORED_S = 5.0
"""How long a call waits until its nonce is stored. After that it would come late at the exchange."""
USED_NONCE = "the nonce was used before, or is not above those that were"
_DUMMY_PASSPHRASE = ApiPassphrase(token_bytes(32))
"""A passphrase that nobody can show, compared where a client has none, so that the work is the same."""


class Authenticator:
    """Proves who calls, and remembers each client's recent nonces or timestamps.

    It stores a mark ahead of them, so that a restart accepts none again. ``on_alarm`` is called with a sentence about a
    source that fails too often, at most once in `LOCKOUT_S` for each source.
    """

    def __init__(
        self, stored: Marks, clock: Clock, marks: Mapping[str, int], *, on_alarm: Callable[[str], None]
    ) -> None:
        """``marks``: what is ``stored`` of the clients' nonces and timestamps at the start."""
        self._stored = stored
        self._clock = clock
        self._marks = marks
        self._replays: dict[str, Replays] = {}
        self._on_alarm = on_alarm
        self._of_key = SourceRate[tuple[str, str]](KEY_FAILURES / LOCKOUT_S, KEY_FAILURES, clock)
        self._of_source = SourceRate[str](SOURCE_FAILURES / LOCKOUT_S, SOURCE_FAILURES, clock)
        self._alarms = SourceRate[str](1 / LOCKOUT_S, 1, clock)

    async def authenticate(self, request: Request, snapshot: Snapshot) -> tuple[Client, Decoded]:
        """Return the client that sent ``request``, and the decoded request. Raises `Refused`."""
        try:
            client, decoded, digest = self._identify(request, snapshot)
        except NotAuthentic as refused:
            raise self._counted(request, snapshot, refused) from None
        await self._accept(client, decoded.freshness, digest)
        return client, decoded

    def author(self, request: Request, snapshot: Snapshot) -> Client | None:
        """Return the client whose signature a malformed request bears; None if no signature holds.

        The answer is for the log only, because freshness is not checked here.
        """
        venue = snapshot.venues[request.venue]
        client, proof = _client(request, venue, snapshot), venue.claimed_proof(request)
        if client is None or proof is None:
            return None
        return client if _signed_message(proof, client, venue) is not None else None

    def _identify(self, request: Request, snapshot: Snapshot) -> tuple[Client, Decoded, bytes]:
        """Return the client, the decoded request, and the digest of the signed message."""
        venue = snapshot.venues[request.venue]
        client = _client(request, venue, snapshot)
        if client is None and self._of_source.spent(one_source(request.source)):
            raise NotAuthentic(RefusalKind.INVALID_KEY, detail="unknown key, not looked at")
        try:
            decoded = venue.decode(request)
        except Refused:
            if client is None:
                raise NotAuthentic(RefusalKind.INVALID_KEY, detail="unknown key") from None
            raise
        message = _signed_message(decoded.proof, client, venue)
        knows_passphrase = not venue.has_passphrase or _passphrase(client).matches(decoded.proof.passphrase)
        if client is None:
            raise NotAuthentic(RefusalKind.INVALID_KEY, detail="unknown key")
        if message is None:
            raise NotAuthentic(RefusalKind.INVALID_SIGNATURE, detail=f"client {client.info.name}")
        if not knows_passphrase:
            raise NotAuthentic(RefusalKind.INVALID_PASSPHRASE, detail=f"client {client.info.name}")
        self._check_standing(client, request)
        return client, decoded, sha256(message).digest()

    def _check_standing(self, client: Client, request: Request) -> None:
        """Raise `NotAuthentic` for a key that is revoked, expired or bound to another source or certificate.

        Only a caller that has proved to hold the secret is told so.
        """
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

    async def _accept(self, client: Client, fresh: Freshness, digest: bytes) -> None:
        name = name_of(client.info.name, client.info.fingerprint)
        replays = self._replays.get(name)
        if replays is None:
            strict = client.info.nonces == "strict"
            replays = self._replays[name] = replays_of(fresh, name, self._marks, strict=strict)
        now_us = self._clock.now_us()
        try:
            replays.accept(fresh, digest, now_us)
        except NotAuthentic as refused:
            why = refused.detail or USED_NONCE
            raise NotAuthentic(refused.kind, detail=f"client {client.info.name}: {why}") from None
        if replays.mark_for(fresh, now_us) is not None:
            await self._raise_mark(replays, fresh)

    async def _raise_mark(self, replays: Replays, fresh: Freshness) -> None:
        """Store a mark beyond ``fresh`` before the call goes on, so that it counts as a replay after a crash."""
        try:
            async with asyncio.timeout(STORED_S), replays.raising:
                wanted = replays.mark_for(fresh, self._clock.now_us())
                if wanted is not None:
                    await self._stored.raise_mark(*wanted)
                    replays.stored(fresh, wanted[1])
        except (LedgerError, TimeoutError) as error:
            raise NotServed.unavailable("the nonce cannot be stored now; nothing was sent") from error

    def forgive(self, marks: Mapping[str, int]) -> None:
        """Take up the marks that `signer clients forgive` has stored."""
        self._marks = {**self._marks, **{name: mark for name, mark in marks.items() if name.endswith(f"/{FORGIVEN}")}}
        for replays in self._replays.values():
            replays.forgive(marks)

    def _counted(self, request: Request, snapshot: Snapshot, refused: NotAuthentic) -> NotAuthentic:
        """Count a failure. Return ``refused``, or a lockout if its key or its source has failed too often."""
        source = one_source(request.source)
        key_within = self._of_key.take((source, snapshot.venues[request.venue].key_id(request)[:64]))
        source_within = self._of_source.take(source)
        if not source_within and self._alarms.take(source):
            self._on_alarm(f"{source} has failed {SOURCE_FAILURES} times to prove who it is: locked out for now")
        if key_within and source_within:
            return refused
        return NotAuthentic(RefusalKind.LOCKED_OUT, detail=refused.detail or refused.kind)


def _client(request: Request, venue: Venue, snapshot: Snapshot) -> Client | None:
    """Return the client whose key the request shows; None if there is none at this venue."""
    client = snapshot.clients.get(venue.key_id(request))
    account = snapshot.accounts.get(client.info.account) if client else None
    return client if account is None or account.venue.name == venue.name else None


def _signed_message(proof: Proof, client: Client | None, venue: Venue) -> bytes | None:
    """Return the candidate message that the signature is over; None if it is over none.

    The work is the same for an unknown key, and whichever message matches.
    """
    key = client.key if client else dummy_key(venue.client_algorithm)
    matching = [message for message in proof.messages if key.matches(message, proof.signature)]
    return matching[0] if matching else None


def _passphrase(client: Client | None) -> ApiPassphrase:
    return _DUMMY_PASSPHRASE if client is None or client.passphrase is None else client.passphrase


def _within(source: str, client: Client) -> bool:
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return False
    return any(address in network for network in client.info.sources)
