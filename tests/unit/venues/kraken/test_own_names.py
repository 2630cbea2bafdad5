"""The client's names in Kraken's answers: only the bytes of a name change, and no name of ours stays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.errors import VenueError
from signer.model import Call, ClientNames
from tests.unit.venues.kraken.asking import KRAKEN, LIMIT, as_json, form, named

OPEN = form("OpenOrders", {})
UUID = "00000000-0000-4000-8000-000000000007"
OURS: Mapping[str, ClientNames] = {
    "11": ClientNames("7"), "12": ClientNames(), "13": ClientNames("-7"), UUID: ClientNames(None, 'a "b"')
}  # fmt: skip


def names(own: str, _venue_id: str) -> ClientNames | None:
    """What the client calls our orders."""
    return OURS.get(own)


def restored(body: str, call: Call = OPEN) -> str:
    """The answer as the client reads it."""
    return KRAKEN.restored(call, body.encode(), names).decode()


def opened(*rows: str) -> str:
    """An answer of OpenOrders with rows of odd spacing and numbers that a float would change."""
    listed = ", ".join(f'"OA{place}-B-C": {{ {row}, "vol":1.10000000000000000001 }}' for place, row in enumerate(rows))
    return f'{{"error":[],"result":{{"open":{{{listed}}}}}}}'


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        ('"userref":11', '"userref":7'),
        ('"userref" : 12', '"userref" : null'),
        ('"userref":13,"status":"open"', '"userref":-7,"status":"open"'),
        (f'"userref":null,"cl_ord_id":"{UUID}"', '"userref":null,"cl_ord_id":"a \\"b\\""'),
        ('"userref":99', '"userref":99'),
        ('"userref":0', '"userref":0'),
        ('"userref":null', '"userref":null'),
        ('"misc":"\\"userref\\":11","userref":11', '"misc":"\\"userref\\":11","userref":7'),
    ],
)
def test_a_row_has_the_client_s_name(row: str, shown: str) -> None:
    """With the type that Kraken gives, and null for an order that the client gave none; a stranger's name stays."""
    assert restored(opened(row, '"userref":99')) == opened(shown, '"userref":99')


def test_an_edit_tells_the_old_and_the_new_name_as_text() -> None:
    """Kraken writes both as text, empty for none."""
    call = named(form("EditOrder", {"pair": "XBTUSD", "txid": "OA", "userref": "5"}))
    body = '{"error":[],"result":{"txid":"OB","newuserref":"11","olduserref":"12"}}'
    assert restored(body, call) == '{"error":[],"result":{"txid":"OB","newuserref":"7","olduserref":""}}'


def test_an_error_that_quotes_a_name_quotes_the_client_s() -> None:
    """Of one order and of a batch's row; a number elsewhere stays."""
    call = named(form("AddOrder", {**LIMIT, "userref": "77"}))
    assert (
        restored('{"error":["EOrder:Bad userref 1: 1.1, 21"]}', call)
        == '{"error":["EOrder:Bad userref 77: 77.77, 21"]}'
    )
    rows = {"type": "buy", "ordertype": "limit", "price": "1", "volume": "2"}
    batch = named(as_json("AddOrderBatch", {"pair": "XBTUSD", "orders": [rows, {**rows, "cl_ord_id": 'x"y'}]}))
    own = batch.orders[1].own
    body = f'{{"error":[],"result":{{"orders":[{{"txid":"OA"}},{{"error":"EOrder:Bad {own}"}}]}}}}'
    assert json.loads(restored(body, batch))["result"]["orders"][1] == {"error": 'EOrder:Bad x"y'}


def test_other_answers_are_relayed_as_they_are() -> None:
    """Bytes without a name are not read, whatever they are."""
    for body in ('{"error":[],"result":{"XXBT":"1.0"}}', "no JSON", ""):
        assert restored(body, form("Balance", {})) == body
    archive = b'PK "userref":11'
    assert KRAKEN.restored(form("RetrieveExport", {"id": "X"}), archive, names) == archive


@pytest.mark.parametrize(
    "body", ['{"userref":11', '{"userref":11,"userref":12}', '{"user\\u0072ef":11,"cl_ord_id":null}', '"userref":11']
)
def test_an_answer_that_does_not_read_is_not_passed_on(body: str) -> None:
    """A name of ours could stay in it."""
    with pytest.raises(VenueError):
        restored(body)


FILTERS: list[tuple[str, dict[str, str], list[str]]] = [
    ("OpenOrders", {"userref": "007"}, ["OA0-B-C"]),
    ("OpenOrders", {"userref": "-7"}, ["OA2-B-C"]),
    ("OpenOrders", {"cl_ord_id": 'a "b"'}, ["OA3-B-C"]),
    ("OpenOrders", {"userref": "99"}, []),
    ("OpenOrders", {"userref": "11"}, []),
    ("QueryOrders", {"txid": "OA0-B-C", "userref": "7"}, ["OA0-B-C"]),
]


@pytest.mark.parametrize(("endpoint", "fields", "kept"), FILTERS)
def test_a_read_by_a_name_has_the_rows_of_that_name(endpoint: str, fields: dict[str, str], kept: list[str]) -> None:
    """Only orders to which the client gave it: not the stranger's of the same number, nor one by our name."""
    rows = [f'"userref":{ref}' for ref in (11, 12, 13)] + [f'"userref":null,"cl_ord_id":"{UUID}"', '"userref":99']
    body = opened(*rows)
    if endpoint == "QueryOrders":
        body = body.replace('"open":{', "").replace("}}}}", "}}}")
    result = json.loads(restored(body, form(endpoint, fields)))["result"]
    assert list(result.get("open", result)) == kept


@pytest.mark.parametrize(("count", "shown"), [(2, 1), (70, 70)])
def test_a_page_that_is_whole_counts_its_rows(count: int, shown: int) -> None:
    """A longer list keeps Kraken's count, because a client pages by it."""
    body = f'{{"error":[],"result":{{"closed":{{"O-A":{{"userref":11}},"O-B":{{"userref":12}}}},"count":{count}}}}}'
    result = json.loads(restored(body, form("ClosedOrders", {"userref": "7"})))["result"]
    assert result == {"closed": {"O-A": {"userref": 7}}, "count": shown}


@pytest.mark.parametrize("body", ['{"error":["EGeneral:Internal error"]}', '{"error":[],"result":{"open":{}}}'])
def test_a_read_by_a_name_without_rows_stays(body: str) -> None:
    """An error has none, and a list may be empty."""
    assert restored(body, form("OpenOrders", {"userref": "7"})) == body


texts = st.text(alphabet=st.characters(codec="utf-8"), max_size=12)
leaves = st.none() | st.integers() | texts
trees = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


@given(st.lists(st.fixed_dictionaries({"userref": st.sampled_from([11, 12, 13, 99, None]), "more": trees}), max_size=4))
def test_nothing_but_names_changes(rows: list[dict[str, Any]]) -> None:
    """Whatever else is in the rows reads the same, and no name of ours is left."""
    shown = {f"O-{place}": row for place, row in enumerate(rows)}
    body = json.dumps({"error": [], "result": {"open": shown}}, ensure_ascii=False)
    for row in rows:
        given_names = OURS.get(str(row["userref"]))
        if given_names is not None:
            row["userref"] = None if given_names.tag is None else int(given_names.tag)
    assert json.loads(restored(body)) == {"error": [], "result": {"open": shown}}
