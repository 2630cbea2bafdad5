"""Threat: a secret that its owner pastes at a question is shown, or is left for the shell, which keeps a history.

Each test runs a command on a terminal of its own, as a shell does: it goes on reading when the command has ended.
"""

from __future__ import annotations

import base64
import os
import pty
import sys
from pathlib import Path

import pytest

from signer.cli.main import main
from tests.harness.shell import Shell, shell
from tests.harness.stores import API_KEY, CANARY, PASSPHRASE_TEXT, filled_store

SECRET = base64.b64encode(CANARY).decode()
ADD = ("keys", "add", "main", "--account", "spot")
PASTED = f"{API_KEY}\n{SECRET}\n"
SHELL = """
import select, subprocess, sys, termios
from signer.operator import reload
from signer.cli.main import main
reload.reload_running = lambda home, person: None
status = main(["--home", *sys.argv[1:]])
rest = b""
while select.select([0], [], [], 0.2)[0]:
    rest += sys.stdin.buffer.raw.read(4096)
echo = bool(termios.tcgetattr(0)[3] & termios.ECHO)
print(f"shell: status={status} rest={rest!r} echo={echo}", flush=True)
"""


@pytest.fixture(name="sh")
def _sh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Shell:
    made = shell(tmp_path, monkeypatch, capfd)
    made.home.passphrase.unlink()
    return made


def typed(sh: Shell, arguments: tuple[str, ...], *answers: tuple[str, str]) -> str:
    """All that the terminal showed, while each question was answered so; the last line is the shell's."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [sys.executable, "-c", SHELL, str(sh.home.folder), *arguments])  # noqa: S606
    shown = b""
    for question, answer in answers:
        at = len(shown)
        while f"{question}".encode() not in shown[at:]:
            shown += os.read(terminal, 4096)
        os.write(terminal, answer.encode())
    shown += _rest(terminal)
    os.waitpid(process, 0)
    os.close(terminal)
    return shown.decode()


def _rest(terminal: int) -> bytes:
    rest = b""
    try:
        while more := os.read(terminal, 4096):
            rest += more
    except OSError:  # how Linux says that the other side closed
        pass
    return rest


def hidden(shown: str) -> bool:
    """Whether no secret was shown."""
    return not any(text in shown for text in (PASSPHRASE_TEXT, API_KEY, SECRET))


def test_key_and_secret_are_asked_for_before_the_passphrase(sh: Shell) -> None:
    """Nothing is shown while it is typed, and nothing is left for the shell."""
    answers = ("API key", f"{API_KEY}\n"), ("API secret", f"{SECRET}\n"), ("Passphrase", f"{PASSPHRASE_TEXT}\n")
    shown = typed(sh, ADD, *answers)
    assert "shell: status=0 rest=b'' echo=True" in shown
    assert hidden(shown)
    sh.monkeypatch.setenv("SIGNER_PASSPHRASE", PASSPHRASE_TEXT)
    assert "main" in sh.run("keys", "list")[1]


def test_both_lines_may_be_pasted_at_once(sh: Shell) -> None:
    """The second answers the second question; what was pasted beyond them is gone."""
    shown = typed(sh, ADD, ("API key", f"{PASTED}\nrm -rf /tmp/x\n"), ("Passphrase", f"{PASSPHRASE_TEXT}\n"))
    assert "shell: status=0 rest=b'' echo=True" in shown
    assert hidden(shown)


@pytest.mark.parametrize(
    "answers",
    [
        [("API key", PASTED), *[("Passphrase", f"{PASTED}{PASTED}")] * 3],
        [("API key", f"no\nkey\n{PASTED}"), *[("API key", f"no\nkey\n{PASTED}{PASTED}")] * 2],
        [("API key", "\x04")],
        [("API key", f"{PASTED}{PASTED}"), ("Passphrase", f"\x03{PASTED}")],
    ],
    ids=["wrong passphrase", "no secret", "end of input", "interrupt"],
)
def test_nothing_reaches_the_shell_when_the_command_gives_up(sh: Shell, answers: list[tuple[str, str]]) -> None:
    """Three tries; then an error, a terminal that echoes again, and no line of what was pasted."""
    shown = typed(sh, ADD, *answers)
    assert "rest=b'' echo=True" in shown
    assert "status=0" not in shown
    assert hidden(shown)


def test_a_wrong_passphrase_can_be_typed_again(sh: Shell) -> None:
    """Twice; every command that opens the store asks so."""
    wrong, right = ("Passphrase", "wrong\n"), ("Passphrase", f"{PASSPHRASE_TEXT}\n")
    shown = typed(sh, ("keys", "list"), wrong, wrong, right)
    assert "shell: status=0 rest=b'' echo=True" in shown
    assert shown.count("try again") == 2


def test_new_passphrases_are_asked_for_twice(sh: Shell) -> None:
    """Until both are alike; the store then opens with it."""
    new = "another passphrase that is long enough"
    old = ("Passphrase", f"{PASSPHRASE_TEXT}\n")
    asked = ("New", f"{new}\n"), ("Repeat", "other\n"), ("New", f"{new}\n"), ("Repeat", f"{new}\n")
    shown = typed(sh, ("keyfile", "passphrase"), old, *asked)
    assert "shell: status=0 rest=b'' echo=True" in shown
    assert new not in shown
    sh.monkeypatch.setenv("SIGNER_PASSPHRASE", new)
    assert sh.run("keys", "list")[0] == 0


def test_a_key_and_a_secret_that_are_swapped_are_refused(sh: Shell) -> None:
    """The key is stored in the clear and sent with each call, so a secret must not come in its place."""
    sh.home.keys.unlink()
    filled_store(sh.home.keys)
    sh.monkeypatch.setenv("SIGNER_PASSPHRASE", PASSPHRASE_TEXT)
    text = f'{{"api_key": "{base64.b64encode(bytes(range(64))).decode()}", "api_secret": "{"A" * 56}"}}'
    status, out, err = sh.run(*ADD, "--stdin", stdin=text)
    assert (status, "swapped" in err) == (4, True)
    assert "AAAA" not in out + err
    assert main(["--home", str(sh.home.folder), "keys", "list"]) == 0
