"""Deposits: their methods, addresses and status (docs/kraken.md §1d)."""

from __future__ import annotations

from decimal import Decimal

from signer.sandbox.fields import Fields
from signer.sandbox.money import amount_text
from signer.sandbox.pairs import Asset
from signer.sandbox.records import Transfer
from signer.sandbox.rejected import Rejected, invalid
from signer.sandbox.state import Methods, SimulatedAccount, SimulatedCall, State

FIAT = frozenset({"ZUSD", "ZEUR", "ZGBP", "ZCAD", "ZAUD", "ZJPY", "CHF"})
_MOST_ADDRESSES = 5
_NETWORKS = {
    "ZUSD": "Wire (US)",
    "ZEUR": "SEPA",
    "ZGBP": "Faster Payments",
    "XXBT": "Bitcoin",
    "XETH": "Ether (Hex)",
    "XXRP": "Ripple XRP",
    "XLTC": "Litecoin",
    "XXDG": "Dogecoin",
    "SOL": "Solana",
    "DOT": "Polkadot",
    "XXLM": "Stellar XLM",
    "XXMR": "Monero",
    "USDT": "Tether USD (ERC20)",
    "USDC": "USDC (ERC20)",
}


def method_of(asset: Asset) -> str:
    """Answer the one method by which an asset is deposited and withdrawn."""
    return _NETWORKS.get(asset.id, asset.altname)


def funded_asset(state: State, fields: Fields) -> Asset:
    """Answer the asset that a funding call names, and check its ``method`` if stated."""
    asset = state.instruments.asset(fields.required("asset"), error="EFunding:Unknown asset")
    if fields.text("method", method_of(asset)) != method_of(asset):
        raise Rejected("EFunding:No funding method")
    return asset


def receive(state: State, account: SimulatedAccount, asset: Asset, amount: Decimal) -> None:
    """Credit a deposit that has arrived."""
    refid = state.ids.transfer("Q")
    account.wallet.post(refid=refid, type="deposit", asset=asset.id, amount=amount)
    account.funding.deposits[refid] = Transfer(
        refid=refid,
        method=method_of(asset),
        asset=asset,
        amount=amount,
        fee=Decimal(0),
        time=state.now(),
        address=state.ids.hex(40),
        txid=state.ids.hex(64),
    )


def transfer_json(transfer: Transfer) -> dict[str, object]:
    """Answer a deposit or withdrawal in the shape of both status calls."""
    return {
        "method": transfer.method,
        "aclass": "currency",
        "asset": transfer.asset.id,
        "refid": transfer.refid,
        "txid": transfer.txid,
        "info": transfer.address,
        "amount": amount_text(transfer.asset.id, transfer.amount),
        "fee": amount_text(transfer.asset.id, transfer.fee),
        "time": int(transfer.time),
        "status": "Success",
    }


def chosen(call: SimulatedCall, transfers: dict[str, Transfer]) -> list[Transfer]:
    """Answer the transfers that a status call asks for, newest first."""
    fields, now = call.fields, call.state.now()
    asset = funded_asset(call.state, fields) if fields.has("asset") else None
    start, end = fields.time("start", now), fields.time("end", now) or now
    return [
        transfer
        for transfer in reversed(transfers.values())
        if (asset is None or transfer.asset == asset) and start <= transfer.time <= end
    ]


def _deposit_methods(call: SimulatedCall) -> object:
    asset = funded_asset(call.state, call.fields)
    return [
        {
            "method": method_of(asset),
            "limit": False,
            "fee": amount_text(asset.id, Decimal(0)),
            "gen-address": asset.id not in FIAT,
            "minimum": amount_text(asset.id, Decimal(0)),
        }
    ]


def _deposit_addresses(call: SimulatedCall) -> object:
    """List the asset's deposit addresses, with a fresh one first if ``new``."""
    call.fields.required("method")
    asset = funded_asset(call.state, call.fields)
    if asset.id in FIAT:
        raise invalid("asset")
    addresses = call.account.funding.addresses.setdefault(asset.id, [])
    new = call.fields.flag("new")
    if new:
        if len(addresses) == _MOST_ADDRESSES:
            raise Rejected("EFunding:Too many addresses")
        addresses.insert(0, f"sandbox-{asset.altname.lower()}-{call.state.ids.hex(32)}")
    rows: list[dict[str, object]] = [{"address": address, "expiretm": "0"} for address in addresses]
    if new:
        rows[0]["new"] = True
    return rows


def _deposit_status(call: SimulatedCall) -> object:
    transfers = chosen(call, call.account.funding.deposits)
    return [transfer_json(transfer) for transfer in transfers]


METHODS: Methods = {
    "DepositMethods": _deposit_methods,
    "DepositAddresses": _deposit_addresses,
    "DepositStatus": _deposit_status,
}
