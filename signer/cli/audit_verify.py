"""`signer audit verify`: prove that nobody changed the log, and name the last proven record."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from signer.audit.beginning import Vouched
from signer.audit.disk import LocalDisk, segments
from signer.audit.report import KnownHead, Report, from_marks
from signer.audit.verify import verify as verify_log
from signer.book.compare import BookReport
from signer.cli.audit_lines import audit_folder, plain
from signer.errors import AuditError
from signer.home.layout import Home
from signer.model import ChainHead
from signer.operator.book import compare_book
from signer.operator.reading_book import with_marks

_HEAD = re.compile(r"([1-9][0-9]{0,15}):([0-9a-f]{64})", re.IGNORECASE)


def _read_heads(_ctx: click.Context, _param: click.Parameter, texts: Sequence[str]) -> tuple[KnownHead, ...]:
    """Read heads written as ``SEQ:DIGEST``; else a usage error."""
    found = [(_HEAD.fullmatch(text), text) for text in texts]
    for match, text in found:
        if match is None:
            what = f"{text[:40]!r}: write SEQ:DIGEST, a record's number and the 64 digits that verify printed with it"
            raise click.BadParameter(what)
    return tuple(KnownHead("--head", ChainHead(int(match[1]), match[2].lower())) for match, _ in found if match)


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--head",
    "heads",
    multiple=True,
    callback=_read_heads,
    metavar="SEQ:DIGEST",
    help="A record that the log must hold, as an earlier verify printed it.",
)
@click.option("--book", "with_book", is_flag=True, help="Also compare the book that the log makes.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def verify(home: Home, folder: Path | None, heads: tuple[KnownHead, ...], with_book: bool, as_json: bool) -> int:
    """Find any record that was edited, removed, inserted, moved or cut off. Exit status 1 if there is one.

    FOLDER is a copy of a log, or holds archived segments, on any machine. Without it, the command reads the home's own
    log, and its marks say how far the log must reach.

    With --book caps, open calls, orders, halts and revocations are worked out from the log alone. They are compared
    with the checkpoint, and with what a running gateway has in its memory. Exit status 1 if they differ, or if the
    log's beginning is missing.
    """
    if folder is not None and with_book:
        raise click.UsageError("--book compares with the checkpoint of the home: leave FOLDER out.")
    # Ask the marks first: a record that is written meanwhile can then only lie beyond their head.
    known = (*heads, *(() if folder else from_marks(_kept_head(home))))
    place = audit_folder(home) if folder is None else _copied(folder)
    try:
        progress = _progress if sys.stderr.isatty() else None
        report = verify_log(place, known, LocalDisk(), progress, may_be_archive=folder is not None)
        book = compare_book(home) if with_book else None
    except OSError as error:
        raise AuditError(f"cannot be read: {error.strerror}", where=str(error.filename or place)) from error
    if as_json:
        told = _as_object(report) | ({} if book is None else {"book": _book_as_object(book)})
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo("\n".join([_as_text(report), *([] if book is None else _book_as_text(book))]))
    return 0 if report.ok and (book is None or book.ok) else 1


def _copied(folder: Path) -> Path:
    """Return ``folder`` if it holds a log. Raises `AuditError` if not."""
    if not folder.is_dir() or not segments(LocalDisk(), folder):
        raise AuditError(
            "holds no audit log", where=str(folder), hint="name the folder in which the audit-*.jsonl files lie"
        )
    return folder


def _kept_head(home: Home) -> ChainHead | None:
    """Return the record that the home's marks know; None without marks."""
    return with_marks(home, lambda marks: marks.head()) if home.marks.exists() else None


def _progress(count: int) -> None:
    click.echo(f"\r{count:,} records read\r", err=True, nl=False)


def _as_object(report: Report) -> dict[str, object]:
    findings = [{"segment": f.segment, "line": f.line, "seq": f.seq, "what": f.what} for f in report.findings]
    return {
        "ok": report.ok,
        "records": report.records,
        "begins_after": _begin_as_object(report),
        "segments": report.segments,
        "head": {"seq": report.head.seq, "digest": report.head.digest} if report.head else None,
        "known": [{"by": known.by, "seq": known.head.seq, "digest": known.head.digest} for known in report.known],
        "end_proven": _end_proven(report),
        "unfinished_bytes": report.unfinished,
        "findings": findings,
        "more_findings": report.more,
    }


def _begin_as_object(report: Report) -> dict[str, object] | None:
    if report.begins is None:
        return None
    one = report.begins.archived
    return {"seq": one.head.seq, "file": one.name, "digest": one.state_digest, "by": report.begins.by}


def _book_as_object(book: BookReport) -> dict[str, object]:
    return {
        "ok": book.ok,
        "digest": book.digest,
        "seq": book.last,
        "begins_after": book.begin,
        "checkpoint": book.checkpoint or None,
        "gateway": book.gateway or None,
        "unread": book.unread or None,
        "differences": book.differences,
        "contradictions": book.contradictions,
        "notes": book.notes,
    }


def _book_as_text(book: BookReport) -> list[str]:
    said = [plain(text) for text in (*book.contradictions, *book.differences)]
    said += [plain(f"the checkpoint was not compared: {book.unread}")] if book.unread else []
    said += [plain(f"note: {text}") for text in book.notes]
    others = {"checkpoint": book.checkpoint, "gateway": book.gateway}
    compared = [f"{name} (record {seq})" for name, seq in others.items() if seq]
    if book.differences or book.contradictions:
        verdict = "THE LOG DOES NOT MAKE THE BOOK"
    elif book.unread:
        verdict = "the log makes this book, and the checkpoint was not compared"
    elif compared:
        verdict = f"{' and '.join(['log', *compared])} say the same"
    else:
        verdict = "the log makes this book, and there was nothing to compare it with"
    return [*said, f"book {book.digest or '(none)'}: {verdict}"]


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
    if report.begins is not None:
        said.append(_beginning(report.begins))
    if report.ok and not _end_proven(report):
        said.append(_unproven_end(report))
    if report.head is not None:
        said.append(f"head {report.head.seq}:{report.head.digest}")
    verdict = "nothing was changed" if report.ok else "THE LOG WAS CHANGED OR DAMAGED"
    return "\n".join([*said, f"{report.records:,} records in {report.segments} segments: {verdict}"])


def _beginning(begins: Vouched) -> str:
    """Say after which record the log begins, and who vouches for what was before."""
    one = begins.archived
    said = f"note: the records up to {one.head.seq} were archived; {one.name} stands for them, as {begins.by} says"
    if begins.is_recorded:
        return said
    return f"{said}; that is proven only by the log from which this was archived"


def _end_proven(report: Report) -> bool:
    """Tell whether a record that is known from elsewhere is the log's last one."""
    return report.ok and report.head is not None and report.proven == report.head.seq


def _unproven_end(report: Report) -> str:
    """Say that the log's end is not proven, and how to prove it."""
    if not report.known:
        cut = "no record of it is known from elsewhere, so it may have been cut off or written anew"
        return f"note: the end is not proven: {cut}; give --head SEQ:DIGEST as an earlier verify printed it"
    last = report.head.seq if report.head else 0
    return f"note: the end is not proven: records are known up to {report.proven}, the log goes on to {last}"
