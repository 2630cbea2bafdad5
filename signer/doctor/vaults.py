"""Checks each Vault that signer.toml names: whether it serves, its state, and its certificate."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509

from signer.contracts import Clock
from signer.doctor import clocks
from signer.doctor.certificates import ending
from signer.doctor.said import error, failed, fine
from signer.errors import ConfigError, KeyStoreError
from signer.findings import Finding
from signer.home.stores import VaultConfig
from signer.keys.vault_client import client, explained, table
from signer.upstream.origin import Origin, tls_context

HEALTH = "/v1/sys/health?standbyok=true&perfstandbyok=true&sealedcode=200&uninitcode=200&drsecondarycode=200"
"""The question to which Vault answers 200 in every state, with the state in the answer."""


def examine(name: str, config: VaultConfig, clock: Clock) -> list[Finding]:
    """Examine the Vaults without a login. Blocks for as long as ``deadline_seconds`` allows."""
    about = f"store {name} ({config.address})"
    try:
        health = _health(config, about)
    except KeyStoreError as why:
        return failed(about, why)
    return [*_state(about, health), *_clock(about, health, clock), *_certificate(about, config, clock)]


def _health(config: VaultConfig, where: str) -> Mapping[str, Any]:
    vault = client(config.model_copy(update={"namespace": ""}), "")  # the server answers this, not a namespace
    try:
        with explained(where):
            return table(vault.adapter.get(HEALTH), where=where)
    finally:
        vault.adapter.close()


def _state(about: str, health: Mapping[str, Any]) -> Iterator[Finding]:
    if not health.get("initialized"):
        yield error("vault", about, "is not initialised", "run `vault operator init`, then deploy/vault/setup.sh")
    elif health.get("sealed"):
        yield error("vault", about, "is sealed", "unseal it: `vault operator unseal`")
    else:
        standby = ", a standby" if health.get("standby") or health.get("performance_standby") else ""
        yield fine("vault", about, f"serves (version {str(health.get('version'))[:40]}{standby})")


def _clock(about: str, health: Mapping[str, Any], clock: Clock) -> Iterator[Finding]:
    """Compare Vault's clock with ours, to within a second and the time that the answer took."""
    theirs = health.get("server_time_utc")
    if isinstance(theirs, int):
        ahead = clock.now_us() / 1e6 - theirs
        judged = clocks.judged(about, ahead - 2, ahead + 1)
        if judged.hint:
            yield judged


def _certificate(about: str, config: VaultConfig, clock: Clock) -> Iterator[Finding]:
    origin = Origin.parse(config.address)
    if not origin.tls:
        return
    try:
        context = tls_context(config.ca_file)
        place = (origin.host, origin.port)
        with (
            socket.create_connection(place, config.deadline_seconds) as plain,
            context.wrap_socket(plain, server_hostname=origin.host) as secured,
        ):
            shown = secured.getpeercert(binary_form=True)
    except (OSError, ConfigError):
        return  # the health was asked on such a connection a moment ago
    if shown is not None:
        now = datetime.fromtimestamp(clock.now_us() / 1e6, UTC)
        found = ending(about, x509.load_der_x509_certificate(shown), now, "renew Vault's certificate", "")
        if found.hint:
            yield found
