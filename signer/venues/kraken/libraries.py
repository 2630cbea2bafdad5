"""What to write in each client library of Kraken so that it calls the gateway.

tests/e2e/test_connect.py runs what it can have.

In the texts, ``@URL@`` stands for where the bot calls, and ``@CA@`` for the file of the CA that it must trust.
"""

from __future__ import annotations

from signer.venues.libraries import Library

REQUESTS_CA = "REQUESTS_CA_BUNDLE"
ONLY_CA = "{} makes this CA the only one trusted; a bot that calls others as well needs a bundle (docs/tls.md)."
NO_STREAM = (
    "It shows balances but does not trade: GetWebSocketsToken is refused, and without its stream it is never ready."
)

KRAKENEX = """\
import os
import krakenex

api = krakenex.API(os.environ["KRAKEN_API_KEY"], os.environ["KRAKEN_API_SECRET"])
api.uri = "@URL@"
"""

SDK = """\
import os
from kraken.spot import Funding, Market, Trade, User

signer = {"key": os.environ["KRAKEN_API_KEY"], "secret": os.environ["KRAKEN_API_SECRET"], "url": "@URL@"}
user, trade, funding, market = User(**signer), Trade(**signer), Funding(**signer), Market(url="@URL@")
"""

CCXT = """\
import os
import ccxt  # the same settings serve ccxt.async_support

exchange = ccxt.kraken({
    "apiKey": os.environ["KRAKEN_API_KEY"],
    "secret": os.environ["KRAKEN_API_SECRET"],
    "urls": {"api": {"public": "@URL@", "private": "@URL@"}},@TRUST@
})
"""
CCXT_TRUST = """
    "requests_trust_env": True,  # ccxt ignores REQUESTS_CA_BUNDLE without it
    "cafile": "@CA@",  # read by ccxt.async_support"""

CCXT_JS = """\
const ccxt = require("ccxt");

const exchange = new ccxt.kraken({
    apiKey: process.env.KRAKEN_API_KEY,
    secret: process.env.KRAKEN_API_SECRET,
    urls: { api: { public: "@URL@", private: "@URL@" } },
});
"""

FREQTRADE = """\
{
  "exchange": {
    "name": "kraken",
    "key": "",
    "secret": "",
    "ccxt_config": {"urls": {"api": {"public": "@URL@", "private": "@URL@"}}@SYNC@},
    "ccxt_async_config": {"urls": {"api": {"public": "@URL@", "private": "@URL@"}}@ASYNC@}
  },
  "order_types": {
    "entry": "limit",
    "exit": "limit",
    "force_entry": "limit",
    "force_exit": "limit",
    "emergency_exit": "limit",
    "stoploss": "limit",
    "stoploss_on_exchange": true
  }
}
"""
FREQTRADE_START = (
    'FREQTRADE__EXCHANGE__KEY="$KRAKEN_API_KEY" FREQTRADE__EXCHANGE__SECRET="$KRAKEN_API_SECRET"'
    " freqtrade trade --config config.json --config signer.json"
)

REBALANCE = """\
import json, os
from rebalance.bot import RebalanceBot

with open("config.json") as file:
    RebalanceBot(os.environ["KRAKEN_API_KEY"], os.environ["KRAKEN_API_SECRET"], json.load(file)).run()
"""

NODE_KRAKEN_API = """\
const { Kraken } = require("node-kraken-api");

const kraken = new Kraken({ key: process.env.KRAKEN_API_KEY, secret: process.env.KRAKEN_API_SECRET });
"""

CURL = """\
# kraken Balance; kraken AddOrder pair=XBTUSD type=buy ordertype=limit price=20000 volume=0.01
# Values are sent as they are: encode what a form must not have. No secret becomes a program's argument.
kraken() (
  path="/0/private/$1" nonce="$(date +%s%3N)"; shift
  body="nonce=$nonce"; for field; do body="$body&$field"; done
  key="$(printf %s "$KRAKEN_API_SECRET" | openssl base64 -d -A | od -An -v -tx1)$(printf ' 00%.0s' {1..64})"
  pad() { for byte in $key; do printf -v byte %02x "$((0x$byte ^ $1))"; printf "\\\\x$byte"; done; }
  inner() { pad 0x36; printf %s "$path"; printf %s "$nonce$body" | openssl dgst -sha256 -binary; }
  sign="$({ pad 0x5c; inner | openssl dgst -sha512 -binary; } | openssl dgst -sha512 -binary | openssl base64 -A)"
  curl -sS @CURL@-H @<(printf 'API-Key: %s\\nAPI-Sign: %s\\n' "$KRAKEN_API_KEY" "$sign") -d "$body" "@URL@$path"
)
"""

