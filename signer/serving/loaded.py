"""Reads a whole home and checks it, before a process is forked or a port answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from signer.contracts import Venue
from signer.errors import ConfigError, KeyStoreError, PassphraseChanged, SignerError, WrongPassphrase
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
from signer.venues import open_venue, terms_of, venue_names

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LoadedHome:
    """A home that was read and checked completely."""

    home: Home
    config: Config
    store: FileKeyStore
    venues: Mapping[str, Venue]
    """The venues of its accounts by name, with the pairs that are known."""
    policies: Mapping[str, Policy]
    """The policies in force, keyed by name, with and without clients."""
    unloaded: Sequence[Unloaded]
    passphrase_now: Callable[[], Passphrase | None]
    """Reads the passphrase without asking a person, for a reload after it was changed."""

    def venue_of(self, account: str) -> Venue:
        """Return the venue of an account in the settings."""
        return self.venues[self.config.accounts[account].venue]

    def policy_of(self, client: ClientInfo) -> Policy | None:
        """Return the policy in force for a client: cancels only, if its policy is for another venue."""
        policy, words = self.policies.get(client.policy), self.venue_of(client.account).vocabulary
        return policy if policy is None or policy.words.venue == words.venue else cancels_only(client.policy, words)


@dataclass(frozen=True, slots=True)
class HomeParts:
    """The parts of a home that could be read, and every problem with them."""

    home: Home
    config: Config | None
    store: FileKeyStore | None
    venues: Mapping[str, Venue]
    """The venues that could be opened, by name, with the pairs that are known."""
    policies: Loaded
    """The policies that load, and the problems of the others."""
    unread: Sequence[tuple[str, SignerError]] = ()
    """The parts that do not read, with the reasons."""

    def misfits(self) -> Iterator[ConfigError]:
        """Yield everything in the key store that the settings have no place for."""
        if self.config is None or self.store is None:
            return
        where = str(self.home.config)
        owners: list[CredentialInfo | ClientInfo] = [*self.store.credentials(), *self.store.clients()]
        for info in owners:
            if info.account not in self.config.accounts:
                hint = f"add [accounts.{info.account}] or remove what uses it"
                what = f"{info.name} belongs to account {info.account}, which is not there"
                yield ConfigError(what, where=where, hint=hint)
        for credential in self.store.credentials():
            if credential.store != HOME_FILE and credential.store not in self.config.stores:
                what = f"the secret of {credential.name} is in the store {credential.store}, which is not there"
                yield ConfigError(what, where=where, hint=f"add [stores.{credential.store}]")
        yield from (
            ConfigError(what, where=where, hint=hint) for what, hint in self._of_groups(self.config, self.store)
        )
        yield from (ConfigError(what, where=where, hint=hint) for what, hint in self._of_other_venues(owners))

    @staticmethod
    def _of_groups(config: Config, store: FileKeyStore) -> Iterator[tuple[str, str]]:
        """Yield problem and hint for each client of a group that is not there: no halt of the group would stop it."""
        known = sorted({client.name for client in store.clients()})
        for group in config.groups:
            for name in config.clients_of(group):
                if name not in known:
                    hint = f"known are: {', '.join(known)[:200] or 'none'}; correct it, or take it out of the group"
                    yield f"groups.{group}.clients names {name}, which is no client", hint

    def _of_other_venues(self, owners: Sequence[CredentialInfo | ClientInfo]) -> Iterator[tuple[str, str]]:
        """Yield problem and hint for each key that signs in another way than its account's venue wants."""
        for info in owners:
            venue, is_real = self._venue_of(info.account), isinstance(info, CredentialInfo)
            if venue is None or (isinstance(info, ClientInfo) and info.revoked):
                continue
            algorithm = venue.key_algorithm if is_real else venue.client_algorithm
            if info.algorithm is algorithm and info.has_passphrase is venue.has_passphrase:
                continue
            ours, theirs = (
                f"{by}, with{'' if passphrase else 'out'} a passphrase"
                for by, passphrase in ((info.algorithm, info.has_passphrase), (algorithm, venue.has_passphrase))
            )
            what = f"{info.name} signs by {ours}, and {venue.name} wants {theirs}"
            anew = "remove it and add it anew" if is_real else f"rotate it: `signer clients rotate {info.name}`"
            yield what, f"change the venue of account {info.account} back, or {anew}"

    def _venue_of(self, account: str) -> Venue | None:
        """Return the venue of an account; None if the account or its venue is not known, which is said elsewhere."""
        found = self.config.accounts.get(account) if self.config else None
        return self.venues.get(found.venue) if found else None

    def whole(
        self,
        passphrase_now: Callable[[], Passphrase | None] = lambda: None,
        in_force: Mapping[str, Policy] | None = None,
    ) -> LoadedHome:
        """Return the home, if all of it reads and fits. Raises the first problem as `ConfigError` or `KeyStoreError`.

        A policy that does not load affects its own clients alone: they keep the policy that is ``in_force``, or may
        only cancel.
        """
        for _, error in self.unread:
            raise error
        for misfit in self.misfits():
            raise misfit
        assert self.config is not None and self.store is not None  # noqa: S101, PT018 - else it is in ``unread``
        before, loaded = in_force or {}, self.fitting()
        folder, clients = str(self.home.policies), self.store.clients()
        without = unloaded(loaded.broken, loaded.policies, clients, before, folder)
        venue = {client.policy: self.config.accounts[client.account].venue for client in clients}
        instead = {
            one.policy: before.get(one.policy) or cancels_only(one.policy, self.venues[venue[one.policy]].vocabulary)
            for one in without
            if one.clients
        }
        policies = {**loaded.policies, **instead}
        return LoadedHome(self.home, self.config, self.store, self.venues, policies, without, passphrase_now)

    def fitting(self) -> Loaded:
        """Return the policies, but as broken each that a client has whose account is at another venue."""
        if self.config is None or self.store is None:
            return self.policies
        broken = dict(self.policies.broken)
        for client in self.store.clients():
            policy, account = self.policies.policies.get(client.policy), self.config.accounts.get(client.account)
            if policy and account and not client.revoked and policy.words.venue != account.venue:
                what = f"venue: it is for {policy.words.venue}, and client {client.name} trades at {account.venue}"
                path = self.home.policies / f"{policy.name}.toml"
                broken[policy.name] = f"{path}: {what}; give the client another policy with `signer clients update`"
        good = {name: policy for name, policy in self.policies.policies.items() if name not in broken}
        return Loaded(good, broken)


