"""What a call does to orders that exist: AmendOrder, EditOrder and the cancels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from signer.model import Call, Change, Json, OrderRef
from signer.venues.kraken.answers import invalid, unknown_pair
from signer.venues.kraken.endpoints import Endpoint
from signer.venues.kraken.orders import PairTable, flags_of, named_pair, tag_of
from signer.venues.kraken.values import BATCH_MOST, DRY_RUN, cl_ord_id, order_ref, read_fields, to_decimal, to_price
from signer.venues.kraken.vocabulary import WORDS


def edit_order(endpoint: Endpoint, fields: Mapping[str, Json], pairs: PairTable) -> Call:
    """Return the call of an EditOrder: cancel and replace. Raises `NotUnderstood`."""
    given = read_fields(endpoint.model, fields)
    pair = named_pair(given, pairs)
    if "txid" not in given:
        raise invalid("txid is missing")
    target = order_ref("txid", given["txid"])
    oflags = flags_of(given)
    change = Change(
        replaces=True,
        pair=pair.id,
        volume=to_decimal(given.get("volume")),
        price=to_price(given.get("price")),
        price2=to_price(given.get("price2")),
        display_volume=to_decimal(given.get("displayvol")),
        quote_sized=oflags is not None and WORDS.quote_sized in oflags,
        post_only=None if oflags is None else WORDS.post_only in oflags,
        flags=None if oflags is None else oflags - {WORDS.post_only},
        client_tag=tag_of(given),
    )
    return _call(endpoint, given, targets=(target,), change=change)


def amend_order(endpoint: Endpoint, fields: Mapping[str, Json], pairs: PairTable) -> Call:
    """Return the call of an AmendOrder: a change in place, of an order whose type is not said. Raises `NotUnderstood`.

    Its prices are named by what they do, so ``trigger_price`` is the change's ``price`` and ``limit_price`` its
    ``price2``, whatever the order's type makes of them (`signer.policy.orders`).
    """
    given = read_fields(endpoint.model, fields)
    target = _only_target(given)
    if "pair" in given:
        pair = pairs.find(given["pair"])
        if pair is None:
            raise unknown_pair(given["pair"])
        given["pair"] = pair.id
    change = Change(
        replaces=False,
        pair=cast("str | None", given.get("pair")),
        volume=to_decimal(given.get("order_qty")),
        price=to_price(given.get("trigger_price")),
        price2=to_price(given.get("limit_price")),
        display_volume=to_decimal(given.get("display_qty")),
    )
    return _call(endpoint, given, targets=(target,), change=change)


def cancel_order(endpoint: Endpoint, fields: Mapping[str, Json], _: PairTable) -> Call:
    """Return the call of a CancelOrder by txid, userref, comma list of them, or cl_ord_id. Raises `NotUnderstood`.

    One that names nothing is a call without targets: bots test their key with it, and the decision tells them apart who
    may cancel and who may not (docs/kraken.md §8.11).
    """
    given = read_fields(endpoint.model, fields)
    if not given.keys() & {"txid", "cl_ord_id"}:
        return _call(endpoint, given)
    if "txid" not in given or "cl_ord_id" in given:
        return _call(endpoint, given, targets=(_only_target(given),))
    names = cast("str", given["txid"]).split(",")
    if len(names) > BATCH_MOST:
        raise invalid(f"txid names more than {BATCH_MOST} orders")
    return _call(endpoint, given, targets=tuple(order_ref("txid", name) for name in names))


def cancel_order_batch(endpoint: Endpoint, fields: Mapping[str, Json], _: PairTable) -> Call:
    """Return the call of a CancelOrderBatch: txids and userrefs in ``orders``, others in ``cl_ord_ids``."""
    given = read_fields(endpoint.model, fields)
    orders = cast("list[Json]", given.get("orders", []))
    client_ids = cast("list[Json]", given.get("cl_ord_ids", []))
    if not 0 < len(orders) + len(client_ids) <= BATCH_MOST:
        raise invalid(f"orders and cl_ord_ids must name 1 to {BATCH_MOST} orders together")
    named = tuple(order_ref("orders", one) for one in orders)
    by_client = tuple(OrderRef("client-id", cast("str", cl_ord_id("cl_ord_ids", one))) for one in client_ids)
    if orders:
        # A userref is a number in this JSON, a txid a string (docs/kraken.md §1c).
        given["orders"] = [int(ref.value) if ref.kind == "client-tag" else ref.value for ref in named]
    return _call(endpoint, given, targets=named + by_client)


def cancel_all(endpoint: Endpoint, fields: Mapping[str, Json], _: PairTable) -> Call:
    """Return the call of a CancelAll or CancelAllOrdersAfter: every order of the account, whoever placed it."""
    given = read_fields(endpoint.model, fields)
    if "timeout" in endpoint.model and "timeout" not in given:
        raise invalid("timeout is missing")
    return _call(endpoint, given, whole_account=True)


def _only_target(given: Mapping[str, Json]) -> OrderRef:
    """Return the one order that ``txid`` or ``cl_ord_id`` names; both could name two orders, and none names none."""
    if ("txid" in given) == ("cl_ord_id" in given):
        raise invalid("exactly one of txid and cl_ord_id must name the order")
    if "txid" in given:
        target = order_ref("txid", given["txid"])
        if target.kind == "client-tag":
            raise invalid("txid must be an order id here, not a userref")
        return target
    return OrderRef("client-id", cast("str", given["cl_ord_id"]))


def _call(
    endpoint: Endpoint,
    given: Mapping[str, Json],
    *,
    targets: tuple[OrderRef, ...] = (),
    change: Change | None = None,
    whole_account: bool = False,
) -> Call:
    return Call(
        endpoint=endpoint.name,
        action=endpoint.action,
        fields=given,
        needs=endpoint.needs,
        targets=targets,
        change=change,
        whole_account=whole_account,
        dry_run=DRY_RUN in given,
    )
