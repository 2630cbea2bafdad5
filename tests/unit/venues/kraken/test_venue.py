"""`Kraken` is a venue: what the story asks of one, it answers."""

from __future__ import annotations

from signer.contracts import Venue
from signer.venues.kraken.orders import PairTable
from signer.venues.kraken.venue import Kraken
from tests.unit.venues.kraken.asking import form


def test_kraken_satisfies_the_contract() -> None:
    """The type checker takes Kraken for a venue."""
    venue: Venue = Kraken(PairTable.built_in())
    assert venue.name == "kraken"


def test_a_call_is_read_the_same_whichever_table_object_it_was() -> None:
    """Calls compare by what they say."""
    assert form("Balance", {}) == form("Balance", {"asset_class": "", "rebase_multiplier": ""})
