"""The commands that README.md and docs/cli.md show, run for real: in a terminal, without one, and beside a gateway."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import krakenex
import pytest

from signer.cli.commands import COMMANDS

ROOT = Path(__file__).parents[2]
CLI_DOCS = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
PROGRAMS = Path(sys.executable).parent
PASSPHRASE = "five words for this test"
API_KEY, API_SECRET = b64encode(b"k" * 42).decode(), b64encode(b"s" * 64).decode()
PATIENCE_S = 120.0
"""Longer than anything here takes on a busy machine: it decides how a test fails, never whether."""
TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
CTRL_C = "\x03"


def environment(folder: Path) -> dict[str, str]:
    """A person's environment, whose home is ``folder``."""
    return {"HOME": str(folder), "PATH": f"{PROGRAMS}:/usr/local/bin:/usr/bin:/bin", "TERM": "dumb", "LANG": "C.UTF-8"}


def run(folder: Path, command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A command line in a shell, without a terminal."""
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment(folder),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class Terminal:
    """A command line in a shell with a terminal of its own, and somebody who types."""

    def __init__(self, folder: Path, command: str) -> None:
        argv = [sys.executable, "-c", TERMINAL, "sh", "-c", f"exec {command}"]  # Ctrl-C is for it, not for the shell
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(argv, cwd=folder, env=environment(folder), stdin=pipe, stdout=pipe)
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process as process:
            process.kill()  # what still runs loses its terminal, and ends

    def wait_for(self, text: str) -> None:
        """Read until ``text`` is shown."""
        assert self._process.stdout is not None
        until = time.monotonic() + PATIENCE_S
        while text not in self.shown:
            readable, _, _ = select.select([self._process.stdout], [], [], max(0.0, until - time.monotonic()))
            data = os.read(self._process.stdout.fileno(), 4096) if readable else b""
            assert data, f"waited for {text!r}, saw {self.shown!r}"
            self.shown += data.decode()

    def type(self, text: str) -> None:
        """Type ``text`` as it is."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def answer(self, prompt: str, text: str) -> None:
        """Type a line once ``prompt`` is shown; the next answer waits for what is shown after it."""
        self.wait_for(prompt)
        self.shown = self.shown.partition(prompt)[2]
        self.type(f"{text}\n")

    def ended(self) -> int:
        """Read what is left; the exit status."""
        left, _ = self._process.communicate(timeout=PATIENCE_S)
        self.shown += left.decode()
        return self._process.returncode


def readme_commands() -> list[str]:
    """The lines of README.md's block *Use it with your real key*."""
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Use it with your real key")[2]
    block = re.search(r"^```sh\n(.*?)^```", section, re.M | re.S)
    assert block is not None
    return block[1].splitlines()


def test_the_readme_leads_to_a_gateway_in_under_ten_commands(tmp_path: Path) -> None:
    """Each line of the block does what it says, typed into a terminal; what is asked for is not shown."""
    lines = readme_commands()
    assert len(lines) < 10
    environment, install, init, add_key, edit, check, add_client, serve = lines
    assert environment.startswith("python3 -m venv ")
    assert install == "pip install --require-hashes -r requirements.lock && pip install --no-deps ."
    assert edit.split()[0] == "$EDITOR"

    with Terminal(tmp_path, init) as terminal:
        terminal.answer("Passphrase for the key store:", PASSPHRASE)
        terminal.answer("Repeat for confirmation:", PASSPHRASE)
        assert terminal.ended() == 0, terminal.shown
        assert PASSPHRASE not in terminal.shown

    settings = tmp_path / ".signer" / "signer.toml"  # lest a test reach an exchange, or a port that is taken
    text = settings.read_text().replace("https://api.kraken.com", "http://127.0.0.1:9").replace(":8787", ":0")
    settings.write_text(text)

    with Terminal(tmp_path, add_key) as terminal:
        terminal.answer("API key (public part):", API_KEY)
        terminal.answer("API secret (private part):", API_SECRET)
        terminal.answer("Passphrase of the key store:", PASSPHRASE)
        assert terminal.ended() == 0, terminal.shown
        assert API_SECRET not in terminal.shown

    assert run(tmp_path, check).returncode == 0

    with Terminal(tmp_path, add_client) as terminal:
        terminal.answer("Passphrase of the key store:", PASSPHRASE)
        assert terminal.ended() == 0, terminal.shown
    names = re.findall(r"^(\w+)=.+$", (tmp_path / "my-bot.env").read_text(), re.M)
    assert names == ["KRAKEN_BASE_URL", "KRAKEN_API_KEY", "KRAKEN_API_SECRET"]

    with Terminal(tmp_path, serve) as gateway:
        gateway.answer("Passphrase of the key store:", PASSPHRASE)
        gateway.wait_for("ready on http://127.0.0.1:")
        _try_what_the_readme_says_next(tmp_path)
        gateway.type(CTRL_C)
        assert gateway.ended() == 0, gateway.shown


def _try_what_the_readme_says_next(folder: Path) -> None:
    text = re.sub(r"\s+", " ", (ROOT / "README.md").read_text(encoding="utf-8"))
    explain, halt, verify = (
        next(iter(re.findall(rf"`(signer {start}[^`]*)`", text)))
        for start in ("policy explain", "halt", "audit verify")
    )
    assert "allowed" in run(folder, explain).stdout
    assert run(folder, halt.replace("…", "a test")).returncode == 0
    assert "a test" in run(folder, "signer status").stdout
    assert run(folder, "signer resume --all").returncode == 0
    assert "nothing was changed" in run(folder, verify).stdout


def test_an_interrupted_prompt_leaves_nothing_and_ends_with_130(tmp_path: Path) -> None:
    """Ctrl-C in the middle of `keys add`: one line, and the key store is as it was."""
    assert run(tmp_path, "signer init --no-input").returncode == 0
    before = (tmp_path / ".signer" / "keys.json").read_bytes()
    with Terminal(tmp_path, "signer keys add kraken --account main") as terminal:
        terminal.answer("API key (public part):", API_KEY)
        terminal.wait_for("API secret (private part):")
        terminal.type(CTRL_C)
        assert terminal.ended() == 130
        assert "Traceback" not in terminal.shown
    assert (tmp_path / ".signer" / "keys.json").read_bytes() == before


@dataclass(frozen=True, slots=True)
class Lived:
    """A home on which a gateway runs that a bot has traded through."""

    folder: Path
    ready: dict[str, Any]

    def json(self, command: str) -> Any:
        """What `signer COMMAND` prints as JSON."""
        done = run(self.folder, f"signer {command}")
        assert done.returncode in {0, 1}, done.stderr  # 1: the answer is no, as of an order while its client is halted
        return json.loads(done.stdout)


@pytest.fixture(name="lived", scope="module")
def _lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    folder = tmp_path_factory.mktemp("lived")
    command = [sys.executable, "-m", "signer", "--home", str(folder / ".signer"), "demo", "--serve"]
    with subprocess.Popen([*command, "--env-file", "bot.env"], cwd=folder, stdout=subprocess.PIPE, text=True) as demo:
        try:
            assert demo.stdout is not None
            ready = json.loads(demo.stdout.readline())
            known = dict(line.split("=", 1) for line in (folder / "bot.env").read_text().splitlines())
            bot = krakenex.API(key=known["KRAKEN_API_KEY"], secret=known["KRAKEN_API_SECRET"])
            bot.uri = known["KRAKEN_BASE_URL"]
            order = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": "20000", "volume": "0.01"}
            assert bot.query_private("AddOrder", order)["error"] == []
            bot.session.close()
            assert run(folder, "signer halt --client demo-bot --reason drawdown").returncode == 0
            yield Lived(folder, ready)
        finally:
            demo.terminate()
    assert demo.returncode == 0


def keys_of(value: Any) -> set[str]:
    """Every member's name, however deep."""
    if isinstance(value, list):
        return set().union(*(keys_of(item) for item in value))
    return set(value).union(*(keys_of(item) for item in value.values())) if isinstance(value, dict) else set()


def documented_keys(command: str) -> set[str]:
    """The names in the row of docs/cli.md's table of JSON answers."""
    row = re.search(rf"^\| `{command}` \| (.*) \|$", CLI_DOCS.partition("## JSON")[2], re.M)
    assert row is not None
    return set(re.findall(r"`(\w+)`", row[1]))


ORDER = "AddOrder pair=XBTUSD type=buy ordertype=limit price=20000 volume=0.01"


@pytest.mark.parametrize(
    ("command", "arguments", "not_here"),
    [
        ("keys list", "", set[str]()),
        ("clients list", "", set[str]()),
        ("policy check", "~/.signer/policies/strict.toml", set[str]()),
        ("policy explain", f"--client demo-bot {ORDER}", set[str]()),
        ("policy test", "", set[str]()),
        ("status", "", {"reservation", "endpoint", "record", "account"}),
        ("audit verify", "--book", {"segment", "line", "what", "file"}),
        ("doctor", "", set[str]()),
    ],
)
def test_json_answers_have_the_names_that_are_documented(
    lived: Lived, command: str, arguments: str, not_here: set[str]
) -> None:
    """No more and no less; ``not_here`` are of calls without an outcome and of findings, of which there are none."""
    assert keys_of(lived.json(f"{command} --json {arguments}")) == documented_keys(command) - not_here


def test_ready_lines_have_the_names_that_are_documented(lived: Lived) -> None:
    """`demo --serve` prints one line of JSON when bots may come."""
    assert set(lived.ready) == documented_keys("demo --serve")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_of_itself(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """`signer COMMAND --help` ends with 0 and says what the command is for."""
    from signer.cli.main import main

    assert main([name, "--help"]) == 0
    assert f"Usage: signer {name}" in capfd.readouterr().out


def test_the_version_is_the_package_s(tmp_path: Path) -> None:
    """`signer --version` prints the version of the package."""
    assert run(tmp_path, "signer --version").stdout.strip() == "signer, version 0.1.0"


def test_the_recipe_without_a_terminal_works(tmp_path: Path) -> None:
    """docs/cli.md's block, less the gateway itself: passphrase by file, secrets on stdin."""
    block = re.search(r"^```sh\n(export .*?)^```", CLI_DOCS.partition("## Without a terminal")[2], re.M | re.S)
    assert block is not None
    lines = block[1].replace("/run/secrets", str(tmp_path)).replace("/srv", str(tmp_path)).splitlines()
    assert lines.pop().startswith("signer serve")
    (tmp_path / "key.json").write_text(json.dumps({"api_key": API_KEY, "api_secret": API_SECRET}))
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    (tmp_path / "passphrase").chmod(0o600)
    done = run(tmp_path, "\n".join(["set -e", *lines]))
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert "KRAKEN_API_SECRET=" in (tmp_path / "my-bot.env").read_text()


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("signer --home new resume --cliant x", 2),
        ("signer --home new init", 2),
        ("signer --home new init --no-input --listen nowhere", 2),
        ("signer --home missing status", 3),
        ("signer --home file init --no-input", 3),
        ("signer --home file/home init --no-input", 5),
        ("signer init --no-input && signer resume --all", 1),
        ("signer init --no-input && signer init --no-input", 3),
        ("signer init --no-input && signer reload", 3),
        ("signer init --no-input && signer keys list --passphrase-file missing", 4),
        ("signer init --no-input && echo nonsense > ~/.signer/book.db && signer status", 5),
    ],
)
def test_what_goes_wrong_ends_with_the_documented_status(tmp_path: Path, command: str, status: int) -> None:
    """The status is docs/cli.md's, standard error has a line that says why, and no traceback."""
    (tmp_path / "file").touch()
    done = run(tmp_path, command)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    assert done.stderr.strip()
