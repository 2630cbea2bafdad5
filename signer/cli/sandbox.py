"""`signer sandbox`: a simulated exchange in the foreground."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from signer.sandbox.permissions import TRADING
from signer.sandbox.server import Ready, Sandbox, Settings, is_loopback


@click.command()
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:0", show_default=True, help="Where bots connect.")
@click.option(
    "--control-listen", metavar="HOST:PORT", default="127.0.0.1:0", show_default=True, help="Where tests connect."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Decides the prices.")
@click.option("--walk", is_flag=True, help="Let prices move by themselves.")
@click.option("--account", metavar="NAME", default="demo", show_default=True, help="Name of the first account.")
@click.option(
    "--permissions", metavar="WORDS", default=",".join(sorted(TRADING)), help="What its key may do (default: trade)."
)
@click.option("--tier", default="pro", show_default=True, help="Rate limits: starter, intermediate, pro, unlimited.")
@click.option("--pairs", metavar="FILE", help="List the pairs of this AssetPairs answer (default: the built-in ones).")
@click.option("--env-file", type=click.Path(path_type=Path), help="Write URL, key and secret there (mode 0600).")
@click.option("--json", "as_json", is_flag=True, help="Print the ready line as JSON.")
def sandbox(
    listen: str,
    control_listen: str,
    seed: int,
    walk: bool,
    account: str,
    permissions: str,
    tier: str,
    pairs: str | None,
    env_file: Path | None,
    as_json: bool,
) -> None:
    """Run a simulated exchange with toy money until Ctrl-C.

    The key is shown once: in the env file if there is one, else on the ready line.
    """
    words = tuple(word for word in permissions.split(",") if word)
    made = Sandbox(Settings(listen, control_listen, seed, walk, account, words, tier, pairs))
    if not is_loopback(listen):
        click.echo(f"signer: --listen {listen}: others on the network can reach this sandbox", err=True)
    if env_file is not None:
        made.ready.write_env_file(env_file)
    line = _as_json(made.ready, env_file) if as_json else _as_text(made.ready, env_file)
    made.serve(lambda: click.echo(line))


def _as_json(ready: Ready, env_file: Path | None) -> str:
    fields = asdict(ready)
    if env_file is not None:
        del fields["api_secret"]
        fields["env_file"] = str(env_file)
    return json.dumps(fields)


def _as_text(ready: Ready, env_file: Path | None) -> str:
    key = f"env file {env_file}" if env_file else f"key {ready.api_key} secret {ready.api_secret}"
    return f"sandbox ready: {ready.url} (control {ready.control_url}), account {ready.account}, {key}"
