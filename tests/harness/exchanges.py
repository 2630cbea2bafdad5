"""An exchange that lists few pairs: gateways and client libraries read them at each start."""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from signer.sandbox.asset_pairs import built_in
from signer.sandbox.permissions import TRADING
from signer.sandbox.server import RunningSandbox, Settings

TRADED = {"XBT", "ETH", "SOL", "XRP", "LTC", "ADA", "XDG", "USDT", "USDC", "EUR", "GBP", "AAPLx", "TSLAx", "SPYx"}
"""Pairs are listed whose base is one of these."""


@cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory()  # removed when the process ends


@cache
def few_pairs() -> str:
    """The path of an AssetPairs answer with the built-in rows of `TRADED`."""
    path = Path(_folder().name) / "pairs.json"
    rows = {pair.id: pair.row for pair in built_in().pairs.values() if pair.wsname.partition("/")[0] in TRADED}
    path.write_text(json.dumps({"error": [], "result": rows}))
    return str(path)


def small_exchange(permissions: Collection[str] = TRADING) -> RunningSandbox:
    """An exchange without rate limits that lists few pairs."""
    return RunningSandbox(Settings(tier="unlimited", permissions=tuple(sorted(permissions)), pairs=few_pairs()))
