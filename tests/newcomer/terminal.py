"""A shell on a terminal, and a person who types into it and answers what is asked."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

PATIENCE_S = 300.0
"""Longer than an installation takes on a busy machine: it decides how a test fails, never whether."""
PROMPT = re.compile(r"(?:\([\w.-]+\) )?<(\d+)>\$ \Z")
INTERRUPT = "\x03"


class Terminal:
    """A bash that keeps what it is told: its folder, variables and functions."""

    def __init__(self, folder: Path, environment: Mapping[str, str], answers: Mapping[str, str]) -> None:
        self._answers = answers
        self._master, slave = pty.openpty()
        self._shell = subprocess.Popen(
            ["setsid", "--ctty", "bash", "--noprofile", "--norc", "--noediting", "-i"],
            cwd=folder,
            env={**environment, "PS1": "<$?>$ "},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self.all = ""
        """All that was ever shown."""
        self._shown = ""
        self._read_until(PROMPT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._master)  # what still runs loses its terminal, and ends
        self._shell.kill()
        self._shell.wait()

    def run(self, command: str, *, status: int = 0) -> str:
        """Type a command and answer its questions until it ends; what it printed."""
        self._type(f"{command}\n")
        ended = self._read_until(PROMPT)
        assert int(ended[1]) == status, f"{command}: {self._shown}"
        return self._shown[: ended.start()].partition("\n")[2]

    def start(self, command: str, ready: str) -> re.Match[str]:
        """Type a command that stays, and wait until it shows ``ready``."""
        self._type(f"{command}\n")
        return self._read_until(re.compile(ready))

    def interrupt(self) -> int:
        """Type Ctrl-C; the exit status of what was running."""
        self._type(INTERRUPT)
        return int(self._read_until(PROMPT)[1])

    def _type(self, text: str) -> None:
        self._shown = ""
        os.write(self._master, text.encode())

    def _read_until(self, wanted: re.Pattern[str]) -> re.Match[str]:
        end = time.monotonic() + PATIENCE_S
        open_ = dict(self._answers)
        asked_from = 0
        while not (found := wanted.search(self._shown)):
            readable, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
            assert readable, f"waited for {wanted.pattern!r}, saw {self._shown!r}"
            text = os.read(self._master, 4096).decode(errors="replace").replace("\r\n", "\n")
            self.all += text
            self._shown += text
            for question, answer in open_.items():
                if question in self._shown[asked_from:]:
                    asked_from = len(self._shown)
                    os.write(self._master, f"{answer}\n".encode())
                    break
        return found
