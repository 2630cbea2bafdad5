"""The contracts between the story (`gateway`) and its backends. The story knows these, never what is behind them.

Clock and randomness are contracts too, so that the whole line runs in a deterministic simulator (tests/simulator).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from signer.contracts.venue import Pairs as Pairs
from signer.contracts.venue import Venue as Venue
from signer.model import (
    Algorithm,
    ChainHead,
    ClientInfo,
    CredentialInfo,
    Halt,
    Intent,
    Json,
    OpenIntent,
    OrderRef,
    PlacedOrder,
    Priority,
    Usage,
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


class Ledger(Protocol):
    """All state that must be atomic: what is reserved and spent, halts, nonce marks, orders of clients.

    Every method raises `LedgerError` if the store fails; nothing is then half done.
    """

    async def reserve(self, intent: Intent, head: ChainHead | None = None) -> int:
        """Hold all charges of ``intent``, or none. Returns the reservation's number once it is durable.

        Raises `NotReserved` (a cap would be passed; names the cap and what is left) or `Halted`. ``head`` is stored in
        the same transaction, at no cost.
        """

    def now_us(self) -> int:
        """Return the moment by which charges are dated now: the clock's, but none before the latest that was used."""

    async def release(self, reservation: int) -> None:
        """Give back all that is held: the venue rejected the call, or it was never sent."""

    async def settle(self, reservation: int, venue_ids: Sequence[str | None], at_us: int = 0) -> None:
        """Record an accepted call: spend the charges of orders with a venue id, give the rest back.

        What is spent is dated at ``at_us``, which its record says too; 0: now. The orders are remembered. For an
        edit or amend ``venue_ids`` has the one order's id after the change.
        """

    async def settle_found(self, reservation: int, venue_ids: Sequence[str | None], at_us: int = 0) -> None:
        """Settle the orders that have an id; those without one stay held under the same number (`without_legs`)."""

    async def hold(self, reservation: int) -> None:
        """Keep everything held until it is reconciled: the outcome is unknown."""

    async def open_intents(self) -> Sequence[OpenIntent]:
        """Return the reservations without outcome, oldest first."""

    async def last_reservation(self) -> int:
        """Return the highest number that a reservation ever had; 0 if there was none."""

    async def find_orders(self, account: str, ref: OrderRef) -> Sequence[PlacedOrder]:
        """Return orders placed through us that ``ref`` names, any client's, newest first. Empty if we know of none."""

    async def absent(self, account: str, listed: Sequence[str], placed_before_us: int) -> Sequence[str]:
        """Return orders that were placed before then, may be open, and are not ``listed``, the venue ids that are.

        The answer is bounded: there may be more after these were marked.
        """

    async def reappeared(self, account: str, listed: Sequence[str]) -> Sequence[PlacedOrder]:
        """Return the orders that are marked as closed and that the venue lists as open."""

    async def mark(self, account: str, venue_ids: Sequence[str], *, closed: bool) -> None:
        """Mark these orders as closed, or as open. Only closed orders are ever forgotten."""

    async def may_be_open(self, account: str) -> int:
        """Return how many orders the account has that are not known to be closed."""

    async def open_orders(self, account: str, client: str) -> Sequence[PlacedOrder]:
        """Return orders that are not known to be closed, newest first; of any account or client where empty."""

    async def usage(self, scope: str) -> Sequence[Usage]:
        """Return what is used now of each cap that the scope has ever been charged for."""

    async def marks(self) -> Mapping[str, int]:
        """Return stored high-water marks by name.

        ``credential/NAME`` and ``client/NAME`` are of nonces, ``key-store/ID`` is of the file's generations.
        """

    async def raise_mark(self, name: str, at_least: int) -> None:
        """Store a mark ahead of use; never lowers one. Durable when this returns."""

    async def keep_head(self, head: ChainHead) -> None:
        """Remember the audit chain's last durable record, so that a truncated log is found out."""

    async def head(self) -> ChainHead | None:
        """Return the chain head last kept."""

    def halted(self, client: str, account: str) -> Halt | None:
        """Return the halt in force, from memory, at most 0.25 s old; `reserve` always reads the store."""

    async def halts(self) -> Sequence[Halt]:
        """Return all halts in force."""

    async def revoked(self) -> Mapping[str, int]:
        """Return when each revoked client was revoked, by its name, whatever the key store says."""


class AuditLog(Protocol):
    """The chain of records that proves what happened."""

    async def record(self, entry: Mapping[str, Json], *, within: float = 0.0, urgent: bool = False) -> None:
        """Append ``entry``; durable when this returns. Raises `AuditError` if it cannot be.

        A patient caller (``within`` seconds) rides along with the next flush. ``urgent`` may use the reserve space: for
        cancels on a full disk.
        """

    def note(self, entry: Mapping[str, Json]) -> None:
        """Append ``entry`` in the background; bounded loss at a crash, never an error to the caller."""

    def head(self) -> ChainHead | None:
        """Return the last durable record."""


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
