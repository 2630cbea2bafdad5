"""`signer policy`: whether policies are well made, what they answer to a call and why, and whether their cases hold.

Key store, ledger and wiring are imported only by what needs them: `check` and `test` run in a pipeline without a home.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from signer.contracts import Pairs, Venue
from signer.errors import ConfigError, NotUnderstood
from signer.home.layout import Home
from signer.home.settings import DEFAULT_VENUE
from signer.model import Action, Call, Charge, Decision, Facts, OrderRef, PlacedOrder, Usage, Vocabulary
from signer.policy import decide, load_policy
from signer.policy.cases import NOT_UNDERSTOOD, cases_path, load_cases, run_cases
from signer.policy.load import CASES_SUFFIX, policy_files
from signer.policy.orders import refs_of
from signer.policy.policy import format_amount
from signer.policy.unreachable import unreachable
from signer.serving.clock import SystemClock
from signer.venues import open_venue

if TYPE_CHECKING:
    from signer.keys.envelope import AboutClient
    from signer.ledger.sqlite import SqliteLedger
    from signer.serving.readiness import Readiness

ANYBODY = "anybody"
"""The client of a call that is explained for a policy alone."""

BAD_SETTING = 3
"""Exit status, as of a `ConfigError` (docs/cli.md)."""


@dataclass(frozen=True, slots=True)
class KnownToLedger:
    """What the ledger knows of a client and of the orders that its call names."""

    placed: Mapping[OrderRef, tuple[PlacedOrder, ...]]
    usage: Sequence[Usage]


@click.group()
def policy() -> None:
    """Check policies, ask them, and run their cases."""


@policy.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def check(home: Home, files: tuple[Path, ...], as_json: bool) -> int:
    """Load each FILE, a policy or cases, and name everything that is wrong with it, and what can never pass.

    In a home, pairs are looked up in the exchange's list of now; without one, or while the exchange cannot be asked, a
    name that signer does not know is said to be not checked. Exit status 3 if anything is wrong.
    """
    pairs = _current_pairs(home)
    words = _venue(home).vocabulary
    rows = [_checked(file, words, pairs) for file in files]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        for row in rows:
            _show_checked(row)
    return BAD_SETTING if any(row["problems"] for row in rows) else 0


@policy.command()
@click.option("--client", metavar="BOT", help="As this client: by its policy, with its orders and what it has used.")
@click.option("--policy", "name", metavar="POLICY", help="By this policy of the home, or file, whoever asks.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.argument("call")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.pass_obj
def explain(
    home: Home, *, client: str | None, name: str | None, as_json: bool, call: str, fields: tuple[str, ...]
) -> int:
    """Say what a policy answers to a CALL, which rule said what, what it would charge and what is left.

    CALL is an endpoint with its fields: AddOrder pair=XBTUSD type=buy ordertype=limit volume=0.01 price=50000.
    Of a client it says also whether an order would pass now: halts, revocation, keys, and a gateway that has another
    policy in force. Exit status 1 if it would be refused.
    """
    if (client is None) == (name is None):
        raise click.UsageError("Give either --client or --policy.")
    entry = None if client is None else _client(home, client)
    venue = _venue(home)
    pairs = venue.pairs
    try:
        chosen = load_policy(
            _policy_path(home, entry.policy if entry else str(name)), venue.vocabulary, pairs.find, _names(pairs)
        )
    except ConfigError:
        if not as_json:
            _show_now(_now(home, client), client)  # a gateway may go on with what it loaded of the file before
        raise
    try:
        understood = venue.call_of(call, _fields(fields))
    except NotUnderstood as error:
        return _show_not_understood(call, " ".join(venue.words(error)), as_json)
    standing = _standing(home, entry, understood) if entry else KnownToLedger({}, ())
    decision = decide(
        chosen, client or ANYBODY, understood, Facts(pairs.by_id, standing.placed, SystemClock().now_us())
    )
    charges = _charge_rows(decision, standing.usage)
    answer: dict[str, object] = {
        "call": call,
        "client": client,
        "policy": decision.policy,
        "policy_hash": decision.policy_hash,
        "allowed": decision.allowed,
        "fits": all(row["fits"] for row in charges),
        "rules": [{"rule": hit.rule, "allows": hit.allows, "reason": hit.reason} for hit in decision.hits],
        "charges": charges,
    }
    now = _now(home, client)
    answer["obstacles"] = [str(each) for each in now.of_client(client or "")] if now else []
    answer["notes"] = [str(each) for each in now.notes] if now else []
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        _show_answer(answer, decision, charges)
        _show_now(now, client)
    passes = understood.action is not Action.ORDER or not answer["obstacles"]
    return 0 if answer["allowed"] and answer["fits"] and passes else 1


@policy.command("test")
@click.argument("folders", nargs=-1, metavar="[DIR]...", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
@click.pass_obj
def test(home: Home, folders: tuple[Path, ...], as_json: bool) -> int:
    """Run the cases beside the policies in each DIR (default: the home's). Exit status 1 if one does not hold."""
    venue = _venue(home)
    rows = [row for folder in folders or (home.policies,) for row in _results(folder, venue)]
    failed = [row for row in rows if row["problem"]]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        for row in failed:
            click.echo(f"{row['policy']}: {row['case']}: {row['problem']}")
        click.echo(f"{len(rows)} cases, {len(failed)} failed.")
    return 1 if failed else 0


def _venue(home: Home) -> Venue:
    """Return the venue as the gateway of this home knows it."""
    if not home.pairs.exists() and not home.config.exists():
        return open_venue(DEFAULT_VENUE)
    from signer.serving.loaded import venue_of

    return venue_of(home)


def _current_pairs(home: Home) -> Pairs:
    """The exchange's list as it is now, if there is a home that says where the exchange is."""
    if not home.config.exists():
        return _venue(home).pairs
    from signer.cli.pairs_list import current_pairs
    from signer.home.settings import load_config

    try:
        return current_pairs(home, load_config(home.config))
    except ConfigError as error:  # a policy is good or bad whatever the settings are
        click.echo(f"signer: warning: the exchange's list of pairs cannot be had: {error}", err=True)
        return _venue(home).pairs


def _checked(file: Path, words: Vocabulary, pairs: Pairs) -> dict[str, object]:
    row: dict[str, object] = {"file": str(file), "problems": [], "hash": None, "uncapped": ""}
    row |= {"never": [], "not_checked": []}
    try:
        if file.name.endswith(CASES_SUFFIX):  # `policies/*.toml` names these too
            load_cases(file)
            return row
        loaded = load_policy(file, words, pairs.find, _names(pairs))
    except ConfigError as error:
        return row | {"problems": str(error).splitlines()}
    never = [str(word) for word in unreachable(loaded, pairs.by_id)]
    row |= {"hash": loaded.hash, "uncapped": loaded.uncapped, "never": never}
    if not pairs.complete:
        return row | {"not_checked": list(loaded.unlisted)}
    lines = [f"{file}: pairs: the exchange lists no {name}; {hint}" for name, hint in loaded.unlisted.items()]
    return row | {"problems": lines}


def _show_checked(row: Mapping[str, object]) -> None:
    problems, not_checked = row["problems"], row["not_checked"]
    assert isinstance(problems, list)  # noqa: S101 - our own row
    assert isinstance(not_checked, list)  # noqa: S101 - likewise
    for problem in problems:
        click.echo(f"signer: {problem}", err=True)
    for name in not_checked:
        click.echo(f"signer: warning: {row['file']}: {name} is not checked yet: signer has no list of pairs", err=True)
    if not problems:
        click.echo(f"{row['file']}: good" + (f", but UNCAPPED: {row['uncapped']}" if row["uncapped"] else ""))
    never = row["never"]
    assert isinstance(never, list)  # noqa: S101 - our own row
    for word in never:
        click.echo(f"{row['file']}: note: {word}")


def _names(pairs: Pairs) -> list[str]:
    return [pair.wsname for pair in pairs.by_id.values()]


def _policy_path(home: Home, name: str) -> Path:
    return Path(name) if name.endswith(".toml") else home.policies / f"{name}.toml"


def _client(home: Home, name: str) -> AboutClient:
    """What the key store says of a client; its list needs no passphrase. Raises `ConfigError` if it is not there."""
    from signer.home.private_file import read_private
    from signer.keys.envelope import MOST_BYTES, AboutClient, parse

    raw = read_private(home.keys, limit=MOST_BYTES, missing="run `signer init`")
    abouts = [entry.about for entry in parse(raw, where=str(home.keys)).entries]
    clients = {about.name: about for about in abouts if isinstance(about, AboutClient)}
    if name not in clients:
        hint = f"known are: {', '.join(sorted(clients)) or 'none'}"
        raise ConfigError(f"there is no client {name!r}", where=str(home.keys), hint=hint)
    return clients[name]


def _fields(texts: Sequence[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals or key in fields:
            raise click.BadParameter(f"{text!r}: write each field once, as FIELD=VALUE")
        fields[key] = value
    return fields


def _standing(home: Home, client: AboutClient, call: Call) -> KnownToLedger:
    from signer.cli.ledger import with_ledger

    async def ask(ledger: SqliteLedger) -> KnownToLedger:
        placed = {ref: tuple(await ledger.find_orders(client.account, ref)) for ref in refs_of(call)}
        return KnownToLedger(placed, await ledger.usage(f"client/{client.name}"))

    return with_ledger(home, ask)


def _charge_rows(decision: Decision, usage: Sequence[Usage]) -> list[dict[str, object]]:
    """For each cap: what the call needs of it, and what is left of it before the call."""
    # By what the ledger counts by: a cap's name holds its limit, and what was used outlives a changed limit.
    used = {(row.scope, row.unit, row.window_s): row.used for row in usage}
    needs: dict[tuple[str, str, int], Decimal] = {}
    caps: dict[tuple[str, str, int], Charge] = {}
    for charge in decision.charges:
        key = charge.scope, charge.unit, charge.window_s
        needs[key] = needs.get(key, Decimal(0)) + charge.amount
        caps[key] = charge
    rows: list[dict[str, object]] = []
    for key, need in needs.items():
        cap = caps[key]
        left = max(cap.limit - used.get(key, Decimal(0)), Decimal(0))
        row = {
            "cap": cap.cap,
            "unit": cap.unit,
            "needs": format_amount(need),
            "left": format_amount(left),
            "fits": need <= left,
        }
        rows.append(row)
    return rows


def _show_answer(answer: Mapping[str, object], decision: Decision, charges: list[dict[str, object]]) -> None:
    from signer.cli.key_store import show_rows

    verdict = "denied" if not decision.allowed else "allowed" if answer["fits"] else "allowed, but over a cap"
    who = f" by client {answer['client']}" if answer["client"] else ""
    click.echo(f"{answer['call']}{who} under policy {decision.policy} ({decision.policy_hash[:16]}): {verdict}\n")
    says = [{"says": "yes" if hit.allows else "NO", "rule": hit.rule, "reason": hit.reason} for hit in decision.hits]
    show_rows([dict(row) for row in says], none="")
    if charges:
        click.echo("")
        show_rows(charges, none="")


def _now(home: Home, client: str | None) -> Readiness | None:
    """Whether an order of that client would pass now; None if nobody in particular asks."""
    if client is None:
        return None
    from signer.cli.passing import readiness_of

    return readiness_of(home, client)


def _show_now(now: Readiness | None, client: str | None) -> None:
    from signer.cli.passing import lines

    if now is not None:
        click.echo("\n" + "\n".join(lines(now, client or "")))


def _show_not_understood(call: str, error: str, as_json: bool) -> int:
    if as_json:
        rule = {"rule": NOT_UNDERSTOOD, "allows": False, "reason": error}
        click.echo(json.dumps({"call": call, "allowed": False, "rules": [rule], "charges": []}, indent=2))
    else:
        click.echo(f"{call} is refused before any policy is asked: {error}")
    return 1


def _results(folder: Path, venue: Venue) -> list[dict[str, str]]:
    """How each case in a folder goes. Raises `ConfigError` if there are none, or some belong to no policy."""
    policies = {cases_path(file): file for file in policy_files(folder)}
    files = sorted(folder.glob(f"*{CASES_SUFFIX}"))
    if not files:
        raise ConfigError(
            f"there is no *{CASES_SUFFIX} file", where=str(folder), hint="name the folder of the policies"
        )
    rows: list[dict[str, str]] = []
    pairs = venue.pairs
    for file in files:
        if file not in policies:
            raise ConfigError("there is no policy beside these cases", where=str(file), hint="name it as its policy")
        loaded = load_policy(policies[file], venue.vocabulary, pairs.find, _names(pairs))
        results = run_cases(loaded, load_cases(file), venue.call_of, pairs.by_id)
        rows += [{"policy": loaded.name, "case": result.name, "problem": result.problem} for result in results]
    return rows
