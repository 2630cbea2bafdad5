"""Finds facts about a home that are no errors, but that every start should report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

from signer.findings import Finding, Weight
from signer.home.settings import Config
from signer.model import CredentialInfo
from signer.policy.policy import Policy
from signer.serving.loaded import LoadedHome


def warnings(loaded: LoadedHome, today: date) -> list[Finding]:
    """List all warnings about a home that was read whole."""
    config, credentials = loaded.config, loaded.store.credentials()
    policies = loaded.policies.values()
    of_keys = [*of_accounts(config, credentials), *of_waivers(config, credentials)]
    of_files = [each.finding() for each in loaded.unloaded]
    return [*of_settings(config), *of_keys, *of_files, *of_policies(policies, today)]


def of_settings(config: Config) -> Iterator[Finding]:
    """Warn of settings in signer.toml."""
    for listener in config.gateway.listeners:
        if listener.wide:
            why = "over TLS" if listener.kind == "tls" else f"without TLS: {config.gateway.allow_wide_listen}"
            yield _warning("wide", f"listener {listener}", f"listening beyond this machine, {why}")
    if config.gateway.trusted_proxies:
        what = f"believing X-Forwarded-For from {', '.join(config.gateway.trusted_proxies)}"
        yield _warning("proxies", "trusted_proxies", what)
    for name, account in config.accounts.items():
        if account.origin.startswith("http://"):
            what = f"talks plain HTTP to {account.origin}: a sandbox, not a real exchange"
            yield _warning("sandbox", f"account {name}", what)


def of_accounts(config: Config, credentials: Sequence[CredentialInfo]) -> Iterator[Finding]:
    """Warn of accounts without a key."""
    for name in config.accounts:
        if not any(credential.account == name for credential in credentials):
            hint = f"add one with `signer keys add NAME --account {name} --stdin`"
            yield _warning("no-key", f"account {name}", "has no key yet", hint)


def of_waivers(config: Config, credentials: Sequence[CredentialInfo]) -> Iterator[Finding]:
    """Warn of permissions that a waiver allows, each with its reason, and of waivers without effect."""
    known = {info.name for info in credentials}
    for name, waived in config.waivers.items():
        if name not in known:
            yield _warning("waiver", f"[waivers.{name}]", "waives nothing: there is no such credential", "remove it")
            continue
        for word, reason in waived.items():
            yield _warning("waiver", f"credential {name}", f"may have {word}, by waiver: {reason}")


def of_policies(policies: Iterable[Policy], today: date, ahead: timedelta = timedelta()) -> Iterator[Finding]:
    """Warn of policies without caps, and of policies whose review is due within ``ahead``."""
    for policy in policies:
        about = f"policy {policy.name}"
        if policy.uncapped:
            yield _warning("uncapped", about, f"has no caps: {policy.uncapped}")
        if policy.review_by is not None and policy.review_by <= today + ahead:
            was = "was to be" if policy.review_by < today else "is to be"
            hint = "see if it still fits, then set review_by anew"
            yield _warning("review", about, f"{was} reviewed by {policy.review_by}", hint)


def _warning(kind: str, about: str, what: str, hint: str = "") -> Finding:
    return Finding(Weight.WARNING, kind, about, what, hint)
