"""Looks at a home: the gateway, whether orders pass, halts, calls without a known outcome, caps in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from signer.home.layout import Home
from signer.home.lock import Holder, holder
from signer.model import Halt, OpenIntent, Usage
from signer.operator.halts import halts_in
from signer.operator.readiness import readiness_of
from signer.operator.reading_book import read_book, require_home
from signer.serving.readiness import Readiness


class HomeStatus(NamedTuple):
    """Describes the home as it is now."""

    gateway: Holder | None
    readiness: Readiness
    halts: Sequence[Halt]
    open_calls: Sequence[OpenIntent]
    usage: Sequence[Usage]


def status_of(home: Home) -> HomeStatus:
    """Look at the home and at the gateway that runs on it. Raises `SignerError`."""
    require_home(home)
    gateway, readiness = holder(home.lock), readiness_of(home)
    with read_book(home) as book:
        usage = [used for scope in book.scopes() for used in book.usage(scope)]
        return HomeStatus(gateway, readiness, [*halts_in(home, book).values()], book.open_intents(), usage)
