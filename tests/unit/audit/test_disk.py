"""This machine's disk: private files, whole writes, and knowing when a file was taken away."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from signer.audit.disk import FileStatus, LocalDisk
from signer.errors import AuditError


def test_files_and_folder_are_private(tmp_path: Path) -> None:
    """The folder has mode 0700 and a file 0600, whatever the umask."""
    old = os.umask(0)
    try:
        LocalDisk().open(tmp_path / "audit" / "file").close()
    finally:
        os.umask(old)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "audit", tmp_path / "audit" / "file")]
    assert modes == [0o700, 0o600]


def test_a_folder_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    """An existing folder with wider rights is refused, with the command that fixes it."""
    tmp_path.chmod(0o750)
    with pytest.raises(AuditError, match="chmod 700"):
        LocalDisk().prepare(tmp_path)


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    """A link planted under a segment's name does not lead the log elsewhere."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="link"):
        LocalDisk().open(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_appends_read_back_in_pieces(tmp_path: Path) -> None:
    """What was appended is read from any offset; beyond the end there is nothing."""
    file = LocalDisk().open(tmp_path / "file")
    file.append(b"hello ")
    file.append(b"world")
    file.sync()
    assert (file.size(), LocalDisk().read(tmp_path / "file", 4, 4)) == (11, b"o wo")
    assert LocalDisk().read(tmp_path / "file", 99, 4) == b""
    file.truncate(5)
    file.append(b"!")
    assert (tmp_path / "file").read_bytes() == b"hello!"
    file.close()


def test_what_was_written_is_read_after_the_cache_is_dropped(tmp_path: Path) -> None:
    """Synced or not, all bytes of a good disk are there; a symbolic link is not followed."""
    path = tmp_path / "audit" / "audit-000001-2026-11-24.jsonl"
    disk = LocalDisk()
    file = disk.open(path)
    file.append(b"synced\n")
    file.sync()
    file.append(b"not yet\n")
    disk.forget_cached(path)
    assert disk.read(path, 0, 100) == b"synced\nnot yet\n"
    path.with_name("link").symlink_to(path)
    with pytest.raises(OSError, match="symbolic"):
        disk.forget_cached(path.with_name("link"))
    file.close()


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take a few bytes at a time; all of them arrive."""
    real = os.write
    monkeypatch.setattr("signer.audit.disk.os.write", lambda number, data: real(number, bytes(data[:3])))
    file = LocalDisk().open(tmp_path / "file")
    file.append(b"hello world")
    file.close()
    assert (tmp_path / "file").read_bytes() == b"hello world"


def test_a_file_taken_away_has_no_size(tmp_path: Path) -> None:
    """A removed, replaced or moved file says None, not the length of what stands in its place."""
    file = LocalDisk().open(tmp_path / "file")
    assert file.size() == 0
    (tmp_path / "file").unlink()
    assert file.size() is None
    (tmp_path / "file").write_bytes(b"other")
    assert file.size() is None
    file.close()


def test_claimed_room_is_really_taken(tmp_path: Path) -> None:
    """The file has blocks behind its end, and its length is what was written."""
    file = LocalDisk().open(tmp_path / "file")
    file.append(b"hello")
    file.claim(1 << 20)
    file.close()
    found = (tmp_path / "file").stat()
    assert (found.st_size, found.st_blocks * 512 >= 1 << 20) == (5, True)


def test_one_holds_the_lock(tmp_path: Path) -> None:
    """The folder is locked for one alone until that gives the lock back."""
    unlock = LocalDisk().lock(tmp_path)
    with pytest.raises(AuditError, match="another process writes this log"):
        LocalDisk().lock(tmp_path)
    unlock()
    LocalDisk().lock(tmp_path)()


def test_a_sealed_file_is_read_only(tmp_path: Path) -> None:
    """A sealed file has mode 0400, and 0600 again once it is unsealed."""
    path = tmp_path / "file"
    file = LocalDisk().open(path)
    file.append(b"hello")
    assert LocalDisk().status(path) == FileStatus(5, sealed=False)
    file.seal()
    assert (LocalDisk().status(path), stat.S_IMODE(path.stat().st_mode)) == (FileStatus(5, sealed=True), 0o400)
    LocalDisk().unseal(path)
    assert (LocalDisk().status(path).sealed, stat.S_IMODE(path.stat().st_mode)) == (False, 0o600)
    file.close()
