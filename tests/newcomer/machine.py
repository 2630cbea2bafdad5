"""A machine that has never seen signer: an empty home, no caches, a fresh copy of the source, and a bare PATH."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PUBLISHED, COMPILED = ROOT / ".wheels" / "published", ROOT / ".wheels" / "compiled"
"""What `make wheels` fetched: the files of the lock as they are published, and wheels of those that have none."""
COMPILERS = re.compile(r"(.*-)?(cc|gcc|g\+\+|c\+\+|c89|c99|cpp|clang(\+\+)?|tcc)(-[0-9.]+)?")


@dataclass(frozen=True, slots=True)
class Machine:
    """Its folders. Commands run in ``source``."""

    home: Path
    source: Path
    tools: Path
    python: Path
    """Where its own Python has been put, with pip, as in the container images of Python."""
    compiler: bool

    @classmethod
    def fresh(cls, folder: Path, *, compiler: bool) -> Machine:
        """A new one. Skips the test if `make wheels` has not run: in a test nothing is fetched from elsewhere."""
        if not (ROOT / ".wheels" / ".done").exists():
            pytest.skip("the packages that a new user installs are not here: make wheels")
        made = cls(folder / "home", folder / "signer", folder / "tools", folder / "python", compiler)
        made.home.mkdir()
        made.tools.mkdir()
        _copy_source(made.source)
        for program in _programs():
            if compiler or not COMPILERS.fullmatch(program.name):
                (made.tools / program.name).symlink_to(program)
        python = Path(sys.base_prefix) / "bin" / "python3"
        (made.tools / "python3").symlink_to(python)
        subprocess.run([python, "-m", "venv", made.python], env=made.environment(), check=True)
        return made

    def environment(self) -> dict[str, str]:
        """All that its user's programs know."""
        return {
            "HOME": str(self.home),
            "PATH": f"{self.python}/bin:{self.tools}",
            "TERM": "dumb",
            "LANG": "C.UTF-8",
            "EDITOR": "sed -i s/2500/2000/",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(PUBLISHED) if self.compiler else f"{PUBLISHED} {COMPILED}",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }


def _programs() -> Iterator[Path]:
    """The programs of the system, each name once. Python and pip are the machine's own business."""
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
