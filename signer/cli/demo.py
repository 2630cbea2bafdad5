"""`signer demo`: the whole story on one machine, in about ten seconds, with a real client library."""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from signer.cli.showing import show_line
from signer.cli.stage import Stage, free_port, signer, staged, write_env_file
from signer.errors import ConfigError, SignerError
from signer.home.layout import Home

PAIR = "XBTUSD"


@click.command()
@click.option("--serve", "stay", is_flag=True, help="Start sandbox and gateway on free ports, and stay until stopped.")
@click.option("--env-file", type=click.Path(path_type=Path), metavar="FILE", help="With --serve: what bots need.")
@click.pass_context
def demo(ctx: click.Context, stay: bool, env_file: Path | None) -> int:
    """Show an order pass, a withdrawal refused, and the log verified.

    Works in a folder of its own that is removed afterwards, unless --home names one.
    """
    if env_file is not None and not stay:
        raise click.UsageError("--env-file goes with --serve.")
    assert ctx.parent is not None  # noqa: S101 - a command of the group
    if ctx.parent.params["home"]:
        home: Home = ctx.obj
        return _run(home.folder, stay, env_file)
    with tempfile.TemporaryDirectory(prefix="signer-demo-") as folder:
        return _run(Path(folder) / "home", stay, env_file)


def _run(folder: Path, stay: bool, env_file: Path | None) -> int:
    with staged(folder, free_port() if stay else 0) as stage:
        if not stay:
            return Story(stage).told()
        if env_file is not None:
            write_env_file(env_file, stage.env())
        show_line({"ready": True, "url": stage.gateway_url, "sandbox": stage.sandbox.url})
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        stage.gateway.wait()
        return 5


class Story:
    """Goes through the steps, compares each with its expected result, and counts the failures."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._console = Console(highlight=False)
        self._failures = 0
        self._bot = _krakenex(stage)

    def told(self) -> int:
        """Run all steps; 0 if every step succeeded, else 1."""
        self._say("[bold]signer[/bold]: a bot trades, and never holds the key")
        self._say(f"  sandbox exchange  {self._stage.sandbox.url}  holds the money")
        self._say(f"  gateway           {self._stage.gateway_url}  holds the real key, encrypted")
        self._say(f"  bot               krakenex, unmodified, with the virtual key {self._stage.api_key[:6]}…\n")
        self._balance()
        txid = self._order()
        self._refusal("a withdrawal", "Withdraw", {"asset": "XBT", "key": "out", "amount": "1"}, "never-list")
        self._refusal("an order of 40 XBT", "AddOrder", _order("40"), "order-size")
        self._cancel(txid)
        self._secrecy()
        self._audit()
        verdict = "everything went as it should" if not self._failures else f"{self._failures} steps went wrong"
        self._say(f"\n{verdict}")
        return 1 if self._failures else 0

    def _balance(self) -> None:
        answer = self._ask("Balance")
        self._step("it reads its balance", not answer["error"], f"{answer.get('result', answer['error'])}")

    def _order(self) -> str:
        answer = self._ask("AddOrder", _order("0.01"))
        placed = not answer["error"]
        detail = answer["result"]["descr"]["order"] if placed else str(answer["error"])
        self._step("it places a limit order", placed, detail)
        return str(answer["result"]["txid"][0]) if placed else ""

    def _refusal(self, what: str, endpoint: str, fields: dict[str, str], rule: str) -> None:
        before = self._arrived(endpoint)
        answer = self._ask(endpoint, fields)
        reason = " ".join(answer["error"])
        untouched = self._arrived(endpoint) == before
        self._step(f"{what} is refused, and never reaches the exchange", rule in reason and untouched, reason)

    def _arrived(self, endpoint: str) -> int:
        """Count the calls to an endpoint that reached the exchange. The gateway's own calls use other endpoints."""
        return len(self._stage.sandbox.control.arrivals(endpoint=endpoint))

    def _cancel(self, txid: str) -> None:
        answer = self._ask("CancelOrder", {"txid": txid})
        self._step("it cancels its order", answer.get("result", {}).get("count") == 1, txid)

    def _secrecy(self) -> None:
        arrivals = self._stage.sandbox.control.arrivals()
        private = [arrival for arrival in arrivals if arrival.path.startswith("/0/private/")]
        keys = {value for arrival in private for name, value in arrival.headers if name.lower() == "api-key"}
        self._step("the exchange saw the real key only, the bot knows the virtual one only", self._separate(keys), "")

    def _separate(self, keys: set[str]) -> bool:
        return keys == {self._stage.sandbox.api_key} and self._stage.api_key not in keys

    def _audit(self) -> None:
        try:
            text = signer(self._stage.home, "audit", "verify").strip().splitlines()[-1]
            self._step("the audit log verifies", True, text)
        except SignerError as error:
            self._step("the audit log verifies", False, str(error))

    def _ask(self, endpoint: str, fields: dict[str, str] | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = self._bot(endpoint, fields or {})
        return answer

    def _step(self, text: str, went_well: bool, detail: str) -> None:
        self._failures += not went_well
        mark = "[green]✓[/green]" if went_well else "[red]✗[/red]"
        self._say(f"{mark} {text}")
        if detail:
            self._console.print(f"    {detail}", style="dim", markup=False)

    def _say(self, text: str) -> None:
        self._console.print(text)


def _order(volume: str) -> dict[str, str]:
    return {"pair": PAIR, "type": "buy", "ordertype": "limit", "price": "20000", "volume": volume}


def _krakenex(stage: Stage) -> Callable[[str, dict[str, str]], dict[str, Any]]:
    try:
        import krakenex  # noqa: PLC0415 - the demo's own dependency
    except ImportError:
        hint = "run `make demo`, or `pip install krakenex`"
        raise ConfigError("the demo needs the client library krakenex", hint=hint) from None
    api = krakenex.API(key=stage.api_key, secret=stage.api_secret)
    api.uri = stage.gateway_url
    return lambda endpoint, fields: api.query_private(endpoint, dict(fields))
