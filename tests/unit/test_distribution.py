"""The name that this program is installed by."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
STRANGER = re.compile(r"pip(?:x)? install (?:-[^\s]+ )*['\"]?signer\b(?!\.)")
"""What would install PyPI's `signer`, which is not ours, into the process that is to hold keys."""


def test_the_distribution_is_not_called_as_a_strangers() -> None:
    """The distribution has a name of its own; command, package and folder are called signer."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "exchange-signer"
    assert list(project["scripts"]) == ["signer"]


def test_no_text_tells_anybody_to_install_the_strangers_package() -> None:
    """No page, message or comment names ``signer`` to pip."""
    assert STRANGER.search("pip install signer[hsm]")
    assert STRANGER.search("pipx install --force signer")
    assert not STRANGER.search("pip install exchange-signer")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".yaml", ".service", ".sh", ""} and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            assert path == Path(__file__) or not STRANGER.search(text), name
