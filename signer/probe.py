"""Asking the venue what one real key may do, through the same lane as every call that it signs."""

from __future__ import annotations

from signer.accounts import Account, Credential, Journey
from signer.contracts import Venue
from signer.errors import Refused, VenueError
from signer.model import KeyInfo

OPERATOR = "operator"
"""Whose turn in the lane it is: no client is called so by accident, and one that is only shares its turns."""


async def probe(account: Account, venue: Venue, credential: Credential) -> KeyInfo:
    """What the venue says of ``credential`` now. Raises `VenueError`."""
    credential.lane.resume()  # an operator asks: if the venue refuses the key again, the lane stops again
    try:
        answer, _ = await account.forward(venue, venue.key_info_call(), OPERATOR, Journey(), lambda: None, credential)
    except Refused as refused:
        cause = refused.__cause__
        raise VenueError(f"{credential.name} could not be tested: {cause or refused.answer[-1]}") from None
    return venue.read_key_info(answer)
