"""`signer audit archive`: move the oldest segments of the log to another folder."""

from __future__ import annotations

from pathlib import Path

import click

from signer.cli.audit_lines import audit_folder
from signer.cli.moments import read_day
from signer.cli.options import in_session, reason_option
from signer.operator.archive import archive as archive_segments
from signer.operator.session import Session


@click.command()
@click.option(
    "--before",
    "before_us",
    required=True,
    callback=read_day,
    metavar="DATE",
    help="Move the segments whose records are all from before this day (UTC), as 2026-11-01.",
)
@click.option("--to", required=True, type=click.Path(path_type=Path), metavar="DIR", help="A folder outside the home.")
@reason_option
@in_session
def archive(session: Session, before_us: int, to: Path, reason: str) -> None:
    """Move the oldest segments of the log to another folder.

    The newest segment always stays, and each segment that has records which the checkpoint of the book lacks. A state
    file (book-SEQ.json) stands for the records that are moved: the book as of the last one of them. It stays beside the
    log, a record of the log vouches for it, and DIR gets a copy. `signer audit verify DIR` proves the archive.

    DIR is made if it is missing. The command can be given again after a crash at any step. It works beside a running
    gateway or without one.
    """
    audit_folder(session.home)
    archive_segments(session, before_us, to.absolute(), reason)
