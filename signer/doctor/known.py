"""The readable parts of a home. An unreadable part is a finding, and the others are still examined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from signer.contracts import Venue
from signer.errors import ConfigError
from signer.home.layout import Home
from signer.home.lock import Holder
from signer.home.settings import Config
from signer.keys.file import FileKeyStore
from signer.policy.load import Loaded
from signer.policy.policy import Policy
from signer.serving.loaded import HomeParts


@dataclass(frozen=True, slots=True)
class KnownHome:
    """The parts that could be read; None for those that could not."""

    home: Home
    config: Config | None = None
    store: FileKeyStore | None = None
    policies: Mapping[str, Policy] = field(default_factory=dict)
    """The policies that load."""
    venues: Mapping[str, Venue] = field(default_factory=dict)
    """The venues that could be opened, by name, with the pairs that are known."""
    gateway: Holder | None = None
    """The gateway that runs on the home, or is about to."""

    def misfits(self) -> Iterator[ConfigError]:
        """Yield everything in the key store that the settings have no place for."""
        yield from HomeParts(self.home, self.config, self.store, self.venues, Loaded({}, {})).misfits()
