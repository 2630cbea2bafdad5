"""What a policy shall answer, written down beside it in ``NAME.cases.toml`` and run by `signer policy test`.

A case gives a call as a bot would send it, orders that were placed before, and the answer expected.
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
from signer.policy.decide import decide
from signer.policy.load import CASES_SUFFIX, read_tables
from signer.policy.orders import refs_of
from signer.policy.policy import Policy, format_amount
from signer.policy.schema import Table

ParseCall: TypeAlias = Callable[[str, Mapping[str, str]], Call]
"""The call of an endpoint and its form fields. Raises `NotUnderstood`."""

CALLER = "bot"
"""The client that makes the calls of all cases."""

NOT_UNDERSTOOD = "not-understood"
"""Named as the rule where parsing refuses a call before any policy is asked."""


class PlacedTable(Table):
    """``placed``: an order that is there before the call is made."""

    txid: str
    client: str = CALLER
    fields: Mapping[str, str]
    """Of the AddOrder that placed it."""


class Case(Table):
    """``[[case]]``: one call and the answer expected."""

    name: str
    call: str
    fields: Mapping[str, str] = {}
    placed: tuple[PlacedTable, ...] = Field((), strict=False)
    expect: Literal["allow", "deny"]
    rules: tuple[str, ...] = Field((), strict=False)
    """The rules that deny, each once, most important first."""
    charges: Mapping[str, str] | None = None
    """How much of each cap is charged in all; not looked at if not stated."""


class CasesFile(Table):
    """All cases of one policy."""

    case: tuple[Case, ...] = Field(strict=False, min_length=1)


@dataclass(frozen=True, slots=True)
class CaseResult:
    """How a case went; an empty ``problem`` is a pass."""

    name: str
    problem: str


def cases_path(policy: Path) -> Path:
    """Where the cases of a policy file are."""
    return policy.with_name(policy.stem + CASES_SUFFIX)


def load_cases(path: Path) -> CasesFile:
    """The cases in ``path``. Raises `ConfigError` with one line for each problem."""
    return read_tables(path, CasesFile)


def run_cases(policy: Policy, file: CasesFile, parse: ParseCall, pairs: Mapping[str, Pair]) -> list[CaseResult]:
    """How each case of ``file`` goes under ``policy``. ``pairs`` is by canonical id."""
    return [CaseResult(case.name, _problem(policy, case, parse, pairs)) for case in file.case]


def _problem(policy: Policy, case: Case, parse: ParseCall, pairs: Mapping[str, Pair]) -> str:
    placed = [_placed(table, parse) for table in case.placed]
    try:
        call = parse(case.call, case.fields)
    except NotUnderstood as error:
        return _difference(case, False, [NOT_UNDERSTOOD], {}, str(error))
    known = {ref: tuple(order for order in placed if ref in _refs(order)) for ref in refs_of(call)}
    decision = decide(policy, CALLER, call, Facts(pairs, known))
    why = "; ".join(hit.reason for hit in decision.denials)
    return _difference(case, decision.allowed, denying_rules(decision), _sums(decision), why)


def denying_rules(decision: Decision) -> list[str]:
    """The rules that deny, each once, most important first."""
    return list(dict.fromkeys(hit.rule for hit in decision.denials))


def _difference(case: Case, allowed: bool, rules: list[str], charges: dict[str, str], why: str) -> str:
    """What is not as the case expects, or nothing."""
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


def _placed(table: PlacedTable, parse: ParseCall) -> PlacedOrder:
    order = parse("AddOrder", table.fields).orders[0]
    return PlacedOrder(account="", client=table.client, txid=table.txid, order=order, placed_us=0)


def _refs(placed: PlacedOrder) -> set[OrderRef]:
    refs = {OrderRef("txid", placed.txid)}
    if placed.order.userref is not None:
        refs.add(OrderRef("userref", str(placed.order.userref)))
    if placed.order.cl_ord_id is not None:
        refs.add(OrderRef("cl_ord_id", placed.order.cl_ord_id))
    return refs
