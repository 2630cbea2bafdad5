"""The client libraries of each venue, and the lines that lead them to the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec


@dataclass(frozen=True, slots=True)
class Library:
    """One client library, and the lines that lead it to the gateway."""

    language: str
    code: str = ""
    code_tls: str = ""
    """Over TLS with a private CA, if the code differs then."""
    trust: str = ""
    """The environment variable that names the CA."""
    hard_coded: bool = False
    """Whether it knows no other address than the exchange's."""
    needs_tls: bool = False
    unix: bool = False
    """Whether it can call a unix socket."""
    environment: Mapping[str, str] = field(default_factory=dict)
    start: str = ""
    """The shell command that starts a bot which is a program of its own."""
    cannot_pass: tuple[str, ...] = ()
    """The bot's settings that make it send orders which no notional cap lets through, each with what to set instead."""
    notes: tuple[str, ...] = ()

    def lines(self, *, private_ca: bool) -> str:
        """Return the code, with its marks."""
        return self.code_tls if private_ca and self.code_tls else self.code


def libraries_of(venue: str) -> Mapping[str, Library]:
    """Return the client libraries that are known of a venue, by the name that `signer connect` takes."""
    if find_spec(f"signer.venues.{venue}.libraries") is None:
        return {}
    libraries: Mapping[str, Library] = import_module(f"signer.venues.{venue}.libraries").LIBRARIES
    return libraries
