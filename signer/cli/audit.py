"""`signer audit`: read the log, also while the gateway writes it, and prove that nobody changed it."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import click

from signer.audit.disk import LocalDisk
from signer.audit.verify import Report
from signer.audit.verify import verify as verify_log
from signer.cli.audit_lines import Place, plain, records, show_line, show_raw, show_record, show_whole
from signer.clock import SystemClock
from signer.errors import AuditError
from signer.home import Home
from signer.model import ChainHead
from signer.worker import ThreadWorker

POLL_S: Final = 0.25

_EPOCH: Final = datetime.fromtimestamp(0, UTC)

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_as_json = click.option("--json", "as_json", is_flag=True, help="Print each record's line as it stands in the log.")


def read_moment(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """ISO 8601 (UTC unless it says otherwise), or how long ago, as microseconds since the epoch; else a usage error."""
    if text is None:
        return None
    if ago := re.fullmatch(r"(\d{1,9})([smhd])", text, re.ASCII):
        return SystemClock().now_us() - int(ago[1]) * _UNITS[ago[2]] * 1_000_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        what = f"{text[:40]!r}: write 2026-11-23, 2026-11-23T12:30, or how long ago: 90s, 15m, 2h, 7d"
        raise click.BadParameter(what) from None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


@click.group()
def audit() -> None:
    """Read and verify the audit log."""


@audit.command()
@click.option("-n", "count", type=click.IntRange(0), default=20, show_default=True, help="How many records.")
@click.option("--follow", is_flag=True, help="Go on with new records until interrupted.")
@_as_json
@click.pass_obj
def tail(home: Home, count: int, follow: bool, as_json: bool) -> None:
    """Show the last records."""
    place = Place(_folder(home))
    shown = place.last(count)
    while True:
        for line in shown:
            show_line(line, as_json=as_json)
        if not follow:
            return
        time.sleep(POLL_S)
        shown = place.news()


@audit.command()
@click.option("--client", help="Only this client's.")
@click.option("--account", help="Only this account's.")
@click.option("--endpoint", help="Only this endpoint's, as AddOrder.")
@click.option("--outcome", help="accepted, rejected, unknown or not-sent.")
@click.option("--kind", help="intent, outcome, read, denied, login-failed, operator …")
@click.option("--since", callback=read_moment, metavar="TIME", help="Not before this time.")
@click.option("--until", callback=read_moment, metavar="TIME", help="Before this time.")
@click.option("--text", help="Only records that hold this text anywhere, in any case.")
@_as_json
@click.pass_obj
def search(
    home: Home,
    /,
    since: int | None,
    until: int | None,
    text: str | None,
    as_json: bool,
    **equal: str | None,
) -> int:
    """Find records. Exit status 1 if there is none."""
    wanted = {name: value for name, value in equal.items() if value is not None}
    found = 0
    for line, fields in records(_folder(home)):
        at = fields.get("time")
        if not isinstance(at, int) or (since is not None and at < since) or (until is not None and at >= until):
            continue
        if any(fields.get(name) != value for name, value in wanted.items()):
            continue
        if text is None or text.lower() in json.dumps(fields, ensure_ascii=False).lower():
            found += 1
            show_record(line, fields, as_json=as_json)
    return 0 if found else 1


@audit.command()
@click.argument("record_id", metavar="ID")
@_as_json
@click.pass_obj
def show(home: Home, record_id: str, as_json: bool) -> int:
    """Show all that is recorded of one call. Exit status 1 if there is nothing."""
    found = False
    for line, fields in records(_folder(home)):
        if fields.get("id") == record_id:
            found = True
            show_raw(line) if as_json else show_whole(fields)
    if not found:
        click.echo(f"signer: no record has the id {plain(record_id)}; find it with `signer audit search`", err=True)
    return 0 if found else 1


@audit.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def verify(home: Home, as_json: bool) -> int:
    """Find any record that was edited, removed, inserted, moved or cut off. Exit status 1 if there is one."""
    # The head first: records written while we read can only lie beyond it.
    kept = asyncio.run(_kept_head(home)) if home.ledger.exists() else None
    try:
        report = verify_log(_folder(home), kept, LocalDisk(), _progress if sys.stderr.isatty() else None)
    except OSError as error:
        raise AuditError(f"cannot be read: {error.strerror}", where=str(error.filename or home.audit)) from error
    click.echo(json.dumps(_as_object(report), indent=2) if as_json else _as_text(report))
    return 0 if report.ok else 1


async def _kept_head(home: Home) -> ChainHead | None:
    from signer.ledger.sqlite import SqliteLedger  # noqa: PLC0415 - only this command needs it

    worker = ThreadWorker("ledger")
    ledger = SqliteLedger(home.ledger, SystemClock(), worker)
    try:
        await ledger.open()
        return await ledger.head()
    finally:
        await ledger.close()
        worker.close()


def _progress(count: int) -> None:
    click.echo(f"\r{count:,} records read\r", err=True, nl=False)


def _as_object(report: Report) -> dict[str, object]:
    findings = [{"segment": f.segment, "line": f.line, "seq": f.seq, "what": f.what} for f in report.findings]
    return {
        "ok": report.ok,
        "records": report.records,
        "segments": report.segments,
        "head": {"seq": report.head.seq, "digest": report.head.digest} if report.head else None,
        "kept": {"seq": report.kept.seq, "digest": report.kept.digest} if report.kept else None,
        "unfinished_bytes": report.unfinished,
        "findings": findings,
        "more_findings": report.more,
    }


def _as_text(report: Report) -> str:
    said = [plain(str(finding)) for finding in report.findings]
    if report.more:
        said.append(f"and {report.more:,} more")
    if not report.ok:
        said.append(
            "note: only the records after the last of these are proven; whoever made it could change all before"
        )
    if report.unfinished:
        said.append(f"note: the last line is unfinished ({report.unfinished} bytes): being written, or torn by a crash")
    if report.kept is None:
        said.append("note: the ledger keeps no chain head, so records cut off at the log's end cannot be found out")
    verdict = "nothing was changed" if report.ok else "THE LOG WAS CHANGED OR DAMAGED"
    return "\n".join([*said, f"{report.records:,} records in {report.segments} segments: {verdict}"])


def _folder(home: Home) -> Path:
    if not home.audit.is_dir():
        raise AuditError("there is no audit log", where=str(home.audit), mend="`signer serve` makes it")
    return home.audit