REQUESTS = """\
import base64, hashlib, hmac, os, time, urllib.parse
import requests

def kraken(endpoint, **fields):
    path, nonce = f"/0/private/{endpoint}", str(time.time_ns() // 1_000_000)
    body = urllib.parse.urlencode({"nonce": nonce, **fields})
    message = path.encode() + hashlib.sha256((nonce + body).encode()).digest()
    signature = hmac.digest(base64.b64decode(os.environ["KRAKEN_API_SECRET"]), message, "sha512")
    headers = {
        "API-Key": os.environ["KRAKEN_API_KEY"],
        "API-Sign": base64.b64encode(signature).decode(),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return requests.post("@URL@" + path, data=body, headers=headers, timeout=60).json()
"""

LIBRARIES = {
    "krakenex": Library("python", KRAKENEX, trust=REQUESTS_CA, notes=(ONLY_CA.format(REQUESTS_CA),)),
    "python-kraken-sdk": Library("python", SDK, trust=REQUESTS_CA, notes=(ONLY_CA.format(REQUESTS_CA),)),
    "ccxt-python": Library(
        "python",
        CCXT.replace("@TRUST@", ""),
        CCXT.replace("@TRUST@", CCXT_TRUST),
        trust=REQUESTS_CA,
        notes=(ONLY_CA.format(REQUESTS_CA),),
    ),
    "ccxt-js": Library("javascript", CCXT_JS, trust="NODE_EXTRA_CA_CERTS"),
    "freqtrade": Library(
        "json",
        FREQTRADE.replace("@SYNC@", "").replace("@ASYNC@", ""),
        FREQTRADE.replace("@SYNC@", ', "requests_trust_env": true').replace("@ASYNC@", ', "cafile": "@CA@"'),
        trust=REQUESTS_CA,
        start=FREQTRADE_START,
        cannot_pass=(
            'order_types.entry, exit, force_entry or force_exit = "market": set "limit".',
            'order_types.emergency_exit is "market" unless it is set: set "limit".',
            'order_types.stoploss = "market", on the exchange or in the bot: set "limit".',
            "A strategy's own order_types: those of signer.json are used instead.",
        ),
        notes=(
            "Write the JSON to signer.json beside config.json. It asks for limit orders only.",
            "The policy spot-trader allows what it sends. An entry, its stop and its exit each use the notional cap.",
        ),
    ),
    "kraken-rebalance-bot": Library(
        "python",
        REBALANCE,
        trust=REQUESTS_CA,
        hard_coded=True,
        cannot_pass=(
            "Every order: it sends market orders only, and no setting changes that.",
            "Give it the policy of docs/bots.md, which bounds the size and the number of orders, not their value.",
        ),
        notes=(
            "Run the code instead of its command `rebalance`, which takes the secret as an argument for all to see.",
            ONLY_CA.format(REQUESTS_CA),
        ),
    ),
    "hummingbot": Library(
        "shell",
        trust="SSL_CERT_FILE",
        hard_coded=True,
        notes=("Give `connect kraken` the key and secret of the env file.", ONLY_CA.format("SSL_CERT_FILE"), NO_STREAM),
    ),
    "node-kraken-api": Library("javascript", NODE_KRAKEN_API, trust="NODE_EXTRA_CA_CERTS", hard_coded=True),
    "kraken-cli": Library(
        "shell",
        trust="SSL_CERT_FILE",
        needs_tls=True,
        environment={"KRAKEN_SPOT_URL": "@URL@", "KRAKEN_DANGER_ALLOW_ANY_URL_HOST": "1"},
        notes=(
            "0.2.1 or later: 0.2.0 does not know this CA, it trusts only the public ones that it was built with.",
            "It sends a call, or an order, anew after 30 s unanswered: keep accounts.NAME.call_seconds below 15.",
            ONLY_CA.format("SSL_CERT_FILE"),
            "Its WebSocket commands do not pass: GetWebSocketsToken is refused.",
        ),
    ),
    "curl": Library("bash", CURL.replace("@CURL@", ""), CURL.replace("@CURL@", "--cacert '@CA@' "), unix=True),
    "requests": Library("python", REQUESTS, trust=REQUESTS_CA, notes=(ONLY_CA.format(REQUESTS_CA),)),
}
"""Keyed by the name that `signer connect` takes."""
