"""What the tests of the sandbox's edge stand on: a toy engine that only remembers, and a signer of requests."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from signer.sandbox.app import create_app
from signer.sandbox.conditions import Conditions
from signer.sandbox.control import create_control
from signer.sandbox.keys import ApiKey, KeySettings
from signer.sandbox.permissions import NEEDS
from signer.sandbox.rejected import Rejected
from signer.sandbox.signing import api_sign
from signer.sandbox.simulation import OWN_METHODS, Simulation

START = 1_700_000_000.0


class ToyEngine:
    """Remembers what it was asked; knows one pair."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.accounts: dict[str, Mapping[str, Decimal]] = {}
        self.tiers: dict[str, str] = {}
        self.called: list[tuple[str, str, Mapping[str, object]]] = []
        self.met: list[Conditions] = []
        self.acted = threading.Event()
        self.filled: list[tuple[str, str, Decimal | None]] = []
        self.close_keeps_userref = False
        self.delisted: list[str] = []
        self.prices: dict[str, Decimal] = {}

    def open_account(self, name: str, balances: Mapping[str, Decimal], tier: str) -> None:
        self.accounts[name] = balances
        self.tiers[name] = tier

    def set_tier(self, account: str, tier: str) -> None:
        self.tiers[account] = tier

    def public(self, method: str, params: Mapping[str, object]) -> object:
        self.called.append(("", method, params))
        return {"unixtime": int(self.now())}

    def private(self, account: str, method: str, params: Mapping[str, object], met: Conditions) -> object:
        if params.get("pair") == "NOPE":
            raise Rejected("EQuery:Unknown asset pair")
        self.called.append((account, method, params))
        self.met.append(met)
        self.acted.set()
        if method == "RetrieveExport":
            return b"PK\x03\x04"
        return {asset: str(amount) for asset, amount in self.accounts[account].items()}

    def set_price(self, pair: str, price: Decimal) -> None:
        if pair != "XXBTZUSD":
            raise Rejected("EQuery:Unknown asset pair")
        self.prices[pair] = price

    def fill(self, account: str, txid: str, volume: Decimal | None) -> None:
        self.filled.append((account, txid, volume))

    def set_close_userref(self, *, keep: bool) -> None:
        self.close_keeps_userref = keep

    def delist(self, pair: str) -> None:
        if pair != "XXBTZUSD":
            raise Rejected("EQuery:Unknown asset pair")
        self.delisted.append(pair)

    def tick(self) -> None:
        """Time does nothing here."""


@dataclass
class Edge:
    """A simulation on a toy engine with a clock that the test moves, and clients of both apps."""

    time: float = START
    engine: ToyEngine = field(init=False)
    simulation: Simulation = field(init=False)
    bots: FlaskClient = field(init=False)
    control: FlaskClient = field(init=False)
    key: ApiKey = field(init=False)
    nonces: Any = field(default_factory=lambda: itertools.count(1_700_000_000_000))

    def __post_init__(self) -> None:
        counter = itertools.count(1)
        self.simulation = Simulation(
            self._engine,
            public=frozenset({"Time"}),
            private=frozenset(NEEDS) - OWN_METHODS,
            real_clock=lambda: self.time,
            random_bytes=lambda length: next(counter).to_bytes(length, "big"),
            tier="unlimited",
        )
        self.bots = create_app(self.simulation).test_client()
        self.control = create_control(self.simulation).test_client()
        self.key = self.make_key()

    def _engine(self, now: Callable[[], float]) -> ToyEngine:
        self.engine = ToyEngine(now)
        return self.engine

    def make_key(self, **settings: Any) -> ApiKey:
        return self.simulation.make_key(KeySettings(**{"account": "demo", **settings}))

    def call(self, endpoint: str, *, key: ApiKey | None = None, nonce: object = None, **fields: str) -> TestResponse:
        """A properly signed form call."""
        number = str(next(self.nonces) if nonce is None else nonce)
        body = urlencode({"nonce": number, **fields}).encode()
        return self.send(endpoint, body, number, key=key)

    def send(
        self,
        endpoint: str,
        body: bytes,
        nonce: str,
        *,
        key: ApiKey | None = None,
        content_type: str = "application/x-www-form-urlencoded",
        query: str = "",
    ) -> TestResponse:
        """Any body, signed as it is."""
        settings = (key or self.key).settings
        path = f"/0/private/{endpoint}"
        headers = {"API-Key": settings.api_key, "API-Sign": api_sign(settings.api_secret, path, nonce, body)}
        return self.bots.post(path + query, data=body, headers=headers, content_type=content_type)


def errors(response: TestResponse) -> list[str]:
    """The ``error`` array of an answer with HTTP 200."""
    assert response.status_code == 200
    answer = response.get_json()
    return list(answer["error"])
