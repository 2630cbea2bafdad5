"""The list of pairs: the built-in one, and a user's file."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from signer.errors import ConfigError
from signer.sandbox.asset_pairs import built_in, read_pairs
from signer.sandbox.exchange import Exchange, Rejected
from signer.sandbox.server import Sandbox, Settings
from tests.unit.sandbox.desk import Desk, order

ROW: dict[str, Any] = {
    "altname": "ODDUSD",
    "wsname": "ODD/USD",
    "aclass_base": "currency",
    "base": "ODD",
    "quote": "ZUSD",
    "cost_decimals": 5,
    "pair_decimals": 3,
    "lot_decimals": 2,
    "leverage_buy": [2],
    "ordermin": "0.5",
    "costmin": "1",
    "tick_size": "0.005",
    "long_position_limit": 7,
}
DATES = {"altname": "AAPLxUSD", "wsname": "AAPLx/USD", "aclass_base": "tokenized_asset", "base": "AAPLx"}
ROWS = {"ODDUSD": ROW, "AAPLxUSD": ROW | DATES | {"ordermin": "0.00000001"}}


def _written(folder: Path, answer: object) -> Path:
    path = folder / "pairs.json"
    path.write_text(answer if isinstance(answer, str) else json.dumps(answer))
    return path


def _exchange(folder: Path, answer: object) -> Exchange:
    exchange = Exchange(now=lambda: 1.7e9, instruments=read_pairs(_written(folder, answer)))
    exchange.open_account("bot", {"ZUSD": Decimal(1_000), "ODD": Decimal(1_000)}, "unlimited")
    return exchange


def _refusal(exchange: Exchange, **fields: object) -> str:
    with pytest.raises(Rejected) as refusal:
        exchange.private("bot", "AddOrder", fields)
    return refusal.value.errors[0]


@pytest.mark.parametrize("answer", [ROWS, {"error": [], "result": ROWS}])
def test_a_file_holds_krakens_answer_or_its_result(tmp_path: Path, answer: object) -> None:
    """Either form lists its rows as they stand, tokenised assets only to who asks for them."""
    exchange = _exchange(tmp_path, answer)
    assert exchange.public("AssetPairs", {}) == {"ODDUSD": ROW}
    assert exchange.public("AssetPairs", {"aclass_base": "tokenized_asset"}) == {"AAPLxUSD": ROWS["AAPLxUSD"]}
    assert set(exchange.public("Assets", {})) == {"ODD", "ZUSD"}  # type: ignore[call-overload]


def test_orders_are_checked_by_the_files_numbers(tmp_path: Path) -> None:
    """Ticks, lots, minima, leverage and the class of a pair that nobody knew before hold for its orders."""
    exchange = _exchange(tmp_path, ROWS)
    good = order("buy", "limit", "2.999", "1.005", pair="odd/usd")
    assert exchange.private("bot", "AddOrder", good)["descr"]["order"].startswith("buy 2.99000000 ODDUSD @ limit 1.005")  # type: ignore[index]
    assert _refusal(exchange, **good | {"price": "1.001"}) == "EOrder:Tick size check failed"
    assert _refusal(exchange, **good | {"volume": "0.4"}) == "EOrder:Order minimum not met"
    assert _refusal(exchange, **good | {"volume": "0.6"}) == "EOrder:Cost minimum not met"
    assert _refusal(exchange, **good | {"leverage": "3"}) == "EGeneral:Invalid arguments:leverage"
    assert _refusal(exchange, **good | {"pair": "XBTUSD"}) == "EQuery:Unknown asset pair"
    assert _refusal(exchange, **good | {"pair": "AAPLxUSD"}) == "EQuery:Unknown asset pair"
    exchange.private("bot", "AddOrder", good | {"pair": "AAPLxUSD", "asset_class": "tokenized_asset"})


@pytest.mark.parametrize(
    ("status", "passes"),
    [("cancel_only", {}), ("post_only", {"oflags": "post"}), ("limit_only", {}), ("reduce_only", {})],
)
def test_a_market_takes_only_what_its_status_says(tmp_path: Path, status: str, passes: dict[str, str]) -> None:
    """A market order meets every mode; what the mode allows passes."""
    exchange = _exchange(tmp_path, {"ODDUSD": ROW | {"status": status}})
    market = order("buy", "market", "2", pair="ODDUSD")
    assert _refusal(exchange, **market) == f"EService:Market in {status} mode"
    limit = order("buy", "limit", "2", "0.9", pair="ODDUSD", **passes)
    if status in {"post_only", "limit_only"}:
        exchange.private("bot", "AddOrder", limit)
    else:
        assert _refusal(exchange, **limit) == f"EService:Market in {status} mode"


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        ("", "this is not JSON"),
        ("<html>", "this is not JSON"),
        ("[" * 100_000, "this is not JSON"),
        ([], "this is no list of pairs"),
        ({}, "this is no list of pairs"),
        ({"error": [], "result": {}}, "this is no list of pairs"),
        ({"error": []}, "this is no list of pairs"),
        ({"error": ["EService:Busy"]}, "this is an error that Kraken answered"),
        ({"A": 1}, "pair 'A' is not an object"),
        ({"A": {k: v for k, v in ROW.items() if k != "base"}}, "pair 'A' has no text as base"),
        ({"A": ROW | {"base": ""}}, "pair 'A' has no base"),
        ({"A": ROW | {"pair_decimals": "1"}}, "pair 'A' needs pair_decimals from 0 to 18"),
        ({"A": ROW | {"lot_decimals": 10**9}}, "pair 'A' needs lot_decimals from 0 to 18"),
        ({"A": ROW | {"ordermin": "NaN"}}, "pair 'A' needs a positive number as ordermin"),
        ({"A": ROW | {"tick_size": "0"}}, "pair 'A' needs a positive number as tick_size"),
        ({"A": ROW | {"leverage_buy": 3}}, "pair 'A' needs a list of whole numbers as leverage_buy"),
        ({"A": ROW | {"status": "asleep"}}, "pair 'A' has an unknown status: 'asleep'"),
    ],
)
def test_a_bad_file_is_refused_in_one_line(tmp_path: Path, answer: object, what: str) -> None:
    """The line says what is wrong, in which file, and how to get a good one."""
    path = _written(tmp_path, answer)
    with pytest.raises(ConfigError) as refusal:
        Sandbox(Settings(pairs=str(path)))
    line = str(refusal.value)
    assert line.startswith(f"{path}: {what}")
    assert "curl" in line
    assert "\n" not in line


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """The line names the file."""
    with pytest.raises(ConfigError, match=r"none\.json: the list of pairs cannot be read: No such file"):
        read_pairs(tmp_path / "none.json")


def test_every_built_in_pair_can_be_traded() -> None:
    """Each opens at a price between whose ticks an order fits, and takes an order of ten times its minimum."""
    desk = Desk(tier="unlimited", seed=5)
    for pair in built_in().pairs.values():
        where = {"pair": pair.id, "asset_class": pair.asset_class}
        ticker = desk.exchange.public("Ticker", where)
        price = Decimal(ticker[pair.id]["c"][0])  # type: ignore[index]
        assert price > 20 * pair.tick_size, pair.id
        size = f"{pair.lots(pair.ordermin * 10):f}"
        dry = order("buy", "limit", size, pair.price_text(price), validate="true", **where)
        assert desk.ask("AddOrder", **dry)["descr"], pair.id


def test_a_price_without_a_set_one_follows_from_the_seed() -> None:
    """The same seed makes the same prices in whatever order they are asked for; another seed makes others."""

    def prices(seed: int, *names: str) -> dict[str, str]:
        desk = Desk(seed=seed)
        return {name: desk.exchange.public("Ticker", {"pair": name})[name]["c"][0] for name in names}  # type: ignore[index]

    assert prices(1, "PEPEUSD", "TAOEUR") == prices(1, "TAOEUR", "PEPEUSD") != prices(2, "TAOEUR", "PEPEUSD")
