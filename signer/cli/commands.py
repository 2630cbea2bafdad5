"""Each command of `signer`: its place in the code, and the sentence that a list of commands shows of it.

A list of commands imports none of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click
from typing_extensions import override


class Lazy(NamedTuple):
    """A command that is imported when it is called."""

    place: str
    """``module:attribute``, the module below `signer.cli`."""
    summary: str
    """The first sentence of the command's help."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called, and none for its help."""

    def __init__(self, table: Mapping[str, Lazy | LazyGroup], **settings: Any) -> None:
        super().__init__(**settings)
        self.table = table

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.table)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.table.get(cmd_name)
        if not isinstance(entry, Lazy):
            return entry
        module, _, attribute = entry.place.partition(":")
        command = getattr(importlib.import_module(f"signer.cli.{module}"), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - our own table
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary(self.table[name])) for name in self.list_commands(ctx)])


def summary(entry: Lazy | LazyGroup) -> str:
    """Return the sentence that a list of commands shows of a command or group."""
    return entry.summary if isinstance(entry, Lazy) else entry.get_short_help_str(200)


def _group(text: str, **table: Lazy) -> LazyGroup:
    """Make a group with a help text. A ``_`` in a command's name is typed as ``-``."""
    return LazyGroup({name.replace("_", "-"): entry for name, entry in table.items()}, help=text)


AUDIT = _group(
    "Read, verify and archive the audit log.",
    archive=Lazy("audit_archive:archive", "Move the oldest segments of the log to another folder."),
    search=Lazy("audit_search:search", "Find records."),
    show=Lazy("audit:show", "Show all records of one call."),
    tail=Lazy("audit:tail", "Show the last records."),
    verify=Lazy("audit_verify:verify", "Find any record that was edited, removed, inserted, moved or cut off."),
)

BOOK = _group(
    "Look after the book that the audit log makes.",
    accept=Lazy("book:accept", "Let orders pass again although the book lacks records."),
)

CAPS = _group(
    "Look after what clients have spent of their caps.",
    reset=Lazy("caps:reset", "Forget what client NAME has spent of its caps."),
)

CLOCK = _group(
    "Confirm the clock by which caps are counted.",
    accept=Lazy("clock:accept", "Say that this machine's clock is right, though it is far ahead of the last record."),
)

CLIENTS = _group(
    "Issue virtual credentials to bots, and take them back.",
    add=Lazy("clients:add", "Issue a virtual key and secret to client NAME."),
    forgive=Lazy("clients:forgive", "Let client NAME, whose nonces are strict, go on with lower ones in another unit."),
    list=Lazy("clients:list_", "List the clients, never a key or secret."),
    revoke=Lazy("clients:revoke", "Refuse every call of client NAME from now on, for good."),
    rotate=Lazy("clients:rotate", "Issue a new virtual key and secret to client NAME."),
    update=Lazy("clients:update", "Change what client NAME may do, from where, or until when."),
)

KEYFILE = _group(
    "Look after the file that holds the keys.",
    backup=Lazy("keyfile:backup", "Copy the key store, sealed as it is, to FILE, and see that the copy opens."),
    passphrase=Lazy("keyfile:passphrase", "Change the passphrase."),
    restore=Lazy("keyfile:restore", "Put the backup FILE in the key store's place."),
)

KEYS = _group(
    "Keep the real API keys of your accounts.",
    add=Lazy("keys:add", "Keep a real API key under NAME, its secret in the account's store."),
    confirm_deleted=Lazy("keys:confirm_deleted", "Say that a replaced key of NAME is deleted at the exchange."),
    list=Lazy("keys:list_", "List the real credentials, never a key or secret."),
    move=Lazy("keys:move", "Have another store keep the secret of NAME."),
    remove=Lazy("keys:remove", "Forget the real credential NAME for good, and destroy its secret in its store."),
    rotate=Lazy("keys:rotate", "Put a new key in the place of NAME's."),
    test=Lazy("keys:test", "Ask the exchange what the key NAME may do, and compare that with its role."),
)

ORDERS = _group(
    "List and close the calls whose outcome is unknown.\n\nWhat they charge stays held until it is known.",
    release=Lazy("orders:release", "Say that nothing came of the unknown call ID, and free what it holds."),
    settle=Lazy("orders:settle", "Say that the exchange has the orders of the unknown call ID."),
    unknown=Lazy("orders:unknown", "List the calls whose outcome is unknown, with their orders and what was tried."),
)

POLICY = _group(
    "Check policies, ask them, and run their cases.",
    check=Lazy("policy:check", "Name everything that is wrong with each FILE, a policy or cases."),
    explain=Lazy("policy_explain:explain", "Say what a policy answers to a CALL, and why."),
    test=Lazy("policy:test", "Run the cases beside the policies in each DIR (default: the home's)."),
)

TLS = _group(
    "Make, show and renew the certificates of this gateway.",
    init=Lazy("tls:init", "Make a CA that can vouch for the exchange's host name and for this machine."),
    renew=Lazy("tls:renew", "Make a new leaf now."),
    show=Lazy("tls:show", "Show the CA, what it may vouch for, and until when its leaf is good."),
)

COMMANDS: Mapping[str, Lazy | LazyGroup] = {
    "audit": AUDIT,
    "book": BOOK,
    "caps": CAPS,
    "clients": CLIENTS,
    "clock": CLOCK,
    "connect": Lazy("connect:connect", "Print the lines that lead a client library to this gateway."),
    "demo": Lazy("demo:demo", "Show an order pass, a withdrawal refused, and the log verified."),
    "doctor": Lazy("doctor:doctor", "Examine files, keys, exchange, listeners, disk and versions."),
    "halt": Lazy("halts:halt", "Refuse orders at once, and say which ones are open."),
    "init": Lazy("init:init", "Make a home: settings, example policies and an empty key store."),
    "keyfile": KEYFILE,
    "keys": KEYS,
    "orders": ORDERS,
    "policy": POLICY,
    "reload": Lazy("reload:reload", "Let the running gateway read its home again."),
    "resume": Lazy("halts:resume", "End a halt."),
    "sandbox": Lazy("sandbox:sandbox", "Run a simulated exchange with toy money until Ctrl-C."),
    "serve": Lazy("serve:serve", "Run the gateway in the foreground."),
    "status": Lazy("halts:status", "Show the gateway, whether orders pass, halts and caps in use."),
    "stop": Lazy("stop:stop", "Stop the gateway that runs on this home."),
    "tls": TLS,
}
