"""Keeps accounts' money: balances, the parts that open orders hold, and a ledger entry for every change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from signer.sandbox.pairs import asset_of
from signer.sandbox.rejected import Rejected


@dataclass(frozen=True, slots=True)
class StatementEntry:
    """One line of an account's ledger. The balance changed by ``amount - fee``."""

    id: str
    refid: str
    time: float
    type: str
    subtype: str
    asset: str
    amount: Decimal
    fee: Decimal
    balance: Decimal


class Wallet:
    """An account's money. Only `post` changes a balance, so the ledger's entries always sum up to it."""

    def __init__(self, *, now: Callable[[], float], new_id: Callable[[], str]) -> None:
        self._now = now
        self._new_id = new_id
        self._balances: dict[str, Decimal] = {}
        self._holds: dict[str, tuple[str, Decimal]] = {}
        self._held: dict[str, Decimal] = {}
        self.entries: dict[str, StatementEntry] = {}

    @property
    def balances(self) -> Mapping[str, Decimal]:
        """The balances by asset id, including what orders hold."""
        return self._balances

    @property
    def holds(self) -> Mapping[str, tuple[str, Decimal]]:
        """The asset and amount that each open order holds, by txid."""
        return self._holds

    def balance(self, asset: str) -> Decimal:
        """Answer the balance of an asset."""
        return self._balances.get(asset, Decimal(0))

    def held(self, asset: str) -> Decimal:
        """Answer the amount that open orders hold of an asset."""
        return self._held.get(asset, Decimal(0))

    def available(self, asset: str, *, besides: str = "") -> Decimal:
        """Answer the amount that is free. The hold of the order ``besides`` counts as free."""
        own, amount = self._holds.get(besides, ("", Decimal(0)))
        return self.balance(asset) - self.held(asset) + (amount if own == asset else 0)

    def require(
        self, asset: str, amount: Decimal, *, besides: str = "", error: str = "EOrder:Insufficient funds"
    ) -> None:
        """Raise `Rejected` unless the amount is free. Zero is always free, even of an overdrawn asset."""
        if amount > 0 and amount > self.available(asset, besides=besides):
            raise Rejected(error)

    def hold(self, order: str, asset: str, amount: Decimal) -> None:
        """Set the amount that an order holds, which may be zero."""
        old, before = self._holds.pop(order, (asset, Decimal(0)))
        self._held[old] = self.held(old) - before
        if amount:
            self._holds[order] = (asset, amount)
            self._held[asset] = self.held(asset) + amount

    def release(self, order: str) -> None:
        """Release what an order holds."""
        if order in self._holds:
            self.hold(order, self._holds[order][0], Decimal(0))

    def post(
        self,
        *,
        refid: str,
        type: str,  # noqa: A002 - the field's own name
        asset: str,
        amount: Decimal,
        fee: Decimal = Decimal(0),
        subtype: str = "",
    ) -> str:
        """Change a balance by ``amount - fee`` with a ledger entry, and answer the entry's id."""
        balance = self.balance(asset) + amount - fee
        self._balances[asset] = balance
        entry = StatementEntry(self._new_id(), refid, self._now(), type, subtype, asset, amount, fee, balance)
        self.entries[entry.id] = entry
        return entry.id


def amount_text(asset: str, amount: Decimal) -> str:
    """Write an amount with the asset's decimals."""
    return f"{asset_of(asset).down(amount):f}"
