"""`signer audit search`: find records by their content, and print them as lines, as in the log, or as a table."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from typing import Final

import click

from signer.audit.chain import KINDS
from signer.cli.audit_lines import audit_folder, moment, records, show_record
from signer.cli.audit_orders import Fields, OrderWords, orders, venue_ids
from signer.cli.moments import read_moment
from signer.home.layout import Home
from signer.model import Json, Outcome
from signer.venues import open_venue, venue_names

_COLUMNS: Final = (
    *("time", "seq", "kind", "id", "client", "account", "source", "endpoint"),
    *("pair", "side", "order_type", "volume", "price", "decision", "outcome", "rules", "errors", "txids"),
)
_FORMULA: Final = re.compile(r"^[=+\-@\t\r]")
"""Characters that begin a formula in a spreadsheet. A client's own text can stand in these columns."""

_AMOUNT: Final = re.compile(r"^-?[0-9.]+$", re.ASCII)


def _read_endpoint(_ctx: click.Context, _param: click.Parameter, text: str | None) -> str | None:
    """Read the name of an endpoint, in any case; a usage error if there is none such."""
    if text is None:
        return None
    known = {name.lower(): name for venue in venue_names() for name in open_venue(venue).endpoints}
    if text.lower() not in known:
        raise click.BadParameter(f"{text[:40]!r} is no endpoint; write it as the exchange does")
    return known[text.lower()]


@click.command()
@click.option("--client", help="Only this client's.")
@click.option("--account", help="Only this account's.")
@click.option("--endpoint", callback=_read_endpoint, help="Only this endpoint's, in the exchange's word.")
@click.option("--outcome", type=click.Choice([each.value for each in Outcome]), help="Only with this outcome.")
@click.option("--kind", type=click.Choice(KINDS), metavar="KIND", help=f"Only of this kind: {', '.join(KINDS)}.")
@click.option("--pair", help="Only of calls about this pair, in any spelling.")
@click.option("--txid", "venue_id", help="Only of calls that name this order id, or were answered with it.")
@click.option("--since", callback=read_moment, metavar="TIME", help="Not before this time.")
@click.option("--until", callback=read_moment, metavar="TIME", help="Before this time.")
@click.option("--text", help="Only records that hold this text anywhere, in any case.")
@click.option("--json", "as_json", is_flag=True, help="Print each record's line as it stands in the log.")
@click.option("--csv", "as_csv", is_flag=True, help="Print a table for a spreadsheet, a row for each order.")
@click.pass_obj
def search(
    home: Home,
    /,
    pair: str | None,
    venue_id: str | None,
    since: int | None,
    until: int | None,
    text: str | None,
    as_json: bool,
    as_csv: bool,
    **equal: str | None,
) -> int:
    """Find records. Exit status 1 if there is none."""
    if as_json and as_csv:
        raise click.UsageError("Give either --json or --csv.")
    folder = audit_folder(home)
    wanted = {name: value for name, value in equal.items() if value is not None}
    calls = _calls(folder, _pair_ids(home, pair), venue_id)
    write = _write_csv() if as_csv else lambda line, fields: show_record(line, fields, as_json=as_json)
    found = 0
    for line, fields in records(folder):
        if _is_within(fields, since, until) and _says(fields, wanted, text) and (calls is None or calls(fields)):
            found += 1
            write(line, fields)
    return 0 if found else 1


def _pair_ids(home: Home, text: str | None) -> Set[str] | None:
    """Find a pair's id at each venue of the home; a usage error where there is none."""
    from signer.serving.loaded import venues_of  # noqa: PLC0415 - only where a pair is given

    if text is None:
        return None
    found = {pair.id for venue in venues_of(home).values() if (pair := venue.pairs.find(text)) is not None}
    if not found:
        what = f"{text[:40]!r} is no pair that is listed now; find one that is gone by --text"
        raise click.BadParameter(what, param_hint="--pair")
    return found


def _calls(folder: Path, pairs: Set[str] | None, venue_id: str | None) -> Callable[[Fields], bool] | None:
    """Tell whether a record is of a call that fits; None if every call does.

    An outcome does not repeat its order, and an intent has no order id yet, so each is found by the other.
    """
    if pairs is None and venue_id is None:
        return None

    def named(fields: Fields) -> Iterator[bool]:
        yield pairs is None or not pairs.isdisjoint(_pairs(fields))
        yield venue_id is None or venue_id in venue_ids(fields)

    wants = [set[Json](), set[Json]()]
    for _, fields in records(folder, quiet=True):
        for ids, fits in zip(wants, named(fields), strict=True):
            if fits:
                ids.add(fields.get("id"))
    both = wants[0] & wants[1] - {None}
    return lambda fields: fields.get("id") in both


def _pairs(fields: Fields) -> set[str]:
    named = fields.get("fields")
    listed = named.get("pair") if isinstance(named, dict) else None  # some reads name several
    return {order.pair for order in orders(fields)} | set(listed.split(",") if isinstance(listed, str) else ())


def _is_within(fields: Fields, since: int | None, until: int | None) -> bool:
    at = fields.get("time")
    return isinstance(at, int) and (since is None or at >= since) and (until is None or at < until)


def _says(fields: Fields, wanted: Mapping[str, str], text: str | None) -> bool:
    if any(fields.get(name) != value for name, value in wanted.items()):
        return False
    return text is None or text.lower() in json.dumps(fields, ensure_ascii=False).lower()


def _write_csv() -> Callable[[bytes, Fields], None]:
    """Writes records as rows of a table; its first line names the columns."""
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(_COLUMNS)

    def write(_: bytes, fields: Fields) -> None:
        for order in [*orders(fields)] or [OrderWords("", "", "", "", "")]:
            table.writerow(_cells(fields, order))

    return write


def _cells(fields: Fields, order: OrderWords) -> Iterator[str]:
    own = {
        "time": moment(fields),
        "rules": _joined(fields.get("rules")),
        "errors": _joined(fields.get("errors")),
        "txids": " ".join(venue_ids(fields)),
        **{name: getattr(order, name) for name in OrderWords.__dataclass_fields__},
    }
    for column in _COLUMNS:
        value = own.get(column, fields.get(column))
        yield _harmless("" if value is None else str(value))


def _joined(value: Json) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else ""


def _harmless(text: str) -> str:
    """Write a cell so that no spreadsheet takes it for a formula."""
    return f"'{text}" if _FORMULA.match(text) and not _AMOUNT.match(text) else text
