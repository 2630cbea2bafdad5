"""Takes a virtual credential back: in the running gateway, on record, and in the key store.

None of it needs a home that reads: not signer.toml, not the policies. A revocation is a brake: it is in force before
the passphrase is asked for, and every start honours it, whatever key store is there then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from signer.errors import KeyStoreError, SignerError
from signer.home.layout import Home
from signer.home.lock import holder
from signer.keys.entries import no_such
from signer.keys.envelope import AboutClient, Former
from signer.keys.file import FileKeyStore
from signer.keys.renewal import read_envelope
from signer.model import HaltScope
from signer.model.halts import resumed_by
from signer.operator import reload
from signer.operator.braking import Braking, apply, new_brake
from signer.operator.opening import open_store
from signer.operator.operation import on_record
from signer.operator.session import Session
from signer.serving.admin import BRAKE_S, ask_within

REASON = "its credential is taken back"
"""The reason of the halt that stands in for a gateway that did not confirm."""


@dataclass(slots=True)
class TakingBack:
    """Keeps what is known, step by step, about whether a bot can still call with a credential that was rotated."""

    session: Session
    client: str
    confirmed: bool = False
    """Whether the running gateway says that it refuses the credential."""
    halted: bool = False

    def tell_gateway(self, from_when: Mapping[str, int]) -> None:
        """Have a gateway that serves refuse these API keys, each from that time on (microseconds since the epoch).

        If it does not confirm, the person is warned and the client halted. A gateway that is about to start is not
        asked: `settle` waits for it.
        """
        running = holder(self.session.home.lock)
        if running is None or not running.serves:
            return
        try:
            ask_within(BRAKE_S, self.session.home.admin, "take_back", credentials=dict(from_when))
        except SignerError as error:
            self._warn_unconfirmed(f"process {running.pid}: {error}")
            self._halt()
        else:
            self.confirmed = True

    def settle(self) -> bool:
        """Make a gateway read the home again, after the key store was changed.

        Returns whether it is certain that no gateway takes the credential. If not, the client is halted.
        """
        try:
            note = reload.reload_running(self.session.home, self.session.person)
        except SignerError as error:
            self._warn_unconfirmed(str(error))
            self._halt()
            return False
        if note:
            self.session.person.note(note)
        return True

    def _halt(self) -> None:
        """Refuse the client's orders by a halt, which needs no key store."""
        if self.halted:
            return
        self.halted = True
        try:
            made = apply(self.session, new_brake("halt", HaltScope(self.client), REASON))
        except SignerError as error:
            self._warn(f"the client cannot be halted either: {error}; stop the gateway (SIGTERM to its process)")
        else:
            ends = f"`{resumed_by(HaltScope(self.client))}` ends that"
            made.tell(self.session, f"Halted client {self.client} instead: no order of it passes; {ends}.")

    def _warn(self, text: str) -> None:
        self.session.person.warn(text)

    def _warn_unconfirmed(self, why: str) -> None:
        self._warn(
            f"THE BOT MAY STILL CALL: the running gateway does not confirm that it refuses {self.client} ({why})"
        )


def revoke_client(session: Session, name: str, reason: str, *, then: Callable[[], None]) -> bool:
    """Refuse every call of the client from now on, for good. Whether it is certain that no gateway takes one.

    ``then`` deals with the open orders. It is called also where the key store could not be changed, because the
    client is refused all the same.

    Raises `KeyStoreError` if the key store cannot be changed, or nobody knows the client.
    """
    listed = _listed(session, name)
    if listed == [] and not _gateway_knows(session, name):
        raise _unknown(session.home, name)
    made = apply(session, new_brake("revoke", HaltScope(name), reason))
    made.tell(session, f"Every call of client {name} is refused.")
    with on_record(session, "clients revoke", proceed_unrecorded=True, begun=made.brake.id, client=name) as operation:
        try:
            done = _revoked_in_store(open_store(session), name)
        except BaseException:  # Ctrl-C at the prompt for the passphrase, too
            _store_failed(session, made)
            then()
            raise
        operation.detail = done
    certain = _taken_up(session, made)
    session.person.note(f"{done} {name}." if certain else f"The key store says that {name} is revoked.")
    then()
    return certain


def _store_failed(session: Session, made: Braking) -> None:
    """Say what holds though the key store could not be changed."""
    name = made.brake.client
    if made.outlives:
        session.person.warn(f"{name} stays revoked, but the key store does not say so; repeat this to have it changed")
    else:
        session.person.warn(f"neither key store nor log says that {name} is revoked: a restart would let it in")


def _taken_up(session: Session, made: Braking) -> bool:
    """Have a running gateway read the changed key store; whether it is certain that it refuses the client."""
    try:
        note = reload.reload_running(session.home, session.person)
    except SignerError as error:
        if made.in_effect:
            session.person.warn(f"the client is refused, and the gateway has not read the home again: {error}")
        else:
            session.person.warn(f"THE BOT MAY STILL CALL: {error}")
        return made.in_effect
    if note:
        session.person.note(note)
    return True


def _gateway_knows(session: Session, name: str) -> bool:
    """Tell whether the running gateway has a client that the key store does not list, and have it refuse it."""
    running = holder(session.home.lock)
    if running is None or not running.serves:
        return False
    try:
        told = ask_within(BRAKE_S, session.home.admin, "take_back", client=name, credentials={})
    except SignerError as error:
        session.person.warn(f"whether the gateway knows a client {name} is not known: {error}")
        return False
    return bool(told["in_force"])


def _revoked_in_store(store: FileKeyStore, name: str) -> str:
    """Revoke the client in the key store if it is not revoked there yet; return words for what was done."""
    known = {info.name: info for info in store.clients()}
    if name not in known:
        return "Revoked in the running gateway (the key store has no such client):"
    if known[name].revoked:
        return "Already revoked: client"
    store.update_client(name, revoked=True)
    return "Revoked client"


def _listed(session: Session, name: str) -> list[str] | None:
    """List the API keys of a client, from the key store's list, which needs no passphrase; None if it does not read."""
    try:
        abouts = [entry.about for entry in read_envelope(session.home.keys).entries]
    except KeyStoreError as error:
        session.person.warn(f"the key store's list of clients does not read: {error}")
        return None
    return [about.api_key for about in abouts if isinstance(about, AboutClient | Former) and about.name == name]


def _unknown(home: Home, name: str) -> KeyStoreError:
    abouts = [entry.about for entry in read_envelope(home.keys).entries]
    return no_such("client", name, [about.name for about in abouts if isinstance(about, AboutClient)], str(home.keys))
