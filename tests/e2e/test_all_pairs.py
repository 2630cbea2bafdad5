"""A policy for most of Kraken's pairs lets a new gateway start, and a pair that Kraken delists stops only itself."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from signer.cli.main import main
from signer.home.layout import Home
from signer.market.pairs import load_pairs
from signer.operator.opening import INSECURE_VALUE, INSECURE_VARIABLE
from signer.sandbox.server import RunningSandbox, Settings
from signer.venues.kraken.orders import PairTable
from tests.harness.bots import order
from tests.harness.gateways import running
from tests.harness.homes import MadeHome
from tests.harness.waiting import until

NONCES = itertools.count(1)
DELISTED = "SOLUSD"
"""A pair that signer itself knows, so that only the exchange's own list can tell."""

POLICY = """\
version = 1
permissions = ["modify-trades", "close-trades", "query-open-trades"]
pairs = {pairs}
sides = ["buy", "sell"]
order_types = ["limit"]
max_order_notional = ["5000 USD"]
uncapped = "each order is bounded in dollars"
"""


def _listed(sandbox: RunningSandbox) -> dict[str, Any]:
    """All that the exchange lists, currencies and tokenised assets."""
    url = f"{sandbox.url}/0/public/AssetPairs"
    answers = [
        requests.get(url, params={"aclass_base": name}, timeout=60).json() for name in ("tokenized_asset", "currency")
    ]
    return {name: row for answer in answers for name, row in answer["result"].items()}


@pytest.fixture
def full_list() -> dict[str, Any]:
    """The rows of the built-in list."""
    with RunningSandbox(Settings(tier="unlimited")) as sandbox:
        return _listed(sandbox)


@pytest.fixture
def exchange(full_list: dict[str, Any], tmp_path: Path) -> Iterator[RunningSandbox]:
    """An exchange that lists all of them but one, from a file as a user would save it."""
    saved = tmp_path / "pairs.json"
    saved.write_text(json.dumps({"error": [], "result": {k: v for k, v in full_list.items() if k != DELISTED}}))
    with RunningSandbox(Settings(tier="unlimited", pairs=str(saved))) as sandbox:
        yield sandbox


def _most_pairs(full_list: dict[str, Any]) -> list[str]:
    """Every pair in dollars, each spelt in one of three ways: id, altname or wsname."""
    rows = [(name, row["altname"], row["wsname"]) for name, row in full_list.items() if row["wsname"].endswith("/USD")]
    return [spellings[number % 3] for number, spellings in enumerate(rows)]


def test_init_keeps_the_exchanges_whole_list(
    exchange: RunningSandbox, full_list: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new home knows every pair, tokenised ones too, before any policy is judged."""
    monkeypatch.setenv(INSECURE_VARIABLE, INSECURE_VALUE)
    home = Home(tmp_path / "new")
    assert main(["--home", str(home.folder), "init", "--no-input", "--origin", exchange.url]) == 0
    assert (load_pairs(home.pairs("kraken")) or {}).keys() == full_list.keys() - {DELISTED}


def test_a_policy_for_most_pairs_starts_a_new_gateway(
    exchange: RunningSandbox, full_list: dict[str, Any], tmp_path: Path
) -> None:
    """`policy check` names the delisted one of hundreds of pairs, `serve` starts, and orders pass on listed pairs
    only."""
    names = _most_pairs(full_list)
    assert len([name for name in names if PairTable.built_in().find(name) is None]) > 400
    made = MadeHome(tmp_path / "home", exchange)
    made.add_account("desk")
    policy = made.home.policies / "everything.toml"
    policy.write_text(POLICY.format(pairs=json.dumps(names)))
    done = made.signer("policy", "check", str(policy))
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
    assert "the exchange lists no SOL" in done.stderr
    made.home.pairs("kraken").unlink()  # the gateway must fetch the list itself
    bot = made.add_client("bot", "desk", "everything")
    with running(made) as gateway:
        until(lambda: "does not list" in gateway.log(), "the warning of the delisted pair")
        assert gateway.log().count("does not list") == 1
        for pair in ("TAO/USD", "taousd", "HDXUSD", "XBTUSD"):
            answer = bot.at(gateway.url).post("AddOrder", _order(full_list, pair), next(NONCES)).json()
            assert answer["error"] == [], (pair, answer)
        gone = bot.at(gateway.url).post("AddOrder", order("20", "1") | {"pair": DELISTED}, next(NONCES)).json()
        assert gone["error"][0] == "EQuery:Unknown asset pair"
    assert [arrival.acted for arrival in made.arrivals("desk")] == [True] * 4


def _order(full_list: dict[str, Any], pair: str) -> dict[str, str]:
    """A limit order that rests, of ten times the pair's smallest size and ten times its smallest cost."""
    row = full_list[PairTable.from_asset_pairs(full_list).find(pair).id]  # type: ignore[union-attr]
    price = float(row["costmin"]) * 10 / float(row["ordermin"]) / 10
    return order(f"{price:.{row['pair_decimals']}f}", f"{float(row['ordermin']) * 20:.8f}") | {"pair": pair}
