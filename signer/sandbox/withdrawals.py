"""Withdrawals, to addresses approved beforehand (docs/kraken.md §1e).

Each account has one approved address for each asset, under the key `KEY`. A withdrawal is pending, and can be
cancelled, for a minute.
"""

from __future__ import annotations

from decimal import Decimal

from signer.sandbox.deposits import FIAT, chosen, funded_asset, method_of, transfer_json
from signer.sandbox.fields import Fields
from signer.sandbox.money import amount_text
from signer.sandbox.pairs import CURRENCY, Asset
from signer.sandbox.records import Transfer
from signer.sandbox.rejected import Rejected
from signer.sandbox.state import Methods, SimulatedAccount, SimulatedCall, State

KEY = "cold-storage"
"""The key name of every account's approved withdrawal addresses."""

_PENDING = 60.0
_CHEAP_FIAT = Decimal(1)
_FEE_DOLLARS = Decimal(2)


def _fee(state: State, asset: Asset) -> Decimal:
    """Answer the fee of a withdrawal: worth some two dollars, or one unit of a national currency."""
    if asset.id in FIAT:
        return _CHEAP_FIAT
    worth = state.market.worth(asset)
    if not worth:
        raise Rejected("EFunding:No funding method")
    return asset.up(_FEE_DOLLARS / worth)


def _address(state: State, account: SimulatedAccount, asset: Asset) -> str:
    return account.funding.approved.setdefault(asset.id, f"sandbox-{asset.altname.lower()}-{state.ids.hex(32)}")


def _assets_asked(call: SimulatedCall) -> list[Asset]:
    """Answer the asset that a call names, or all assets with a value in USD, from which the fee is calculated."""
    if call.fields.has("asset"):
        return [funded_asset(call.state, call.fields)]
    assets = call.state.instruments.assets[CURRENCY].values()
    return [asset for asset in assets if call.state.market.worth(asset)]


def _withdraw_methods(call: SimulatedCall) -> object:
    assets = _assets_asked(call)
    return [
        {
            "asset": asset.id,
            "method": method_of(asset),
            "network": method_of(asset),
            "minimum": amount_text(asset.id, 2 * _fee(call.state, asset)),
        }
        for asset in assets
    ]


def _withdraw_addresses(call: SimulatedCall) -> object:
    assets = _assets_asked(call)
    if call.fields.text("key", KEY) != KEY:
        return []
    return [
        {
            "address": _address(call.state, call.account, asset),
            "asset": asset.id,
            "method": method_of(asset),
            "key": KEY,
            "verified": True,
        }
        for asset in assets
    ]


def _withdraw_info(call: SimulatedCall) -> object:
    asset, amount, fee = _request(call.state, call.account, call.fields)
    return {
        "method": method_of(asset),
        "limit": amount_text(asset.id, call.account.wallet.available(asset.id)),
        "amount": amount_text(asset.id, amount - fee),
        "fee": amount_text(asset.id, fee),
    }


def _withdraw(call: SimulatedCall) -> object:
    state, account = call.state, call.account
    asset, amount, fee = _request(state, account, call.fields)
    limit = call.fields.amount("max_fee")
    if limit is not None and fee > limit:
        raise Rejected("EFunding:Max fee exceeded")
    account.wallet.require(asset.id, amount, error="EFunding:Invalid amount")
    refid = state.ids.transfer("A")
    account.wallet.post(refid=refid, type="withdrawal", asset=asset.id, amount=fee - amount, fee=fee)
    account.funding.withdrawals[refid] = Transfer(
        refid=refid,
        method=method_of(asset),
        asset=asset,
        amount=amount - fee,
        fee=fee,
        time=state.now(),
        address=_address(state, account, asset),
        txid=state.ids.hex(64),
        key=KEY,
    )
    return {"refid": refid}


def _request(state: State, account: SimulatedAccount, fields: Fields) -> tuple[Asset, Decimal, Decimal]:
    """Answer asset, amount and fee of a withdrawal. The fee is taken out of the amount."""
    asset = funded_asset(state, fields)
    address = _address(state, account, asset)
    if fields.required("key") != KEY or fields.text("address", address) != address:
        raise Rejected("EFunding:Unknown withdraw key")
    amount, fee = asset.down(fields.required_amount("amount")), _fee(state, asset)
    if amount < 2 * fee:
        raise Rejected("EFunding:Invalid amount")
    return asset, amount, fee


def _withdraw_status(call: SimulatedCall) -> object:
    now = call.state.now()
    return [_status(transfer, now) for transfer in chosen(call, call.account.funding.withdrawals)]


def _status(transfer: Transfer, now: float) -> dict[str, object]:
    answer = transfer_json(transfer) | {"network": transfer.method, "key": transfer.key}
    if transfer.canceled:
        answer |= {"status": "Failure", "status-prop": "canceled"}
    elif now < transfer.time + _PENDING:
        answer |= {"status": "Pending", "txid": None}
    return answer


def _withdraw_cancel(call: SimulatedCall) -> object:
    """Cancel a pending withdrawal and return its amount and fee."""
    asset = funded_asset(call.state, call.fields)
    transfer = call.account.funding.withdrawals.get(call.fields.required("refid"))
    if transfer is None or transfer.asset != asset or transfer.canceled:
        raise Rejected("EFunding:Unknown reference id")
    if call.state.now() >= transfer.time + _PENDING:
        raise Rejected("EFunding:Invalid reference id")
    transfer.canceled = True
    call.account.wallet.post(
        refid=transfer.refid, type="withdrawal", asset=asset.id, amount=transfer.amount, fee=-transfer.fee
    )
    return True


METHODS: Methods = {
    "WithdrawMethods": _withdraw_methods,
    "WithdrawAddresses": _withdraw_addresses,
    "WithdrawInfo": _withdraw_info,
    "Withdraw": _withdraw,
    "WithdrawStatus": _withdraw_status,
    "WithdrawCancel": _withdraw_cancel,
}
