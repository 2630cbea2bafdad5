"""Reads the book of a home, and uses its marks, beside a running gateway or not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import TypeVar

from signer.audit.log_reader import LogReader
from signer.contracts import Marks
from signer.errors import AuditError, HomeError
from signer.home.layout import Home
from signer.ledger import open_marks, reading
from signer.ledger.reading import ReadBook
from signer.serving.clock import SystemClock

T = TypeVar("T")


@contextlib.contextmanager
def read_book(home: Home) -> Iterator[ReadBook]:
    """Yield the book that the home's log makes now; an empty one before the first start. Writes nothing.

    Raises `AuditError` if the log does not read, and `LedgerError`.
    """
    try:
        book = reading.fold_book(home, LogReader(home.audit), SystemClock().now_us)
    except OSError as error:
        what, where = f"the audit log cannot be read: {error.strerror}", str(error.filename or home.audit)
        raise AuditError(what, where=where, hint="see that this user may read it") from error
    with contextlib.closing(book):
        yield book


def with_marks(home: Home, use: Callable[[Marks], Coroutine[None, None, T]]) -> T:
    """Return the result of ``use`` on the home's marks. Raises `HomeError` or `LedgerError`."""

    async def run() -> T:
        require_home(home)
        marks = await open_marks(home)
        try:
            return await use(marks)
        finally:
            await marks.close()

    return asyncio.run(run())


def known_marks(home: Home) -> Mapping[str, int]:
    """Return the home's marks by name; none before its first start. Raises `HomeError` or `LedgerError`."""

    async def all_marks(marks: Marks) -> Mapping[str, int]:
        return await marks.marks()

    return with_marks(home, all_marks) if home.marks.exists() else {}


def require_home(home: Home) -> None:
    """Raises `HomeError` if there is no home, so that a folder named by mistake stays as it is.

    A log is enough, because a brake must work even if signer.toml is gone.
    """
    if not (home.config.is_file() or home.audit.is_dir()):
        raise HomeError("there is no home here", where=str(home.folder), hint="run `signer init`, or give --home")
