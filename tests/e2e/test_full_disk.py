"""Cancels pass on a full disk that another program fills again as fast as it is freed, and after a start on one."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.e2e.test_hard_coded import PREFIX

pytestmark = pytest.mark.skipif(not PREFIX, reason="no namespaces here, so no disk of its own can be filled")


@pytest.fixture(name="said", scope="module")
def _said() -> dict[str, Any]:
    """What the bot was answered."""
    prefix = [word for word in PREFIX if word != "--net"]
    command = [*prefix, sys.executable, "-m", "tests.e2e.full_disk"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_cancels_pass_while_orders_are_refused(said: dict[str, Any]) -> None:
    """Cancels pass even when no nonce is left that was stored while there was room."""
    assert said["order"][0] == "EService:Unavailable"
    assert said["cancel"] == []


def test_a_start_on_the_full_disk_serves_cancels(said: dict[str, Any]) -> None:
    """All three orders are cancelled at the exchange in the end."""
    assert (said["cancel after a restart"], said["another cancel"]) == ([], [])
    assert said["states"] == ["canceled"] * 3


def test_all_is_well_when_there_is_room_again(said: dict[str, Any]) -> None:
    """Orders pass, and the log is whole."""
    assert said["order with room again"] == []
    assert "nothing was changed" in said["verified"][0]
