"""Judges a real key that the exchange was just asked about: fit for its clients, too weak, or too powerful."""

from __future__ import annotations

from collections.abc import Sequence

from signer.errors import KeyStoreError, SignerError
from signer.findings import Finding, Weight
from signer.home.layout import Home
from signer.home.settings import Config
from signer.keycheck.judgement import judge, used_elsewhere
from signer.keys.file import FileKeyStore
from signer.keys.probes import kept_probe
from signer.model import KeyInfo
from signer.operator.person import Person
from signer.operator.session import Session
from signer.serving.clock import SystemClock
from signer.serving.loaded import checked, requirements_now, venue_of


def judged(
    session: Session, config: Config, store: FileKeyStore, name: str, key: KeyInfo, *, moved: bool = False
) -> Sequence[Finding]:
    """Judge ``key`` as that of credential ``name``, worst finding first; ``moved``: its nonce moved without us.

    Warns where the policies do not load: then nobody can say what is asked of it.
    """
    home = session.home
    elsewhere = [*_of_another_account(home, store, name, key), *([used_elsewhere(name)] if moved else [])]
    try:
        loaded = checked(home, config, store, venue_of(home, config), lambda: None)
    except SignerError as error:
        session.person.warn(f"whether the key is fit for its clients cannot be said: {error}")
        return elsewhere
    now_us = SystemClock().now_us()
    return [*judge(key, requirements_now(loaded, now_us)[name], loaded.venue, now_us), *elsewhere]


def _of_another_account(home: Home, store: FileKeyStore, name: str, key: KeyInfo) -> list[Finding]:
    """Find another key of the same account here that is of another account at the exchange, as far as that has told."""
    account = store.credential(name).account
    for other in store.credentials():
        probe = kept_probe(home.probes, other.fingerprint) if other.account == account and other.name != name else None
        if probe is not None and key.account and probe.key.account not in {"", key.account}:
            what = f"is of another account at the exchange than {other.name}, so orders would go to either"
            hint = f"take it back with `signer keys remove {name}`, and give it an account of its own in signer.toml"
            return [Finding(Weight.ERROR, "another-account", f"credential {name}", what, hint)]
    return []


def warn_of_lacking(session: Session, config: Config, store: FileKeyStore, account: str, policy: str) -> None:
    """Warn of what ``policy`` promises and no key of the account may do, as far as the exchange has told."""
    for info in store.credentials():
        probe = kept_probe(session.home.probes, info.fingerprint) if info.account == account else None
        if probe is not None:
            found = judged(session, config, store, info.name, probe.key)
            lacking = [
                each for each in found if each.kind == "missing-permission" and f" policy {policy} " in each.what
            ]
            warn_of(lacking, session.person)


def warn_of(findings: Sequence[Finding], person: Person) -> None:
    """Warn of each finding that is not fine."""
    for finding in findings:
        if finding.weight is not Weight.FINE:
            person.warn(str(finding), finding.weight)


def require_fit(findings: Sequence[Finding]) -> None:
    """Raises `KeyStoreError` for a key that the gateway would refuse."""
    for finding in findings:
        if finding.weight is Weight.REFUSED:
            what = f"the new key would be refused, and the old one stays: it {finding.what}"
            raise KeyStoreError(what, where=finding.about, hint=finding.hint)
