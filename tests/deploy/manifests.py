"""The files of deploy/ as data, and the commands that their comments show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
Json = dict[str, Any]


def documents(path: Path) -> list[Json]:
    """Every document of a YAML file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def steps(name: str) -> list[str]:
    """The arguments of each step of the Dockerfile of that name."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.M)


def comments(path: Path) -> list[str]:
    """The commands in a file's comments: what is indented there, with lines that go on joined."""
    text = "\n".join(re.findall(r"^ *#   (.*)$", path.read_text(encoding="utf-8"), re.M))
    return re.sub(r"\\\n\s*", "", text).splitlines()


KUBERNETES = DEPLOY / "kubernetes"
OBJECTS = [each for name in ("init", "signer", "vault-egress") for each in documents(KUBERNETES / f"{name}.yaml")]
"""Every object of the manifests; vault.yaml beside them is a patch of one."""
