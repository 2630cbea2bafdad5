"""The words of docs/design.md as data: what passes along the straight line.

Everything here is immutable and holds no behaviour but its own reading. Amounts are `Decimal`, times are integer
microseconds since the Unix epoch (``_us``), durations are seconds (``_s``).
"""

from signer.model.calls import Action, Call, Decoded, Freshness, Outcome, Priority, Proof, Role, Timestamp, VenueResult
from signer.model.credentials import Algorithm, ClientInfo, CredentialInfo, KeyInfo
from signer.model.decisions import ChainHead, Charge, Decision, Facts, Gap, Intent, OpenIntent, RuleHit, Usage
from signer.model.halts import Halt, HaltScope, HaltState
from signer.model.orders import (
    Change,
    ClientNames,
    Moment,
    NamesOf,
    Order,
    OrderRef,
    Pair,
    PlacedOrder,
    Price,
    RefKind,
    Side,
    one_name,
    same_name,
)
from signer.model.vocabulary import Vocabulary
from signer.model.wire import Json, Network, Request, Response, WireAnswer, WireRequest

__all__ = [
    "Action",
    "Algorithm",
    "Call",
    "ChainHead",
    "Change",
    "Charge",
    "ClientInfo",
    "ClientNames",
    "CredentialInfo",
    "Decision",
    "Decoded",
    "Facts",
    "Freshness",
    "Gap",
    "Halt",
    "HaltScope",
    "HaltState",
    "Intent",
    "Json",
    "KeyInfo",
    "Moment",
    "NamesOf",
    "Network",
    "OpenIntent",
    "Order",
    "OrderRef",
    "Outcome",
    "Pair",
    "PlacedOrder",
    "Price",
    "Priority",
    "Proof",
    "RefKind",
    "Request",
    "Response",
    "Role",
    "RuleHit",
    "Side",
    "Timestamp",
    "Usage",
    "VenueResult",
    "Vocabulary",
    "WireAnswer",
    "WireRequest",
    "one_name",
    "same_name",
]
