"""Moves money between wallets and accounts: WalletTransfer, AccountTransfer and their list (docs/kraken.md §1e)."""

from __future__ import annotations

from decimal import Decimal

from signer.sandbox.deposits import funded_asset
from signer.sandbox.pairs import Asset
from signer.sandbox.rejected import Rejected, invalid
from signer.sandbox.state import Methods, SimulatedCall


def _amount(call: SimulatedCall, asset: Asset) -> Decimal:
    """Answer the amount to transfer, which must be there."""
    amount = asset.down(call.fields.required_amount("amount"))
    if amount <= 0:
        raise Rejected("EFunding:Invalid amount")
    call.account.wallet.require(asset.id, amount, error="EFunding:Invalid amount")
    return amount


def _wallet_transfer(call: SimulatedCall) -> object:
    """Move money to the Futures wallet, the only direction that Kraken offers here."""
    asset = funded_asset(call.state, call.fields)
    call.fields.one_of("from", ("Spot Wallet",))
    call.fields.one_of("to", ("Futures Wallet",))
    amount = _amount(call, asset)
    refid = call.state.ids.transfer("B")
    call.account.wallet.post(refid=refid, type="transfer", subtype="spottofutures", asset=asset.id, amount=-amount)
    futures = call.account.funding.futures
    futures[asset.id] = futures.get(asset.id, Decimal(0)) + amount
    return {"refid": refid}


def _account_transfer(call: SimulatedCall) -> object:
    """Move money from the caller's account to another of this exchange, both by their account ids."""
    asset = funded_asset(call.state, call.fields)
    if call.fields.required("from") != call.account.iban:
        raise invalid("from")
    target = call.fields.required("to")
    receiver = next((account for account in call.state.accounts.values() if account.iban == target), None)
    if receiver is None or receiver is call.account:
        raise invalid("to")
    amount = _amount(call, asset)
    refid = call.state.ids.transfer("B")
    for account, change in ((call.account, -amount), (receiver, amount)):
        account.wallet.post(refid=refid, type="transfer", asset=asset.id, amount=change)
    return {"transfer_id": refid, "status": "complete"}


def _list_wallet_accounts(call: SimulatedCall) -> object:
    return [{"account_id": call.account.iban, "name": call.account.name}]


METHODS: Methods = {
    "WalletTransfer": _wallet_transfer,
    "AccountTransfer": _account_transfer,
    "ListWalletAccounts": _list_wallet_accounts,
}
