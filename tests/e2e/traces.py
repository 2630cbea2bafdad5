"""What strace wrote of a program, call by call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CALLS = "write,writev,pwrite64,sendto,sendmsg,fdatasync,fsync,openat,pread64,fcntl,close,clone,clone3"
"""The calls by which bytes leave, become durable, or by which a file is used; the last three say which file it is."""

OPTIONS = f"-f -qq -s 1000000 -e trace={CALLS},prctl -e signal=none -e inject=prctl:retval=0".split()
"""The gateway closes its memory to all but root by prctl, and nobody could trace what it writes: that has no effect."""

_LINE = re.compile(r"(\d+) +(.*)")
_OPENED = re.compile(r"openat\(AT_FDCWD, \"([^\"]*)\".* = (\d+)$")
_NUMBERED = re.compile(r"\w+\((\d+)[,)]")
_NEW_THREAD = re.compile(r"clone3?\(.*\bCLONE_THREAD\b.* = (\d+)\b")


@dataclass(frozen=True, slots=True)
class Step:
    """One call to the operating system."""

    began: int
    """Its place in the trace, as a line's number."""
    ended: int
    """The place of its end: another one than that of its beginning if other threads did something meanwhile."""
    thread: int
    name: str
    file: str
    """The path that it opens or uses, empty if it is none that the program opened."""
    text: str
    """All that the trace says of it."""

    @property
    def is_done(self) -> bool:
        """Whether it has ended without an error."""
        return re.search(r" = \d+$", self.text) is not None


def command(trace: Path) -> Sequence[str]:
    """Return what runs a program as its child, and has written all that it did to ``trace`` when it ends itself."""
    return ["strace", *OPTIONS, "-o", str(trace)]


def steps(trace: str) -> Sequence[Step]:
    """Return all calls of a whole trace, in the order in which they ended."""
    calls = list(_calls(trace))
    processes = _processes(calls)
    files: dict[tuple[int, str], str] = {}
    return [_step(call, processes.get(call[2], call[2]), files) for call in calls]


def _calls(trace: str) -> Iterator[tuple[int, int, int, str]]:
    """Read beginning, end, thread and text of each call. One that others interrupted stands in two lines."""
    begun: dict[str, tuple[int, str]] = {}
    for at, line in enumerate(trace.splitlines()):
        parts = _LINE.fullmatch(line)
        assert parts is not None, line
        thread, text = parts.groups()
        if text.endswith("<unfinished ...>"):
            begun[thread] = at, text.removesuffix("<unfinished ...>").rstrip()
        elif text.startswith("<..."):
            began, first = begun.pop(thread)
            yield began, at, int(thread), first + text.partition(" resumed>")[2]
        else:
            yield at, at, int(thread), text


def _processes(calls: Sequence[tuple[int, int, int, str]]) -> Mapping[int, int]:
    """Return the process of each thread: threads of one process share the numbers of its files."""
    started = ((thread, _NEW_THREAD.match(text)) for *_, thread, text in calls)
    parents = {int(new[1]): thread for thread, new in started if new is not None}
    return {thread: _first(thread, parents) for thread in parents}


def _first(thread: int, parents: Mapping[int, int]) -> int:
    return _first(parents[thread], parents) if thread in parents else thread


def _step(call: tuple[int, int, int, str], process: int, files: dict[tuple[int, str], str]) -> Step:
    """Name the file of a call. ``files`` has those that are open, and learns of more."""
    began, ended, thread, text = call
    name, file = text.partition("(")[0], ""
    if opened := _OPENED.match(text):
        file = files[process, opened[2]] = opened[1]
    elif numbered := _NUMBERED.match(text):
        key = process, numbered[1]
        file = files.pop(key, "") if name == "close" else files.get(key, "")
    return Step(began, ended, thread, name, file, text)
