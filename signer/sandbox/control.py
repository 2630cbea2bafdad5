"""The control interface: tests list arrivals, make keys, move prices, set faults and shift the clock.

It has a listener of its own, so that no bot can reach it. Bodies must be JSON, which also
keeps web pages in a browser from posting here.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from flask import Flask, request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from werkzeug.exceptions import HTTPException

from signer.sandbox.fault_settings import EVERY
from signer.sandbox.faults import FAULT
from signer.sandbox.keys import ApiKey, KeySettings
from signer.sandbox.rejected import Rejected
from signer.sandbox.simulation import JSON, Simulation
from signer.sandbox.wire import Malformed, Params, decode

Reply = dict[str, Any]
LONGEST_WAIT_S = 60.0
T = TypeVar("T")
Amount = Annotated[Decimal, Field(gt=0)]


class _NewKey(KeySettings):
    balances: dict[str, Annotated[Decimal, Field(ge=0)]] | None = None
    """The balances of a new account, by asset; if left out, the default ones."""


class _Skew(BaseModel):
    model_config = ConfigDict(extra="forbid")

    skew_s: float
    """The seconds by which the exchange's clock is ahead of the real one."""


class _Tier(BaseModel):
    model_config = ConfigDict(extra="forbid")

    tier: str


class _Fill(BaseModel):
    model_config = ConfigDict(extra="forbid")

    txid: str
    volume: Amount | None = None
    """The volume to trade; None for all that is left."""


class _CloseOrders(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keep_userref: bool


class _Delisting(BaseModel):
    model_config = ConfigDict(extra="forbid")

    pair: str


_NEW_KEY = TypeAdapter(_NewKey)
_PRICES: TypeAdapter[dict[str, Amount]] = TypeAdapter(dict[str, Amount])
_SKEW = TypeAdapter(_Skew)
_TIER = TypeAdapter(_Tier)
_DELISTING = TypeAdapter(_Delisting)
_FILL = TypeAdapter(_Fill)
_CLOSE_ORDERS = TypeAdapter(_CloseOrders)


class Wrong(Exception):
    """The control request cannot be read. The text says what is wrong, with the hint."""


def create_control(simulation: Simulation) -> Flask:
    """Make the app for the control listener."""
    app = Flask(__name__, static_folder=None)
    _arrivals(app, simulation)
    _keys(app, simulation)
    _faults(app, simulation)
    _market(app, simulation)
    _accounts(app, simulation)
    app.register_error_handler(HTTPException, lambda error: ({"error": error.description}, error.code))
    app.register_error_handler(Wrong, lambda error: ({"error": str(error)}, 400))
    return app


def _arrivals(app: Flask, simulation: Simulation) -> None:
    @app.get("/arrivals")
    def list_arrivals() -> Reply:
        after = request.args.get("after", 0, int)
        endpoint = request.args.get("endpoint", "")
        answered = request.args.get("answered") == "true"
        seconds = min(request.args.get("wait_s", 0.0, float), LONGEST_WAIT_S)
        found = simulation.arrivals.wait_for(after=after, endpoint=endpoint, answered=answered, seconds=seconds)
        return {"arrivals": [arrival.to_json() for arrival in found]}

    @app.delete("/arrivals")
    def clear_arrivals() -> Reply:
        simulation.arrivals.clear()
        return {}


def _keys(app: Flask, simulation: Simulation) -> None:
    @app.get("/keys")
    def list_keys() -> Reply:
        return {"keys": [_shown(key) for key in simulation.all_keys()]}

    @app.post("/keys")
    def make_key() -> Reply:
        wanted = _read(_NEW_KEY)
        key = _said(lambda: simulation.make_key(wanted, wanted.balances))
        return {**_shown(key), "api_secret": key.settings.api_secret}


def _faults(app: Flask, simulation: Simulation) -> None:
    @app.get("/faults")
    def list_faults() -> Reply:
        return {"faults": simulation.faults.listed()}

    @app.post("/faults")
    def add_fault() -> Reply:
        fault = _read(FAULT)
        known = simulation.public | simulation.private | {EVERY}
        if fault.endpoint not in known:
            raise Wrong(f"unknown endpoint {fault.endpoint!r}; write it as in the path (AddOrder), or * for all")
        return {"number": simulation.faults.add(fault)}

    @app.delete("/faults")
    def clear_faults() -> Reply:
        simulation.faults.clear()
        return {}


def _market(app: Flask, simulation: Simulation) -> None:
    @app.post("/prices")
    def set_prices() -> Reply:
        prices = _read(_PRICES)
        _said(lambda: simulation.set_prices(prices))
        return {}

    @app.post("/delistings")
    def delist() -> Reply:
        pair = _read(_DELISTING).pair
        _said(lambda: simulation.delist(pair))
        return {}

    @app.post("/close-orders")
    def set_close_userref() -> Reply:
        simulation.set_close_userref(keep=_read(_CLOSE_ORDERS).keep_userref)
        return {}

    @app.get("/clock")
    def read_clock() -> Reply:
        return {"now": simulation.clock.now(), "skew_s": simulation.clock.skew_s}

    @app.post("/clock")
    def shift_clock() -> Reply:
        simulation.clock.skew_s = _read(_SKEW).skew_s
        return read_clock()


def _accounts(app: Flask, simulation: Simulation) -> None:
    @app.post("/accounts/<account>/tier")
    def set_tier(account: str) -> Reply:
        tier = _read(_TIER).tier
        _said(lambda: simulation.set_tier(account, tier))
        return {}

    @app.post("/accounts/<account>/fills")
    def fill(account: str) -> Reply:
        wanted = _read(_FILL)
        _said(lambda: simulation.fill(account, wanted.txid, wanted.volume))
        return {}

    @app.post("/accounts/<account>/<path:method>")
    def act(account: str, method: str) -> Reply:
        params = _params()
        return {"result": _said(lambda: simulation.ask(account, method, params))}

    @app.get("/accounts/<account>/<path:method>")
    def ask(account: str, method: str) -> Reply:
        return {"result": _said(lambda: simulation.ask(account, method, request.args.to_dict()))}


def _params() -> Params:
    """Read the parameters of a private call, as a bot may write them in JSON."""
    try:
        return decode(_body(), JSON)
    except Malformed as error:
        raise Wrong(f"{error}; write the call's parameters as a JSON object") from None


def _body() -> bytes:
    if not request.is_json:
        raise Wrong("send the body as JSON, with Content-Type: application/json")
    return request.get_data()


def _read(adapter: TypeAdapter[T]) -> T:
    try:
        return adapter.validate_json(_body())
    except ValidationError as error:
        raise Wrong(_first(error)) from None


def _said(do: Callable[[], T]) -> T:
    try:
        return do()
    except Rejected as no:
        raise Wrong(", ".join(no.errors)) from None
    except ValueError as error:
        raise Wrong(str(error)) from None


def _shown(key: ApiKey) -> Reply:
    settings = key.settings
    return {
        "name": settings.name,
        "account": settings.account,
        "api_key": settings.api_key,
        "permissions": sorted(settings.permissions),
        "nonce_window": settings.nonce_window,
        "tier": key.tier,
        "highest_nonce": str(key.nonces.highest),
    }


def _first(error: ValidationError) -> str:
    """Answer the first error in one line, with its field."""
    complaint = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in complaint["loc"])
    return f"{field}: {complaint['msg']}" if field else complaint["msg"]
