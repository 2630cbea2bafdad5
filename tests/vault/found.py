"""A real Vault server to start: `vault` or `bao` from PATH, else our own program in `server/`, built once.

The binary is 150 MB, so it is kept outside the tree, in a cache folder, under a hash of its sources and Go's version.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

SOURCES = Path(__file__).parent / "server"
LEAST_GO = (1, 25)
BUILD_S = 40 * 60
"""On two slow cores that others use as well, from nothing."""


class NoVault(Exception):
    """There is no Vault on this machine and none can be built; says what is missing."""


def find(say: Callable[[str], None] = print) -> tuple[str, Path]:
    """What kind of server there is (``vault``, ``bao`` or ``built``), and its program. Raises `NoVault`."""
    for name in ("vault", "bao"):
        if found := shutil.which(name):
            return name, Path(found)
    return "built", _built(_go(), say)


def _go() -> tuple[str, str]:
    """The program and version of Go. Raises `NoVault`."""
    go = shutil.which("go")
    if go is None:
        raise NoVault("no `vault`, `bao` or `go` on PATH")
    version = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, check=True).stdout.strip()
    numbers = re.match(r"go(\d+)\.(\d+)", version)
    if numbers is None or (int(numbers[1]), int(numbers[2])) < LEAST_GO:
        raise NoVault(f"no `vault` or `bao` on PATH, and {version} is older than Go 1.25")
    return go, version


def _built(go: tuple[str, str], say: Callable[[str], None]) -> Path:
    program, version = go
    digest = hashlib.sha256(version.encode())
    for name in ("main.go", "go.mod", "go.sum"):
        digest.update((SOURCES / name).read_bytes())
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "signer"
    binary = folder / f"vault-{digest.hexdigest()[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "build.lock").open("w") as lock:  # two runs at once build it once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            say("building the Vault of the tests (some minutes, once) …")
            _build(program, binary)
    return binary


def _build(go: str, binary: Path) -> None:
    beside = binary.with_suffix(".new")
    command = [go, "build", "-p=2", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", str(beside), "."]
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True, timeout=BUILD_S, check=False)
    if done.returncode:
        raise RuntimeError(f"the Vault of the tests does not build:\n{done.stderr[-2000:]}")
    beside.replace(binary)


if __name__ == "__main__":
    try:
        find()
    except NoVault as error:
        print(f"there is no Vault to test with, its tests are skipped: {error}")  # noqa: T201
