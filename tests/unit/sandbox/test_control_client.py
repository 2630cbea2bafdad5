"""The control client's list of orders while orders close."""

from __future__ import annotations

from typing import Any

import pytest

from signer.sandbox.control_client import Control

PAGE = 2


def test_orders_that_close_while_they_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each order is listed, none is lost, and the listing ends."""
    still_open, closed = ["O4", "O5", "O6"], ["O3", "O2", "O1"]

    def ask(_: Control, _account: str, method: str, **params: str | int) -> Any:
        if method == "OpenOrders":
            return {"open": {txid: {"status": "open"} for txid in still_open}}
        skip = int(params["ofs"])
        page = {txid: {"status": "closed"} for txid in closed[skip : skip + PAGE]}
        closed[:0] = [still_open.pop(0)] if still_open else []
        return {"closed": page}

    monkeypatch.setattr(Control, "ask", ask)
    control = Control("http://127.0.0.1:1")
    assert sorted(control.orders("main")) == ["O1", "O2", "O3", "O4", "O5", "O6"]
    control.close()
