"""The simulated Kraken, in memory and without a network: accounts, a market, and the spot API's methods.

Time, seed and prices are inputs, so that the same calls give the same answers. The HTTP edge authenticates, checks
permissions and decodes; this module answers like Kraken's engine.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import final

from signer.sandbox import (
    cancelling,
    changing,
    deposits,
    earn,
    exports,
    level3,
    placing,
    public,
    queries,
    statements,
    transfers,
    withdrawals,
)
from signer.sandbox.asset_pairs import built_in
from signer.sandbox.conditions import Conditions
from signer.sandbox.fields import Fields
from signer.sandbox.ids import Ids
from signer.sandbox.instruments import Instruments
from signer.sandbox.limits import TIERS, CallCounters
from signer.sandbox.market import Market
from signer.sandbox.matching import fill, finish, reprice
from signer.sandbox.money import Wallet
from signer.sandbox.prices import check_price
from signer.sandbox.races import fill_after, fill_before
from signer.sandbox.rejected import Rejected
from signer.sandbox.state import Methods, SimulatedAccount, SimulatedCall, State

__all__ = ["PRIVATE_METHODS", "PUBLIC_METHODS", "Exchange", "Rejected"]

_PRIVATE: Methods = {
    name: handler
    for module in (
        placing,
        changing,
        cancelling,
        queries,
        statements,
        exports,
        level3,
        deposits,
        withdrawals,
        transfers,
        earn,
    )
    for name, handler in module.METHODS.items()
}

PRIVATE_METHODS = frozenset(_PRIVATE)
"""The methods by their names in the path. The edge answers GetWebSocketsToken and GetApiKeyInfo, which concern keys."""

PUBLIC_METHODS = frozenset(public.METHODS)


@final
class Exchange:
    """One exchange with its accounts. It is not safe for threads; the caller holds a lock.

    ``now`` answers Unix seconds; with ``walk``, prices take a seeded step for every second that passes, and otherwise
    stay until `set_price`. It lists the built-in pairs unless ``instruments`` gives others.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        seed: int = 1,
        walk: bool = False,
        instruments: Instruments | None = None,
    ) -> None:
        ids = Ids(seed)
        self._state = State(now, ids, Market(now=now, ids=ids, seed=seed, instruments=instruments or built_in()))
        self._walk = walk

    def open_account(self, name: str, balances: Mapping[str, Decimal], tier: str = "pro") -> None:
        """Open an account with these deposits. Assets may have any spelling: ``USD``, ``ZUSD``, ``btc``.

        ``tier`` is its verification level, which bounds its orders (docs/kraken.md §4).
        """
        state = self._state
        wallet = Wallet(now=state.now, new_id=state.ids.ledger)
        account = state.accounts[name] = SimulatedAccount(name, state.ids.iban(), wallet, CallCounters(TIERS[tier]))
        for asset, amount in balances.items():
            deposits.receive(state, account, state.instruments.asset(asset), amount)

    def set_tier(self, account: str, tier: str) -> None:
        """Change an account's verification level. What its counters hold stays."""
        self._state.accounts[account].counters.tier = TIERS[tier]

    def public(self, method: str, params: Mapping[str, object]) -> object:
        """Answer the ``result`` of one of `PUBLIC_METHODS`, ready for JSON. Raises `Rejected`."""
        return public.METHODS[method](public.Query(self._state.market, Fields(params)))

    def private(self, account: str, method: str, params: Mapping[str, object], met: Conditions | None = None) -> object:
        """Answer the ``result`` of one of `PRIVATE_METHODS`, ready for JSON (RetrieveExport: bytes). Raises `Rejected`.

        ``params`` are decoded: scalars are text or booleans, lists are lists, ``close`` is a mapping. ``met`` are the
        faults of the exchange that the call meets.
        """
        call = SimulatedCall(self._state, self._state.accounts[account], Fields(params), met or Conditions())
        fill_before(call, method)
        result = _PRIVATE[method](call)
        fill_after(call, method, result)
        return result

    def set_price(self, pair: str, price: Decimal) -> None:
        """Move the market of a pair in any spelling: trigger stops and fill the orders that it crosses.

        Raises `Rejected` for an unknown pair, and for a price that is not positive or off the pair's ticks.
        """
        market = self._state.instruments.any_pair(pair)
        check_price(price)
        if price % market.tick_size:
            raise Rejected("EOrder:Tick size check failed")
        reprice(self._state, market, price)

    def fill(self, account: str, txid: str, volume: Decimal | None = None) -> None:
        """Fill a resting order at its limit, in part if ``volume`` is less than what is left of it.

        Raises `Rejected` for an order that does not rest, and for a volume that is too large or too fine.
        """
        order = self._state.accounts[account].open.get(txid)
        if order is None:
            raise Rejected("EOrder:Unknown order")
        fill(self._state, order, order.remaining if volume is None else volume)

    def set_close_userref(self, *, keep: bool) -> None:
        """Say whether the orders that Kraken makes of a ``close[…]`` have their parent's userref."""
        self._state.close_keeps_userref = keep

    def delist(self, pair: str) -> None:
        """Cancel all orders of a pair in any spelling and list it no more. Raises `Rejected` for an unknown pair."""
        market = self._state.instruments.any_pair(pair)
        for order in list(self._state.open_orders(market)):
            finish(self._state, order, "canceled", "Delisted")
        self._state.market.delist(market)

    def tick(self) -> None:
        """Run what is due by now. The edge calls this before each call."""
        cancelling.run_timers(self._state)
        if self._walk:
            for pair, price in self._state.market.walk():
                reprice(self._state, pair, price)
