"""`signer clients forgive`: what a client's nonces are now, and an end to what a far larger one has locked out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from signer.cli.key_store import open_store, passphrase_option, take_up
from signer.cli.ledger import with_ledger
from signer.cli.operation import on_record, reason_option
from signer.errors import ConfigError
from signer.gateway.replay import FORGIVEN, highest_of, name_of
from signer.home.layout import Home
from signer.ledger.sqlite import SqliteLedger


@click.command()
@click.argument("name")
@reason_option
@passphrase_option
@click.pass_obj
def forgive(home: Home, *, name: str, reason: str, passphrase_file: Path | None) -> None:
    """Let client NAME, whose nonces are strict, count lower than before, in a unit of another length.

    No call that was accepted can be sent again: in each unit its nonces still only rise. Within one unit only time
    helps, or `signer clients rotate`. Clients whose nonces are not strict need it never: their units are apart.
    """
    store = open_store(home, passphrase_file)
    client = next((info for info in store.clients() if info.name == name), None)
    if client is None:
        known = ", ".join(info.name for info in store.clients()) or "none"
        raise ConfigError(f"there is no client {name!r}", where=str(home.keys), hint=f"known are: {known}")
    if client.nonces != "strict":
        text = f"{name} counts each unit of its nonces apart, so none locks out another; nothing is to be forgiven."
        click.echo(f"{text} To begin anew in the same unit: `signer clients rotate {name}`.")
        return
    prefix = name_of(client.name, client.fingerprint)
    with on_record(home, "clients forgive", reason, client=name) as operation:
        highest = with_ledger(home, lambda ledger: _forgiven(ledger, prefix))
        operation.detail = f"nonces up to {highest} count in their own unit only"
    click.echo(f"Forgave client {name}: its next nonce may be lower than {highest}, in a unit of another length.")
    take_up(home, f"what {name} is forgiven")


async def _forgiven(ledger: SqliteLedger, prefix: str) -> int:
    marks: Mapping[str, int] = await ledger.marks()
    highest = highest_of(prefix, marks)
    await ledger.raise_mark(f"{prefix}/{FORGIVEN}", highest)
    return highest
