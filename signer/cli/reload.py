"""`signer reload`: let the running gateway take up the home as it is now."""

from __future__ import annotations

import click

from signer.cli.terminal import on_home
from signer.home.layout import Home
from signer.operator.reload import reload_home

BAD_SETTING = 3
"""Exit status where a setting is wrong (docs/cli.md)."""


@click.command()
@click.pass_obj
def reload(home: Home) -> int:
    """Let the running gateway read its home again.

    It takes up clients, keys, policies and accounts as they are now. It fetches the exchange's list of pairs first, so
    that a policy may name a new pair. Exit status 3 if a client's policy does not load; everything else is taken up.
    """
    return 0 if reload_home(on_home(home)) else BAD_SETTING
