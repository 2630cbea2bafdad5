"""How a virtual credential is taken back: in the running gateway, in the key store, and by a halt if in doubt.

None of it needs a home that reads: not signer.toml, not the policies. The gateway is asked before the passphrase is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from signer.cli import reload
from signer.cli.key_store import open_store, warn
from signer.cli.ledger import with_ledger
from signer.cli.operation import on_record
from signer.errors import KeyStoreError, SignerError
from signer.gateway.revocations import AT_ONCE
from signer.home.layout import Home
from signer.home.lock import holder
from signer.keys.entries import no_such
from signer.keys.envelope import AboutClient, Former
from signer.keys.file import FileKeyStore
from signer.keys.renewal import read_envelope
from signer.ledger.database import resumed_by
from signer.model import Halt
from signer.serving.admin import BRAKE_S, Operator, ask_within
from signer.serving.clock import SystemClock

CANNOT = 5
"""Exit status where a brake could not be seen to work (docs/cli.md)."""
REASON = "its credential is taken back"
"""Of the halt that stands in for a gateway that did not confirm."""


@dataclass(slots=True)
class TakingBack:
    """What is known, step by step, of whether the bot can still call."""

    home: Home
    client: str
    confirmed: bool = False
    """Whether the running gateway says that it refuses the credential."""
    in_force: int = 0
    """How many credentials it knew of those that were named."""
    gateway: bool = False
    """Whether a gateway runs: if none does, nothing that fails lets the bot call."""
    halted: bool = False

    def tell_gateway(self, from_when: Mapping[str, int], *, all_of_client: bool = False) -> None:
        """Have a gateway that serves refuse these API keys, each from that time on. If it does not confirm, say so
        and halt the client.

        A gateway that is about to start is not asked: `settle` waits for it.
        """
        running = holder(self.home.lock)
        if running is None or not running.serves:
            return
        self.gateway = True
        client = self.client if all_of_client else ""
        try:
            told = ask_within(BRAKE_S, self.home.admin, "take_back", client=client, credentials=dict(from_when))
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
            with_ledger(self.home, lambda ledger: ledger.halt(halt))
        except SignerError as error:
            warn(f"the client cannot be halted either: {error}; stop the gateway (SIGTERM to its process)")
        else:
            self.halted = True
            warn(
                f"halted client {self.client} instead: no order of it passes; `{resumed_by(self.client, '')}` ends that"
            )

    def store_failed(self) -> None:
        """The key store could not be changed: say what is so in the gateway, and keep a restart from undoing it."""
        if self.confirmed:
            warn(f"the running gateway refuses {self.client}, but the key store does not: a restart would let it in")
        if self.gateway:
            self.halt()

    def settle(self) -> int:
        """Have a gateway read the home again, once the key store is changed; the command's exit status."""
        try:
            note = reload.reload_running(self.home)
        except SignerError as error:
            if self.confirmed:
                warn(f"the gateway refuses the credential, and has not read the home again: {error}")
                return 0
            self._warn_unconfirmed(str(error))
            self.halt()
            return CANNOT
        if note:
            click.echo(note, err=True)
        return 0

    def _warn_unconfirmed(self, why: str) -> None:
        warn(f"THE BOT MAY STILL CALL: the running gateway does not confirm that it refuses {self.client} ({why})")


def revoke_client(home: Home, name: str, reason: str, passphrase_file: Path | None, *, then: Callable[[], int]) -> int:
    """Refuse every call of the client from now on, for good; the command's exit status.

    ``then`` deals with the open orders. It is called also where the key store could not be changed, because the
    gateway refuses the client or halts it all the same.

    Raises `KeyStoreError` if the key store cannot be changed, or nobody knows the client.
    """
    listed = _listed(home, name)
    taking = TakingBack(home, name)
    taking.tell_gateway(dict.fromkeys(listed or (), AT_ONCE), all_of_client=True)
    if listed == [] and not taking.in_force:
        raise _unknown(home, name)
    with on_record(home, "clients revoke", reason, proceed_unrecorded=True, client=name) as operation:
        try:
            done = _revoked_in_store(open_store(home, passphrase_file), name)
        except BaseException:  # Ctrl-C at the prompt for the passphrase, too
            taking.store_failed()
            then()
            raise
        operation.detail = done
    status = taking.settle()
    click.echo(f"{done} {name}." if status == 0 else f"The key store says that {name} is revoked.", err=True)
    return then() or status


def _revoked_in_store(store: FileKeyStore, name: str) -> str:
    """Have the key store say so, if it does not yet; the words for what was done."""
    known = {info.name: info for info in store.clients()}
    if name not in known:
        return "Revoked in the running gateway (the key store has no such client):"
    if known[name].revoked:
        return "Already revoked: client"
    store.update_client(name, revoked=True)
    return "Revoked client"


def _listed(home: Home, name: str) -> list[str] | None:
    """The API keys of a client by the key store's own list, which needs no passphrase; None if it does not read."""
    try:
        abouts = [entry.about for entry in read_envelope(home.keys).entries]
    except KeyStoreError as error:
        warn(f"the key store's list of clients does not read: {error}")
        return None
    return [about.api_key for about in abouts if isinstance(about, AboutClient | Former) and about.name == name]


def _unknown(home: Home, name: str) -> KeyStoreError:
    abouts = [entry.about for entry in read_envelope(home.keys).entries]
    return no_such("client", name, [about.name for about in abouts if isinstance(about, AboutClient)], str(home.keys))
