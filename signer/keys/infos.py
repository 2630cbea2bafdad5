"""Turns an entry of the file into what the rest of the program knows of it."""

from __future__ import annotations

from dataclasses import replace

from signer.keys.envelope import AboutClient, AboutCredential, Former
from signer.model import ClientInfo, CredentialInfo
from signer.secret import fingerprint


def credential_info(about: AboutCredential) -> CredentialInfo:
    """Return what a list shows of a credential."""
    return CredentialInfo(
        name=about.name,
        account=about.account,
        api_key=about.api_key,
        fingerprint=fingerprint(about.api_key),
        created_us=about.created_us,
        role=about.role,
        store=about.store,
        algorithm=about.algorithm,
        has_passphrase=about.has_passphrase,
    )


def former_info(former: Former, client: AboutClient) -> ClientInfo:
    """Describe a client as it was before a rotation, with its old key until that passes no more."""
    until_us = former.until_us if client.expires_us is None else min(former.until_us, client.expires_us)
    return replace(
        client_info(client),
        api_key=former.api_key,
        fingerprint=fingerprint(former.api_key),
        expires_us=until_us,
        created_us=0,
        algorithm=former.algorithm,
        has_passphrase=former.has_passphrase,
    )


def client_info(about: AboutClient) -> ClientInfo:
    """Return what a list shows of a client."""
    return ClientInfo(
        name=about.name,
        account=about.account,
        policy=about.policy,
        api_key=about.api_key,
        fingerprint=fingerprint(about.api_key),
        sources=about.sources,
        expires_us=about.expires_us,
        nonces=about.nonces,
        revoked=about.revoked,
        created_us=about.created_us,
        algorithm=about.algorithm,
        has_passphrase=about.has_passphrase,
    )
