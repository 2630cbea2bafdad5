"""Halts orders of a client, an account, a group, a pair or everybody, even if other parts are broken, and ends halts.

A scope that the home cannot check is taken as it was written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from signer.contracts import Known, Pairs
from signer.errors import ConfigError, KeyStoreError, SignerError
from signer.home.brakes import read_brakes
from signer.home.layout import Home
from signer.home.settings import Config, load_config
from signer.keys.envelope import AboutClient
from signer.keys.renewal import read_envelope
from signer.model import HaltScope, HaltState
from signer.model.halts import Halts, plain_pair, resumed_by, whom
from signer.operator.braking import apply, new_brake
from signer.operator.operation import on_record
from signer.operator.reading_book import read_book, require_home
from signer.operator.session import Session
from signer.policy.resolve import near
from signer.serving.admin import Operator, ask
from signer.serving.brakes import Resumed, end_halts
from signer.serving.clock import SystemClock
from signer.serving.loaded import venues_named, venues_of
from signer.venues import open_venue, venue_names


def scopes_named(session: Session, scope: HaltScope) -> Sequence[HaltScope]:
    """Return what a person's words mean: themselves, but a pair by its id at each venue.

    Raises `ConfigError` if a name is known to be wrong. A brake must work when other things are broken, so a name that
    cannot be checked is warned of and taken as it is.
    """
    require_home(session.home)
    if scope.account:
        _require_configured(session, "account", scope.account)
    if scope.group:
        _require_configured(session, "group", scope.group)
    if scope.client:
        _require_client(session, scope.client)
    return [HaltScope(pair=pair) for pair in _pairs_named(session, scope.pair)] if scope.pair else [scope]


def halt_orders(session: Session, scope: HaltScope, reason: str, state: HaltState = "halted") -> bool:
    """Refuse orders at once: of what `scopes_named` found.

    Works without a key store, settings, a log, or a gateway that answers. Returns whether the halt is certain to be in
    effect, and to stay; the person is told what holds. Raises `SignerError` if no gateway serves and the halt cannot
    be written anywhere.
    """
    brake = new_brake("halt", scope, reason, state=state, clients=_clients_of(session, scope.group))
    made = apply(session, replace(brake, reason=reason or f"by {brake.by}"))
    done = "Halted {}" if state == "halted" else "Only cancels pass for {} (a halt of it stays a halt)"
    made.tell(session, f"{done.format(whom(scope))}; `{resumed_by(scope)}` ends it.")
    return made.certain


def resume_orders(session: Session, scope: HaltScope, reason: str, *, every: bool) -> Resumed:
    """End the halt of a scope, or every halt. Raises `SignerError`."""
    home = session.home
    require_home(home)
    scopes = _resumed_scopes(session, scope)
    with on_record(session, "resume", reason, **scope._asdict()) as operation:
        if operation.alone is None:
            told = ask(home.admin, "resume", scopes=[list(one) for one in scopes], every=every)
            resumed = Resumed(told["ended"], told["left"])
        else:
            by, now_us, journal = Operator.of(os.getuid()), SystemClock().now_us(), operation.alone.journal
            resumed = session.run(end_halts(home.brakes, journal, scopes, every=every, by=by, now_us=now_us))
        # The record of each end is the end itself: another one could end a halt that has begun meanwhile.
        operation.last_stage = "" if resumed.ended else "failed"
        operation.detail = no_halt(scope)
    return resumed


def no_halt(scope: HaltScope) -> str:
    """Say that there is no halt of that scope, or, if it names nothing, none at all."""
    return f"there is no halt of {whom(scope)}" if any(scope) else "there is no halt"


def ways_to_resume(home: Home) -> Sequence[str]:
    """List the command that ends each operator's halt that is in force. Raises `SignerError`."""
    require_home(home)
    with read_book(home) as book:
        return [resumed_by(halt.scope) for halt in halts_in(home, book).values() if not halt.cure]


def halts_in(home: Home, book: Known) -> Halts:
    """Return the halts in force: those on record, and those whose file lies in the home."""
    found = {halt.scope: halt for halt in book.halts()}
    for scope, halt in read_brakes(home.brakes).halts.items():
        found[scope] = halt.after(found.get(scope))
    return found


def _clients_of(session: Session, group: str) -> Sequence[str]:
    """Return the group's clients by signer.toml; none, with a warning, if it does not read."""
    if not group:
        return ()
    try:
        return load_config(session.home.config).clients_of(group)
    except ConfigError:
        session.person.warn(
            f"the clients of group {group} are not known: EVERYBODY is halted unless the running gateway knows them"
        )
        return ()


def _require_configured(session: Session, kind: str, name: str) -> None:
    """Raises `ConfigError` unless signer.toml names an account or group."""
    home = session.home
    try:
        known = _tables(load_config(home.config), kind)
    except ConfigError as error:
        session.person.warn(f"the {kind}'s name is not checked: {error}")
        return
    if name not in known:
        hint = f"known are: {', '.join(sorted(known))}" if known else f"there are no {kind}s in it"
        raise ConfigError(f"there is no {kind} {name!r}", where=str(home.config), hint=hint)


def _tables(config: Config, kind: str) -> Mapping[str, object]:
    return config.groups if kind == "group" else config.accounts


def _pairs_named(session: Session, text: str) -> Sequence[str]:
    """Return the ids that venues of the home give the pair. Raises `ConfigError` if a whole list lacks it."""
    tables = _pair_tables(session)
    found = {pair.id for table in tables if (pair := table.find(text)) is not None}
    if found:
        return sorted(found)
    if all(table.complete for table in tables):
        hint = near(text, {pair.wsname for table in tables for pair in table.by_id.values()})
        raise ConfigError(f"no pair is called {text!r}", hint=hint or "name it as the exchange does, as XBT/USD")
    session.person.warn(f"the pair's name {text!r} is not checked: the exchange's whole list of pairs is not there")
    return [plain_pair(text)]


def _pair_tables(session: Session) -> Sequence[Pairs]:
    """Return the pairs of the home's venues: the built-in ones, with a warning, if a list does not read."""
    try:
        return [venue.pairs for venue in venues_of(session.home).values()]
    except SignerError as error:
        session.person.warn(str(error))
        return [open_venue(name).pairs for name in venues_named(session.home) if name in venue_names()]


def _resumed_scopes(session: Session, scope: HaltScope) -> Sequence[HaltScope]:
    """Return the scopes that may have been halted under these words. A pair may be delisted, or the list be gone."""
    if not scope.pair:
        return [scope]
    names = {scope.pair, plain_pair(scope.pair)}
    names |= {pair.id for table in _pair_tables(session) if (pair := table.find(scope.pair)) is not None}
    return [HaltScope(pair=name) for name in sorted(names)]


def _require_client(session: Session, client: str) -> None:
    """Raises `ConfigError` unless the key store lists ``client``; its list of names needs no passphrase."""
    home = session.home
    try:
        entries = read_envelope(home.keys).entries
    except KeyStoreError as error:
        session.person.warn(f"the client's name is not checked: {error}")
        return
    known = sorted(entry.about.name for entry in entries if isinstance(entry.about, AboutClient))
    if client not in known:
        hint = f"known are: {', '.join(known)}" if known else "there are no clients yet"
        raise ConfigError(f"there is no client {client!r}", where=str(home.keys), hint=hint)
