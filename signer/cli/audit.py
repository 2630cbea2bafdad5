"""`signer audit`: read the log, also while the gateway writes it, and prove that nobody changed it."""

from __future__ import annotations

import time
from typing import Final

import click

from signer.cli.audit_lines import LogPosition, audit_folder, plain, records, show_line, show_raw, show_whole
from signer.home.layout import Home

POLL_S: Final = 0.25

_as_json = click.option("--json", "as_json", is_flag=True, help="Print each record's line as it stands in the log.")


@click.command()
@click.option("-n", "count", type=click.IntRange(0), default=20, show_default=True, help="How many records.")
@click.option("--follow", is_flag=True, help="Go on with new records until interrupted.")
@_as_json
@click.pass_obj
def tail(home: Home, count: int, follow: bool, as_json: bool) -> None:
    """Show the last records."""
    place = LogPosition(audit_folder(home))
    shown = place.last(count)
    while True:
        for line in shown:
            show_line(line, as_json=as_json)
        if not follow:
            return
        time.sleep(POLL_S)
        shown = place.news()


@click.command()
@click.argument("record_id", metavar="ID")
@_as_json
@click.pass_obj
def show(home: Home, record_id: str, as_json: bool) -> int:
    """Show all records of one call. Exit status 1 if there is nothing."""
    found = False
    for line, fields in records(audit_folder(home)):
        if fields.get("id") == record_id:
            found = True
            show_raw(line) if as_json else show_whole(fields)
    if not found:
        click.echo(f"signer: no record has the id {plain(record_id)}; find it with `signer audit search`", err=True)
    return 0 if found else 1
