"""A gateway inside the test's own process, on a home that commands find as if `signer serve` ran on it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from signer.cli.main import main
from signer.home.layout import Home
from signer.home.lock import RELOAD, Holder, HomeLock
from signer.keys.passphrase import from_file
from signer.serving.clock import SystemClock
from signer.serving.telemetry import GatewayWatch, LineLog, Metrics
from signer.serving.wiring import Wiring
from tests.harness.arriving import arriving
from tests.harness.bots import FORM, Bot
from tests.harness.loading import loaded_whole


class Alarms(GatewayWatch):
    """A watch that writes nothing and remembers what it heard."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(metrics, LineLog(os.open(os.devnull, os.O_WRONLY)), SystemClock())
        self.heard: list[str] = []

    def alarm(self, kind: str, text: str) -> None:
        """Remember it."""
        super().alarm(kind, text)
        self.heard.append(f"{kind}: {text}")


@dataclass
class Inside:
    """The gateway, and what stands around it."""

    home: Home
    wiring: Wiring
    metrics: Metrics
    watch: Alarms
    lock: HomeLock = field(repr=False)

    async def answer(self, bot: Bot, endpoint: str, fields: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The whole answer to one call."""
        path = f"/0/private/{endpoint}"
        body, lines = bot.signed(path, fields)
        heads = dict(line.split(": ", 1) for line in lines)
        request = arriving("POST", path, b"", FORM, heads["API-Key"], heads["API-Sign"], body, "127.0.0.1")
        answer = await self.wiring.gateway.answer(request)
        return dict(json.loads(answer.body))

    async def call(self, bot: Bot, endpoint: str, fields: Mapping[str, str] | None = None) -> list[str]:
        """Make one call; return the ``error`` array of its answer."""
        return list((await self.answer(bot, endpoint, fields))["error"])

    async def placed(self, bot: Bot, fields: Mapping[str, str]) -> str:
        """The id of an order that must be accepted."""
        answer = await self.answer(bot, "AddOrder", fields)
        assert not answer["error"], answer
        return str(answer["result"]["txid"][0])

    async def signer(self, *arguments: str) -> int:
        """The exit status of a command on this home, run beside the gateway."""
        return await asyncio.to_thread(main, ["--home", str(self.home.folder), *arguments])


@asynccontextmanager
async def inside(home: Home, **more: Any) -> AsyncIterator[Inside]:
    """A gateway that serves ``home``, reloads when this process is told to, and is stopped when the block ends."""
    metrics, loop = Metrics(), asyncio.get_running_loop()
    watch = Alarms(metrics)
    lock = HomeLock(home.lock)
    wiring = Wiring(loaded_whole(home, from_file(home.passphrase)), watch, lambda: None, **more)
    reloads: list[asyncio.Task[None]] = []
    loop.add_signal_handler(RELOAD, lambda: reloads.append(loop.create_task(wiring.reloads.reload())))
    await wiring.start()
    lock.announce(Holder(os.getpid(), 1, "127.0.0.1:1", ["kraken"]))
    try:
        yield Inside(home, wiring, metrics, watch, lock)
    finally:
        await asyncio.gather(*reloads)
        await wiring.stop()
        loop.remove_signal_handler(RELOAD)
        lock.release()
