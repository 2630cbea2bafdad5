"""`signer policy explain`: show how a policy decides a call, and whether an order would pass now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import click

from signer.cli.options import json_option
from signer.cli.policy_venue import known_venues, load_for, venue_option
from signer.cli.readiness import lines
from signer.cli.showing import Row, show_json, show_rows
from signer.contracts import Venue
from signer.errors import ConfigError, NotUnderstood
from signer.home.layout import Home
from signer.keys.envelope import AboutClient
from signer.keys.renewal import read_envelope
from signer.lanes.shares import kind_of
from signer.model import Action, Call, Charge, Decision, Facts, Halt, OrderRef, PlacedOrder, Usage
from signer.operator.halts import halts_in
from signer.operator.readiness import calls_counted, readiness_of
from signer.operator.reading_book import read_book
from signer.policy import decide
from signer.policy.cases import NOT_UNDERSTOOD
from signer.policy.orders import refs_of
from signer.policy.policy import Policy, format_amount
from signer.serving.clock import SystemClock
from signer.serving.readiness import Readiness, halted_pairs

ANYBODY = "anybody"
"""The client of a call that is explained for a policy alone."""


@dataclass(frozen=True, slots=True)
class KnownToBook:
    """Holds the book's facts about a client and the orders that its call names, and the halts."""

    placed: Mapping[OrderRef, tuple[PlacedOrder, ...]]
    usage: Sequence[Usage]
    halts: Sequence[Halt]
    """The halts in force."""


@click.command()
@click.option("--client", metavar="BOT", help="As this client: by its policy, with its orders and what it has used.")
@click.option("--policy", "name", metavar="POLICY", help="By this policy of the home, or file, whoever asks.")
@venue_option
@json_option
@click.argument("call")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE]...")
@click.pass_obj
def explain(
    home: Home,
    *,
    client: str | None,
    name: str | None,
    venue: str | None,
    as_json: bool,
    call: str,
    fields: tuple[str, ...],
) -> int:
    """Say what a policy answers to a CALL, and why.

    It shows which rule said what, what the call would take of each cap and of `max_calls`, and what is left. CALL is an
    endpoint with its fields: AddOrder pair=XBTUSD type=buy ordertype=limit volume=0.01 price=50000. With --client it
    also says whether an order would pass now. That names halts, a revocation, the keys, and another policy that the
    gateway has in force. Exit status 1 if the call would be refused.
    """
    if (client is None) == (name is None):
        raise click.UsageError("Give either --client or --policy.")
    entry = None if client is None else _client(home, client)
    policy, at = _chosen(home, client, entry.policy if entry else str(name), venue, quiet=as_json)
    try:
        understood = at.call_of(call, _fields(fields))
    except NotUnderstood as error:
        return _show_not_understood(call, " ".join(at.words(error)), as_json)
    now = _now(home, client)  # before the book is read: a gateway makes durable what has happened
    known = _known(home, entry, understood) if entry else KnownToBook({}, (), ())
    facts = Facts(at.pairs.by_id, known.placed, SystemClock().now_us())
    decision = decide(policy, client or ANYBODY, understood, facts)
    now = _of_pairs(now, client or "", known.halts, decision)
    calls = _call_rows(policy, understood, calls_counted(home, client) if client else None)
    answer = _answer(call, client, decision, _charge_rows(decision, known.usage), calls, now)
    if as_json:
        show_json(answer)
    else:
        _show_answer(answer)
        _show_now(now, client)
    passes = understood.action is not Action.ORDER or not answer["obstacles"]
    return 0 if answer["allowed"] and answer["fits"] and passes else 1


def _chosen(home: Home, client: str | None, name: str, venue: str | None, *, quiet: bool) -> tuple[Policy, Venue]:
    """Load a policy of the home, or a file, with its venue. Raises `ConfigError`; shows first what is in force."""
    path = Path(name) if name.endswith(".toml") else home.policies / f"{name}.toml"
    try:
        return load_for(path, known_venues(home, venue))
    except ConfigError:
        if not quiet:
            _show_now(_now(home, client), client)  # a gateway may go on with what it loaded of the file before
        raise


def _answer(
    call: str, client: str | None, decision: Decision, charges: list[Row], calls: list[Row], now: Readiness | None
) -> dict[str, Any]:
    return {
        "call": call,
        "client": client,
        "policy": decision.policy,
        "policy_hash": decision.policy_hash,
        "allowed": decision.allowed,
        "fits": all(row["fits"] for row in [*charges, *calls]),
        "rules": [{"rule": hit.rule, "allows": hit.allows, "reason": hit.reason} for hit in decision.hits],
        "charges": charges,
        "calls": calls,
        "obstacles": [str(each) for each in now.of_client(client or "")] if now else [],
        "notes": [str(each) for each in now.notes] if now else [],
    }


