"""`signer reload`: let the running gateway take up the home as it is now."""

from __future__ import annotations

import contextlib
import os
import time

import click

from signer.errors import ConfigError, HomeError
from signer.home.layout import Home
from signer.home.lock import RELOAD, Holder, holder, read_load
from signer.home.settings import load_config

RELOAD_S = 10.0
LOOK_EVERY_S = 0.02
BAD_SETTING = 3
"""Exit status where a setting is wrong (docs/cli.md)."""


@click.command()
@click.pass_obj
def reload(home: Home) -> int:
    """Let the running gateway read its home again.

    It takes up clients, keys, policies and accounts as they are now. The exchange's list of pairs is fetched first, so
    that a policy may name what was listed just now. Exit status 3 if a policy that a client has does not load; all
    else is taken up.
    """
    from signer.cli.pairs_list import current_pairs, warn_of_unlisted  # noqa: PLC0415 - a brake reloads without it

    if holder(home.lock) is not None:
        with contextlib.suppress(ConfigError):  # the gateway says it too, and then `status` knows of the failed reload
            current_pairs(home, load_config(home.config))
    done = reload_running(home)
    if done is None:
        raise HomeError("no gateway runs on this home", where=str(home.folder), hint="start it with `signer serve`")
    warn_of_unlisted(home)
    click.echo(done)
    load = read_load(home.state)
    return BAD_SETTING if load is not None and load.broken else 0


def reload_running(home: Home) -> str | None:
    """Let the gateway on ``home`` reload, and wait until it has: a line that says so, or None if none runs.

    Raises `HomeError` if it did not take the change up; the old settings are then still in force.
    """
    until = time.monotonic() + RELOAD_S
    running = _serving(home, until)
    if running is None:
        return None
    before = read_load(home.state)
    os.kill(running.pid, RELOAD)
    while time.monotonic() < until:
        now = read_load(home.state)
        if now is not None and now != before:
            if now.error:
                hint = "fix it and run `signer reload`; the gateway goes on with its old settings"
                raise HomeError(f"the running gateway did not take this up: {now.error}", hint=hint)
            for text in (*(f"refused: {each}" for each in now.refused), *now.broken, *now.unused):
                click.echo(f"signer: warning: {text}", err=True)
            return f"the gateway on {running.listen} has taken it up"
        time.sleep(LOOK_EVERY_S)
    hint = "look at its log; the change is stored and will be in force after a restart"
    raise HomeError("the running gateway did not answer the reload", where=str(home.folder), hint=hint)


def _serving(home: Home, until: float) -> Holder | None:
    """The gateway on ``home``, once it serves; None if none runs.

    While it starts it may have read the home before the change, and the signal would end it. Raises `HomeError` if it
    goes on starting (at the prompt for its passphrase, perhaps).
    """
    while (running := holder(home.lock)) is not None and not running.serves:
        if time.monotonic() >= until:
            hint = "run `signer reload` when it is ready"
            raise HomeError(f"the gateway (process {running.pid}) is still starting", where=str(home.folder), hint=hint)
        time.sleep(LOOK_EVERY_S)
    return running
