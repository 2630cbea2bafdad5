"""Checks the certificates of TLS listeners, their CA, and the CA of the bots' certificates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from signer.doctor.said import error, failed, fine, warning
from signer.errors import ConfigError, KeyStoreError
from signer.findings import Finding
from signer.home.layout import Home
from signer.home.settings import Config
from signer.serving.tls import ServerTls
from signer.tls.authority import due, permitted_names
from signer.tls.folder import TlsFolder, certified_names

SOON = timedelta(days=14)


def examine(home: Home, config: Config | None, now: datetime, *, running: bool) -> list[Finding]:
    """Examine the certificates of the home's ``tls`` folder, if there is one, and those that signer.toml names."""
    found: list[Finding] = []
    shown = config is not None and any(listener.kind == "tls" for listener in config.gateway.listeners)
    own = config is None or not config.gateway.tls.certificate
    if home.tls.is_dir() or (shown and own):
        found += _own(TlsFolder(home.tls), now, renewed=running and shown and own)
    if config is not None and shown:
        found += _named(home, config, now)
    return found


def _own(folder: TlsFolder, now: datetime, *, renewed: bool) -> Iterator[Finding]:
    try:
        ca, leaf = folder.ca_certificate(), folder.leaf_certificate()
    except (ConfigError, KeyStoreError) as why:
        yield from failed(f"CA in {folder.folder}", why)
        return
    names = ", ".join(str(name.value) for name in permitted_names(ca))
    hint = "make a new one with `signer tls init --force`, and have every bot trust it"
    yield ending("CA of `signer tls init`", ca, now, hint, f"vouches for {names}")
    if renewed and due(leaf, now - timedelta(days=1)):
        what = f"ends on {leaf.not_valid_after_utc:%Y-%m-%d}, and the gateway has not renewed it"
        yield error("certificate", "leaf", what, "see its log for `tls` alarms, or run `signer tls renew`")
    else:
        yield fine("certificate", "leaf", f"good until {leaf.not_valid_after_utc:%Y-%m-%d}, renews itself")


def _named(home: Home, config: Config, now: datetime) -> Iterator[Finding]:
    tls = config.gateway.tls
    try:
        if tls.certificate:
            ServerTls(tls, home, now)  # that it, its key and the clients' CA belong together and load
            path = home.folder / tls.certificate
            names = ", ".join(certified_names(path)) or "no name"
            yield ending(f"certificate {path}", _read(path), now, "renew it", f"is for {names}")
        if tls.client_ca:
            path = home.folder / tls.client_ca
            hint = "name a new one in gateway.tls.client_ca, and give the bots certificates of it"
            yield ending(f"CA of the clients {path}", _read(path), now, hint, "is there")
    except (ConfigError, KeyStoreError) as why:
        yield from failed("gateway.tls", why)


def ending(about: str, certificate: x509.Certificate, now: datetime, hint: str, otherwise: str) -> Finding:
    """Tell whether ``certificate`` ends soon; ``otherwise`` is the further text if not."""
    ends = certificate.not_valid_after_utc
    if now >= ends:
        return error("certificate", about, f"expired on {ends:%Y-%m-%d}", hint)
    if now >= ends - SOON:
        return warning("certificate", about, f"ends on {ends:%Y-%m-%d}", hint)
    return fine("certificate", about, f"{otherwise}, until {ends:%Y-%m-%d}")


def _read(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        raise ConfigError("no certificate in PEM can be read in it", where=str(path), hint="name another") from None
