"""What one signature costs in each key store, on a real Vault and a real PKCS#11 token: python -m benchmarks.stores.

All ways are measured in turns of one signature each, so that a busy moment of the machine is shared by all. The bare
round trip is the same request on one kept-alive TLS connection, written and read by hand: what no client can beat.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import ssl
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import hvac
import uvloop

from tests.unit.keys.stores import MESSAGE
from tests.vault.custody import KINDS, Custody, token_settings, vault_settings
from tests.vault.running import RunningVault
from tests.vault.softhsm import Token

ROUNDS = 2000
AT_ONCE = 16
MOST_OVER_BARE = 1.3
MOST_PKCS11_US = 100.0

Way = Callable[[], Awaitable[bytes]]


def bare_way(vault: RunningVault, token: str, name: str) -> Way:
    """The request for a signature, and nothing else."""
    host, port = vault.address.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=str(vault.authority.file))
    connection = http.client.HTTPSConnection(host, int(port), context=context)
    connection.connect()
    body = json.dumps({"key_version": 1, "input": base64.b64encode(MESSAGE).decode()})
    head = f"POST /v1/signer-transit/hmac/{name}/sha2-512 HTTP/1.1\r\nHost: {host}\r\nX-Vault-Token: {token}\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    async def ask() -> bytes:
        connection.sock.sendall(request)
        answer = b""
        while not answer.endswith(b"}\n"):
            answer += connection.sock.recv(65536)
        return base64.b64decode(json.loads(answer.partition(b"\r\n\r\n")[2])["data"]["hmac"][9:])

    return ask


def hvac_way(vault: RunningVault, token: str, name: str) -> Way:
    """The same through hvac."""
    client = hvac.Client(url=vault.address, token=token, verify=str(vault.authority.file))
    text = base64.b64encode(MESSAGE).decode()

    async def ask() -> bytes:
        answer = client.write_data(f"signer-transit/hmac/{name}/sha2-512", data={"input": text, "key_version": 1})
        return base64.b64decode(answer["data"]["hmac"][9:])

    return ask


async def timed(way: Way) -> float:
    """Microseconds that one signature took."""
    start = time.perf_counter()
    await way()
    return (time.perf_counter() - start) * 1e6


async def measure(folder: Path, vault: RunningVault, token: Token) -> bool:
    """Print the table; whether each store keeps to its limit."""
    tables = {"file": None, "pkcs11": token_settings(token)}
    tables |= {kind: vault_settings(vault, kind) for kind in ("vault-kv", "vault-transit")}
    ways: dict[str, Way] = {}
    homes = {}
    for kind in KINDS:
        (folder / kind).mkdir()
        home = homes[kind] = Custody.made(folder / kind, tables[kind], vault.admin_token)
        home.add("main")
        key = await home.key("main")
        ways[kind] = lambda key=key: key.sign(MESSAGE)  # type: ignore[misc]
    login, name = vault.token("signer-gateway"), homes["vault-transit"].info("main").reference
    ways["hvac, same request"] = hvac_way(vault, login, name)
    ways["bare round trip"] = bare_way(vault, login, name)

    expected = await ways["file"]()
    for way in ways.values():
        assert await way() == expected
    taken: dict[str, list[float]] = {kind: [] for kind in ways}
    for _ in range(ROUNDS):
        for kind, way in ways.items():
            taken[kind].append(await timed(way))
    p50 = {kind: statistics.median(times) for kind, times in taken.items()}
    p99 = {kind: statistics.quantiles(times, n=100)[98] for kind, times in taken.items()}
    for kind in ways:
        print(f"{kind:20} p50 {p50[kind]:8.1f} µs   p99 {p99[kind]:8.1f} µs")

    bursts = []
    for _ in range(ROUNDS // 20):
        start = time.perf_counter()
        await asyncio.gather(*(ways["vault-transit"]() for _ in range(AT_ONCE)))
        bursts.append((time.perf_counter() - start) * 1e6 / AT_ONCE)
    print(f"{'vault-transit, 16':20} {statistics.median(bursts):12.1f} µs each, sixteen at once")
    over = p50["vault-transit"] / p50["bare round trip"]
    print(f"transit is {over:.2f} times the bare round trip (at most {MOST_OVER_BARE})")
    for home in homes.values():
        await home.stores.close()
    return over <= MOST_OVER_BARE and p50["pkcs11"] - p50["file"] <= MOST_PKCS11_US


def main() -> int:
    """Exit status 1 if a store costs more than it may."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("vault", "token", "homes"):
            (Path(folder) / name).mkdir()
        vault = RunningVault.start(Path(folder) / "vault")
        try:
            kept = uvloop.run(measure(Path(folder) / "homes", vault, Token(Path(folder) / "token")))
        finally:
            vault.stop()
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
