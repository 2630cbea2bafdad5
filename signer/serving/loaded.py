"""A home that has been read and checked whole: all that can be wrong before a process is forked or a port answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from signer.contracts import Pairs, Venue
from signer.errors import ConfigError, KeyStoreError, PassphraseChanged, WrongPassphrase
from signer.findings import Finding, Weight
from signer.home.layout import Home
from signer.home.settings import DEFAULT_VENUE, HOME_FILE, Config, load_config
from signer.keycheck.judgement import Requirements, requirements_in
from signer.keys.file import FileKeyStore
from signer.keys.passphrase import Passphrase
from signer.market.pairs import load_pairs
from signer.model import ClientInfo, CredentialInfo, Vocabulary
from signer.policy.load import Loaded, load_policies
from signer.policy.policy import Policy
from signer.policy.unloaded import Unloaded, cancels_only, unloaded
from signer.venues import open_venue


@dataclass(frozen=True, slots=True)
class LoadedHome:
    """A home that has been read and checked whole."""

    home: Home
    config: Config
    store: FileKeyStore
    venue: Venue
    """The venue of its accounts, with the pairs that are known."""
    policies: Mapping[str, Policy]
    """By name, of each policy that a client has what it is held to now; and those that nobody has."""
    unloaded: Sequence[Unloaded]
    passphrase_now: Callable[[], Passphrase | None]
    """The passphrase as it can be read without asking anybody: of use when it was changed while the gateway runs."""


def prepare(
    home: Home, passphrase: Passphrase, passphrase_now: Callable[[], Passphrase | None] = lambda: None
) -> LoadedHome:
    """Read ``home``. Raises `ConfigError` or `KeyStoreError` for the first thing that is wrong; changes nothing."""
    config, store = load_config(home.config), FileKeyStore.open(home.keys, passphrase)
    return checked(home, config, store, venue_of(home, config), passphrase_now)


def venue_of(home: Home, config: Config | None = None) -> Venue:
    """Return the venue of the home's accounts, with the pairs last fetched or else those known to this version.

    Without ``config`` it is what signer.toml says, or the default venue where that does not read. Raises `ConfigError`
    for an unknown venue or an unreadable list.
    """
    name = config.venue if config else _venue_named(home)
    try:
        return open_venue(name, load_pairs(home.pairs))
    except ConfigError as error:
        where = error.where or f"{home.config}: accounts.*.venue"
        raise ConfigError(error.what, where=where, hint=error.hint) from None


def _venue_named(home: Home) -> str:
    try:
        return load_config(home.config).venue
    except ConfigError:
        return DEFAULT_VENUE


def warnings(loaded: LoadedHome, today: date) -> list[Finding]:
    """What is not wrong but should be known at every start."""
    config, credentials = loaded.config, loaded.store.credentials()
    policies = loaded.policies.values()
    of_keys = [*of_accounts(config, credentials), *of_waivers(config, credentials)]
    of_files = [each.finding() for each in loaded.unloaded]
    return [*of_settings(config), *of_keys, *of_files, *of_policies(policies, today)]


def of_settings(config: Config) -> Iterator[Finding]:
    """Of `warnings`, those that signer.toml alone tells."""
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
    """Of `warnings`, the accounts that nothing can be signed for."""
    for name in config.accounts:
        if not any(credential.account == name for credential in credentials):
            hint = f"add one with `signer keys add NAME --account {name} --stdin`"
            yield _warning("no-key", f"account {name}", "has no key yet", hint)


def of_waivers(config: Config, credentials: Sequence[CredentialInfo]) -> Iterator[Finding]:
    """Of `warnings`, what keys may do although they should not, each with its reason."""
    known = {info.name for info in credentials}
    for name, waived in config.waivers.items():
        if name not in known:
            yield _warning("waiver", f"[waivers.{name}]", "waives nothing: there is no such credential", "remove it")
            continue
        for word, reason in waived.items():
            yield _warning("waiver", f"credential {name}", f"may have {word}, by waiver: {reason}")


def of_policies(policies: Iterable[Policy], today: date, ahead: timedelta = timedelta()) -> Iterator[Finding]:
    """Of `warnings`, the policies that are not bounded, and those that are due to be looked at within ``ahead``."""
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


def misfits(home: Home, config: Config, store: FileKeyStore) -> Iterator[ConfigError]:
    """Everything in the key store that the settings have no place for."""
    owners: list[CredentialInfo | ClientInfo] = [*store.credentials(), *store.clients()]
    for info in owners:
        if info.account not in config.accounts:
            hint = f"add [accounts.{info.account}] or remove what uses it"
            what = f"{info.name} belongs to account {info.account}, which is not there"
            yield ConfigError(what, where=str(home.config), hint=hint)
    for credential in store.credentials():
        if credential.store != HOME_FILE and credential.store not in config.stores:
            what = f"the secret of {credential.name} is in the store {credential.store}, which is not there"
            yield ConfigError(what, where=str(home.config), hint=f"add [stores.{credential.store}]")


def requirements_now(loaded: LoadedHome, now_us: int) -> Mapping[str, Requirements]:
    """Return what the settings ask of each credential, by its name."""
    store = loaded.store
    return requirements_in(loaded.config, store.credentials(), store.clients(), loaded.policies, loaded.venue, now_us)


def checked(
    home: Home,
    config: Config,
    store: FileKeyStore,
    venue: Venue,
    passphrase_now: Callable[[], Passphrase | None],
    in_force: Mapping[str, Policy] | None = None,
) -> LoadedHome:
    """These parts of ``home``, if they fit each other. Raises `ConfigError` for the first that does not.

    A policy that does not load concerns its own clients alone: they stay under what is ``in_force`` of it, or may only
    cancel.
    """
    for error in misfits(home, config, store):
        raise error
    before, loaded = in_force or {}, policies_of(home, venue.vocabulary, venue.pairs)
    without = unloaded(loaded.broken, loaded.policies, store.clients(), before, str(home.policies))
    words = venue.vocabulary
    instead = {one.policy: before.get(one.policy) or cancels_only(one.policy, words) for one in without if one.clients}
    return LoadedHome(home, config, store, venue, {**loaded.policies, **instead}, without, passphrase_now)


def policies_of(home: Home, words: Vocabulary, pairs: Pairs) -> Loaded:
    """The policies in the home. Without their folder there are none."""
    if not home.policies.is_dir():
        return Loaded({}, {})
    names = [pair.wsname for pair in pairs.by_id.values()]
    return load_policies(home.policies, words, pairs.find, names)


def reread(before: LoadedHome, *, running: bool) -> LoadedHome:
    """The home as it is now, read with the keys already derived. Raises as `prepare`, and if [gateway] has changed.

    ``running``: whether ``before`` is in force. A worker that starts does not know what was loaded last: the process
    that it comes from has only what it read at its own start, which somebody may have narrowed since.
    """
    home = before.home
    try:
        store = before.store.reopened()
    except PassphraseChanged as error:
        store = _under_new_passphrase(before, error)
    in_force = before.policies if running else None
    config = load_config(home.config)
    fresh = checked(home, config, store, venue_of(home, config), before.passphrase_now, in_force)
    _check_unmoved(before, fresh)
    return fresh


def relisted(before: LoadedHome, venue: Venue) -> LoadedHome:
    """Return what is in force, judged by the venue with another list of pairs.

    Raises `ConfigError` if a policy does not load with it.
    """
    fresh = checked(before.home, before.config, before.store, venue, before.passphrase_now, before.policies)
    known = {one.policy for one in before.unloaded}
    for one in fresh.unloaded:
        if one.policy not in known:
            raise ConfigError(one.why)
    return fresh


def _under_new_passphrase(before: LoadedHome, changed: PassphraseChanged) -> FileKeyStore:
    passphrase = before.passphrase_now()
    if passphrase is None:
        hint = "restart the gateway: it knows no file to read the new one from"
        raise KeyStoreError(changed.what, where=changed.where, hint=hint)
    try:
        return before.store.succeeded_by(passphrase)
    except WrongPassphrase:
        hint = "put the new one where the gateway was told to read it and run `signer reload`, or restart the gateway"
        raise KeyStoreError(changed.what, where=changed.where, hint=hint) from None
    finally:
        passphrase.wipe()


def _check_unmoved(before: LoadedHome, fresh: LoadedHome) -> None:
    if fresh.config.gateway != before.config.gateway:
        where = str(fresh.home.config)
        raise ConfigError("[gateway] has changed", where=where, hint="restart the gateway for that, or change it back")
