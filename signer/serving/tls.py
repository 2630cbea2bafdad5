"""Keeps the certificates of TLS listeners fresh while the gateway runs."""

from __future__ import annotations

import ssl
import stat
from datetime import datetime
from pathlib import Path

from cryptography import x509

from signer.errors import ConfigError
from signer.home.layout import Home
from signer.home.settings import TlsConfig
from signer.tls.folder import TlsFolder

_NAME_CA = "name the CA of the bots' certificates in gateway.tls.client_ca"
_INIT = "make one with `signer tls init`, or name yours in [gateway.tls]"


class ServerTls:
    """One `ssl.SSLContext` for all TLS listeners. Each handshake uses the certificate that was loaded last."""

    def __init__(self, config: TlsConfig, home: Home, now: datetime) -> None:
        """Raises `ConfigError` or `KeyStoreError` for a file that cannot be used."""
        own = TlsFolder(home.tls)
        self._own = None if config.certificate else own
        self._certificate = home.folder / (config.certificate or own.leaf)
        self._key = home.folder / (config.key or own.leaf)
        self._stamp: tuple[tuple[int, int], ...] = ()
        self._ca_stamp = (0, 0)
        self._client_ca = home.folder / config.client_ca if config.client_ca else None
        self.context = _context(self._client_ca)
        self._shown = self.context
        self.context.sni_callback = self._choose
        self.refresh(now)

    def refresh(self, now: datetime) -> bool:
        """Renew our own leaf if it ends soon, and load changed files.

        Returns whether clients' certificates are checked by another CA from now on. Connections that the old CA
        admitted must then prove themselves again. If it raises the errors named above, nothing has changed.
        """
        if self._own is not None:
            self._own.renew_if_due(now)
        stamp, ca_stamp = (_stamp(self._certificate), _stamp(self._key)), self._stamp_of_ca()
        if (stamp, ca_stamp) == (self._stamp, self._ca_stamp):
            return False
        # Load into a new context, because a failure could leave one in use with an old key beside a new certificate.
        shown = _context(self._client_ca)
        _load(shown, self._certificate, self._key, now)
        judged_anew = ca_stamp != self._ca_stamp
        self._shown, self._stamp, self._ca_stamp = shown, stamp, ca_stamp
        return judged_anew

    def _stamp_of_ca(self) -> tuple[int, int]:
        return _stamp(self._client_ca, _NAME_CA) if self._client_ca else (0, 0)

    def _choose(self, handshake: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        """Choose the certificate, in each handshake, whether the client names a host or not."""
        handshake.context = self._shown


def _context(client_ca: Path | None) -> ssl.SSLContext:
    """Make a context without a certificate. A handshake trusts the CAs of the context that it was given last."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_TICKET  # a session that is resumed shows no certificate anew
    context.num_tickets = 0
    if client_ca is not None:
        _require_client_certificates(context, client_ca)
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path, now: datetime) -> None:
    """Make ``context`` show this certificate. Raises `ConfigError` if it, or its key, cannot be used now."""
    _require_private(key)
    _require_current(certificate, now)
    try:
        # Without the password, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError as error:
        where, what = str(key), "no key without a passphrase can be read in it"
        if error.reason == "KEY_VALUES_MISMATCH":
            what = f"it is not the key of {certificate}"
        raise ConfigError(what, where=where, hint="name the certificate's own key, in PEM, not encrypted") from None


def _require_private(key: Path) -> None:
    if stat.S_IMODE(key.stat().st_mode) & 0o007:
        raise ConfigError("everybody may read this private key", where=str(key), hint=f"run `chmod o= {key}`")


def _require_current(path: Path, now: datetime) -> None:
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no certificate in PEM is in it"
        raise ConfigError(f"it cannot be read ({why})", where=str(path), hint=_INIT) from None
    if now >= certificate.not_valid_after_utc:
        what = f"this certificate has expired ({certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC)"
        raise ConfigError(what, where=str(path), hint="renew it, and check this machine's clock")
    if now < certificate.not_valid_before_utc:
        what = f"this certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        raise ConfigError(what, where=str(path), hint="check this machine's clock")


def _require_client_certificates(context: ssl.SSLContext, ca: Path) -> None:
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_verify_locations(ca)
    except OSError as error:  # ssl.SSLError is one
        why = "no certificate in PEM is in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"it cannot be read ({why})", where=str(ca), hint=_NAME_CA) from None


def _stamp(path: Path, hint: str = _INIT) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"it cannot be read ({error.strerror})", where=str(path), hint=hint) from None
    return found.st_mtime_ns, found.st_ino
