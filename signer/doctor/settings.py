"""Checks whether settings, key store, policies and clients read, and whether they fit each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path

from signer.doctor.known import KnownHome
from signer.doctor.said import counted, error, failed, fine, warning, when
from signer.findings import Finding, Weight
from signer.home.layout import Home
from signer.home.lock import holder
from signer.keys.file import FileKeyStore
from signer.model import ClientInfo
from signer.policy.unloaded import unloaded
from signer.serving.loaded import HomeParts, load_home
from signer.serving.pairs_listing import unlisted
from signer.serving.warnings import of_accounts, of_policies, of_settings, of_waivers

REVIEW_AHEAD = timedelta(days=14)


def read(home: Home, opened: Callable[[], FileKeyStore]) -> tuple[KnownHome, list[Finding]]:
    """Read the home, with a finding for each part that does not read. ``opened`` returns the key store, or raises."""
    parts = load_home(home, opened)
    findings = [finding for about, why in parts.unread for finding in failed(about, why)]
    findings += _policies(home, parts)
    return KnownHome(
        home, parts.config, parts.store, parts.policies.policies, parts.venues, holder(home.lock)
    ), findings


def examine(known: KnownHome, now_us: int, today: date) -> list[Finding]:
    """Examine whether the readable parts fit each other, and what an operator should know about them."""
    findings: list[Finding] = []
    if known.config is not None:
        accounts = ", ".join(sorted(known.config.accounts))
        findings += [fine("settings", "signer.toml", f"reads (accounts: {accounts})"), *of_settings(known.config)]
    if known.store is not None:
        credentials, clients = known.store.credentials(), _live(known.store)
        what = f"opens ({counted(len(credentials), 'credential')}, {counted(len(clients), 'client')})"
        findings += [fine("key-store", "key store", what), *_expired(clients, now_us)]
    if known.policies:
        findings.append(fine("policies", "policies", f"read ({', '.join(sorted(known.policies))})"))
    findings += of_policies(known.policies.values(), today, REVIEW_AHEAD)
    for name, venue in known.venues.items():
        named = [policy for policy in known.policies.values() if policy.words.venue == name]
        findings += unlisted(named, complete=venue.pairs.complete)
    if known.config is not None and known.store is not None:
        credentials = known.store.credentials()
        findings += [*of_accounts(known.config, credentials), *of_waivers(known.config, credentials)]
        findings += [finding for misfit in known.misfits() for finding in failed("key store", misfit)]
    return findings


def _policies(home: Home, parts: HomeParts) -> Iterator[Finding]:
    """Yield each problem of a policy, with its clients. A policy without clients gives a warning only."""
    if not home.policies.is_dir():
        hint = "run `signer init`, or make it"
        yield error("config", "policies", f"{home.policies}: there is no such folder", hint)
    loaded, store = parts.fitting(), parts.store
    for one in unloaded(loaded.broken, loaded.policies, store.clients() if store else (), {}, str(home.policies)):
        weight = Weight.ERROR if one.clients or store is None else Weight.WARNING
        for line in one.why.splitlines():
            yield _problem(home.policies / f"{one.policy}.toml", line, weight)
        if one.clients:
            what = f"does not load, so at a start {', '.join(one.clients)} may only cancel; a running gateway goes on"
            hint = "fix it, then run `signer reload`"
            yield error("policy", f"policy {one.policy}", f"{what} with what it loaded before", hint)


def _problem(path: Path, line: str, weight: Weight) -> Finding:
    """Make a finding of a problem that the loader found: file, key, what and hint."""
    what, _, hint = line.removeprefix(f"{path}: ").rpartition("; ")
    return Finding(weight, "policy", f"policy {path.stem}", what, hint)


def _live(store: FileKeyStore) -> list[ClientInfo]:
    return [client for client in store.clients() if not client.revoked]


def _expired(clients: list[ClientInfo], now_us: int) -> Iterator[Finding]:
    for client in clients:
        if client.expires_us is not None and client.expires_us <= now_us:
            hint = f"run `signer clients update {client.name} --expires …`, or revoke it"
            yield warning("client-expired", f"client {client.name}", f"expired on {when(client.expires_us)}", hint)
