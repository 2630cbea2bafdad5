"""Threat: the machine or the process dies in the middle of a change. The store is the old one or the new one, whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from signer.secret import Secret
from tests.harness.stores import API_KEY, CANARY, filled_store, open_store

ROOT = Path(__file__).parents[2]
KILLED = """
import os, signal, sys
from pathlib import Path
from tests.harness.stores import CANARY, open_store
from signer.secret import Secret
store = open_store(Path(sys.argv[1]))
{step} = lambda *arguments, **named: os.kill(os.getpid(), signal.SIGKILL)
store.add_credential("second", "spot", "SECONDkey" * 6, Secret(CANARY), created_us=1)
"""


@pytest.mark.parametrize("step", ["os.replace", "os.fsync"])
def test_kill_in_the_middle_of_a_change_leaves_the_old_store(tmp_path: Path, step: str) -> None:
    """SIGKILL before the new file takes its place: the old one opens, and the next change goes through."""
    path = tmp_path / "keys.json"
    filled_store(path)
    before = path.read_bytes()
    killed = subprocess.run([sys.executable, "-c", KILLED.format(step=step), str(path)], check=False, cwd=ROOT)
    assert killed.returncode == -9
    assert path.read_bytes() == before
    store = open_store(path)
    store.add_credential("second", "spot", API_KEY[::-1], Secret(CANARY), created_us=1)
    assert [info.name for info in open_store(path).credentials()] == ["main", "second"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["keys.json", "keys.json.lock"]


def test_an_interrupt_in_the_middle_of_a_change_leaves_the_old_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C between write and rename: nothing changed on disk or in memory, and nothing lies about."""
    path = tmp_path / "keys.json"
    store = filled_store(path)
    before = path.read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.remove_credential("main")
    assert path.read_bytes() == before
    assert [info.name for info in store.credentials()] == ["main"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["keys.json", "keys.json.lock"]
    store.remove_credential("main")
    assert not open_store(path).credentials()