def load_home(home: Home, opened: Callable[[], FileKeyStore]) -> HomeParts:
    """Read ``home``, and collect every problem. It changes nothing. ``opened`` returns the key store.

    The start raises the first problem (`HomeParts.whole`); the doctor shows all.
    """
    unread: list[tuple[str, SignerError]] = []
    config = _tried("signer.toml", lambda: load_config(home.config), unread)
    store = _tried("key store", opened, unread)
    venues = {}
    for name in venues_named(home, config):
        venue = _tried("list of pairs", lambda name=name: venue_of(home, name), unread)  # type: ignore[misc]
        if venue is None and name in venue_names():
            venue = open_venue(name)
        if venue is not None:
            venues[name] = venue
    return HomeParts(home, config, store, venues, policies_of(home, venues), unread)


def _tried(about: str, read: Callable[[], T], unread: list[tuple[str, SignerError]]) -> T | None:
    try:
        return read()
    except SignerError as error:
        unread.append((about, error))
        return None


def venue_of(home: Home, name: str) -> Venue:
    """Return the venue ``name`` with the pairs last fetched, or else the built-in ones.

    Raises `ConfigError` for an unknown venue or an unreadable list.
    """
    try:
        return open_venue(name, load_pairs(home.pairs(name)))
    except ConfigError as error:
        where = error.where or f"{home.config}: accounts.*.venue"
        raise ConfigError(error.what, where=where, hint=error.hint) from None


