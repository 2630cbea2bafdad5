"""Properties of what clients send beside a call: what is sent on, what is dropped, and that nothing else changes.

The oracle is written here anew, from docs/clients.md, and reads the bytes that would leave with Python's own parser.
"""

from __future__ import annotations

import json
import string
from typing import Any
from urllib.parse import parse_qsl, urlencode

from hypothesis import given
from hypothesis import strategies as st

from signer.errors import Refused
from signer.model import Action, Call
from signer.venues.kraken.endpoints import ENDPOINTS
from tests.property.test_kraken_parse import json_values, rows
from tests.unit.venues.kraken.asking import FORM, JSON, KRAKEN, named, request

PLAIN = set(string.ascii_letters + string.digits + "_")
KEPT_BACK = {
    "secret", "password", "passphrase", "token", "signature", "account", "accountid", "subaccount", "user", "users",
    "userid", "iiban", "portfolio", "master", "new", "validate", "timeout", "cancel", "delete",
}  # fmt: skip
REFUSED = {"nonce", "otp", "apikey", "apisign", "apinonce", "apiotp", "apisecret", "privatekey"}
READS = sorted(n for n, e in ENDPOINTS.items() if e.action is Action.READ and not e.local and not e.as_json)
CHANGES = ["AddOrder", "AddOrderBatch", "AmendOrder", "EditOrder", "CancelOrder", "CancelAll", "DepositAddresses"]
KNOWN_TO_MEAN_NOTHING = {"https", "position", "broker", "trading_agreement", "close"}
YES = {"true", "True", "TRUE", "1"}
NO = {"false", "False", "FALSE", "0"}

names = (
    st.text(st.sampled_from(sorted(PLAIN)), min_size=1, max_size=45)
    | st.sampled_from(sorted(KEPT_BACK | REFUSED))
    | st.sampled_from(["Users", "API-Key", "a-b", "a.b", "a b", "n_e_w", "Trades", "kwargs", "ticker_pair", "é"])
)
values: st.SearchStrategy[Any] = (
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=140)
    | st.none()
    | st.booleans()
    | st.lists(st.just("a"), max_size=2)
    | st.dictionaries(st.just("a"), st.just("b"), max_size=1)
)


def bare(name: str) -> str:
    """A name without case, dashes and underscores."""
    return name.replace("_", "").replace("-", "").casefold()


def ask(endpoint: str, fields: dict[str, Any]) -> Call | None:
    """The call of a JSON body, None if it is refused."""
    try:
        return KRAKEN.parse(KRAKEN.decode(request(endpoint, json.dumps({"nonce": "1", **fields}), JSON)))
    except Refused:
        return None


def expected(name: str, value: Any) -> str | None:
    """How an unknown parameter of a read must stand in the bytes that leave; None where it must not."""
    plain = 0 < len(name) <= 40 and set(name) <= PLAIN
    if not plain or bare(name) in KEPT_BACK:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    printable = isinstance(value, str) and 0 < len(value) <= 128 and all(" " <= letter <= "~" for letter in value)
    return value if printable else None


@given(st.sampled_from(READS), st.dictionaries(names, values, max_size=6))
def test_a_read_sends_its_plain_unknown_parameters_and_nothing_else(endpoint: str, extras: dict[str, Any]) -> None:
    """Each as it was written, each other one not at all, and the bytes are one form that any parser reads alike."""
    known = {bare(name) for name in ENDPOINTS[endpoint].model}
    extras = {name: value for name, value in extras.items() if bare(name) not in known and name not in {"nonce", "otp"}}
    call = ask(endpoint, extras)
    if any(bare(name) in REFUSED for name in extras):
        assert call is None
        return
    assert call is not None
    wire, _ = KRAKEN.encode(call, 7, "KEY")
    sent = parse_qsl(wire.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    meant = {name: expected(name, value) for name, value in extras.items()}
    assert dict(sent) == {"nonce": "7"} | {name: text for name, text in meant.items() if text is not None}
    assert len(sent) == len(dict(sent))
    said_nothing = {name for name, value in extras.items() if value is None or value == ""}
    assert set(call.dropped) == {name for name, text in meant.items() if text is None} - said_nothing


@given(st.sampled_from(CHANGES), names, values)
def test_a_change_has_no_unknown_parameter(endpoint: str, name: str, value: Any) -> None:
    """*Must hold* 1: whatever its name and value are, null and blanks too."""
    if name in ENDPOINTS[endpoint].model or name in KNOWN_TO_MEAN_NOTHING | {"nonce", "otp"}:
        return
    row = {"ordertype": "limit", "type": "buy", "volume": "1", "price": "1"}
    whole: dict[str, dict[str, Any]] = {
        "AddOrder": {"pair": "XBTUSD", **row},
        "AddOrderBatch": {"pair": "XBTUSD", "orders": [row, row]},
        "AmendOrder": {"txid": "OA", "order_qty": "1"},
        "EditOrder": {"pair": "XBTUSD", "txid": "OA", "volume": "1"},
        "CancelOrder": {"txid": "OA"},
    }
    fields = whole.get(endpoint, {})
    assert ask(endpoint, fields) is not None
    assert ask(endpoint, {**fields, name: value}) is None


@given(rows(), st.sets(st.sampled_from(sorted(ENDPOINTS["AddOrder"].model))), st.booleans())
def test_blanks_and_nulls_change_no_order(row: dict[str, Any], absent: set[str], blank: bool) -> None:
    """A client may name every parameter that it does not use."""
    order = {"pair": "XBTUSD", **row}
    nothing = dict.fromkeys(absent - order.keys() - {"validate"}, "" if blank else None)
    assert ask("AddOrder", {**nothing, **order}) == ask("AddOrder", order) is not None
    if blank:
        body = urlencode({"nonce": "1", **{k: v for k, v in {**nothing, **order}.items() if k != "close"}})
        form = KRAKEN.parse(KRAKEN.decode(request("AddOrder", body, FORM)))
        assert form == ask("AddOrder", {k: v for k, v in order.items() if k != "close"})


@given(json_values | st.sampled_from(sorted(YES | NO)))
def test_validate_is_a_clear_yes_a_clear_no_or_refused(value: Any) -> None:
    """No value is guessed at, and none is a defect."""
    order = {"pair": "XBTUSD", "ordertype": "limit", "type": "buy", "volume": "1", "price": "1"}
    call = ask("AddOrder", {**order, "validate": value})
    text = str(value) if isinstance(value, str | bool | int) else ""
    if text in YES | NO:
        assert call is not None
        assert call.dry_run == (text in YES)
        assert (b"validate=true" in KRAKEN.encode(named(call), 7, "KEY")[0].body) == call.dry_run
    else:
        assert call is None