def _client(home: Home, name: str) -> AboutClient:
    """Read a client from the key store, without its passphrase. Raises `ConfigError` if it is not there."""
    abouts = [entry.about for entry in read_envelope(home.keys).entries]
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


def _known(home: Home, client: AboutClient, call: Call) -> KnownToBook:
    with read_book(home) as book:
        placed = {ref: tuple(book.find_orders(client.account, ref)) for ref in refs_of(call)}
        return KnownToBook(placed, book.usage(f"client/{client.name}"), [*halts_in(home, book).values()])


def _of_pairs(now: Readiness | None, client: str, halts: Sequence[Halt], decision: Decision) -> Readiness | None:
    """Add the halts of the pairs of the call's orders to what keeps these from passing now."""
    if now is None:
        return None
    pairs = {order.pair for order in decision.orders}
    found = halted_pairs(halt for halt in halts if halt.scope.pair and halt.stops(client, "", pairs))
    return replace(now, clients={**now.clients, client: [*now.clients.get(client, ()), *found]})


def _charge_rows(decision: Decision, usage: Sequence[Usage]) -> list[Row]:
    """Return what the call needs of each cap, and what is left of it before the call."""
    # Match by the book's key: a cap's name holds its limit, and usage outlives a changed limit.
    used = {(row.scope, row.unit, row.window_s): row.used for row in usage}
    needs: dict[tuple[str, str, int], Decimal] = {}
    caps: dict[tuple[str, str, int], Charge] = {}
    for charge in decision.charges:
        key = charge.scope, charge.unit, charge.window_s
        needs[key] = needs.get(key, Decimal(0)) + charge.amount
        caps[key] = charge
    rows: list[Row] = []
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


def _call_rows(policy: Policy, call: Call, counted: Mapping[tuple[str, int], int] | None) -> list[Row]:
    """Return how many calls of each limit of ``max_calls`` the call takes, and how many are left before it.

    ``left`` is None where no gateway has counted. A cancel is counted and always fits.
    """
    kind, needs = kind_of(call)
    rows: list[Row] = []
    for limit in policy.max_calls.get(kind, ()):
        left = None if counted is None else max(limit.calls - counted.get((kind, limit.window_s), 0), 0)
        fits = kind == "cancel" or needs <= (limit.calls if left is None else left)
        rows.append({"limit": limit.name, "needs": needs, "left": left, "fits": fits})
    return rows


def _verdict(answer: Mapping[str, Any]) -> str:
    if not answer["allowed"]:
        return "denied"
    if answer["fits"]:
        return "allowed"
    over_cap = not all(row["fits"] for row in answer["charges"])
    return f"allowed, but {'over a cap' if over_cap else 'too many calls within a window of max_calls'}"


def _show_answer(answer: Mapping[str, Any]) -> None:
    said = _verdict(answer)
    who = f" by client {answer['client']}" if answer["client"] else ""
    click.echo(f"{answer['call']}{who} under policy {answer['policy']} ({answer['policy_hash'][:16]}): {said}\n")
    rules = answer["rules"]
    says = [{"says": "yes" if hit["allows"] else "NO", "rule": hit["rule"], "reason": hit["reason"]} for hit in rules]
    show_rows(says, none="")
    calls = [{**row, "left": "not known" if row["left"] is None else row["left"]} for row in answer["calls"]]
    for rows in (answer["charges"], calls):
        if rows:
            click.echo("")
            show_rows(rows, none="")


def _now(home: Home, client: str | None) -> Readiness | None:
    """Tell whether an order of that client would pass now; None without a client."""
    if client is None:
        return None
    return readiness_of(home, client)


def _show_now(now: Readiness | None, client: str | None) -> None:
    if now is not None:
        click.echo("\n" + "\n".join(lines(now, client or "")))


def _show_not_understood(call: str, error: str, as_json: bool) -> int:
    if as_json:
        rule = {"rule": NOT_UNDERSTOOD, "allows": False, "reason": error}
        show_json({"call": call, "allowed": False, "rules": [rule], "charges": [], "calls": []})
    else:
        click.echo(f"{call} is refused before any policy is asked: {error}")
    return 1
