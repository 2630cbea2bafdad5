"""Asks the venue about one real key, through the same lane as every call that the key signs."""

from __future__ import annotations

from dataclasses import dataclass

from signer.contracts import Venue
from signer.errors import KeyRefused, Refused, VenueError
from signer.gateway.credential import OURS, Credential
from signer.gateway.forward import Account, Journey
from signer.model import KeyInfo, VenueResult, WireAnswer

OPERATOR = f"{OURS}operator"
"""The name that the question has in the lane."""
TRIES = 3
"""How often a refused nonce lets the lane jump forward. If that is not enough, another program uses larger nonces."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The venue's answer about a key."""

    key: KeyInfo | None
    """None if the venue refuses every nonce of ours, because another program uses larger ones."""
    moved: bool
    """Whether its nonce rose without our calls since our last one."""


async def probe(account: Account, venue: Venue, credential: Credential, tries: int = TRIES) -> ProbeResult:
    """Ask the venue about ``credential``; its nonces go on above those that the venue has seen.

    Raises `VenueError`.
    """
    used = credential.lane.used
    for tried in range(tries):
        journey = Journey()
        answer, result = await _answer(account, venue, credential, journey)
        if not result.bad_nonce:
            key = _read(venue, answer, result)
            # Nonces from before our first use of the key do not show that another program uses it now.
            moved = used and (tried > 0 or _moved(key, journey, credential))
            credential.lane.learn(key.nonce)
            return ProbeResult(key, moved)
    return ProbeResult(None, moved=True)


def known(asked: ProbeResult, name: str) -> KeyInfo:
    """Return the key in ``asked`` of credential ``name``. Raises `VenueError` if there is none."""
    if asked.key is None:
        hint = "make a key that this gateway alone has"
        raise VenueError(f"the exchange refuses the nonces of {name}: another program uses this key", hint=hint)
    return asked.key


def _read(venue: Venue, answer: WireAnswer, result: VenueResult) -> KeyInfo:
    """Read the key in the answer. Raises `VenueError`, as `KeyRefused` if the venue refuses the key."""
    try:
        return venue.read_key_info(answer)
    except VenueError as error:
        if result.bad_key:
            raise KeyRefused(error.what, where=error.where, hint=error.hint) from None
        raise


async def _answer(
    account: Account, venue: Venue, credential: Credential, journey: Journey
) -> tuple[WireAnswer, VenueResult]:
    try:
        return await account.forward(venue, venue.key_info_call(), OPERATOR, journey, lambda: None, credential)
    except Refused as refused:
        cause = refused.__cause__
        raise VenueError(f"{credential.name} could not be tested: {cause or refused.reason}") from None


def _moved(key: KeyInfo, journey: Journey, credential: Credential) -> bool:
    """Return whether the highest nonce that the venue has seen is one that we never used.

    It may count the one that asked or not (its page does not say). Ours only rise, so none lies between that one and
    the one before it. For a key that we never used before, the answer is no.
    """
    between = 0 < journey.after < key.nonce < journey.nonce
    return between or key.nonce > credential.lane.handed
