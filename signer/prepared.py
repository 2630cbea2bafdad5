"""A home that has been read and checked whole: all that can be wrong before a process is forked or a port answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from signer.config import HOME_FILE, Config, load_config
from signer.contracts import Venue
from signer.errors import ConfigError, KeyStoreError, PassphraseChanged, WrongPassphrase
from signer.home import Home
from signer.keys.file import FileKeyStore
from signer.keys.passphrase import Passphrase
from signer.market import load_pairs
from signer.model import ClientInfo, CredentialInfo
from signer.policy.load import load_policies
from signer.policy.policy import Policy
from signer.standing import Duty, duties
from signer.venues.kraken.pairs import PairTable


@dataclass(frozen=True, slots=True)
class Prepared:
    """A home that has been read and checked whole."""

    home: Home
    config: Config
    store: FileKeyStore
    pairs: PairTable
    policies: Mapping[str, Policy]
    passphrase_now: Callable[[], Passphrase | None]
    """The passphrase as it can be read without asking anybody: of use when it was changed while the gateway runs."""


def prepare(
    home: Home, passphrase: Passphrase, passphrase_now: Callable[[], Passphrase | None] = lambda: None
) -> Prepared:
    """Read ``home``. Raises `ConfigError` or `KeyStoreError` for the first thing that is wrong; changes nothing."""
    config, store = load_config(home.config), FileKeyStore.open(home.keys, passphrase)
    return checked(home, config, store, pair_table(home.pairs), passphrase_now)


def pair_table(path: Path) -> PairTable:
    """The venue's pairs as last fetched into ``path``, else those known when this version was made."""
    fetched = load_pairs(path)
    return PairTable.built_in() if fetched is None else PairTable.from_asset_pairs(fetched)


def warnings(prepared: Prepared) -> list[str]:
    """What is not wrong but should be known at every start."""
    config, lines = prepared.config, list[str]()
    for listener in config.gateway.listeners:
        if listener.wide:
            why = "over TLS" if listener.kind == "tls" else f"without TLS: {config.gateway.allow_wide_listen}"
            lines.append(f"listening beyond this machine on {listener}, {why}")
    if config.gateway.trusted_proxies:
        lines.append(f"believing X-Forwarded-For from {', '.join(config.gateway.trusted_proxies)}")
    for name, account in config.accounts.items():
        if account.origin.startswith("http://"):
            lines.append(f"account {name} talks plain HTTP to {account.origin}: a sandbox, not a real exchange")
        if not any(credential.account == name for credential in prepared.store.credentials()):
            lines.append(f"account {name} has no key yet; add one with `signer keys add NAME --account {name} --stdin`")
    lines += _waived(prepared)
    uncapped = [policy for policy in prepared.policies.values() if policy.uncapped]
    return [*lines, *(f"policy {policy.name} has no caps: {policy.uncapped}" for policy in uncapped)]


def _waived(prepared: Prepared) -> list[str]:
    known, lines = {info.name for info in prepared.store.credentials()}, list[str]()
    for name, waived in prepared.config.waivers.items():
        if name in known:
            lines += [f"credential {name} may have {word}, by waiver: {reason}" for word, reason in waived.items()]
        else:
            lines.append(f"[waivers.{name}] waives nothing: there is no such credential")
    return lines


def duties_now(prepared: Prepared, venue: Venue, now_us: int) -> Mapping[str, Duty]:
    """What the settings ask of each credential, by its name."""
    policies = prepared.policies
    clients = [(info, policies[info.policy]) for info in prepared.store.clients() if info.policy in policies]
    return duties(prepared.store.credentials(), clients, venue, prepared.config.waivers, now_us)


def checked(
    home: Home,
    config: Config,
    store: FileKeyStore,
    pairs: PairTable,
    passphrase_now: Callable[[], Passphrase | None],
) -> Prepared:
    """These parts of ``home``, if they fit each other. Raises `ConfigError` for the first that does not."""
    policies = load_policies(home.policies, pairs.find, [pair.wsname for pair in pairs.by_id.values()])
    owners: list[CredentialInfo | ClientInfo] = [*store.credentials(), *store.clients()]
    for info in owners:
        if info.account not in config.accounts:
            mend = f"add [accounts.{info.account}] or remove what uses it"
            raise ConfigError(f"{info.name} belongs to account {info.account}", where=str(home.config), mend=mend)
    for info in store.credentials():
        if info.store != HOME_FILE and info.store not in config.stores:
            what = f"the secret of {info.name} is in the store {info.store}, which is not there"
            raise ConfigError(what, where=str(home.config), mend=f"add [stores.{info.store}]")
    for client in store.clients():
        if client.policy not in policies and not client.revoked:
            what = f"client {client.name} has the policy {client.policy}, and there is no such file"
            raise ConfigError(what, where=str(home.policies), mend=f"restore {client.policy}.toml or revoke the client")
    return Prepared(home, config, store, pairs, policies, passphrase_now)


def reread(before: Prepared) -> Prepared:
    """The home as it is now, read with the keys already derived. Raises as `prepare`, and if [gateway] has changed."""
    home = before.home
    try:
        store = before.store.reopened()
    except PassphraseChanged as error:
        store = _under_new_passphrase(before, error)
    fresh = checked(home, load_config(home.config), store, pair_table(home.pairs), before.passphrase_now)
    _check_unmoved(before, fresh)
    return fresh


def _under_new_passphrase(before: Prepared, changed: PassphraseChanged) -> FileKeyStore:
    passphrase = before.passphrase_now()
    if passphrase is None:
        mend = "restart the gateway: it knows no file to read the new one from"
        raise KeyStoreError(changed.what, where=changed.where, mend=mend)
    try:
        return before.store.succeeded_by(passphrase)
    except WrongPassphrase:
        mend = "put the new one where the gateway was told to read it and run `signer reload`, or restart the gateway"
        raise KeyStoreError(changed.what, where=changed.where, mend=mend) from None
    finally:
        passphrase.wipe()


def _check_unmoved(before: Prepared, fresh: Prepared) -> None:
    if fresh.config.gateway != before.config.gateway:
        where = str(fresh.home.config)
        raise ConfigError("[gateway] has changed", where=where, mend="restart the gateway for that, or change it back")
