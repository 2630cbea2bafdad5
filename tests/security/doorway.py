"""Step 1 with nothing behind it, on a clock and marks of our own."""

from __future__ import annotations

import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from signer import contracts
from signer.errors import LedgerError, Refused
from signer.gateway.authenticate import Authenticator
from signer.gateway.snapshot import Client, Snapshot
from signer.gateway.trace import Trace
from signer.model import Algorithm, ClientInfo, Request
from signer.policy.load import load_policy
from signer.secret import HmacKey, Secret, fingerprint
from signer.venues.kraken.answers import words
from signer.venues.kraken.orders import PairTable
from signer.venues.kraken.venue import Kraken
from signer.venues.kraken.vocabulary import WORDS
from tests.harness.arriving import arriving
from tests.harness.bots import Bot
from tests.harness.clocks import SetClock

PAIRS = PairTable.built_in()
TRACKER = load_policy(Path(__file__).parents[2] / "policies" / "tracker.toml", WORDS, PAIRS.find)
PATH = "/0/private/Balance"
ACCEPTED = "accepted"


class Heard:
    """A watch that keeps what it is told of dropped parameters, and of alarms."""

    def __init__(self) -> None:
        self.lost: list[tuple[str, str, int]] = []
        self.alarms: list[str] = []

    def finished(self, trace: Trace) -> None:
        return None

    def dropped(self, client: str, endpoint: str, parameters: int) -> None:
        self.lost.append((client, endpoint, parameters))

    def warn(self, kind: str, text: str) -> None:
        return None

    def alarm(self, kind: str, text: str) -> None:
        self.alarms.append(kind)


class Marks:
    """The stored marks of nonces, and nothing else."""

    def __init__(self) -> None:
        self.kept: dict[str, int] = {}
        self.broken = False

    async def raise_mark(self, name: str, at_least: int) -> None:
        if self.broken:
            raise LedgerError("the disk is gone")
        self.kept[name] = max(at_least, self.kept.get(name, 0))


class CountingKey:
    """A client's key that counts the signatures that are computed with it."""

    def __init__(self, key: HmacKey) -> None:
        self._key = key
        self.messages: list[bytes] = []

    @property
    def algorithm(self) -> Algorithm:
        return self._key.algorithm

    def matches(self, message: bytes, signature: bytes) -> bool:
        self.messages.append(message)
        return self._key.matches(message, signature)


class Doorway:
    """An authenticator, the clients it knows, and a way to knock."""

    def __init__(self) -> None:
        self.clock, self.marks, self.alarms = SetClock(), Marks(), list[str]()
        self._clients: dict[str, Client] = {}
        self.restart()

    def restart(self) -> None:
        """Forget all but the marks."""
        kept = dict(self.marks.kept)
        self.authenticator = Authenticator(
            cast(contracts.Marks, self.marks), self.clock, kept, on_alarm=self.alarms.append
        )

    def bot(self, name: str = "bot", **about: Any) -> Bot:
        """A new client."""
        bot = Bot(name, b64encode(secrets.token_bytes(42)).decode(), b64encode(secrets.token_bytes(64)).decode())
        fields: dict[str, Any] = {"sources": (), "expires_us": None, "nonces": "window", "revoked": False, **about}
        named: dict[str, Any] = {"name": name, "account": "main", "policy": "tracker", "api_key": bot.api_key}
        info = ClientInfo(**named, fingerprint=fingerprint(bot.api_key), created_us=1, **fields)
        self._clients[bot.api_key] = Client(info, CountingKey(Secret(b64decode(bot.api_secret)).key()), TRACKER)
        return bot

    def key(self, bot: Bot) -> CountingKey:
        """What counts a client's signatures."""
        return cast(CountingKey, self._clients[bot.api_key].key)

    def snapshot(self) -> Snapshot:
        """All clients so far."""
        return Snapshot({"kraken": Kraken(PAIRS)}, dict(self._clients), {})

    async def knock(self, request: Request) -> str:
        """``accepted``, or the first word of the refusal."""
        try:
            await self.authenticator.authenticate(request, self.snapshot())
        except Refused as refused:
            return words(refused)[0]
        return ACCEPTED


def request(bot: Bot, nonce: int, fields: Mapping[str, str] | None = None, **changed: str) -> Request:
    """A signed request; ``changed`` is changed after it was signed."""
    body, _ = bot.signed(PATH, fields, str(nonce))
    given = {"api_key": bot.api_key, "api_sign": bot.sign(PATH, str(nonce), body), "source": "127.0.0.1", **changed}
    return arriving("POST", PATH, b"", "", body=body, **given)