def venues_of(home: Home, config: Config | None = None) -> Mapping[str, Venue]:
    """Return the venues of the home's accounts by name, as `venue_of`. Raises `ConfigError` as well."""
    return {name: venue_of(home, name) for name in venues_named(home, config)}


def venues_named(home: Home, config: Config | None = None) -> Sequence[str]:
    """Name the venues of the home's accounts; without ``config`` and a signer.toml that reads, those with a list of
    pairs in the home, else the one of an account that names none.
    """
    try:
        return (config or load_config(home.config)).venues
    except ConfigError:
        return [name for name in home.pairs_kept() if name in venue_names()] or [DEFAULT_VENUE]


def words_of(home: Home, account: str) -> Vocabulary:
    """Return the words of the account's venue, whether its list of pairs reads or not. Raises `ConfigError`."""
    return open_venue(venue_named(home, account)).vocabulary


def venue_named(home: Home, account: str) -> str:
    """Name the venue of the account; the first of `venues_named` if signer.toml does not read."""
    try:
        return load_config(home.config).venue_of(account)
    except ConfigError:
        return venues_named(home)[0]


def requirements_now(loaded: LoadedHome, now_us: int) -> Mapping[str, Requirements]:
    """Return the settings' needs for each credential, by its name."""
    store = loaded.store
    return requirements_in(loaded.config, store.credentials(), store.clients(), loaded.policies, loaded.venues, now_us)


def policies_of(home: Home, venues: Mapping[str, Venue]) -> Loaded:
    """Read the policies of the home, each for one of ``venues``. Without their folder there are none."""
    if not home.policies.is_dir():
        return Loaded({}, {})
    return load_policies(home.policies, {name: terms_of(venue) for name, venue in venues.items()})


def reread(before: LoadedHome, *, running: bool) -> LoadedHome:
    """Read the home as it is now, with the keys already derived.

    Raises the errors of `HomeParts.whole`, and `ConfigError` if [gateway] or the venue has changed, which need a
    restart.

    ``running`` says whether ``before`` is in force. A starting worker does not know the last loaded home. It inherits
    only the home that its master read at the start, and a policy may be narrower since then.
    """
    in_force = before.policies if running else None
    fresh = load_home(before.home, lambda: _reopened(before)).whole(before.passphrase_now, in_force)
    _check_unmoved(before, fresh)
    return fresh


def relisted(before: LoadedHome, venue: Venue) -> LoadedHome:
    """Return the home in force, judged by the venue with another list of pairs.

    Raises `ConfigError` if a policy does not load with it.
    """
    venues = {**before.venues, venue.name: venue}
    parts = HomeParts(before.home, before.config, before.store, venues, policies_of(before.home, venues))
    fresh = parts.whole(before.passphrase_now, before.policies)
    known = {one.policy for one in before.unloaded}
    for one in fresh.unloaded:
        if one.policy not in known:
            raise ConfigError(one.why)
    return fresh


def _reopened(before: LoadedHome) -> FileKeyStore:
    try:
        return before.store.reopened()
    except PassphraseChanged as error:
        return _under_new_passphrase(before, error)


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
    """Raise `ConfigError` if a setting has changed that needs a restart. A listener speaks one venue's language."""
    where, hint = str(fresh.home.config), "restart the gateway for that, or change it back"
    if fresh.config.gateway != before.config.gateway:
        raise ConfigError("[gateway] has changed", where=where, hint=hint)
    old = {name: account.venue for name, account in before.config.accounts.items()}
    new = {name: account.venue for name, account in fresh.config.accounts.items()}
    if set(old.values()) != set(new.values()) or any(new.get(name, venue) != venue for name, venue in old.items()):
        raise ConfigError("the venue of the accounts has changed", where=where, hint=hint)
