"""Reads a whole home and checks it, before a process is forked or a port answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from signer.contracts import Pairs, Venue
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
from signer.venues import open_venue

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LoadedHome:
    """A home that was read and checked completely."""

    home: Home
    config: Config
    store: FileKeyStore
    venue: Venue
    """The venue of its accounts, with the pairs that are known."""
    policies: Mapping[str, Policy]
    """The policies in force, keyed by name, with and without clients."""
    unloaded: Sequence[Unloaded]
    passphrase_now: Callable[[], Passphrase | None]
    """Reads the passphrase without asking a person, for a reload after it was changed."""


@dataclass(frozen=True, slots=True)
class HomeParts:
    """The parts of a home that could be read, and every problem with them."""

    home: Home
    config: Config | None
    store: FileKeyStore | None
    venue: Venue
    """The venue with its known pairs; the default venue if neither settings nor pairs read."""
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
        yield from (ConfigError(what, where=where, hint=hint) for what, hint in self._of_other_venues(owners))

    def _of_other_venues(self, owners: Sequence[CredentialInfo | ClientInfo]) -> Iterator[tuple[str, str]]:
        """Yield problem and hint for each key that signs in another way than its account's venue wants."""
        for info in owners:
            is_real = isinstance(info, CredentialInfo)
            algorithm = self.venue.key_algorithm if is_real else self.venue.client_algorithm
            fits = info.algorithm is algorithm and info.has_passphrase is self.venue.has_passphrase
            if fits or (isinstance(info, ClientInfo) and info.revoked):
                continue
            ours, theirs = (
                f"{by}, with{'' if passphrase else 'out'} a passphrase"
                for by, passphrase in ((info.algorithm, info.has_passphrase), (algorithm, self.venue.has_passphrase))
            )
            what = f"{info.name} signs by {ours}, and {self.venue.name} wants {theirs}"
            anew = "remove it and add it anew" if is_real else f"rotate it: `signer clients rotate {info.name}`"
            yield what, f"change the venue of account {info.account} back, or {anew}"

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
        before, loaded, words = in_force or {}, self.policies, self.venue.vocabulary
        folder, clients = str(self.home.policies), self.store.clients()
        without = unloaded(loaded.broken, loaded.policies, clients, before, folder)
        instead = {
            one.policy: before.get(one.policy) or cancels_only(one.policy, words) for one in without if one.clients
        }
        policies = {**loaded.policies, **instead}
        return LoadedHome(self.home, self.config, self.store, self.venue, policies, without, passphrase_now)


def load_home(home: Home, opened: Callable[[], FileKeyStore]) -> HomeParts:
    """Read ``home``, and collect every problem. It changes nothing. ``opened`` returns the key store.

    The start raises the first problem (`HomeParts.whole`); the doctor shows all.
    """
    unread: list[tuple[str, SignerError]] = []
    config = _tried("signer.toml", lambda: load_config(home.config), unread)
    store = _tried("key store", opened, unread)
    venue = _tried("list of pairs", lambda: venue_of(home, config), unread) or open_venue(DEFAULT_VENUE)
    return HomeParts(home, config, store, venue, policies_of(home, venue.vocabulary, venue.pairs), unread)


def _tried(about: str, read: Callable[[], T], unread: list[tuple[str, SignerError]]) -> T | None:
    try:
        return read()
    except SignerError as error:
        unread.append((about, error))
        return None


def venue_of(home: Home, config: Config | None = None) -> Venue:
    """Return the venue of the home's accounts, with the pairs last fetched or else the built-in ones.

    Without ``config`` it is the venue in signer.toml, or the default venue if that does not read. Raises `ConfigError`
    for an unknown venue or an unreadable list.
    """
    name = config.venue if config else _venue_named(home)
    try:
        return open_venue(name, load_pairs(home.pairs))
    except ConfigError as error:
        where = error.where or f"{home.config}: accounts.*.venue"
        raise ConfigError(error.what, where=where, hint=error.hint) from None


def words_of(home: Home) -> Vocabulary:
    """Return the words of the home's venue, whether its list of pairs reads or not. Raises `ConfigError`."""
    return open_venue(_venue_named(home)).vocabulary


def _venue_named(home: Home) -> str:
    try:
        return load_config(home.config).venue
    except ConfigError:
        return DEFAULT_VENUE


def requirements_now(loaded: LoadedHome, now_us: int) -> Mapping[str, Requirements]:
    """Return the settings' needs for each credential, by its name."""
    store = loaded.store
    return requirements_in(loaded.config, store.credentials(), store.clients(), loaded.policies, loaded.venue, now_us)


def policies_of(home: Home, words: Vocabulary, pairs: Pairs) -> Loaded:
    """Read the policies of the home. Without their folder there are none."""
    if not home.policies.is_dir():
        return Loaded({}, {})
    names = [pair.wsname for pair in pairs.by_id.values()]
    return load_policies(home.policies, words, pairs.find, names)


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
    policies = policies_of(before.home, venue.vocabulary, venue.pairs)
    parts = HomeParts(before.home, before.config, before.store, venue, policies)
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
    """Raise `ConfigError` if a setting has changed that needs a restart. The listeners speak one venue's language."""
    where, hint = str(fresh.home.config), "restart the gateway for that, or change it back"
    if fresh.config.gateway != before.config.gateway:
        raise ConfigError("[gateway] has changed", where=where, hint=hint)
    if fresh.venue.name != before.venue.name:
        raise ConfigError("the venue of the accounts has changed", where=where, hint=hint)
