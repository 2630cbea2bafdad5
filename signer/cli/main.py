"""`signer`: finds the command, chooses the home, and turns every error into one line and an exit status.

It imports nothing that `signer --help` does not need.
"""

from __future__ import annotations

import importlib
import io
import sys
from typing import NamedTuple

import click
from typing_extensions import override

from signer import __version__
from signer.errors import SignerError
from signer.home.layout import Home
from signer.serving.hardening import close_off


class Lazy(NamedTuple):
    """A command that is imported when it is called."""

    module: str
    """Below `signer.cli`; the command is its attribute of the command's own name."""
    summary: str
    """The first sentence of the command's help, which `signer --help` shows without an import."""


COMMANDS = {
    "audit": Lazy("audit", "Read and verify the audit log."),
    "clients": Lazy("clients", "Issue virtual credentials to bots, and take them back."),
    "connect": Lazy("connect", "Print the lines that lead a client library to this gateway."),
    "demo": Lazy("demo", "Show an order pass, a withdrawal refused, and the log verified."),
    "doctor": Lazy("doctor", "Examine files, keys, exchange, listeners, disk and versions."),
    "halt": Lazy("halts", "Refuse orders at once, and say which ones are open."),
    "init": Lazy("init", "Make a home: settings, example policies and an empty key store."),
    "keyfile": Lazy("keyfile", "Look after the file that holds the keys."),
    "keys": Lazy("keys", "Keep the real API keys of your accounts."),
    "orders": Lazy("orders", "List and close the calls whose outcome is unknown."),
    "policy": Lazy("policy", "Check policies, ask them, and run their cases."),
    "reload": Lazy("reload", "Let the running gateway read its home again."),
    "resume": Lazy("halts", "End a halt."),
    "sandbox": Lazy("sandbox", "Run a simulated exchange with toy money until Ctrl-C."),
    "serve": Lazy("serve", "Run the gateway in the foreground."),
    "status": Lazy("halts", "Show the gateway, whether orders pass, halts and caps in use."),
    "stop": Lazy("stop", "Stop the gateway that runs on this home."),
    "tls": Lazy("tls", "Make, show and renew the certificates of this gateway."),
}

CANNOT = 5
"""Exit status where the system or a store refuses what must work."""

EXIT_STATUS = {
    "config": 3,
    "home": 3,
    "home-busy": CANNOT,
    "listen": CANNOT,
    "key-store": 4,
    "wrong-passphrase": 4,
    "passphrase-changed": 4,
    "store-unavailable": CANNOT,
    "ledger": CANNOT,
    "audit": CANNOT,
    "venue": CANNOT,
    "key-refused": CANNOT,
    "not-sent": CANNOT,
    "export-under-way": CANNOT,
    "too-large": CANNOT,
    "unanswered": CANNOT,
}
"""Exit status by error code (docs/cli.md): 1 the answer is no, 2 wrong usage, 3 a setting or the home, 4 the key
store, 5 something that must work does not, 130 interrupted."""


class LazyGroup(click.Group):
    """Imports a command when it is called, and none for the list of them all."""

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        command = getattr(importlib.import_module(f"signer.cli.{lazy.module}"), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - our own table
        return command

    @override
    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].summary) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--home", metavar="DIR", help="Folder of this installation (SIGNER_HOME, default ~/.signer).")
@click.version_option(__version__, prog_name="signer")
@click.pass_context
def cli(ctx: click.Context, home: str | None) -> None:
    """Hold real exchange keys so that trading bots never see them."""
    ctx.obj = Home.chosen(home)


def run() -> int:
    """Run the whole process. It is closed to others on this machine before it can know a secret."""
    close_off()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that has no umlauts is no reason for a traceback
            stream.reconfigure(errors="backslashreplace")
    return main()


def main(arguments: list[str] | None = None) -> int:
    """Run a command line; the process's exit status. Prints one line for an error, never a traceback."""
    try:
        status = cli.main(arguments, prog_name="signer", standalone_mode=False)
    except click.exceptions.Abort:
        return _complain("interrupted", 130)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except SignerError as error:
        return _complain(str(error), EXIT_STATUS.get(error.code, 1))
    except OSError as error:  # not EPIPE: click ends quietly when the reader of a pipe goes away
        text = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
        return _complain(f"{text}; see that it is there and that this user may use it", CANNOT)
    return status if isinstance(status, int) else 0


def _complain(text: str, status: int) -> int:
    click.echo(f"signer: {text}", err=True)
    return status
