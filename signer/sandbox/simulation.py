"""The simulated exchange behind its HTTP servers: one request in, one answer out.

It checks the method, the key, its signature and nonce, the rate counter and the permission, in this order. Then it asks
the engine.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol, final

from signer.sandbox.arrivals import Arrivals
from signer.sandbox.conditions import Conditions
from signer.sandbox.faults import Faults
from signer.sandbox.keys import ApiKey, CallDenied, Keys, KeySettings, check_tier
from signer.sandbox.rejected import Rejected
from signer.sandbox.wire import Malformed, Params, decode, form_pairs, is_json, nested

JSON = "application/json"
PUBLIC_PATH = "/0/public/"
PRIVATE_PATH = "/0/private/"
OWN_METHODS = frozenset({"GetApiKeyInfo", "GetWebSocketsToken"})
"""Private endpoints about the key, which the edge answers instead of the engine."""

JSON_ONLY = frozenset({"CancelOrderBatch"})
"""Endpoints that fail as a form (krakenex #138)."""

TOY_BALANCES = {
    "ZUSD": Decimal(100_000),
    "ZEUR": Decimal(50_000),
    "XXBT": Decimal(2),
    "XETH": Decimal(30),
    "SOL": Decimal(200),
}
"""The default balances of a new account."""


class Engine(Protocol):
    """What the edge needs of the exchange. It raises `Rejected` and is not safe for threads."""

    def open_account(self, name: str, balances: Mapping[str, Decimal], tier: str) -> None:
        """Open an account of this tier with these balances, by asset."""

    def set_tier(self, account: str, tier: str) -> None:
        """Change the tier of an account's order counters."""

    def public(self, method: str, params: Mapping[str, object]) -> object:
        """Answer the result of a public call."""

    def private(self, account: str, method: str, params: Mapping[str, object], met: Conditions) -> object:
        """Answer the result of a private call; bytes for RetrieveExport."""

    def set_price(self, pair: str, price: Decimal) -> None:
        """Move the price of a pair, and let orders match and trigger."""

    def fill(self, account: str, txid: str, volume: Decimal | None) -> None:
        """Fill a resting order at its limit, whole or in part."""

    def set_close_userref(self, *, keep: bool) -> None:
        """Say whether close orders have their parent's userref."""

    def delist(self, pair: str) -> None:
        """Cancel the orders of a pair and list it no more."""

    def tick(self) -> None:
        """Run what is due by now; called before each call."""


@final
class SkewedClock:
    """The exchange's clock: a real clock, shifted as a test wants."""

    def __init__(self, real: Callable[[], float]) -> None:
        self._real = real
        self.skew_s = 0.0

    def now(self) -> float:
        """Answer the exchange's time in Unix seconds."""
        return self._real() + self.skew_s


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request with its body. ``target`` is as in the request line."""

    method: str
    target: str
    content_type: str
    api_key: str
    api_sign: str
    body: bytes = field(repr=False)
    source: str

    @property
    def path(self) -> str:
        """The target without its query, which is what clients sign."""
        return self.target.partition("?")[0]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for the caller, before any fault."""

    body: bytes
    content_type: str = JSON
    status: int = 200
    errors: tuple[str, ...] = ()
    key: str | None = None
    acted: bool = False


def refusal(*errors: str, key: str | None = None, status: int = 200) -> Answer:
    """Answer Kraken's envelope for errors, which has no ``result``."""
    return Answer(json.dumps({"error": list(errors)}).encode(), errors=errors, key=key, status=status)


def endpoint_of(path: str) -> str:
    """Answer the method's name in a path, such as ``Earn/Allocate``; empty if it is neither public nor private."""
    for prefix in (PUBLIC_PATH, PRIVATE_PATH):
        if path.startswith(prefix):
            return path.removeprefix(prefix)
    return ""


@final
class Simulation:
    """One sandbox: its engine, keys, faults, arrivals and clock. It is safe for threads."""

    def __init__(
        self,
        make_engine: Callable[[Callable[[], float]], Engine],
        *,
        public: frozenset[str],
        private: frozenset[str],
        real_clock: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        tier: str = "pro",
    ) -> None:
        self.clock = SkewedClock(real_clock)
        self.faults = Faults()
        self.arrivals = Arrivals()
        self.public = public
        self.private = private | OWN_METHODS
        self._engine = make_engine(self.clock.now)
        self._keys = Keys(now=self.clock.now, random_bytes=random_bytes)
        self._new_tier = tier
        self._tiers: dict[str, str] = {}
        # One lock is held from nonce to answer, so that calls act in the order of their nonces.
        self._lock = threading.Lock()

    def answer(self, incoming: Incoming, met: Conditions) -> Answer:
        """Execute the request under these conditions if it is allowed."""
        path = incoming.path
        with self._lock:
            self._engine.tick()
            if path.startswith(PUBLIC_PATH):
                return self._public(incoming, endpoint_of(path))
            if path.startswith(PRIVATE_PATH):
                return self._private(incoming, endpoint_of(path), met)
        return refusal("EGeneral:Unknown method", status=404)

    def make_key(self, settings: KeySettings, balances: Mapping[str, Decimal] | None = None) -> ApiKey:
        """Make a key, and open its account if it does not exist. Raises `ValueError` with a message for a person."""
        name = settings.account
        with self._lock:
            if name not in self._tiers:
                tier = settings.tier or self._new_tier
                self._engine.open_account(name, TOY_BALANCES if balances is None else balances, tier)
                self._tiers[name] = tier
            elif balances is not None:
                raise ValueError(f"account {name!r} is open already; leave balances out")
            elif settings.tier not in {None, self._tiers[name]}:
                has = f"account {name!r} has the tier {self._tiers[name]!r}, and so have all its keys"
                raise ValueError(f"{has}; leave the tier out, or POST /accounts/{name}/tier first")
            return self._keys.make(settings, self._tiers[name])

    def set_tier(self, account: str, tier: str) -> None:
        """Change the tier of an account and all its keys. Raises `ValueError` with a message for a person."""
        with self._lock:
            self._check_account(account)
            check_tier(tier)
            self._tiers[account] = tier
            self._keys.set_tier(account, tier)
            self._engine.set_tier(account, tier)

    def all_keys(self) -> list[ApiKey]:
        """List all keys."""
        with self._lock:
            return list(self._keys)

    def set_prices(self, prices: Mapping[str, Decimal]) -> None:
        """Move prices. Raises `Rejected` for an unknown pair."""
        with self._lock:
            for pair, price in prices.items():
                self._engine.set_price(pair, price)

    def fill(self, account: str, txid: str, volume: Decimal | None) -> None:
        """Fill a resting order. Raises `Rejected` or `ValueError`."""
        with self._lock:
            self._check_account(account)
            self._engine.tick()
            self._engine.fill(account, txid, volume)

    def set_close_userref(self, *, keep: bool) -> None:
        """Say whether the orders made of a ``close[…]`` have their parent's userref."""
        with self._lock:
            self._engine.set_close_userref(keep=keep)

    def delist(self, pair: str) -> None:
        """Cancel the orders of a pair and list it no more. Raises `Rejected` for an unknown pair."""
        with self._lock:
            self._engine.tick()
            self._engine.delist(pair)

    def ask(self, account: str, method: str, params: Mapping[str, object]) -> object:
        """Answer a private call without key and faults (the control interface's). Raises `Rejected` or `ValueError`."""
        with self._lock:
            self._check_account(account)
            if method not in self.private - OWN_METHODS:
                raise ValueError(f"unknown method {method!r}; write it as in the path (OpenOrders)")
            self._engine.tick()
            return self._engine.private(account, method, params, Conditions())

    def _check_account(self, account: str) -> None:
        if account not in self._tiers:
            raise ValueError(f"there is no account {account!r}; POST /keys opens one")

    def _public(self, incoming: Incoming, endpoint: str) -> Answer:
        if endpoint not in self.public:
            return refusal("EGeneral:Unknown method")
        try:
            # Older clients POST public calls, some with the parameters in the query (docs/kraken.md §8.7).
            params = nested(form_pairs(incoming.target.partition("?")[2])) | decode(
                incoming.body, incoming.content_type
            )
            params.pop("nonce", None)
            return _result(self._engine.public(endpoint, params), None)
        except Malformed:
            return refusal("EGeneral:Invalid arguments")
        except Rejected as no:
            return refusal(*no.errors)

    def _private(self, incoming: Incoming, endpoint: str, met: Conditions) -> Answer:
        if endpoint not in self.private or incoming.method != "POST":
            return refusal("EGeneral:Unknown method")
        key: ApiKey | None = None
        try:
            key, params = self._authenticated(incoming)
            self._keys.permit(key, endpoint)
            if endpoint in JSON_ONLY and not is_json(incoming.body, incoming.content_type):
                return refusal("EGeneral:Invalid arguments", key=key.name)
            return _result(self._call(key, endpoint, params, met), key.name)
        except Malformed:
            return refusal("EGeneral:Invalid arguments")
        except CallDenied as no:
            return refusal(no.error, key=key.name if key else None)
        except Rejected as no:
            return refusal(*no.errors, key=key.name if key else None)

    def _authenticated(self, incoming: Incoming) -> tuple[ApiKey, Params]:
        key = self._keys.find(incoming.api_key, incoming.source)
        params = decode(incoming.body, incoming.content_type)
        nonce = params.pop("nonce", "")
        nonce = nonce if isinstance(nonce, str) else ""
        self._keys.authenticate(key, signature=incoming.api_sign, path=incoming.path, nonce=nonce, body=incoming.body)
        if params.pop("otp", ""):  # no toy key has a second factor, and an unexpected one fails the call
            raise CallDenied("EAPI:Invalid key")
        return key, params

    def _call(self, key: ApiKey, endpoint: str, params: Params, met: Conditions) -> object:
        match endpoint:
            case "GetApiKeyInfo":
                return key.info()
            case "GetWebSocketsToken":
                return self._keys.websocket_token()
            case _:
                return self._engine.private(key.settings.account, endpoint, params, met)


def _result(result: object, key: str | None) -> Answer:
    if isinstance(result, bytes):
        return Answer(result, "application/octet-stream", key=key, acted=True)
    return Answer(json.dumps({"error": [], "result": result}).encode(), key=key, acted=True)
