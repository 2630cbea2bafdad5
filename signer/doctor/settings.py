"""Settings, key store, policies and clients: whether each reads, and whether they fit each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

from signer.contracts import Venue
from signer.doctor.known import KnownHome
from signer.doctor.said import counted, error, failed, fine, warning, when
from signer.errors import SignerError
from signer.findings import Finding, Weight
from signer.home.layout import Home
from signer.home.lock import holder
from signer.home.settings import DEFAULT_VENUE, load_config
from signer.keys.file import FileKeyStore
from signer.model import ClientInfo
from signer.policy.policy import Policy
from signer.policy.unloaded import unloaded
from signer.serving.loaded import misfits, of_accounts, of_policies, of_settings, of_waivers, policies_of, venue_of
from signer.serving.pairs_listing import unlisted
from signer.venues import open_venue

REVIEW_AHEAD = timedelta(days=14)
T = TypeVar("T")


def read(home: Home, opened: Callable[[], FileKeyStore]) -> tuple[KnownHome, list[Finding]]:
    """All of the home that reads, and a finding for what does not. ``opened`` gives the key store, or raises."""
    findings: list[Finding] = []
    config = _tried("signer.toml", lambda: load_config(home.config), findings)
    store = _tried("key store", opened, findings)
    venue = _tried("list of pairs", lambda: venue_of(home, config), findings) or open_venue(DEFAULT_VENUE)
    return KnownHome(home, config, store, _policies(home, venue, store, findings), venue, holder(home.lock)), findings


def examine(known: KnownHome, now_us: int, today: date) -> list[Finding]:
    """How the parts that were read fit each other, and what should be known of them."""
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
    findings += unlisted(known.policies.values(), complete=known.venue.pairs.complete)
    if known.config is not None and known.store is not None:
        credentials = known.store.credentials()
        findings += [*of_accounts(known.config, credentials), *of_waivers(known.config, credentials)]
        for misfit in misfits(known.home, known.config, known.store):
            findings += failed("key store", misfit)
    return findings


def _tried(about: str, read_it: Callable[[], T], findings: list[Finding]) -> T | None:
    try:
        return read_it()
    except SignerError as why:
        findings += failed(about, why)
        return None


def _policies(home: Home, venue: Venue, store: FileKeyStore | None, findings: list[Finding]) -> Mapping[str, Policy]:
    """Those that load. Of the others each problem is said, and whom it concerns: nobody's is a warning."""
    loaded = policies_of(home, venue.vocabulary, venue.pairs)
    if not home.policies.is_dir():
        hint = "run `signer init`, or make it"
        findings.append(error("config", "policies", f"{home.policies}: there is no such folder", hint))
    for one in unloaded(loaded.broken, loaded.policies, store.clients() if store else (), {}, str(home.policies)):
        weight = Weight.ERROR if one.clients or store is None else Weight.WARNING
        lines = one.why.splitlines()
        findings += [_problem(home.policies / f"{one.policy}.toml", line, weight) for line in lines]
        if one.clients:
            what = f"does not load, so at a start {', '.join(one.clients)} may only cancel; a running gateway goes on"
            hint = "fix it, then run `signer reload`"
            findings.append(error("policy", f"policy {one.policy}", f"{what} with what it loaded before", hint))
    return loaded.policies


def _problem(path: Path, line: str, weight: Weight) -> Finding:
    """A line of the loader's: file, key, what and hint."""
    what, _, hint = line.removeprefix(f"{path}: ").rpartition("; ")
    return Finding(weight, "policy", f"policy {path.stem}", what, hint)


def _live(store: FileKeyStore) -> list[ClientInfo]:
    return [client for client in store.clients() if not client.revoked]


def _expired(clients: list[ClientInfo], now_us: int) -> Iterator[Finding]:
    for client in clients:
        if client.expires_us is not None and client.expires_us <= now_us:
            hint = f"run `signer clients update {client.name} --expires …`, or revoke it"
            yield warning("client-expired", f"client {client.name}", f"expired on {when(client.expires_us)}", hint)
