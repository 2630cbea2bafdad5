"""Threat: somebody else on the machine talks to a running gateway as if he were its operator."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from signer.errors import ConfigError, HomeError, VenueError
from signer.gateway.trace import operator_record
from signer.model import Json
from signer.serving import admin
from signer.serving.admin import AdminSocket, Operator, ask

SEEN: list[Operator] = []


async def _greet(operator: Operator, question: Mapping[str, Json]) -> Json:
    SEEN.append(operator)
    return {"hello": question.get("name")}


async def _tell(_: Operator, question: Mapping[str, Json]) -> Json:
    return {"told": "x" * int(str(question["times"]))}


async def _refuse(_: Operator, __: Mapping[str, Json]) -> Json:
    raise VenueError("the exchange sleeps", hint="wake it")


async def _break(_: Operator, __: Mapping[str, Json]) -> Json:
    raise RuntimeError("the canary secret is in this text")


@pytest.fixture(name="path")
async def _path(tmp_path: Path) -> AsyncIterator[Path]:
    deep = tmp_path / ("d" * 120)  # longer than a socket's address may be
    deep.mkdir()
    path, defects = deep / "gateway.sock", list[str]()
    server = AdminSocket(path, {"greet": _greet, "refuse": _refuse, "tell": _tell, "break": _break}, defects.append)
    await server.open()
    yield path
    await server.close()
    assert not path.exists()
    assert not [text for text in defects if "canary" in text]


async def asked(path: Path, do: str, **what: Json) -> Any:
    """What a command's `ask` gives, from a thread of its own."""
    return await asyncio.to_thread(lambda: ask(path, do, **what))


async def test_it_answers_its_owner_and_knows_who_that_is(path: Path) -> None:
    """The user comes from the kernel; 0600 keeps everybody else from connecting at all."""
    SEEN.clear()
    assert await asked(path, "greet", name="x") == {"hello": "x"}
    assert [operator.uid for operator in SEEN] == [os.getuid()]
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600


async def test_a_long_answer_arrives_whole(path: Path) -> None:
    """A brake's answer that names hundreds of orders arrives in full."""
    assert len((await asked(path, "tell", times=400 * 300))["told"]) == 400 * 300


async def test_another_user_gets_no_word(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection of another user is closed unheard, even if the socket's mode lets it in."""
    SEEN.clear()
    monkeypatch.setattr(admin, "_peer", lambda _: os.geteuid() + 1)
    with pytest.raises(HomeError, match="does not answer"):
        await asked(path, "greet")
    assert SEEN == []


async def test_the_peer_is_the_kernel_s_word(path: Path) -> None:
    """What SO_PEERCRED tells of a connection is what the server goes by."""
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        told = here.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    assert struct.unpack("3i", told)[:2] == (os.getpid(), os.getuid())


async def test_what_goes_wrong_is_the_command_s_error(path: Path) -> None:
    """An error of ours arrives as what it is; a defect's text, which may hold anything, does not."""
    with pytest.raises(VenueError, match="the exchange sleeps; wake it"):
        await asked(path, "refuse")
    with pytest.raises(HomeError, match="see its log") as caught:
        await asked(path, "break")
    assert "canary" not in str(caught.value)
    with pytest.raises(HomeError, match="does not know this request"):
        await asked(path, "steal")


@pytest.mark.parametrize("line", [b"\n", b"{\n", b"[]\n", b'{"do": []}\n', b"[" * 60_000 + b"\n", b"x" * 70_000, b""])
async def test_nonsense_does_not_end_it(path: Path, line: bytes) -> None:
    """The socket answers the next question after one that is no JSON, too deep, too long or empty."""
    with admin._short(path) as short:
        reader, writer = await asyncio.open_unix_connection(short)
    writer.write(line)
    writer.write_eof()
    told = await reader.read()
    assert told == b"" or "code" in json.loads(told)
    writer.close()
    assert await asked(path, "greet", name=1) == {"hello": 1}


async def test_nobody_there(tmp_path: Path) -> None:
    """A gateway that is gone is one line."""
    with pytest.raises(HomeError, match="does not answer"):
        await asked(tmp_path / "gateway.sock", "greet")


@pytest.mark.parametrize(
    "told", [{"kind": "intent"}, {"by": "root"}, {"uid": 0}, {"reason": "x" * 201}, {"act": 7}, {"detail": {"a": "b"}}]
)
def test_a_command_cannot_write_what_it_likes(told: dict[str, Json]) -> None:
    """Only an operator's own words, bounded, and never who it is."""
    with pytest.raises(ConfigError):
        operator_record(1, "name", told, 1)
