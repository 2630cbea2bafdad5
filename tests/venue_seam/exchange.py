"""An exchange on loopback that the second venue speaks to. It checks each signature and keeps orders in memory."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qs

API_KEY, SECRET, PASSPHRASE = "real-key", b"real secret, raw text", "real passphrase"


@dataclass
class Exchange:
    """Its orders, and what arrived."""

    origin: str = ""
    orders: dict[str, dict[str, str]] = field(default_factory=dict)
    arrived: list[str] = field(default_factory=list)
    """``METHOD path`` of each private request whose signature holds."""
    bodies: list[Any] = field(default_factory=list)
    hang_up: bool = False
    """Whether the next order is placed and its answer lost."""
    serving: set[asyncio.Task[Any]] = field(default_factory=set)
    at_once: int = 0
    most_at_once: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: requests one after the other."""
        self.serving.add(cast("asyncio.Task[Any]", asyncio.current_task()))
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode().rstrip().split("\r\n")
                method, target, _ = first.split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                answer = await self._counted(method, target, headers, body)
                if answer is None:
                    break
                status, told = answer
                raw = json.dumps(told).encode()
                writer.write(b"HTTP/1.1 %d Said\r\ncontent-type: application/json\r\nx-rate-left: 7\r\n" % status)
                writer.write(b"content-length: %d\r\n\r\n%b" % (len(raw), raw))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _counted(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, Any]] | None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0.01)
            return self._answer(method, target, headers, body)
        finally:
            self.at_once -= 1

    def _answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, Any]] | None:
        path, _, query = target.partition("?")
        path = path.removeprefix("/api/v5/")
        if path.startswith("public/"):
            listed = {
                "public/time": {"ts": str(time.time_ns() // 1_000_000)},
                "public/instruments": {"instId": "BTC-USDT"},
            }
            return 200, {"code": "0", "msg": "", "data": [listed[path]]}
        signed = f"{headers['ok-access-timestamp']}{method}{target}".encode() + body
        expected = b64encode(hmac.digest(SECRET, signed, hashlib.sha256)).decode()
        if (headers["ok-access-sign"], headers["ok-access-passphrase"]) != (expected, PASSPHRASE):
            return 401, {"code": "50113", "msg": "Invalid Sign", "data": []}
        self.arrived.append(f"{method} {path}")
        told = json.loads(body) if body else {name: value for name, (value,) in parse_qs(query).items()}
        self.bodies.append(told)
        return self._private(f"{method} {path}", told)

    def _private(self, endpoint: str, told: Any) -> tuple[int, dict[str, Any]] | None:
        rows = told if isinstance(told, list) else [told]
        if endpoint in {"POST trade/order", "POST trade/batch-orders"}:
            answers = [self._place(row) for row in rows]
            if self.hang_up:
                self.hang_up = False
                return None
            return 200, _rows(answers)
        if endpoint in {"POST trade/cancel-order", "POST trade/cancel-batch-orders"}:
            return 200, _rows([self._cancel(row) for row in rows])
        if endpoint in {"GET trade/orders-pending", "GET trade/orders-history"}:
            live = endpoint.endswith("pending")
            return 200, {"code": "0", "data": [row for row in self.orders.values() if (row["state"] == "live") == live]}
        if endpoint == "GET account/config":
            return 200, {"code": "0", "data": [{"label": "", "perm": "read_only,trade", "ip": "192.0.2.1"}]}
        return 200, {"code": "0", "msg": "", "data": [{"totalEq": "1000"}]}

    def _place(self, row: dict[str, str]) -> dict[str, str]:
        if row["sz"] == "777":
            return {"ordId": "", "clOrdId": row["clOrdId"], "sCode": "51008", "sMsg": "Insufficient balance"}
        number, now = str(1000 + len(self.orders)), str(time.time_ns() // 1_000_000)
        self.orders[number] = {**row, "ordId": number, "state": "live", "cTime": now, "uTime": now}
        return {"ordId": number, "clOrdId": row["clOrdId"], "sCode": "0", "sMsg": ""}

    def _cancel(self, row: dict[str, str]) -> dict[str, str]:
        known = self.orders.get(row["ordId"], {"state": ""})
        if known["state"] != "live":
            return {"ordId": row["ordId"], "sCode": "51400", "sMsg": "Order does not exist"}
        known["state"] = "canceled"
        return {"ordId": row["ordId"], "sCode": "0", "sMsg": ""}


def _rows(rows: list[dict[str, str]]) -> dict[str, Any]:
    good = sum(row["sCode"] == "0" for row in rows)
    return {"code": "0" if good == len(rows) else "2" if good else "1", "msg": "", "data": rows}


@asynccontextmanager
async def exchange() -> AsyncIterator[Exchange]:
    """An exchange that listens while the block runs."""
    made = Exchange()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        await asyncio.gather(*made.serving)  # each ends with its client's connection
