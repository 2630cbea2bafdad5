"""Where everything of one installation lies: the home folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from signer.errors import HomeError


@dataclass(frozen=True, slots=True)
class Home:
    """The paths inside one home folder. Knows names only; opening them is for their owners."""

    folder: Path

    @classmethod
    def chosen(cls, flag: str | None, environment: Mapping[str, str] = os.environ) -> Home:
        """The folder from the ``--home`` flag, else ``SIGNER_HOME``, else ``~/.signer``.

        Raises `HomeError` where ``~`` leads nowhere: a container's user may have no entry and no ``HOME``.
        """
        text = flag or environment.get("SIGNER_HOME") or "~/.signer"
        try:
            return cls(Path(text).expanduser().absolute())
        except RuntimeError:
            raise HomeError(
                f"{text[:100]}: this user has no home folder", hint="give --home DIR, or set SIGNER_HOME"
            ) from None

    @property
    def config(self) -> Path:
        """signer.toml: accounts, origins, listen address."""
        return self.folder / "signer.toml"

    @property
    def policies(self) -> Path:
        """Folder of policy files, one per role."""
        return self.folder / "policies"

    @property
    def keys(self) -> Path:
        """The encrypted key store."""
        return self.folder / "keys.json"

    @property
    def passphrase(self) -> Path:
        """The passphrase file that `init --no-input` writes, 0600."""
        return self.folder / "passphrase"

    @property
    def ledger(self) -> Path:
        """The SQLite ledger."""
        return self.folder / "ledger.db"

    @property
    def audit(self) -> Path:
        """Folder of audit segments."""
        return self.folder / "audit"

    @property
    def pairs(self) -> Path:
        """The venue's pair table as last fetched."""
        return self.folder / "pairs.json"

    @property
    def probes(self) -> Path:
        """Folder of what the venue last said of each real key, by the key's fingerprint."""
        return self.folder / "probes"

    @property
    def replaced(self) -> Path:
        """Folder of the keys that a rotation took out of use, by fingerprint, until they are deleted at the venue."""
        return self.folder / "replaced"

    @property
    def admin(self) -> Path:
        """The running gateway's admin socket."""
        return self.folder / "gateway.sock"

    @property
    def tls(self) -> Path:
        """Folder of the private CA and the leaf that listeners with TLS show."""
        return self.folder / "tls"

    @property
    def lock(self) -> Path:
        """Held by the gateway that runs on this home; says which process that is."""
        return self.folder / "gateway.lock"

    @property
    def state(self) -> Path:
        """What the running gateway says of its last load: which process, when, and any error."""
        return self.folder / "gateway.json"
