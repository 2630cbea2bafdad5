"""The bots of examples/, run as examples/README.md says, against `signer demo --serve`.

freqtrade's settings and strategy are run by test_freqtrade.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.harness.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
SIGNER = (sys.executable, "-m", "signer", "--home", "demo-home")


@dataclass(frozen=True, slots=True)
class Demo:
    """A running `signer demo --serve`: the folder that it was started in, and what bots need."""

    folder: Path
    known: dict[str, str]

    def bot(self, name: str, *options: str) -> list[str]:
        """Run an example for one round; the lines that it printed."""
        command = [sys.executable, str(ROOT / "examples" / name), "--rounds", "1", "--seconds", "0", *options]
        done = subprocess.run(
            command, env={**os.environ, **self.known}, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The first terminal of examples/README.md."""
    folder = tmp_path_factory.mktemp("examples")
    command = [*SIGNER, "demo", "--serve", "--env-file", "bots.env"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline())["ready"]
            lines = (folder / "bots.env").read_text(encoding="ascii").splitlines()
            yield Demo(folder, dict(line.split("=", 1) for line in lines))
        finally:
            process.terminate()


def test_the_krakenex_bot(demo: Demo) -> None:
    """The bot bids and cancels its bid."""
    balance, placed, cancelled = demo.bot("krakenex_bot.py")
    assert balance == "balance: 100000.0000 USD"
    txid = placed.split()[1]
    assert cancelled == f"cancelled: {txid}"


def test_a_refusal_does_not_end_the_krakenex_bot(demo: Demo) -> None:
    """A bid that the policy refuses is said, and the bot goes on."""
    assert any("Policy order-size" in line for line in demo.bot("krakenex_bot.py", "--volume", "1"))


def test_the_ccxt_bot(demo: Demo) -> None:
    """The bot bids and cancels, and gets ccxt's own exceptions for what the policy refuses."""
    lines = demo.bot("ccxt_bot.py", "--unpaced")
    assert [line.partition(":")[0] for line in lines] == ["placed", "cancelled", "too large", "not allowed"]
    assert "Policy order-size" in lines[2]
    assert "Policy never-list" in lines[3]


def test_the_settings_for_freqtrade(demo: Demo) -> None:
    """The command of examples/README.md prints settings that lead to the running gateway."""
    page = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    words = re.search(r"^signer --home demo-home (connect [^|\n]*)", page, re.M)
    assert words
    done = subprocess.run([*SIGNER, *words[1].split()], cwd=demo.folder, capture_output=True, text=True, check=True)
    code = json.loads(json.loads(done.stdout)["code"])
    assert code["exchange"]["ccxt_config"]["urls"]["api"]["private"] == demo.known["KRAKEN_BASE_URL"]
