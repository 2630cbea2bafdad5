"""The paths of everything in one home folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from signer.errors import HomeError

PAIRS = "pairs-"
"""What the name of a list of pairs begins with; the rest is the venue's."""


@dataclass(frozen=True, slots=True)
class Home:
    """Names the files and folders of one home. It does not open them."""

    folder: Path

    @classmethod
    def chosen(cls, flag: str | None, environment: Mapping[str, str] = os.environ) -> Home:
        """Return the home that the ``--home`` flag names, else ``SIGNER_HOME``, else ``~/.signer``.

        Raises `HomeError` if ``~`` has no meaning, as for a container's user without ``HOME``.
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
        """The settings file: accounts, origins, listen address."""
        return self.folder / "signer.toml"

    @property
    def policies(self) -> Path:
        """The folder of policy files, one per role."""
        return self.folder / "policies"

    @property
    def keys(self) -> Path:
        """The encrypted key store."""
        return self.folder / "keys.json"

    @property
    def passphrase(self) -> Path:
        """The passphrase file that `init --no-input` writes, with mode 0600."""
        return self.folder / "passphrase"

    @property
    def book(self) -> Path:
        """The checkpoint: the state that the audit log made, so that a start need not read all of the log."""
        return self.folder / "book.db"

    @property
    def marks(self) -> Path:
        """The high-water marks: of nonces, of the key file's generation and of the audit log."""
        return self.folder / "marks.db"

    @property
    def brakes(self) -> Path:
        """The folder of the brakes that are not on record yet."""
        return self.folder / "brakes"

    @property
    def audit(self) -> Path:
        """The folder of audit segments."""
        return self.folder / "audit"

    def pairs(self, venue: str) -> Path:
        """The list of pairs of ``venue`` as last fetched."""
        return self.folder / f"{PAIRS}{venue}.json"

    def pairs_kept(self) -> Mapping[str, Path]:
        """List the lists of pairs that are kept, by their venues."""
        return {path.stem.removeprefix(PAIRS): path for path in sorted(self.folder.glob(f"{PAIRS}*.json"))}

    @property
    def probes(self) -> Path:
        """The folder of what the venue last said about each real key, by the key's fingerprint."""
        return self.folder / "probes"

    @property
    def replaced(self) -> Path:
        """The folder of keys that rotations replaced, by fingerprint, until they are deleted at the venue."""
        return self.folder / "replaced"

    @property
    def admin(self) -> Path:
        """The running gateway's admin socket."""
        return self.folder / "gateway.sock"

    @property
    def tls(self) -> Path:
        """The folder of the private CA and the leaf certificate that TLS listeners show."""
        return self.folder / "tls"

    @property
    def lock(self) -> Path:
        """The lock file of the gateway that runs on this home, which names its process."""
        return self.folder / "gateway.lock"

    @property
    def state(self) -> Path:
        """The file in which the running gateway reports its last load: process, time and any error."""
        return self.folder / "gateway.json"
