"""An account with real lanes, counters and judgement, before an exchange that does what it is told, in virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import parse_qs

from signer.contracts import Journal
from signer.errors import Refused
from signer.gateway.credential import Credential, Hearing, KeyStatus, Listeners
from signer.gateway.forward import Account, Journey
from signer.gateway.resuming import Resuming
from signer.gateway.snapshot import Snapshot
from signer.gateway.trace import Trace
from signer.keycheck.checks import KeyChecks
from signer.keycheck.judgement import Requirements
from signer.lanes import CredentialLane, NonceSource
from signer.lanes.shares import SharedCounter
from signer.model import Action, Call, ChainHead, Json, KeyInfo, OrderRef, Role, WireAnswer, WireRequest
from signer.model.allowances import Allowance
from signer.secret import Secret
from signer.venues.kraken.endpoints import ENDPOINTS
from signer.venues.kraken.orders import PairTable
from signer.venues.kraken.venue import Kraken
from tests.harness.virtual import VirtualClock

ALL = ("close-trades", "modify-trades", "query-closed-trades", "query-funds", "query-open-trades")
GOOD: Mapping[str, object] = {"error": [], "result": {}}
CANCEL = Call(
    "CancelOrder", Action.CANCEL, {"txid": "O1"}, ENDPOINTS["CancelOrder"].needs, targets=(OrderRef("venue-id", "O1"),)
)
ORDER = Call("AddOrder", Action.ORDER, {"pair": "XXBTZUSD"}, ENDPOINTS["AddOrder"].needs)
READ = Call("Balance", Action.READ, {}, ENDPOINTS["Balance"].needs)
EXPORT = Call("AddExport", Action.WRITE, {}, ENDPOINTS["AddExport"].needs)


@dataclass
class Exchange:
    """Answers as ``says`` has it for the endpoint, by the key if one is named; else all is well."""

    says: dict[str, list[object]] = field(default_factory=dict)
    """By ``ENDPOINT`` or ``KEY ENDPOINT``: answers one after the other, the last for ever."""
    arrived: list[tuple[float, str, str]] = field(default_factory=list)
    """When, by which key, which endpoint."""
    takes_s: float = 0.01

    async def send(self, request: WireRequest, deadline: float) -> WireAnswer:
        """`signer.contracts.Upstream`."""
        key, endpoint = dict(request.headers)["API-Key"], request.target.rpartition("/")[2]
        self.arrived.append((round(asyncio.get_running_loop().time(), 3), key, endpoint))
        await asyncio.sleep(self.takes_s)
        answers = self.says.get(f"{key} {endpoint}") or self.says.get(endpoint) or self.says.get("*") or [None]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, WireAnswer):
            return answer
        if isinstance(answer, str):
            answer = {"error": [answer]}
        return WireAnswer(200, "application/json", json.dumps(answer or self._well(endpoint, request)).encode())

    def _well(self, endpoint: str, request: WireRequest) -> Mapping[str, object]:
        if endpoint != "GetApiKeyInfo":
            return {"error": [], "result": {"txid": ["O1"]} if endpoint == "AddOrder" else {}}
        (nonce,) = parse_qs(request.body.decode())["nonce"]
        held = {"apiKeyName": "n", "nonceWindow": "0", "permissions": [*ALL], "validUntil": "0", "ipAllowlist": []}
        return {"error": [], "result": {**held, "nonce": nonce}}

    def count(self, endpoint: str, key: str = "") -> int:
        """How many calls arrived."""
        return len([1 for _, by, what in self.arrived if what == endpoint and key in {"", by}])


class Ways:
    """The account, its keys (``key-1``, …), who asks about them, and all that is said and recorded."""

    def __init__(
        self,
        *permissions: tuple[str, ...],
        roles: tuple[Role, ...] = (),
        reads: Allowance | None = None,
        queue: int = 64,
    ) -> None:
        self.exchange, self.clock = Exchange(), VirtualClock()
        self.alarms: list[str] = []
        self.records: list[Mapping[str, Json]] = []
        self.states: list[str] = []
        self.resuming = Resuming(lambda: self.snapshot, lambda: self.key_checks, self.alarm, self.clock)
        listeners = Listeners(self.alarm, self._on_record, self.resuming.paused, self.resuming.locked)
        held = permissions or (ALL,)
        roles = roles or (Role.TRADE,) * len(held)
        credentials = [self._credential(n, words, roles[n - 1], reads, queue) for n, words in enumerate(held, 1)]
        hearing = Hearing("main", self.clock, listeners)
        self.venue = Kraken(PairTable.built_in())
        self.account = Account("main", self.venue, credentials, self.exchange, 14.0, self.clock, hearing)
        self.snapshot = Snapshot({"kraken": self.venue}, {}, {"main": self.account})
        self.key_checks = KeyChecks(
            lambda: self.snapshot,
            self._requirements,
            self._keep,
            journal=cast("Journal", self),
            watch=self,
            clock=self.clock,
        )

    def _credential(
        self, number: int, permissions: tuple[str, ...], role: Role, reads: Allowance | None, queue: int
    ) -> Credential:
        name = f"key-{number}"

        async def stored(_: str, __: int) -> None:
            """Store it at once."""

        nonces = NonceSource(name, 0, stored, self.clock, on_alarm=lambda _: None)
        lane = CredentialLane(name, clock=self.clock, nonces=nonces, queue=queue)
        status = KeyStatus(KeyInfo("", permissions, None, 0, 0, ()), due=False)
        return Credential(name, name, Secret(bytes(64)).key(), lane, role, status, SharedCounter(reads))

    def reload(self) -> None:
        """Swap to an account of the same lasting parts, as a reload does."""
        before = self.account
        fresh = [
            Credential(one.name, one.api_key, one.key, one.lane, one.role, one.status, one.reads, one.quiet)
            for one in before.credentials
        ]
        self.account = Account("main", self.venue, fresh, self.exchange, 14.0, self.clock, before.hearing)
        self.snapshot = Snapshot({"kraken": self.venue}, {}, {"main": self.account})

    async def call(self, call: Call, client: str = "bot", *, brake: bool = False) -> list[str]:
        """Make one call; return the ``error`` array that its client is answered with."""
        journey = Journey()
        try:
            answer, _ = await self.account.forward(self.venue, call, client, journey, lambda: None, brake=brake)
        except Refused as refused:
            assert not journey.sent, "refused by us although it was sent"
            return list(self.venue.words(refused, call))
        if answer.status != 200:
            return [f"HTTP {answer.status}"]
        return list(json.loads(answer.body)["error"])

    def _requirements(self) -> Mapping[str, Requirements]:
        return {
            one.name: Requirements(one.name, serves=True, usable=frozenset(ALL)) for one in self.account.credentials
        }

    async def _keep(self, credential: Credential, key: KeyInfo) -> None:
        """Keep a probe where lists look for it."""

    def _on_record(self, account: str, credential: str, state: str, text: str) -> None:
        self.states.append(f"{credential or account} {state}")

    def finished(self, trace: Trace) -> None:
        """`signer.gateway.trace.Watch`."""
        raise AssertionError(trace)

    def dropped(self, client: str, endpoint: str, parameters: int) -> None:
        """`signer.gateway.trace.Watch`."""
        raise AssertionError(endpoint)

    def warn(self, kind: str, text: str) -> None:
        """`signer.gateway.trace.Watch`."""

    def alarm(self, kind: str, text: str) -> None:
        """`signer.gateway.trace.Watch`."""
        self.alarms.append(f"{kind} {text}")

    def note(self, entry: Mapping[str, Json]) -> None:
        """`signer.contracts.AuditLog`."""
        self.records.append(entry)

    async def record(self, entry: Mapping[str, Json], *, within: float = 0.0, urgent: bool = False) -> None:
        """`signer.contracts.AuditLog`."""
        raise AssertionError(entry)

    def head(self) -> ChainHead | None:
        """`signer.contracts.AuditLog`."""
        return None
