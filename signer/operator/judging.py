"""Judges a real key that the exchange was just asked about: fit for its clients, too weak, or too powerful."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from signer.errors import KeyStoreError, SignerError
from signer.findings import Finding, Weight
from signer.home.settings import Config
from signer.keycheck.judgement import judge_key, judge_use
from signer.keys.file import FileKeyStore
from signer.keys.probes import accounts_told, kept_probe
from signer.model import KeyInfo
from signer.operator.person import Person
from signer.operator.session import Session
from signer.serving.clock import SystemClock
from signer.serving.loaded import load_home, requirements_now


def judged(
    session: Session, config: Config, store: FileKeyStore, name: str, key: KeyInfo, *, moved: bool = False
) -> Sequence[Finding]:
    """Judge ``key`` as that of credential ``name``; ``moved`` says that its nonce moved without us.

    Warns if the policies do not load, because the needs of the key are not known then.
    """
    home, now_us = session.home, SystemClock().now_us()
    others = accounts_told(home.probes, store.credential(name), store.credentials())
    try:
        loaded = replace(load_home(home, lambda: store), config=config).whole()
    except SignerError as error:
        session.person.warn(f"whether the key is fit for its clients cannot be said: {error}")
        return list(judge_use(name, key, moved=moved, others=others))
    requirements, venue = requirements_now(loaded, now_us)[name], loaded.venue_of(store.credential(name).account)
    return judge_key(key, requirements, venue, now_us, moved=moved, others=others)


def warn_of_lacking(session: Session, config: Config, store: FileKeyStore, account: str, policy: str) -> None:
    """Warn of calls that ``policy`` allows but no key of the account may make, as far as the exchange has told."""
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
