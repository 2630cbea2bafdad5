"""Runs the cases of a policy: the decisions that ``NAME.cases.toml`` beside it expects (`signer policy test`).

A case states a call as a bot would send it, the orders placed before, and the expected answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import Field

from signer.errors import NotUnderstood
from signer.model import Call, Decision, Facts, OrderRef, Pair, PlacedOrder
from signer.policy.load import CASES_SUFFIX, read_tables
from signer.policy.orders import refs_of
from signer.policy.policy import Policy, format_amount
from signer.policy.rules import decide
from signer.policy.schema import Table

ParseCall: TypeAlias = Callable[[str, Mapping[str, str]], Call]
"""Parses an endpoint and its form fields to a call. Raises `NotUnderstood`."""

CALLER = "bot"
"""The client that makes the calls of all cases."""

NOT_UNDERSTOOD = "not-understood"
"""The rule that a case names for a call that cannot be parsed."""


class PlacedTable(Table):
    """``placed``: an order that exists before the call."""

    txid: str
    client: str = CALLER
    fields: Mapping[str, str]
    """The form fields of the call that placed it."""


class Case(Table):
    """``[[case]]``: one call and its expected answer."""

    name: str
    call: str
    fields: Mapping[str, str] = {}
    placed: tuple[PlacedTable, ...] = Field((), strict=False)
    expect: Literal["allow", "deny"]
    rules: tuple[str, ...] = Field((), strict=False)
    """The rules that deny, each once, most important first."""
    charges: Mapping[str, str] | None = None
    """The sum charged to each cap, compared only if stated."""


class CasesFile(Table):
    """All cases of one policy."""

    case: tuple[Case, ...] = Field(strict=False, min_length=1)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """The result of a case; an empty ``problem`` is a pass."""

    name: str
    problem: str


def cases_path(policy: Path) -> Path:
    """Return the path of the cases of a policy file."""
    return policy.with_name(policy.stem + CASES_SUFFIX)


def load_cases(path: Path) -> CasesFile:
    """Read the cases in ``path``. Raises `ConfigError` with one line for each problem."""
    return read_tables(path, CasesFile)


def run_cases(policy: Policy, file: CasesFile, parse: ParseCall, pairs: Mapping[str, Pair]) -> list[CaseResult]:
    """Run each case of ``file`` under ``policy``. ``pairs`` is by canonical id."""
    return [CaseResult(case.name, _problem(policy, case, parse, pairs)) for case in file.case]


def _problem(policy: Policy, case: Case, parse: ParseCall, pairs: Mapping[str, Pair]) -> str:
    placed = [_placed(policy, table, parse) for table in case.placed]
    try:
        call = parse(case.call, case.fields)
    except NotUnderstood as error:
        return _difference(case, False, [NOT_UNDERSTOOD], {}, str(error))
    known = {ref: tuple(order for order in placed if ref in _refs(order)) for ref in refs_of(call)}
    decision = decide(policy, CALLER, call, Facts(pairs, known))
    why = "; ".join(hit.reason for hit in decision.denials)
    return _difference(case, decision.allowed, denying_rules(decision), _sums(decision), why)


def denying_rules(decision: Decision) -> list[str]:
    """Return the rules that deny, each once, most important first."""
    return list(dict.fromkeys(hit.rule for hit in decision.denials))


def _difference(case: Case, allowed: bool, rules: list[str], charges: dict[str, str], why: str) -> str:
    """Say what differs from the case's expectation; empty if nothing does."""
    if allowed != (case.expect == "allow"):
        return "it is allowed" if allowed else f"it is denied by {', '.join(rules)}: {why}"
    if rules != list(case.rules):
        return f"expected the rules {list(case.rules)}, got {rules}: {why}"
    if case.charges is not None and charges != dict(case.charges):
        return f"expected the charges {dict(case.charges)}, got {charges}"
    return ""


def _sums(decision: Decision) -> dict[str, str]:
    sums: dict[str, Decimal] = {}
    for charge in decision.charges:
        sums[charge.cap] = sums.get(charge.cap, Decimal(0)) + charge.amount
    return {cap: format_amount(amount) for cap, amount in sums.items()}


def _placed(policy: Policy, table: PlacedTable, parse: ParseCall) -> PlacedOrder:
    order = parse(policy.words.place_call, table.fields).orders[0]
    return PlacedOrder(account="", client=table.client, venue_id=table.txid, order=order, placed_us=0)


def _refs(placed: PlacedOrder) -> set[OrderRef]:
    refs = {OrderRef("venue-id", placed.venue_id)}
    if placed.order.client_tag is not None:
        refs.add(OrderRef("client-tag", placed.order.client_tag))
    if placed.order.client_id is not None:
        refs.add(OrderRef("client-id", placed.order.client_id))
    return refs
