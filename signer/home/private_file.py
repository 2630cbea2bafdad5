"""Reads and writes files that only their owner may read, with one writer at a time. A write is whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from signer.errors import KeyStoreError

LOCK_TRIES = 100
LOCK_PAUSE_S = 0.05
"""How long a writer waits for another one. A write takes milliseconds."""


def read_private(path: Path, *, limit: int, missing: str, systemd: bool = False) -> bytearray:
    """Read at most ``limit`` bytes of ``path`` into memory that can be overwritten.

    Raises `KeyStoreError` for a missing file (with ``missing`` as the hint), a symlink, anything but a regular file,
    another owner, and a mode that lets others read it. ``systemd`` is for systemd's credentials folder, whose files may
    belong to root and show the access list of the service as group permission.
    """
    # The open file is checked, because the path may name another file a moment later.
    descriptor = _opened(path, missing)
    try:
        status = os.fstat(descriptor)
        _require_private(status, path, systemd=systemd)
        content = bytearray(min(status.st_size, limit) + 1)
        # Read unbuffered, because nobody would overwrite the copy in Python's buffer.
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
            length = 0
            while got := file.readinto(memoryview(content)[length:]):
                length += got
    finally:
        os.close(descriptor)
    del content[length:]
    if len(content) > limit:
        raise KeyStoreError(f"it is larger than {limit} bytes", where=str(path), hint="name the right file")
    return content


def require_private(path: Path, *, missing: str, systemd: bool = False) -> None:
    """Raise the `KeyStoreError` that `read_private` would raise, without reading."""
    descriptor = _opened(path, missing)
    try:
        _require_private(os.fstat(descriptor), path, systemd=systemd)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def staged(path: Path, content: bytes | bytearray, *, replace: bool, exists: str = "name another") -> Iterator[None]:
    """Write ``content`` durably beside ``path``, with mode 0600, and move it to ``path`` when the block ends well.

    If the block or the machine fails first, ``path`` stays as it was. Raises `KeyStoreError` if the disk does not take
    it, or if ``path`` exists although ``replace`` is false, with ``exists`` as the hint.
    """
    beside = path.with_name(f".{path.name}.new")
    try:
        with _explained(path, exists):
            if not replace and os.path.lexists(path):
                raise FileExistsError
            _write(beside, content)
        yield
        with _explained(path, exists):
            _publish(beside, path, replace=replace)
    finally:
        # It is gone if it was published, or if the folder was removed.
        with contextlib.suppress(OSError):
            beside.unlink()


def make_private_folder(folder: Path) -> None:
    """Make ``folder`` for its owner only, if it does not exist. Raises `KeyStoreError`."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        hint = "check its permissions and the disk"
        raise KeyStoreError(f"the folder cannot be made ({error.strerror})", where=str(folder), hint=hint) from error


def write_private(path: Path, content: bytes | bytearray, *, replace: bool, exists: str = "name another") -> None:
    """Write ``content`` to ``path``, completely or not at all. Raises what `staged` raises."""
    with staged(path, content, replace=replace, exists=exists):
        pass


@contextlib.contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Lock ``path`` for one writer. Raises `KeyStoreError`, with the other writer's process, if it does not finish."""
    lock = path.with_name(f"{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        what = f"the lock cannot be opened ({error.strerror})"
        raise KeyStoreError(what, where=str(lock), hint="check the folder's permissions") from error
    try:
        _lock(descriptor, path)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)  # this releases the lock, as the kernel does if the process dies


def _opened(path: Path, missing: str) -> int:
    try:
        # O_NONBLOCK, because opening a FIFO would wait for its writer.
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise KeyStoreError("there is no such file", where=str(path), hint=missing) from None
    except OSError as error:
        if path.is_symlink():
            raise KeyStoreError("it is a symlink", where=str(path), hint="name the file itself") from None
        raise KeyStoreError(f"it cannot be read ({error.strerror})", where=str(path), hint="check its owner") from error


def _require_private(status: os.stat_result, path: Path, *, systemd: bool) -> None:
    where = str(path)
    if not stat.S_ISREG(status.st_mode):
        raise KeyStoreError("it is not a regular file", where=where, hint="name the right file")
    if status.st_uid != os.geteuid() and not (systemd and status.st_uid == 0):
        what = f"it belongs to user {status.st_uid}, and signer runs as user {os.geteuid()}"
        raise KeyStoreError(what, where=where, hint="run signer as its owner, or chown it")
    open_to = stat.S_IMODE(status.st_mode) & (0o007 if systemd else 0o077)
    if open_to:
        what = f"its mode {stat.S_IMODE(status.st_mode):04o} lets others access it"
        raise KeyStoreError(what, where=where, hint=f"run `chmod 600 {path}`")


@contextlib.contextmanager
def _explained(path: Path, exists: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise KeyStoreError("this file exists and was not changed", where=str(path), hint=exists) from None
    except OSError as error:
        what = f"it cannot be written ({error.strerror}) and was not changed"
        raise KeyStoreError(what, where=str(path), hint="check the disk and the folder's permissions") from error


def _write(path: Path, content: bytes | bytearray) -> None:
    path.unlink(missing_ok=True)  # a crash may have left one behind
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _publish(beside: Path, path: Path, *, replace: bool) -> None:
    if replace:
        beside.replace(path)
    else:
        path.hardlink_to(beside)  # unlike a rename, this fails if the path exists by now
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _lock(descriptor: int, path: Path) -> None:
    for _ in range(LOCK_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        time.sleep(LOCK_PAUSE_S)
    _refuse_held(descriptor, path)


def _refuse_held(descriptor: int, path: Path) -> NoReturn:
    holder = os.pread(descriptor, 20, 0).decode("ascii", "replace") or "unknown"
    what = f"another signer command is changing it (process {holder})"
    raise KeyStoreError(what, where=str(path), hint="wait for it, or end it")
