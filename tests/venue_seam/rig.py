"""The real line over a venue that the program does not know: its journal, lanes, policy and connections."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from signer.audit import close_journal, open_journal
from signer.audit.journal import FileJournal
from signer.audit.throttle import RecordThrottle
from signer.contracts import Venue
from signer.gateway import open_account
from signer.gateway.accounts import KeyStates
from signer.gateway.authenticate import Authenticator
from signer.gateway.credential import Listeners
from signer.gateway.forward import VenueTime
from signer.gateway.line import Gateway
from signer.gateway.reconcile import Recovery
from signer.gateway.replay import AHEAD_S
from signer.gateway.snapshot import Client, Snapshot
from signer.gateway.trace import Trace
from signer.home.layout import Home
from signer.home.settings import AccountConfig
from signer.keys.file import FileKeyStore
from signer.ledger import open_marks
from signer.ledger.checkpoint import BookFile
from signer.model import KeyInfo, Request, Response
from signer.policy.load import load_policy
from signer.secret import Secret
from signer.serving.clock import SystemClock
from signer.upstream import UpstreamPool
from tests.harness.stores import new_store, open_store
from tests.venue_seam.exchange import API_KEY, PASSPHRASE, SECRET, Exchange

CLIENT_KEY, CLIENT_SECRET, CLIENT_PASSPHRASE = "virtual-key", b"virtual secret", "virtual passphrase"
POLICY = """
version = 1
permissions = ["read_only", "trade"]
pairs = ["BTC-USDT"]
sides = ["buy", "sell"]
order_types = ["limit"]
oflags = ["post_only"]
max_order_size = ["1000 BTC"]
max_order_notional = ["5000 USDT"]
[[cap]]
max_notional = "20000 USDT"
window = "24h"
[[cap]]
max_orders = 100
window = "24h"
[[max_calls]]
window = "1m"
new = 12
"""


@dataclass
class Bot:
    """A client of the venue. Each call has a time of its own."""

    secret: bytes = CLIENT_SECRET
    passphrase: str = CLIENT_PASSPHRASE
    api_key: str = CLIENT_KEY
    last_ms: int = 0
    sign: Callable[[bytes], bytes] | None = None
    """How it signs, if not by its secret."""

    def is_above_the_mark(self) -> bool:
        """Whether a gateway that has restarted since the last call would take the time of another."""
        return time.time_ns() // 1_000_000 > self.last_ms + AHEAD_S * 1000

    def request(self, method: str, path: str, told: Any = None, *, late_ms: int = 0) -> Request:
        """A signed request with ``told`` as its body."""
        self.last_ms = max(self.last_ms + 1, time.time_ns() // 1_000_000)
        at_ms = self.last_ms - late_ms
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000)) + f".{at_ms % 1000:03}Z"
        target, body = f"/api/v5/{path}", b"" if told is None else json.dumps(told).encode()
        message = f"{at}{method}{target}".encode() + body
        signature = self.sign(message) if self.sign else hmac.digest(self.secret, message, hashlib.sha256)
        shown = {
            "key": self.api_key,
            "sign": b64encode(signature).decode(),
            "timestamp": at,
            "passphrase": self.passphrase,
        }
        headers = {f"ok-access-{name}": value for name, value in shown.items()}
        return Request("okx_like", method, target.encode(), headers, body, "127.0.0.1")


@dataclass
class Line:
    """A gateway that runs, and what it has said."""

    gateway: Gateway
    recovery: Recovery
    journal: FileJournal
    folder: Path
    alarms: list[str] = field(default_factory=list)
    traces: list[Trace] = field(default_factory=list)

    async def ask(self, request: Request) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        answer = await self.answer(request)
        return answer.status, json.loads(answer.body)

    async def answer(self, request: Request) -> Response:
        """An answer."""
        return await self.gateway.answer(request)

    async def records(self) -> list[dict[str, Any]]:
        """All records of calls so far."""
        await self.journal.record({"kind": "stop", "time": 0})  # durable, and so is all that was noted before
        segments = sorted(Home(self.folder).audit.iterdir())
        records = [json.loads(line) for path in segments for line in path.read_text().splitlines()]
        return [record for record in records if record["kind"] not in {"segment", "stop"}]

    def finished(self, trace: Trace) -> None:
        """`signer.gateway.trace.Watch`."""
        self.traces.append(trace)

    def dropped(self, client: str, endpoint: str, parameters: int) -> None:
        """`signer.gateway.trace.Watch`."""
        raise AssertionError(endpoint)

    def warn(self, kind: str, text: str) -> None:
        """`signer.gateway.trace.Watch`."""
        raise AssertionError(text)

    def alarm(self, kind: str, text: str) -> None:
        """`signer.gateway.trace.Watch`."""
        self.alarms.append(f"{kind} {text}")


def keys_in(home: Home, venue: Venue, secret: bytes) -> FileKeyStore:
    """The key file of a home, with a real credential and a client, each with its passphrase. It is opened anew."""
    store, passphrases = new_store(home.keys), (PASSPHRASE, CLIENT_PASSPHRASE)
    real, virtual = (Secret(text.encode()) for text in passphrases)
    algorithm = venue.key_algorithm
    store.add_credential("real", "main", API_KEY, Secret(SECRET, real), created_us=0, algorithm=algorithm)
    store.add_client("bot", "main", "p", CLIENT_KEY, Secret(secret, virtual), venue.client_algorithm, created_us=0)
    raw = home.keys.read_bytes()
    assert not any(text in raw for text in (SECRET, PASSPHRASE.encode(), CLIENT_SECRET, CLIENT_PASSPHRASE.encode()))
    return open_store(home.keys)


@asynccontextmanager
async def line(venue: Venue, exchange: Exchange, folder: Path, secret: bytes = CLIENT_SECRET) -> AsyncIterator[Line]:
    """The line from ``venue`` to ``exchange``, as `signer.serving` connects it.

    ``secret`` is what the gateway keeps of its client: the shared secret, or the public key.
    """
    clock, home = SystemClock(), Home(folder)
    (folder / "p.toml").write_text(POLICY)
    policy = load_policy(folder / "p.toml", venue.vocabulary, venue.pairs.find)
    stored = await open_marks(home)
    journal = await open_journal(home, stored, BookFile(home.book), clock, lambda _: None)
    marks, times = await stored.marks(), VenueTime(clock)
    upstream = UpstreamPool.open(exchange.origin)
    keys = await asyncio.to_thread(keys_in, home, venue, secret)
    client = Client(
        keys.clients()[0], keys.client_key("bot", venue.client_algorithm), policy, keys.client_passphrase("bot")
    )
    found = KeyInfo("", ("read_only", "trade"), None, 0, 0, ())
    states = KeyStates(stored, clock, Listeners(), lambda _: found)
    config = AccountConfig(venue=venue.name, origin=exchange.origin, call_seconds=3.0, tier="unlimited")
    real = (keys.credentials()[0], keys.signing_key("real", venue.key_algorithm))
    account = open_account("main", config, venue, [real], upstream, states, marks)
    snapshot = Snapshot({venue.name: venue}, {CLIENT_KEY: client}, {"main": account})
    watch = Line(None, None, journal, folder)  # type: ignore[arg-type]  # set below
    watch.recovery = Recovery(lambda: snapshot, journal, times, clock=clock, watch=watch, gone_after_s=90.0)
    watch.gateway = Gateway(
        snapshot,
        Authenticator(stored, clock, marks, on_alarm=watch.alarms.append),
        journal,
        RecordThrottle(),
        times,
        clock=clock,
        randomness=random.Random(1),  # noqa: S311 - names of orders in a test
        watch=watch,
        look_ups=watch.recovery,
    )
    await times.measure(snapshot.accounts["main"], venue)
    try:
        yield watch
    finally:
        watch.recovery.stop()
        await close_journal(journal, stored)
        await stored.close()
        upstream.close()
