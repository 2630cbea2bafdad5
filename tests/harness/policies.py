"""The policies of the clients that tests make."""

from __future__ import annotations

from pathlib import Path

_READS = 'permissions = ["query-funds", "query-open-trades", "query-closed-trades"'
_TRADER = f"""\
version = 1
{_READS}, "modify-trades", "close-trades"]
pairs = ["XBT/USD", "ETH/USD"]
sides = ["buy", "sell"]
order_types = ["limit"]
oflags = ["post", "fciq", "fcib"]
max_order_size = ["1 XBT", "10 ETH"]
max_order_notional = ["5000 USD"]
"""
POLICIES = {
    "trader": _TRADER + '[[cap]]\nmax_notional = "10000000 USD"\nwindow = "24h"\nmax_orders = 100000\n',
    "thrifty": _TRADER + '[[cap]]\nmax_notional = "500 USD"\nwindow = "24h"\n',
    "slow": _TRADER + '[[cap]]\nmax_notional = "100000 USD"\nmax_orders = 1\nwindow = "24h"\n',
    "saver": _TRADER.replace('"sell"', "").replace('"buy", ', '"buy"')
    + '[[cap]]\nmax_notional = "1000 USD"\nwindow = "24h"\n',
    "tracker": f'version = 1\n{_READS}]\nsees = "account"\n',
}
"""By name. A trader with wide caps, one with 500 USD a day, one with one order a day, one that only buys, a reader."""

WIDE = """\
version = 1
permissions = [
  "query-funds", "add-funds", "query-open-trades", "query-closed-trades", "modify-trades", "close-trades",
  "query-ledger", "export-data",
]
pairs = ["XBT/USD", "ETH/USD", "XBT/EUR"]
sides = ["buy", "sell"]
order_types = [
  "market", "limit", "iceberg", "stop-loss", "take-profit", "stop-loss-limit", "take-profit-limit", "trailing-stop",
  "trailing-stop-limit", "settle-position",
]
time_in_force = ["GTC", "IOC", "GTD", "FOK"]
oflags = ["post", "fcib", "fciq", "nompp", "viqc"]
leverage = 5
close_orders = true
relative_prices = true
order_scope = "account"
sees = "account"
uncapped = "the widest policy there can be, to see what even it does not open"
"""
NARROW = """\
version = 1
permissions = ["query-funds", "query-open-trades", "modify-trades", "close-trades"]
pairs = ["XBT/USD"]
sides = ["buy"]
order_types = ["market", "limit", "iceberg", "stop-loss", "stop-loss-limit", "trailing-stop"]
oflags = ["post", "viqc"]
close_orders = true
max_order_size = ["0.05 XBT"]
max_order_notional = ["1000 USD"]

[[cap]]
max_notional = "1500 USD"
window = "24h"
"""
SHIPPED = {path.stem: path.read_text() for path in (Path(__file__).parents[2] / "policies").glob("*.toml")}
RIG_POLICIES = {**SHIPPED, "wide": WIDE, "narrow": NARROW, "blinkered": WIDE.replace('sees = "account"\n', "")}
"""What the clients of a rig have: those that the program brings, the two above, and a wide one that sees less."""
