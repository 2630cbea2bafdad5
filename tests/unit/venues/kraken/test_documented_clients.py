"""docs/clients.md says what becomes of what clients send: each row of its table is tried."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from signer.errors import Refused
from signer.model import Call
from tests.unit.venues.kraken.asking import LIMIT, form

PAGE = (Path(__file__).parents[4] / "docs" / "clients.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| `([^`]+?)=([^`]*)`(?: with `ordertype=([a-z-]+)`)? \| ([^|]+) \| (sent on|dropped|refused) \|", re.M
)
TXID = "OQCLML-BW3P3-BUCMWZ"
SIDE = {name: value for name, value in LIMIT.items() if name != "pair"}
BATCH = {f"orders[{index}][{name}]": value for index in range(2) for name, value in SIDE.items()}
NEEDED: dict[str, dict[str, str]] = {
    "AddOrder": LIMIT,
    "AddOrderBatch": {"pair": "XBTUSD", **BATCH},
    "EditOrder": {"pair": "XBTUSD", "txid": TXID, "volume": "1"},
    "AmendOrder": {"txid": TXID, "order_qty": "1"},
}


def rows() -> Iterator[tuple[str, str, str, str, str]]:
    """Each row for each of its calls: endpoint, parameter, value, order type, and what becomes of it."""
    for name, value, order_type, calls, becomes in ROW.findall(PAGE):
        for endpoint in NEEDED if calls == "every call" else re.findall(r"`(\w+)`", calls):
            yield endpoint, name, value, order_type, becomes


def sent(endpoint: str, name: str, value: str, order_type: str) -> Call:
    """The call with the parameter, which stands in its second row if it is a batch."""
    fields: dict[str, Any] = dict(NEEDED[endpoint])
    inside = "orders[1][{}]" if endpoint == "AddOrderBatch" and "[" not in name else "{}"
    if order_type:
        fields |= {inside.format("ordertype"): order_type}
    return form(endpoint, fields | {inside.format(name): value})


@pytest.mark.parametrize(("endpoint", "name", "value", "order_type", "becomes"), list(rows()))
def test_each_documented_row_holds(endpoint: str, name: str, value: str, order_type: str, becomes: str) -> None:
    """Sent on, dropped, or refused by name."""
    if becomes == "refused":
        with pytest.raises(Refused, match=name):
            sent(endpoint, name, value, order_type)
        return
    call = sent(endpoint, name, value, order_type)
    fields: Any = call.fields
    row = fields["orders"][1] if endpoint == "AddOrderBatch" else fields
    bare = name.partition("[")[0]
    assert (bare in row) == (becomes == "sent on")


def test_the_page_has_a_row_for_each_real_client() -> None:
    """The table is read at all."""
    assert {"trading_agreement", "close", "position", "broker", "price", "https[rejectUnauthorized]"} <= {
        name for _, name, *_ in rows()
    }
