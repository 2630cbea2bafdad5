"""The contracts between the story (`gateway`) and its backends. The story knows these, never what is behind them.

Clock and randomness are contracts too, so that the whole line runs in a deterministic simulator (tests/simulator).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from signer.contracts.journal import Checkpoint as Checkpoint
from signer.contracts.journal import Journal as Journal
from signer.contracts.journal import Known as Known
from signer.contracts.journal import Marks as Marks
from signer.contracts.venue import Pairs as Pairs
from signer.contracts.venue import Venue as Venue
from signer.model import (
    Algorithm,
    ClientInfo,
    CredentialInfo,
    Priority,
    WireAnswer,
    WireRequest,
)
from signer.secret import ApiPassphrase, Secret

T = TypeVar("T")


class Clock(Protocol):
    """Time, passed in."""

    def now_us(self) -> int:
        """Return the wall clock in microseconds since the Unix epoch; it may jump."""

    def monotonic(self) -> float:
        """Return seconds that never go back; equals the event loop's time."""


class Randomness(Protocol):
    """Random numbers, passed in; `random.SystemRandom` in production."""

    def getrandbits(self, k: int, /) -> int:
        """Return a random integer of ``k`` bits."""


class Worker(Protocol):
    """One thread of its own for blocking work, in order."""

    def run(self, job: Callable[[], T]) -> Awaitable[T]:
        """Do ``job`` after all jobs given before it; its result, or its exception. Starts at once, awaited or not."""


class SigningKey(Protocol):
    """A handle that can sign, wherever the secret lives. There is no way to ask it for the secret."""

    __slots__ = ()

    algorithm: Algorithm
    """How it signs."""
    passphrase: Secret | None
    """What the venue is shown beside a signature; known once it has signed. None if the venue wants nothing."""

    async def sign(self, message: bytes) -> bytes:
        """Return the signature of ``message``. Raises `KeyStoreError` when the store cannot be reached."""


class ClientKey(Protocol):
    """The handle of a virtual credential: it tells whether a signature is the client's."""

    @property
    def algorithm(self) -> Algorithm:
        """Return how the client signs."""

    def matches(self, message: bytes, signature: bytes) -> bool:
        """Compare ``signature`` in constant time with this key's over ``message``."""


class KeyStore(Protocol):
    """Where real and virtual credentials live. Reading is what the gateway may do; writing is for the CLI."""

    def credentials(self) -> Sequence[CredentialInfo]:
        """Return all real credentials."""

    def clients(self) -> Sequence[ClientInfo]:
        """Return all clients, revoked ones included."""

    def signing_key(self, credential: str, algorithm: Algorithm) -> SigningKey:
        """Return the handle for a credential by name.

        Raises `KeyStoreError` if there is none of that name, or it signs by another algorithm.
        """

    def client_key(self, client: str, algorithm: Algorithm) -> ClientKey:
        """Return the handle for a client's virtual credential by name. Raises `KeyStoreError` likewise."""

    def client_passphrase(self, client: str) -> ApiPassphrase | None:
        """Return the handle for the passphrase that a client shows; None if it has none. Raises `KeyStoreError`."""


class SigningStore(Protocol):
    """Where the secrets of real credentials live, outside the home: one kind each of ``[stores.NAME]``.

    The home's key store says which credentials there are; a secret is known here by `CredentialInfo.reference`.
    """

    algorithms: frozenset[Algorithm]
    """How its keys can sign."""
    keeps_passphrases: bool
    """Whether it keeps the passphrase that belongs to a secret, and gives it back."""

    async def signing_key(self, info: CredentialInfo) -> SigningKey:
        """Return the handle for a credential. It works again by itself when a store that was away is reached.

        Raises `KeyStoreError` for what waiting does not fix: no such secret, one of another type, no right to it.
        """

    def add(self, info: CredentialInfo, secret: Secret) -> None:
        """Keep ``secret``, so that nothing can read it back. For the CLI: blocks, and needs an administrator's rights.

        Replaces what an interrupted `add` of the same API key left. Raises `KeyStoreError`.
        """

    def remove(self, info: CredentialInfo) -> None:
        """Destroy the secret; if there is none, that is well. For the CLI likewise. Raises `KeyStoreError`."""

    async def describe(self) -> str:
        """Say how the store is now, in words that follow its name. Raises `KeyStoreError` if it cannot be used."""

    async def close(self) -> None:
        """Let go of connections and sessions."""


class LookUps(Protocol):
    """Whoever finds out at the venue what became of calls without an outcome."""

    async def look_up(self, account: str) -> None:
        """Look now at every such call of ``account``, as far as the venue may be asked. Raises no `SignerError`."""


class Throttle(Protocol):
    """Keeps floods of records that prove nothing from filling the audit log, without losing their number."""

    def admit(self, source: str, kind: str, now_us: int, client: str = "", size: int = 1024) -> bool:
        """Return whether to record this one in full, in at most ``size`` bytes; if not, it has been counted."""


class Turn(Protocol):
    """A client's turn in a lane: the nonce it must use."""

    nonce: int
    after: int
    """The nonce before it on this credential: none of ours lies between. 0 if there never was one."""

    def nonce_refused(self) -> None:
        """Jump forward: the venue refused the nonce."""


class Lane(Protocol):
    """The way to the venue of one credential: nonces leave in order."""

    credential: str

    @property
    def stopped(self) -> bool:
        """Return whether it takes no calls, for good or for a while."""

    @property
    def paused(self) -> bool:
        """Return whether it takes no calls for a while: its key is being asked about."""

    @property
    def load(self) -> int:
        """Return how many calls have a turn or wait for one."""

    @property
    def handed(self) -> int:
        """Return the highest nonce that can have been sent; 0 if there never was one."""

    def has_place(self, client: str, priority: Priority) -> bool:
        """Return whether a call of this client would get a turn, or a place to wait for one, if it came now."""

    @property
    def used(self) -> bool:
        """Return whether the venue has taken a nonce of ours of this key, as far as we know."""

    def learn(self, nonce: int) -> None:
        """Go on above the highest nonce that the venue says it has seen of the key."""

    def stop(self, why: str) -> None:
        """Let nobody in any more, and whoever waits go elsewhere."""

    def pause(self, why: str) -> None:
        """Stop for a while. One that is stopped stays so."""

    def send_away(self, *priorities: Priority) -> None:
        """Let those go elsewhere who wait with such a priority."""

    def resume(self) -> None:
        """Let calls in again."""

    def turn(
        self, client: str, priority: Priority, deadline: float, *, even_if_stopped: bool = False
    ) -> AbstractAsyncContextManager[Turn]:
        """Wait for a turn, hold it until the answer is there. Raises `NotServed` if the queue is full (at once) or
        ``deadline`` (monotonic seconds) passes first, `LaneStopped` if it is, or comes to be, stopped.

        ``even_if_stopped``: to ask whether it could go on, and for nothing else.
        """


class Upstream(Protocol):
    """The connection to one fixed origin."""

    async def send(self, request: WireRequest, deadline: float) -> WireAnswer:
        """Try once. Raises `NotSent` (no byte left) or `Unanswered` (bytes left, no whole answer)."""
