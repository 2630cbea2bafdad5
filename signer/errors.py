"""Every error that signer raises on purpose, as one tree with stable codes.

    SignerError
    ├── Refused              a client's call is refused, for a reason in words of no venue
    │   ├── NotAuthentic     step 1 said no
    │   ├── NotUnderstood    step 2 said no
    │   ├── NotAllowed       step 3 said no
    │   ├── NotReserved      step 4 said no: a cap would be passed
    │   ├── Halted           step 4 said no: an operator halted the client, its account or group, or the pair
    │   └── NotServed        steps 4 to 7 could not be done; nothing was sent, or the outcome is unknown
    │       └── LaneStopped  the credential's lane takes no calls; another credential's may
    ├── ConfigError          signer.toml, a policy or the environment is wrong
    ├── HomeError            the home folder is missing, or of another version
    │   └── HomeBusy         another process holds it now
    ├── ListenError          another program listens there, or the address is not there yet
    ├── KeyStoreError        the key store cannot be opened, read or written
    │   ├── WrongPassphrase
    │   ├── PassphraseChanged
    │   └── StoreUnavailable the store cannot be reached now; it may be back at any moment
    ├── LedgerError          marks.db or book.db cannot be opened, read or written
    ├── AuditError           the audit log cannot be written, read or does not verify
    └── VenueError           the exchange could not be asked, or answered nonsense
        ├── KeyRefused       the exchange refuses the key that asked
        ├── NotSent          no byte of the request left this machine: safe to try again
        │   └── ExportUnderWay  one large answer is fetched at a time
        └── Unanswered       bytes left and no whole answer came back: the outcome is unknown
            └── TooLarge     the answer is over a bound of ours, which it names

Each has a *public* message (what is wrong, where, and the hint, safe to show to anybody) apart from the private
*detail*, which goes to the operator's log only and never holds a secret either.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Self

from signer.model.escaping import printable_ascii

MOST_HALT_REASON = 1200
"""Characters of a halt's reason that a bot is told: ten for each of an operator's."""


class SignerError(Exception):
    """Base of all errors raised on purpose.

    ``what`` says what is wrong; ``where`` names the file, key or flag; ``hint`` says what to do about it. Together
    they are one line. ``detail`` is for the operator's log.
    """

    code: ClassVar[str] = "error"

    def __init__(self, what: str, *, where: str = "", hint: str = "", detail: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint
        self.detail = detail

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}; {self.hint}" if self.hint else text


class RefusalKind(StrEnum):
    """Why a call is refused, in words of no venue. A venue turns each into its own words, status and headers."""

    INVALID_KEY = "invalid-key"
    """The key is unknown, revoked, expired or bound to another caller."""
    INVALID_SIGNATURE = "invalid-signature"
    INVALID_PASSPHRASE = "invalid-passphrase"  # noqa: S105 - the name of a refusal
    NOT_FRESH = "not-fresh"
    """The nonce or timestamp is missing, too old, too far ahead, or was seen before."""
    LOCKED_OUT = "locked-out"
    """The caller has failed too often to prove who it is."""
    UNKNOWN_ENDPOINT = "unknown-endpoint"
    INVALID_ARGUMENTS = "invalid-arguments"
    UNKNOWN_PAIR = "unknown-pair"
    UNKNOWN_ORDER = "unknown-order"
    NOT_PERMITTED = "not-permitted"
    """The policy does not grant a feature of the call."""
    ORDER_LIMIT = "order-limit"
    """The policy allows no order as large, or at such a price."""
    ORDER_RATE = "order-rate"
    """The policy allows no more orders for now."""
    NO_ORDER_NAMED = "no-order-named"
    CAP = "cap"
    """A cap has no room for the call."""
    CAP_OF_ORDERS = "cap-of-orders"
    """A cap that counts orders has no room for the call."""
    HALTED = "halted"
    CANCEL_ONLY = "cancel-only"
    """An operator lets cancels pass, and no order or change of one."""
    RATE_LIMITED = "rate-limited"
    """The caller calls faster than it may."""
    QUIET = "quiet"
    """The venue has asked for quiet; `Refused.venue_words` are its own."""
    NOT_CANCELLED = "not-cancelled"
    """Some of the orders of a cancel may still be open; `Refused.venue_words` are the whole answer."""
    UNAVAILABLE = "unavailable"
    """We could not do our part, or nobody knows what became of the call: the reason says which."""


class Refused(SignerError):
    """A client's call is refused.

    ``reason`` is for the client. ``rules`` names every rule that fired, most important first. ``retry_after_s`` says
    in how many seconds another try makes sense, where that is known. ``venue_words`` are the venue's own errors, if
    the answer is to repeat them. Only a venue turns a refusal into an answer (`Venue.refusal`).
    """

    code = "refused"

    def __init__(
        self,
        kind: RefusalKind,
        reason: str = "",
        *,
        rules: tuple[str, ...] = (),
        venue_words: tuple[str, ...] = (),
        retry_after_s: float | None = None,
        detail: str = "",
    ) -> None:
        super().__init__(reason or " ".join(venue_words) or kind.value, detail=detail)
        self.kind = kind
        self.reason = reason
        self.rules = rules
        self.venue_words = venue_words
        self.retry_after_s = retry_after_s


class NotAuthentic(Refused):
    """Step 1: the caller did not prove to be a client."""

    code = "not-authentic"


class NotUnderstood(Refused):
    """Step 2: the call is not one that we understand completely."""

    code = "not-understood"


class NotAllowed(Refused):
    """Step 3: the client's policy does not allow the call."""

    code = "not-allowed"


