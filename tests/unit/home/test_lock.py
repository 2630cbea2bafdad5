"""Who runs on a home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from signer.errors import HomeBusy
from signer.home.lock import Holder, HomeLock, Load, holder, read_load, write_load

HOLD = """
import sys
from pathlib import Path
from signer.home.lock import Holder, HomeLock
HomeLock(Path(sys.argv[1])).announce(Holder(4711, 1, "127.0.0.1:1"))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.lock"


def test_a_second_gateway_is_told_who_holds_the_home(path: Path) -> None:
    """Another process's lock is seen, named, and gone with that process."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        assert holder(path) == Holder(4711, 1, "127.0.0.1:1")
        with pytest.raises(HomeBusy, match=r"process 4711, listening on 127\.0\.0\.1:1"):
            HomeLock(path)
        other.stdin.close()
        other.wait()
    assert holder(path) is None
    HomeLock(path).announce(Holder(os.getpid(), 2, "127.0.0.1:2"))


def test_nobody_holds_a_home_that_was_never_used(path: Path) -> None:
    """A home without a lock file has no holder."""
    assert holder(path) is None


def test_what_was_loaded_is_read_back(path: Path) -> None:
    """The CLI sees what the worker published, and nothing where nothing readable is."""
    assert read_load(path) is None
    write_load(path, Load(7, 2, 3, "why not"))
    assert read_load(path) == Load(7, 2, 3, "why not")
    path.write_text("{", encoding="ascii")
    assert read_load(path) is None
