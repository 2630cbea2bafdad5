"""`signer connect`: the exact lines that lead a client library to this gateway."""

from __future__ import annotations

import ipaddress
import shlex
import socket
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import click

from signer.cli.options import json_option, read_name
from signer.cli.showing import show_json
from signer.errors import ConfigError
from signer.home.layout import Home
from signer.home.listener import Listener
from signer.home.lock import holder
from signer.home.settings import DEFAULT_ORIGIN, Config, GatewayConfig, load_config
from signer.keys.envelope import AboutClient
from signer.operator.opening import account_of
from signer.tls.folder import TlsFolder, certified_names
from signer.venues import venue_names
from signer.venues.libraries import Library, libraries_of

_NAMES = list(dict.fromkeys(library for venue in venue_names() for library in libraries_of(venue)))
HELP = f"""Print the lines that lead a client library to this gateway.

They are for the environment, /etc/hosts and the code; no secret is among them.

LIBRARY is one of {", ".join(_NAMES[:-1])} and {_NAMES[-1]}.
"""
EXCHANGE = str(urlsplit(DEFAULT_ORIGIN).hostname)
WILDCARDS = {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound


@dataclass(frozen=True, slots=True)
class Lines:
    """Holds all that a bot's settings need, apart from its credential."""

    environment: dict[str, str]
    hosts: str
    """A line for /etc/hosts on the bot's machine, or empty."""
    language: str
    code: str
    start: str
    """The shell command that starts the bot, or empty."""
    cannot_pass: list[str]
    """The bot's settings that cannot pass under a notional cap."""
    notes: list[str]


@click.command(help=HELP)
@click.argument("library", type=click.Choice(_NAMES), metavar="LIBRARY")
@click.option("--client", required=True, callback=read_name, help="The client that the bot is.")
@click.option("--env-file", type=click.Path(path_type=Path), metavar="FILE", help="Its env file. Default: CLIENT.env.")
@click.option("--tls", is_flag=True, help="By the TLS listener, even if there is a plain one.")
@click.option("--ca-file", type=click.Path(path_type=Path), metavar="FILE", help="The bot's copy of the CA.")
@json_option
@click.pass_obj
def connect(
    home: Home, *, library: str, client: str, env_file: Path | None, tls: bool, ca_file: Path | None, as_json: bool
) -> None:
    """Print the lines. The help text is `HELP`."""
    config = load_config(home.config)
    gateway, venue = config.gateway, _venue(home, config, client)
    chosen = _library(library, venue)
    listener = _listener(chosen, library, config, venue, tls, home)
    lines = _lines(chosen, listener, str(ca_file or TlsFolder(home.tls).ca), private_ca=not gateway.tls.certificate)
    if gateway.tls.client_ca and listener.kind == "tls":
        lines.notes.append(f"The listener asks for a client certificate with the name {client} (docs/tls.md).")
    if as_json:
        show_json(asdict(lines))
    else:
        _show(lines, client, env_file or Path(f"{client}.env"))


def _venue(home: Home, config: Config, client: str) -> str:
    """Find the venue of the client's account. Raises `ConfigError` if there may be several."""
    if len(config.venues) == 1:
        return config.venues[0]
    account = account_of(home, AboutClient, client)
    if account not in config.accounts:
        what = f"there is no client {client}, so its venue is not known: the accounts are at {', '.join(config.venues)}"
        raise ConfigError(what, where=str(home.keys), hint=f"run `signer clients add {client}` first")
    return config.venue_of(account)


def _library(name: str, venue: str) -> Library:
    """Find how a library calls a venue. Raises `ConfigError` if that is not known."""
    known = libraries_of(venue)
    if name not in known:
        hint = f"known are: {', '.join(known)}" if known else "see docs/clients.md"
        raise ConfigError(f"how {name} calls {venue} is not known", hint=hint)
    return known[name]


def base_url(home: Home, venue: str) -> str:
    """Find the URL for a bot of ``venue`` that takes one: its first plain listener's, else its first TLS listener's.

    It reads the running gateway's listeners, because port 0 takes any free port. Without a gateway it reads
    signer.toml's.
    """
    running = holder(home.lock)
    if running is not None and running.serves:
        served = zip(running.venues, running.urls, strict=True)
        listeners = [_listening(url) for served_venue, url in served if served_venue == venue]
    else:
        listeners = [listener for served_venue, listener in load_config(home.config).listeners if served_venue == venue]
    urls = [_reachable(listener).url for listener in listeners]
    called = sorted((url for url in urls if not url.startswith("unix:")), key=lambda url: url.startswith("https:"))
    return called[0] if called else "http://localhost"  # over a unix socket, which has no URL


def _listener(library: Library, name: str, config: Config, venue: str, tls: bool, home: Home) -> Listener:
    """Choose the listener of ``venue`` that a library calls. Raises `ConfigError` if it can use none of them."""
    listeners = [listener for served, listener in config.listeners if served == venue]
    wanted = ["tls"] if tls or library.hard_coded or library.needs_tls else ["tcp", "tls"]
    wanted += ["unix"] if library.unix and not tls else []
    found = [listener for kind in wanted for listener in listeners if listener.kind == kind]
    if library.hard_coded:
        found = [listener for listener in found if listener.port == 443]
    where = str(home.config)
    if not found:
        hint = 'run `signer tls init` and add "tls://127.0.0.1:443" to gateway.listen (docs/tls.md)'
        needs = (
            f"a TLS listener on port 443: it knows only https://{EXCHANGE}" if library.hard_coded else "a TLS listener"
        )
        needs = needs if "tls" in wanted and "tcp" not in wanted else "a listener on TCP"
        raise ConfigError(f"{name} needs {needs}", where=where, hint=hint)
    if found[0].kind != "unix" and not found[0].port:
        raise ConfigError(
            "gateway.listen: port 0 is another one at each start", where=where, hint="choose a fixed port"
        )
    return _certified(_reachable(found[0]), config.gateway, home)


def _certified(listener: Listener, gateway: GatewayConfig, home: Home) -> Listener:
    """Return the name that a certificate from elsewhere is for, as some bots hard-code the exchange's name."""
    if listener.kind != "tls" or not gateway.tls.certificate:
        return listener
    names = certified_names(home.folder / gateway.tls.certificate)
    return replace(listener, host=names[0]) if names else listener


def _lines(library: Library, listener: Listener, ca: str, *, private_ca: bool) -> Lines:
    private = private_ca and listener.kind == "tls"
    url = "http://localhost" if listener.kind == "unix" else listener.url
    environment = {name: text.replace("@URL@", url) for name, text in library.environment.items()}
    if private and library.trust:
        environment[library.trust] = ca
    code = library.lines(private_ca=private).replace("@URL@", url).replace("@CA@", ca)
    if listener.kind == "unix":
        code = code.replace("curl -sS ", f"curl -sS --unix-socket {shlex.quote(listener.path)} ")
    hosts = f"{listener.host if _is_address(listener.host) else '127.0.0.1'} {EXCHANGE}" if library.hard_coded else ""
    notes = [note for note in library.notes if private or "this CA" not in note]
    return Lines(environment, hosts, library.language, code, library.start, list(library.cannot_pass), notes)


def _listening(url: str) -> Listener:
    """Read the listener that a running gateway announces by its URL."""
    return Listener.parse(url.replace("https://", "tls://").removeprefix("http://"))


def _reachable(listener: Listener) -> Listener:
    """Call a listener on every address by this machine's name."""
    return replace(listener, host=socket.gethostname()) if listener.host in WILDCARDS else listener


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _show(lines: Lines, client: str, env_file: Path) -> None:
    file = shlex.quote(str(env_file))
    click.echo(f"# In the bot's environment; {file} is what `signer clients add {client}` or `rotate` wrote:")
    click.echo(f"set -a; . {file if '/' in file else f'./{file}'}; set +a")
    for name, value in lines.environment.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    if lines.hosts:
        click.echo(f"\n# In /etc/hosts on the bot's machine:\n{lines.hosts}")
    if lines.code:
        click.echo(f"\n# In the bot ({lines.language}):\n{lines.code}", nl=False)
    if lines.start:
        click.echo(f"\n# Start it:\n{lines.start}")
    if lines.cannot_pass:
        click.echo("\n# These settings cannot pass under a notional cap (max_order_notional, max_notional):")
        click.echo("\n".join(f"#   {setting}" for setting in lines.cannot_pass))
    for note in lines.notes:
        click.echo(f"signer: {note}", err=True)
