"""Names of orders: gives each order one of ours, and tells what a client calls an order of a name of ours.

Our names are random, so nobody else can have given them to an order, and a look-up by them is exact. The venue sees no
other name, and the client sees none of ours.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import final

from signer.contracts import Journal, Randomness, Venue
from signer.errors import LedgerError, NotServed, VenueError
from signer.gateway.snapshot import Client
from signer.model import Call, ClientNames, WireAnswer


@final
class Naming:
    """Gives and restores names."""

    def __init__(self, journal: Journal, randomness: Randomness) -> None:
        self._journal = journal
        self._randomness = randomness

    def named(self, venue: Venue, account: str, call: Call) -> Call:
        """Return ``call`` with a name of ours for each order that it places."""
        is_taken = partial(self._journal.has_own_name, account)
        return venue.with_own_names(call, self._randomness.getrandbits, is_taken)

    def to_send(self, client: Client, call: Call) -> Call:
        """Return the read as it is sent: for who sees the whole account, the venue seeks a name that the book lacks."""
        if not call.sought or owner_of(client):
            return call
        known = any(self._journal.find_orders(client.info.account, ref) for ref in call.sought)
        return call if known else replace(call, sought=())

    def restored(self, venue: Venue, client: Client, call: Call, answer: WireAnswer, why: str) -> WireAnswer:
        """Return the answer to ``call`` as the client sees it. Raises `NotServed` with ``why`` if it does not read."""
        names = partial(self._names, client.info.account, owner_of(client), call)
        try:
            return replace(answer, body=venue.restored(call, answer.body, names))
        except (VenueError, LedgerError) as error:
            raise NotServed.unavailable(why) from error

    def _names(self, account: str, owner: str, call: Call, own: str, venue_id: str) -> ClientNames | None:
        """Return what ``owner`` calls the order: nothing if it is another client's; None if the name is not ours."""
        for order in call.orders:
            if order.own == own:
                return ClientNames(order.client_tag, order.client_id)
        if call.change is not None and call.change.own == own:
            return ClientNames(call.change.client_tag)
        found = self._journal.client_names(account, own, venue_id)
        if found is None:
            return None
        client, names = found
        return names if owner in {"", client} else ClientNames()


def owner_of(client: Client) -> str:
    """Return whose orders the client may cancel and change: its own name, or empty for every client's."""
    return "" if client.policy.whole_account else client.info.name