class NotReserved(Refused):
    """Step 4: a charge of the call does not fit under its cap."""

    code = "not-reserved"


class Halted(Refused):
    """Step 4: an operator has halted this client, its account or group, or the pair."""

    code = "halted"

    @classmethod
    def because(cls, reason: str, *, cancel_only: bool = False) -> Halted:
        """Return the refusal for a halt with that reason."""
        kind, rule = (RefusalKind.CANCEL_ONLY, "cancel-only") if cancel_only else (RefusalKind.HALTED, "halt")
        return cls(kind, f"{rule}: {printable_ascii(reason)[:MOST_HALT_REASON]}", rules=(rule,))


class NotServed(Refused):
    """Steps 4 to 7: we could not do our part (store, log, lane or venue)."""

    code = "not-served"

    @classmethod
    def unavailable(cls, reason: str, *, detail: str = "") -> Self:
        """Return the refusal that says we could not do our part; ``reason`` says whether anything was sent."""
        return cls(RefusalKind.UNAVAILABLE, reason, detail=detail)


class LaneStopped(NotServed):
    """The lane takes no calls any more: the venue has refused its key. Nothing was sent."""


class ConfigError(SignerError):
    """A setting is wrong: the message names file, key and hint."""

    code = "config"


class HomeError(SignerError):
    """The home folder cannot be used as it is."""

    code = "home"


class HomeBusy(HomeError):
    """Another process holds the home now. It may be gone in a moment, so a supervisor tries again."""

    code = "home-busy"


class ListenError(SignerError):
    """Nothing can listen where signer.toml says, for now: another program does, or the address is not there yet."""

    code = "listen"


class KeyStoreError(SignerError):
    """The key store cannot be opened, read or written."""

    code = "key-store"


class WrongPassphrase(KeyStoreError):
    """The passphrase does not open the key store."""

    code = "wrong-passphrase"


class PassphraseChanged(KeyStoreError):
    """The key store is the one that was opened, under another passphrase since."""

    code = "passphrase-changed"


class StoreUnavailable(KeyStoreError):
    """A store outside this process does not answer now (down, sealed, slow, removed): trying again may help."""

    code = "store-unavailable"


class LedgerError(SignerError):
    """The marks (marks.db) or the checkpoint of the book (book.db) cannot be opened, read or written."""

    code = "ledger"


class AuditError(SignerError):
    """The audit log cannot be written or read, or does not verify."""

    code = "audit"


class VenueError(SignerError):
    """The exchange could not be asked."""

    code = "venue"


class KeyRefused(VenueError):
    """The exchange refuses the key that asked, as it says; that may pass."""

    code = "key-refused"


class NotSent(VenueError):
    """No byte of the request left this machine, so sending it again cannot double it."""

    code = "not-sent"


class Unanswered(VenueError):
    """Bytes of the request left and no whole answer came back: what happened is unknown."""

    code = "unanswered"


class ExportUnderWay(NotSent):
    """Another large answer is being fetched; there is room in memory for one at a time."""

    code = "export-under-way"


class TooLarge(Unanswered):
    """The answer is larger than one to this call may be, or than there is room for: ``what`` names the bound."""

    code = "too-large"
