"""Checks the versions of signer, Python and the libraries, and compares them with the locks."""

from __future__ import annotations

import platform
import re
import sqlite3
import ssl
import sys
from collections.abc import Iterator
from datetime import date
from importlib import metadata
from pathlib import Path

import signer
from signer.doctor.said import counted, error, fine, warning
from signer.findings import Finding

LEAST_PYTHON = (3, 11)
SHOWN = ("gunicorn", "cryptography", "hvac")
CHECKOUT = Path(signer.__file__).parents[1]
"""The folder of the locks in a checkout. An installed package has none, and is not compared."""
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)(?: ;.*)? \\$", re.M)


def examine(today: date) -> list[Finding]:
    """Examine the versions of Python, signer and its dependencies."""
    return [*python(sys.version_info[:2], today), _libraries(), *locked(CHECKOUT)]


def python(version: tuple[int, int], today: date) -> Iterator[Finding]:
    """Judge Python's age. 3.11 came in October 2022, the next ones yearly, each with 5 years of fixes (PEP 602)."""
    about, ends = f"Python {platform.python_version()}", date(2016 + version[1], 10, 31)
    hint = "install a newer Python, and make the virtual environment anew with it"
    if version < LEAST_PYTHON:
        yield error("python", about, "is older than signer supports", hint)
    elif today > ends:
        yield warning("python", about, f"has had no security fixes since October {ends.year}", hint)
    else:
        yield fine("python", about, f"has security fixes until October {ends.year}")


def _libraries() -> Finding:
    openssl = " ".join(ssl.OPENSSL_VERSION.split()[:2])
    others = ", ".join(f"{name} {metadata.version(name)}" for name in SHOWN)
    return fine(
        "versions", f"signer {signer.__version__}", f"with {openssl}, SQLite {sqlite3.sqlite_version}, {others}"
    )


def locked(folder: Path) -> Iterator[Finding]:
    """Tell whether the installed versions are those of the lock in ``folder`` that comes nearest to them."""
    others = {lock: _others(lock) for lock in sorted(folder.glob("requirements*.lock"))}
    if not others:
        return
    nearest = min(others, key=lambda lock: len(others[lock]))
    if not others[nearest]:
        yield fine("locked", "packages", f"are those of {nearest.name}")
        return
    shown = ", ".join(others[nearest][:3])
    what = f"{counted(len(others[nearest]), 'package')} not as locked, such as {shown}"
    yield warning("locked", "packages", what, f"run `pip install --require-hashes -r {nearest}`")


def _others(lock: Path) -> list[str]:
    pins = _PIN.findall(lock.read_text(encoding="utf-8"))
    there = [(name, pin, _installed(name)) for name, pin in pins]
    return [f"{name} {version} (locked: {pin})" for name, pin, version in there if version not in {None, pin}]


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
