"""A machine that has never seen signer: an empty home, no caches, a fresh copy of the source, and a bare PATH."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PUBLISHED, COMPILED = ROOT / ".wheels" / "published", ROOT / ".wheels" / "compiled"
"""What `make wheels` fetched: the files of the lock as they are published, and wheels of those that have none."""
COMPILERS = re.compile(r"(.*-)?(cc|gcc|g\+\+|c\+\+|c89|c99|cpp|clang(\+\+)?|tcc)(-[0-9.]+)?")


@dataclass(frozen=True, slots=True)
class Machine:
    """The folders of a machine. Commands run in ``source``."""

    home: Path
    source: Path
    tools: Path
    wheels: str
    """Where pip finds what it installs."""

    @classmethod
    def with_compiler(cls, folder: Path) -> Machine:
        """Make a machine that compiles what is published as source only."""
        return cls._fresh(folder, f"{PUBLISHED}", lambda _: True)

    @classmethod
    def without_compiler(cls, folder: Path) -> Machine:
        """Make a machine that has no compiler: where a package has no wheel, it finds one that make built, and its lock
        knows its hash."""
        made = cls._fresh(folder, f"{PUBLISHED} {COMPILED}", lambda name: not COMPILERS.fullmatch(name))
        lock = made.source / "requirements.lock"
        for wheel in COMPILED.iterdir():
            name, digest = wheel.name.split("-")[0].replace("_", "-"), sha256(wheel.read_bytes()).hexdigest()
            pinned = re.compile(rf"^({name}==.* \\)$", re.MULTILINE)
            lock.write_text(pinned.sub(rf"\1\n    --hash=sha256:{digest} \\", lock.read_text(encoding="utf-8")))
        return made

    @classmethod
    def _fresh(cls, folder: Path, wheels: str, has: Callable[[str], bool]) -> Machine:
        if not (ROOT / ".wheels" / ".done").exists():  # in a test nothing is fetched from elsewhere
            pytest.skip("the packages that a new user installs are not here: make wheels")
        made = cls(folder / "home", folder / "signer", folder / "tools", wheels)
        made.home.mkdir()
        made.tools.mkdir()
        _copy_source(made.source)
        for program in _programs():
            if has(program.name):
                (made.tools / program.name).symlink_to(program)
        (made.tools / "python3").symlink_to(Path(sys.base_prefix) / "bin" / "python3")
        return made

    def environment(self) -> dict[str, str]:
        """All that its user's programs know."""
        return {
            "HOME": str(self.home),
            "PATH": str(self.tools),
            "TERM": "dumb",
            "LANG": "C.UTF-8",
            "EDITOR": "sed -i s/2500/2000/",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": self.wheels,
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_COMPILE": "1",
        }


def _programs() -> Iterator[Path]:
    """The programs of the system, each name once. Python is the one that runs the tests."""
    seen: set[str] = set()
    for folder in ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"):
        for program in sorted(Path(folder).iterdir()) if Path(folder).is_dir() else []:
            if program.name not in seen and not program.name.startswith(("python", "pip")):
                seen.add(program.name)
                yield program


def _copy_source(target: Path) -> None:
    """The files that git knows, as they are now."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, os.fsdecode(listed).split("\0")):
        if (ROOT / name).is_symlink() or (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
