"""One line per request, which nobody can forge or break."""

from __future__ import annotations

import asyncio
import os

import pytest

from signer.serving.telemetry import MOST_WAITING, LineLog


@pytest.fixture(name="pipe")
def _pipe() -> tuple[int, int]:
    return os.pipe()


def written(pipe: tuple[int, int]) -> str:
    """What was written, the pipe closed."""
    os.close(pipe[1])
    with os.fdopen(pipe[0], "rb") as reading:
        return reading.read().decode()


async def test_lines_are_written_together_in_order(pipe: tuple[int, int]) -> None:
    """Lines wait for the next flush and keep their order."""
    log = LineLog(pipe[1])
    log.line(a=1, b="x")
    log.line(a=2, b="y")
    log.flush()
    assert written(pipe) == "a=1 b=x\na=2 b=y\n"


async def test_no_value_forges_a_field_or_a_line(pipe: tuple[int, int]) -> None:
    """Spaces, quotes, line breaks and control characters of a caller stay inside their quotes."""
    log = LineLog(pipe[1])
    log.line(call='x outcome=accepted\n"\x1b[2J', id="")
    log.flush()
    assert written(pipe) == 'call="x outcome=accepted\\n\\"\\u001b[2J" id=""\n'


async def test_a_log_that_nobody_reads_stops_nothing(pipe: tuple[int, int]) -> None:
    """A closed pipe is no error, and the lines are gone rather than kept."""
    os.close(pipe[0])
    log = LineLog(pipe[1])
    log.line(a=1)
    log.flush()
    os.close(pipe[1])


async def test_waiting_lines_are_bounded(pipe: tuple[int, int]) -> None:
    """A flood between two flushes drops lines; it does not fill the memory."""
    log = LineLog(os.open(os.devnull, os.O_WRONLY))
    for _ in range(MOST_WAITING + 10):
        log.line(a=1)
    assert len(log._lines) == MOST_WAITING
    log.flush()
    await asyncio.sleep(0)
    written(pipe)
