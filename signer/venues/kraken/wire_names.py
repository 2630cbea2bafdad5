"""Gives orders names that only we can have made, and writes calls with these names.

An order for which the client gave no name gets a random ``userref``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import cast

from signer.model import Call, Json, Order

_GIVEN = ("userref", "cl_ord_id")


def with_own_names(call: Call, bits: Callable[[int], int], is_taken: Callable[[str], bool]) -> Call:
    """Return ``call`` in which each order that it places without a client's name has a new name of ours.

    An edit's replacement counts as an order without a name unless the edit states one. A dry run places nothing that
    could be looked up, and stays as it is.
    """
    made: set[str] = set()

    def new(make: Callable[[Callable[[int], int]], str]) -> str:
        while (name := make(bits)) in made or is_taken(name):
            pass
        made.add(name)
        return name

    if call.dry_run:
        return call
    if call.change is not None:
        unnamed = call.change.replaces and call.change.client_tag is None
        return replace(call, change=replace(call.change, own=new(_userref))) if unnamed else call
    if all(map(_has_name, call.orders)):
        return call
    orders = tuple(one if _has_name(one) else replace(one, own=new(_userref)) for one in call.orders)
    return replace(call, orders=orders)


def fields_on_the_wire(call: Call) -> Mapping[str, Json]:
    """Return the fields of ``call`` with our names of its orders in the place of the client's."""
    if call.change is not None and call.change.own is not None:
        return {**_unnamed(call.fields), "userref": int(call.change.own)}
    if not call.orders:
        return call.fields
    if "orders" not in call.fields:
        return _named(call.fields, call.orders[0])
    rows = zip(cast("list[dict[str, Json]]", call.fields["orders"]), call.orders, strict=True)
    return {**call.fields, "orders": [_named(row, order) for row, order in rows]}


def _named(fields: Mapping[str, Json], order: Order) -> dict[str, Json]:
    return dict(fields) if order.own is None else {**_unnamed(fields), "userref": int(order.own)}


def _has_name(order: Order) -> bool:
    return order.client_tag is not None or bool(order.client_id)


def _unnamed(fields: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in fields.items() if name not in _GIVEN}


def _userref(bits: Callable[[int], int]) -> str:
    """Return a positive number of 31 bits: zero means none, and userrefs are signed."""
    return str(bits(31) or 1)
