"""Private files: replaced whole or not at all, by one writer at a time."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from signer.errors import KeyStoreError
from signer.home.private_file import exclusively, read_private, staged, write_private


def test_what_is_written_is_private_and_reads_back(tmp_path: Path) -> None:
    """A written file has mode 0600 whatever the umask, holds the bytes, and nothing is left beside it."""
    path = tmp_path / "file"
    mask = os.umask(0)
    try:
        write_private(path, b"content", replace=False)
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_private(path, limit=7, missing="") == b"content"
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_is_kept_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    """A file is not overwritten without leave, not even one that appeared while the block ran."""
    path = tmp_path / "file"
    write_private(path, b"old", replace=False)
    with pytest.raises(KeyStoreError, match="give --force"):
        write_private(path, b"new", replace=False, exists="give --force")
    with pytest.raises(KeyStoreError, match="was not changed"), staged(tmp_path / "late", b"new", replace=False):
        (tmp_path / "late").write_bytes(b"somebody else's")
    assert path.read_bytes() == b"old"
    assert (tmp_path / "late").read_bytes() == b"somebody else's"
    write_private(path, b"new", replace=True)
    assert path.read_bytes() == b"new"


def test_a_block_that_fails_publishes_nothing(tmp_path: Path) -> None:
    """What is staged takes its place only if the block ends well."""
    path = tmp_path / "file"
    with pytest.raises(KeyboardInterrupt), staged(path, b"new", replace=True):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_fails_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A full disk at any step is an error with a reason; the file is as it was, and nothing lies beside it."""
    path = tmp_path / "file"
    write_private(path, b"old", replace=False)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(KeyStoreError, match="No space left on device"):
        write_private(path, b"new", replace=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_file_and_folder_are_synced_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is on disk before it takes its place, and the folder after."""
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noted_replace(*paths: str) -> None:
        steps.append("replace")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_private(tmp_path / "file", b"content", replace=True)
    assert steps == ["file", "replace", "folder"]


def test_what_a_crash_left_beside_is_cleared_away(tmp_path: Path) -> None:
    """A staged file of a killed process does not stop the next writer, and goes."""
    (tmp_path / ".file.new").write_bytes(b"half")
    write_private(tmp_path / "file", b"whole", replace=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_second_writer_is_told_who_is_in_its_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second writer waits for a bounded time, and the error names the process that holds the lock."""
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    path = tmp_path / "keys.json"
    with exclusively(path):
        with pytest.raises(KeyStoreError, match=f"process {os.getpid()}"), exclusively(path):
            pytest.fail("two writers at once")
        assert 0 < sum(pauses) <= 10
    with exclusively(path):
        assert path.with_name("keys.json.lock").read_text() == str(os.getpid())


def test_a_writer_waits_for_one_that_finishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two commands started together both get through."""
    path = tmp_path / "keys.json"
    lock = os.open(path.with_name("keys.json.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    monkeypatch.setattr("time.sleep", lambda _: fcntl.flock(lock, fcntl.LOCK_UN))
    with exclusively(path):
        pass
    os.close(lock)


def test_a_lock_that_is_a_symlink_is_not_followed(tmp_path: Path) -> None:
    """A planted symlink does not have us truncate another file."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "keys.json.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(KeyStoreError, match="lock cannot be opened"), exclusively(tmp_path / "keys.json"):
        pytest.fail("followed a symlink")
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_file_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    """A hostile file cannot fill the memory."""
    write_private(tmp_path / "file", b"12345678", replace=False)
    with pytest.raises(KeyStoreError, match="larger than 7 bytes"):
        read_private(tmp_path / "file", limit=7, missing="")
