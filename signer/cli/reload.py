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

    It takes up clients, keys, policies and accounts as they are now. The exchange's list of pairs is fetched first, so
    that a policy may name what was listed just now. Exit status 3 if a policy that a client has does not load; all
    else is taken up.
    """
    return 0 if reload_home(on_home(home)) else BAD_SETTING
