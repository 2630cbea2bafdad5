"""Runs all checks in the order of the page. A part that fails is a finding, and does not stop the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from signer.contracts import Clock
from signer.doctor import (
    books,
    certificates,
    clocks,
    credentials,
    disks,
    files,
    listeners,
    orders,
    settings,
    vaults,
    versions,
)
from signer.doctor.credentials import Asking
from signer.doctor.known import KnownHome
from signer.doctor.said import error, failed
from signer.errors import SignerError
from signer.findings import Finding
from signer.home.layout import Home
from signer.home.stores import VaultConfig
from signer.keys.file import FileKeyStore
from signer.serving.readiness import Readiness

Opened = Callable[[], FileKeyStore]
Look = Callable[[], Iterable[Finding]]
Ready = Callable[[], Readiness]


@dataclass(frozen=True, slots=True)
class Part:
    """One subject, and what was found."""

    subject: str
    findings: Sequence[Finding]


def examine(home: Home, opened: Opened, asking: Asking, ready: Ready, clock: Clock) -> Iterator[Part]:
    """Examine ``home``, one part after the other.

    ``opened`` returns its key store, or raises. ``asking`` asks about keys, and ``ready`` whether orders pass.

    Blocks, so do not call it in an event loop. Raises nothing.
    """
    now_us = clock.now_us()
    if not home.folder.is_dir():
        missing = error("home", str(home.folder), "there is no such home", "make it with `signer init`, or give --home")
        yield Part("files", [missing])
    else:
        yield from _home(home, opened, asking, ready, clock, now_us)
    yield _part("versions", partial(versions.examine, datetime.fromtimestamp(now_us / 1e6, UTC).date()))


def _home(home: Home, opened: Opened, asking: Asking, ready: Ready, clock: Clock, now_us: int) -> Iterator[Part]:
    now = datetime.fromtimestamp(now_us / 1e6, UTC)
    known, unread = settings.read(home, opened)
    config = known.config
    serves = known.gateway is not None and known.gateway.serves
    yield _part("files", lambda: files.examine(home, config))
    yield _part("settings", lambda: [*unread, *settings.examine(known, now_us, now.date())])
    yield from _keys(known, asking, clock)
    if config is not None:
        own = listeners.own_addresses(known)
        yield _part("exchange", lambda: asyncio.run(clocks.examine(config, own, str(home.config), clock)))
    yield _part("orders", lambda: orders.examine(ready()))
    yield _part("listeners", lambda: listeners.examine(known))
    yield _part("tls", lambda: certificates.examine(home, config, now, running=serves))
    yield _part("book and audit log", lambda: books.examine(home, now_us, running=serves))
    yield _part("disk", lambda: disks.examine(home, clock))


def _keys(known: KnownHome, asking: Asking, clock: Clock) -> Iterator[Part]:
    """Stores and credentials are looked at in one event loop, which the stores' handles belong to."""
    of_stores: list[Finding] = []

    def both() -> Sequence[Finding]:
        about_stores, about_keys = asyncio.run(credentials.examine(known, asking, clock))
        of_stores.extend(about_stores)
        return about_keys

    vault = [
        (name, each)
        for name, each in (known.config.stores.items() if known.config else ())
        if isinstance(each, VaultConfig)
    ]
    servers = _part(
        "stores", lambda: [finding for name, each in vault for finding in vaults.examine(name, each, clock)]
    )
    keys = _part("keys", both)
    yield Part("stores", [*servers.findings, *of_stores])
    yield keys


def _part(subject: str, look: Look) -> Part:
    """Return the findings of ``look``, or the finding that it failed."""
    try:
        return Part(subject, list(look()))
    except SignerError as why:
        return Part(subject, failed(subject, why))
    except OSError as why:
        what = (
            f"cannot be looked at: {why.filename}: {why.strerror}" if why.filename else f"cannot be looked at ({why})"
        )
        return Part(subject, [error("unreadable", subject, what, "see that this user may read it")])
    except Exception as defect:  # noqa: BLE001 - one look that goes wrong must not hide all others; its text may hold anything
        what = f"cannot be looked at: a defect of signer ({type(defect).__name__})"
        return Part(subject, [error("defect", subject, what, "please report it")])
