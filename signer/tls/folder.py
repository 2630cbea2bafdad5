"""Reads and writes the home's ``tls`` folder: the CA, its key, and the leaf certificate now in use.

The CA's key is a file with mode 0600 and is not encrypted. The gateway renews the leaf without an operator, so a
passphrase for the key would have to lie beside it. The CA's name constraints bound what a thief of the key gains.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from signer.errors import ConfigError
from signer.home.private_file import read_private, write_private
from signer.tls.authority import Authority, ServerName, due

MOST_BYTES = 64 * 1024
_INIT = "make it with `signer tls init`"
_ANEW = "make a new CA with `signer tls init --force`, and have every bot trust it"


@dataclass(frozen=True, slots=True)
class TlsFolder:
    """The files of one CA."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The CA's certificate, which bots must trust."""
        return self.folder / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """The CA's key."""
        return self.folder / "ca-key.pem"

    @property
    def leaf(self) -> Path:
        """The key and certificate that listeners use."""
        return self.folder / "leaf.pem"

    def create(self, names: list[ServerName], owner: str, now: datetime, *, replace: bool) -> None:
        """Make a CA and its first leaf, both or neither. Raises `ConfigError` if there is a CA, unless ``replace``."""
        if self.folder.exists() and not replace:
            hint = "`signer tls renew` makes a new leaf; `signer tls init --force` a new CA, which every bot must trust"
            raise ConfigError("there is a CA already", where=str(self.folder), hint=hint)
        authority = Authority.make(names, owner, now)
        # The folder is made beside its place, so that an interruption leaves the old CA or none, never half of one.
        with tempfile.TemporaryDirectory(prefix=".tls-", dir=self.folder.parent) as beside:
            fresh = TlsFolder(Path(beside) / "fresh")
            fresh.folder.mkdir(mode=0o700)
            write_private(fresh.ca, authority.certificate.public_bytes(Encoding.PEM), replace=False)
            write_private(fresh.ca_key, authority.key_pem(), replace=False)
            write_private(fresh.leaf, authority.leaf(now), replace=False)
            if self.folder.exists():
                shutil.move(self.folder, Path(beside) / "old")
            fresh.folder.rename(self.folder)

    def ca_certificate(self) -> x509.Certificate:
        """Read the CA's certificate. Raises `ConfigError` or `KeyStoreError` if it cannot be read."""
        return self._certificate(self.ca)

    def leaf_certificate(self) -> x509.Certificate:
        """Read the leaf certificate. Raises `ConfigError` or `KeyStoreError` if it cannot be read."""
        return self._certificate(self.leaf)

    def renew(self, now: datetime) -> None:
        """Make a new leaf. Raises `ConfigError` if the CA is unusable or expired, `KeyStoreError` for its files."""
        authority = self._authority()
        if now >= authority.certificate.not_valid_after_utc:
            raise ConfigError("the CA has expired", where=str(self.ca), hint=_ANEW)
        write_private(self.leaf, authority.leaf(now), replace=True)

    def renew_if_due(self, now: datetime) -> None:
        """Make a new leaf if there is none or it ends soon. Raises what `renew` raises."""
        if not self.leaf.exists() or due(self.leaf_certificate(), now):
            self.renew(now)

    def _authority(self) -> Authority:
        certificate, key = self._read(self.ca), self._read(self.ca_key)
        try:
            return Authority.load(certificate, key)
        except (ValueError, TypeError) as error:  # TypeError: the key is encrypted
            what = f"it does not go with {self.ca.name}, or does not read"
            raise ConfigError(what, where=str(self.ca_key), hint=_ANEW) from error

    def _certificate(self, path: Path) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate(self._read(path))
        except ValueError as error:
            what = "no certificate can be read in it"
            raise ConfigError(
                what, where=str(path), hint=_ANEW if path == self.ca else "run `signer tls renew`"
            ) from error

    def _read(self, path: Path) -> bytes:
        return bytes(read_private(path, limit=MOST_BYTES, missing=_INIT))


def certified_names(path: Path) -> list[str]:
    """Return the host names, without wildcards, of the first certificate in ``path``. Raises `ConfigError`."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        hint = "name a readable certificate in PEM in gateway.tls.certificate"
        raise ConfigError("no certificate with host names can be read in it", where=str(path), hint=hint) from None
    return [name for name in names.get_values_for_type(x509.DNSName) if not name.startswith("*")]
