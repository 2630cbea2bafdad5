"""A client of the control interface, for tests and the demo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, final

import requests

from signer.errors import VenueError
from signer.sandbox.arrivals import Arrival
from signer.sandbox.faults import Fault

ANSWER_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key that the sandbox made, and its toy secret."""

    name: str
    account: str
    api_key: str
    api_secret: str = field(repr=False)


@final
class Control:
    """Calls one sandbox's control interface. Raises `VenueError` with the sandbox's message."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy from the environment between a test and its sandbox

    def arrivals(self, *, after: int = 0, endpoint: str = "") -> list[Arrival]:
        """List the arrivals after number ``after``, of one endpoint if stated, in order."""
        return self._arrivals({"after": after, "endpoint": endpoint})

    def wait_for_arrival(
        self, *, after: int = 0, endpoint: str = "", answered: bool = False, seconds: float = 20.0
    ) -> Arrival:
        """Wait for the first such arrival; with ``answered`` until the sandbox is done with it."""
        text = "true" if answered else "false"
        found = self._arrivals({"after": after, "endpoint": endpoint, "answered": text, "wait_s": seconds})
        if not found:
            raise VenueError(f"no call to {endpoint or 'any endpoint'} arrived within {seconds} s", where=self.url)
        return found[0]

    def make_key(
        self,
        account: str,
        *,
        permissions: Iterable[str] | None = None,
        balances: Mapping[str, Decimal] | None = None,
        **settings: str | int,
    ) -> MadeKey:
        """Make a key, and its account if it does not exist, with ``settings`` as in `KeySettings`."""
        body: dict[str, object] = {"account": account, **settings}
        if permissions is not None:
            body["permissions"] = sorted(permissions)
        if balances is not None:
            body["balances"] = {asset: str(amount) for asset, amount in balances.items()}
        made = self._ask("POST", "/keys", json=body)
        return MadeKey(made["name"], made["account"], made["api_key"], made["api_secret"])

    def set_tier(self, account: str, tier: str) -> None:
        """Change the tier of an account, and so of its keys."""
        self._ask("POST", f"/accounts/{account}/tier", json={"tier": tier})

    def list_keys(self) -> list[dict[str, Any]]:
        """List all keys without their secrets, each with the highest nonce that it has used."""
        return list(self._ask("GET", "/keys")["keys"])

    def set_price(self, pair: str, price: Decimal | int | str) -> None:
        """Move the price of a pair to ``price``."""
        self._ask("POST", "/prices", json={pair: str(price)})

    def delist(self, pair: str) -> None:
        """Cancel all orders of a pair and list it no more."""
        self._ask("POST", "/delistings", json={"pair": pair})

    def add_fault(self, fault: Fault) -> int:
        """Set a fault and answer its number."""
        return int(self._ask("POST", "/faults", json=fault.model_dump(mode="json"))["number"])

    def faults(self) -> list[dict[str, Any]]:
        """List the faults in force, each with the number of requests that ``met`` it."""
        return list(self._ask("GET", "/faults")["faults"])

    def clear_faults(self) -> None:
        """Remove all faults and release the requests that they hold."""
        self._ask("DELETE", "/faults")

    def skew(self, seconds: float) -> None:
        """Set the exchange's clock so many seconds ahead of the real one, or behind it if negative."""
        self._ask("POST", "/clock", json={"skew_s": seconds})

    def ask(self, account: str, method: str, **params: str | int) -> Any:
        """Answer the result of a private call for an account, without keys, permissions and faults."""
        return self._ask("GET", f"/accounts/{account}/{method}", params=params)["result"]

    def act(self, account: str, method: str, **params: object) -> Any:
        """Make a private call by hand, as the account's owner would: no key, permission, nonce or fault is involved."""
        return self._ask("POST", f"/accounts/{account}/{method}", json=params)["result"]

    def fill(self, account: str, txid: str, volume: Decimal | str | None = None) -> None:
        """Fill a resting order at its limit, in part if ``volume`` is less than what is left of it."""
        wanted = {"txid": txid} if volume is None else {"txid": txid, "volume": str(volume)}
        self._ask("POST", f"/accounts/{account}/fills", json=wanted)

    def set_close_userref(self, *, keep: bool) -> None:
        """Say whether the orders made of a ``close[…]`` have their parent's userref."""
        self._ask("POST", "/close-orders", json={"keep_userref": keep})

    def balances(self, account: str) -> dict[str, Decimal]:
        """Answer the account's balances, by asset."""
        return {asset: Decimal(amount) for asset, amount in self.ask(account, "Balance").items()}

    def orders(self, account: str) -> dict[str, dict[str, Any]]:
        """Answer every order that the account ever placed, open or closed, by txid."""
        # An order that closes meanwhile is listed twice and moves later pages by one row. So rows are counted, not
        # orders, or the loop would ask for the last page for ever.
        found: dict[str, dict[str, Any]] = self.ask(account, "OpenOrders")["open"]
        rows = 0
        while page := self.ask(account, "ClosedOrders", ofs=rows)["closed"]:
            rows += len(page)
            found |= page
        return found

    def _arrivals(self, query: Mapping[str, str | int | float]) -> list[Arrival]:
        return [Arrival.from_json(listed) for listed in self._ask("GET", "/arrivals", params=query)["arrivals"]]

    def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        timeout = ANSWER_TIMEOUT_S + float(options.get("params", {}).get("wait_s", 0))
        response = self._session.request(method, self.url + path, timeout=timeout, **options)
        answer = response.json()
        if not response.ok:
            raise VenueError(str(answer["error"]), where=f"sandbox control {path}")
        return dict(answer)

    def close(self) -> None:
        """Close the connection."""
        self._session.close()
