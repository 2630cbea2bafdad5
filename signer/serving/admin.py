"""Listens for the operator on a unix socket in the home: one line of JSON each way (docs/cli.md).

A command beside a running gateway must not use a credential's nonces without it, or write to its audit chain. So the
command asks the gateway. The kernel (SO_PEERCRED) tells the gateway who asks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pwd
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, final

from signer import errors
from signer.errors import HomeError, SignerError
from signer.model import Json

MOST_BYTES = 64 * 1024
"""The most bytes of a question."""
MOST_ANSWER = 4 * 1024 * 1024
"""The most bytes of an answer, which may name hundreds of orders, each with the reason why it was not cancelled."""
ASK_S = 10.0
"""How long a caller may take to send its question."""
ANSWER_S = 120.0
"""How long a command waits for the answer, because a key may have to wait for its turn and for the exchange."""
BRAKE_S = 5.0
"""How long a brake waits, because a hanging gateway must not delay the steps that work without it."""
_CREDENTIALS = struct.Struct("3i")
"""Linux's ``struct ucred``: process, user, group (unix(7))."""

Verb: TypeAlias = Callable[["Operator", Mapping[str, Json]], Awaitable[Json]]


@dataclass(frozen=True, slots=True)
class Operator:
    """The person, or the service, behind a command."""

    uid: int
    name: str

    @classmethod
    def of(cls, uid: int) -> Operator:
        """Return the user of that number."""
        try:
            return cls(uid, pwd.getpwuid(uid).pw_name)
        except KeyError:  # a container's user may have no name
            return cls(uid, f"uid {uid}")


@final
class AdminSocket:
    """Answers ``verbs`` to the gateway's own user and to root, and nobody else."""

    def __init__(self, path: Path, verbs: Mapping[str, Verb], on_defect: Callable[[str], None]) -> None:
        self._path = path
        self._verbs = verbs
        self._on_defect = on_defect

    async def open(self) -> None:
        """Listen. The home's lock is held, so an existing socket belongs to a gateway that is gone."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        mask = os.umask(0o177)  # never reachable by others, not even before a chmod
        try:
            with _short(self._path) as path:
                listener.bind(path)
        finally:
            os.umask(mask)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MOST_BYTES)

    async def close(self) -> None:
        """Stop listening."""
        self._server.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, ValueError):  # whoever asked went away, or asks no end
            uid = _peer(writer)
            if uid in {os.geteuid(), 0}:
                async with asyncio.timeout(ASK_S):
                    line = await reader.readline()
                writer.write(json.dumps(await self._answer(Operator.of(uid), line)).encode() + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, operator: Operator, line: bytes) -> dict[str, Json]:
        try:
            question = json.loads(line)
            verb = self._verbs[question["do"]]
        except (ValueError, TypeError, KeyError, RecursionError):
            return _failed("home", "the gateway does not know this request; use the signer that it was started with")
        try:
            return {"answer": await verb(operator, question)}
        except SignerError as error:
            return _failed(error.code, str(error))
        except Exception as defect:  # noqa: BLE001 - a request must not end the gateway; its text may hold anything
            self._on_defect(f"admin request {question['do']}: {type(defect).__name__}")
            return _failed("home", "the gateway failed at this request; see its log")


def ask(path: Path, do: str, /, **what: Json) -> Any:
    """Return the running gateway's answer. Blocks. Raises the error that it met, `HomeError` if it does not answer."""
    return ask_within(ANSWER_S, path, do, **what)


def ask_within(seconds: float, path: Path, do: str, /, **what: Json) -> Any:
    """Ask as `ask` does; raises `HomeError` if the gateway takes longer than that."""
    question = json.dumps({"do": do, **what}).encode() + b"\n"
    try:
        with _short(path) as short, socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(seconds)
            asked.connect(short)
            asked.sendall(question)
            line = asked.makefile("rb").readline(MOST_ANSWER)
        answered = json.loads(line)
    except (OSError, ValueError) as error:
        hint = "run this as the gateway's user, and look at its log"
        raise HomeError("the running gateway does not answer", where=str(path), hint=hint) from error
    if "answer" not in answered:
        raise _KINDS.get(answered["code"], HomeError)(answered["text"])
    return answered["answer"]


_KINDS: Mapping[str, type[SignerError]] = {
    kind.code: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, SignerError) and not issubclass(kind, errors.Refused)
}


def _failed(code: str, text: str) -> dict[str, Json]:
    return {"code": code, "text": text}


def _peer(writer: asyncio.StreamWriter) -> int:
    connected = writer.get_extra_info("socket")
    with socket.socket(fileno=os.dup(connected.fileno())) as same:
        _, uid, _ = _CREDENTIALS.unpack(same.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return int(uid)


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield another path of the socket, which fits into the 108 bytes of a `sockaddr_un` however deep the home lies."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
