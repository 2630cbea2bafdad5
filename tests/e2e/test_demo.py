"""The demo, run as a newcomer runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import requests

from tests.harness.bots import Bot, order


def test_the_demo_tells_its_story() -> None:
    """`signer demo` exits with 0: every step went as it should."""
    done = subprocess.run([sys.executable, "-m", "signer", "demo"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything went as it should" in done.stdout


def test_the_demo_stays(tmp_path: Path) -> None:
    """`signer demo --serve --env-file F` writes what a bot needs, and stays until it is stopped."""
    file = tmp_path / "bot.env"
    command = [sys.executable, "-m", "signer", "--home", str(tmp_path / "home"), "demo", "--serve"]
    process = subprocess.Popen([*command, "--env-file", str(file)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert json.loads(process.stdout.readline())["ready"] is True
        assert file.stat().st_mode & 0o777 == 0o600
        values = dict(line.split("=", 1) for line in file.read_text().splitlines())
        bot = Bot("demo", values["KRAKEN_API_KEY"], values["KRAKEN_API_SECRET"], "main", values["KRAKEN_BASE_URL"])
        assert bot.post("AddOrder", order(), nonce=1).json()["error"] == []
        listed = requests.get(values["SANDBOX_CONTROL_URL"] + "/arrivals?endpoint=AddOrder", timeout=30).json()
        assert len(listed["arrivals"]) == 1
        process.terminate()
        assert process.wait(60) == 0
