"""`signer`: finds the command, chooses the home, and turns every error into one line and an exit status.

It imports nothing that `signer --help` does not need.
"""

from __future__ import annotations

import io
import sys

import click

from signer import __version__
from signer.cli.commands import COMMANDS, LazyGroup
from signer.errors import SignerError
from signer.home.layout import Home
from signer.serving.hardening import close_off

CANNOT = 5
"""Exit status if the system or a store fails."""

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


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--home", metavar="DIR", help="Folder of this installation (SIGNER_HOME, default ~/.signer).")
@click.version_option(__version__, prog_name="signer")
@click.pass_context
def cli(ctx: click.Context, home: str | None) -> None:
    """Hold real exchange keys so that trading bots never see them."""
    ctx.obj = Home.chosen(home)


def run() -> int:
    """Run the whole process. It closes itself to others on this machine before it reads any secret."""
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
