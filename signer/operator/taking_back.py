"""Takes a virtual credential back in the running gateway and in the key store, and halts the client if in doubt.

It works even if signer.toml and the policies do not read. It tells the gateway before it asks for the passphrase.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from signer.errors import KeyStoreError, SignerError
from signer.gateway.snapshot import AT_ONCE
from signer.home.layout import Home
from signer.home.lock import holder
from signer.keys.entries import no_such
from signer.keys.envelope import AboutClient, Former
from signer.keys.file import FileKeyStore
from signer.keys.renewal import read_envelope
from signer.ledger.database import resumed_by
from signer.model import Halt
from signer.operator import reload
from signer.operator.ledger import with_ledger
from signer.operator.opening import open_store
from signer.operator.operation import on_record
from signer.operator.session import Session
from signer.serving.admin import BRAKE_S, Operator, ask_within
from signer.serving.clock import SystemClock

REASON = "its credential is taken back"
"""The reason of the halt that stands in for a gateway that did not confirm."""


@dataclass(slots=True)
class TakingBack:
    """Keeps track, step by step, of whether the bot can still call."""

    session: Session
    client: str
    confirmed: bool = False
    """Whether the running gateway says that it refuses the credential."""
    in_force: int = 0
    """How many of the named credentials were in force there."""
    gateway: bool = False
    """Whether a gateway runs. Without one the bot cannot call, even if a step fails."""
    halted: bool = False

    def tell_gateway(self, from_when: Mapping[str, int], *, all_of_client: bool = False) -> None:
        """Make a serving gateway refuse these API keys, each from its time on (microseconds since the epoch).

        If it does not confirm, the person is warned and the client halted. A gateway that is about to start is not
        asked: `settle` waits for it.
        """
        running = holder(self.session.home.lock)
        if running is None or not running.serves:
            return
        self.gateway = True
        client = self.client if all_of_client else ""
        try:
            told = ask_within(BRAKE_S, self.session.home.admin, "take_back", client=client, credentials=dict(from_when))
        except SignerError as error:
            self._warn_unconfirmed(f"process {running.pid}: {error}")
            self.halt()
        else:
            self.confirmed, self.in_force = True, int(told["in_force"])

    def halt(self) -> None:
        """Refuse the client's orders by the ledger, which every gateway reads, and which needs no key store."""
        if self.halted:
            return
        halt = Halt(self.client, "", REASON, Operator.of(os.getuid()).name, SystemClock().now_us())
        try:
            with_ledger(self.session.home, lambda ledger: ledger.halt(halt))
        except SignerError as error:
            self._warn(f"the client cannot be halted either: {error}; stop the gateway (SIGTERM to its process)")
        else:
            self.halted = True
            self._warn(
                f"halted client {self.client} instead: no order of it passes; `{resumed_by(self.client, '')}` ends that"
            )

    def store_failed(self) -> None:
        """Say that the key store was not changed, and halt the client so that a restart does not let it in."""
        if self.confirmed:
            self._warn(
                f"the running gateway refuses {self.client}, but the key store does not: a restart would let it in"
            )
        if self.gateway:
            self.halt()

    def settle(self) -> bool:
        """Make a gateway read the home again, after the key store was changed.

        Returns whether it is certain that no gateway takes the credential. If not, the client is halted.
        """
        try:
            note = reload.reload_running(self.session.home, self.session.person)
        except SignerError as error:
            if self.confirmed:
                self._warn(f"the gateway refuses the credential, and has not read the home again: {error}")
                return True
            self._warn_unconfirmed(str(error))
            self.halt()
            return False
        if note:
            self.session.person.note(note)
        return True

    def _warn(self, text: str) -> None:
        self.session.person.warn(text)

    def _warn_unconfirmed(self, why: str) -> None:
        self._warn(
            f"THE BOT MAY STILL CALL: the running gateway does not confirm that it refuses {self.client} ({why})"
        )


def revoke_client(session: Session, name: str, reason: str, *, then: Callable[[], None]) -> bool:
    """Refuse every call of the client from now on, for good. Whether it is certain that no gateway takes one.

    ``then`` deals with the open orders. It is called even if the key store was not changed, because the client is
    refused or halted all the same.

    Raises `KeyStoreError` if the key store cannot be changed, or nobody knows the client.
    """
    listed = _listed(session, name)
    taking = TakingBack(session, name)
    taking.tell_gateway(dict.fromkeys(listed or (), AT_ONCE), all_of_client=True)
    if listed == [] and not taking.in_force:
        raise _unknown(session.home, name)
    with on_record(session, "clients revoke", reason, proceed_unrecorded=True, client=name) as operation:
        try:
            done = _revoked_in_store(open_store(session), name)
        except BaseException:  # Ctrl-C at the prompt for the passphrase, too
            taking.store_failed()
            then()
            raise
        operation.detail = done
    certain = taking.settle()
    session.person.note(f"{done} {name}." if certain else f"The key store says that {name} is revoked.")
    then()
    return certain


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
