"""Whether a real key is fit: the judgement, over tables and at random."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signer.findings import Finding, Weight
from signer.gateway.credential import KeyStatus
from signer.keycheck.judgement import KINDS, SOON_US, Requirements, judge_key, requirements_of
from signer.model import Action, ClientInfo, CredentialInfo, KeyInfo, Role
from signer.venues.kraken.endpoints import ENDPOINTS, PERMISSIONS
from signer.venues.kraken.orders import PairTable
from signer.venues.kraken.venue import Kraken
from tests.unit.policy.examples import policy

NOW_US = 1_800_000_000_000_000
VENUE = Kraken(PairTable.built_in())
TRADES = ("close-trades", "modify-trades", "query-closed-trades", "query-funds", "query-open-trades")
READS = ("query-closed-trades", "query-funds", "query-open-trades")
DEFAULT = KeyInfo("at Kraken", TRADES, None, 1, 0, ("192.0.2.1",))
GRANTABLE = sorted({word for each in ENDPOINTS.values() if not each.never for need in each.needs for word in need})


def key(*permissions: str, **more: Any) -> KeyInfo:
    """A key that is bound to an address and never ends, with these permissions."""
    return replace(DEFAULT, permissions=permissions, **more)


def credential(name: str = "kraken", role: Role = Role.TRADE, account: str = "main") -> CredentialInfo:
    """A credential."""
    return CredentialInfo(name, account, "API", "abc", 1, role)


def client(name: str = "bot", account: str = "main", **more: Any) -> ClientInfo:
    """A client."""
    standard = ClientInfo(name, account, "trader", "VIRTUAL", "abc", (), None, "window", revoked=False, created_us=1)
    return replace(standard, **more)


def requirements(
    permissions: Collection[str] = TRADES,
    *credentials: CredentialInfo,
    of: str = "kraken",
    waived: dict[str, str] | None = None,
    **more: Any,
) -> Requirements:
    """What is asked of a credential where one client's policy grants these permissions."""
    clients = [(client(**more), policy(permissions=sorted(permissions)))]
    return requirements_of(credentials or [credential()], clients, {"main": VENUE}, {of: waived or {}}, NOW_US)[of]


judge = partial(judge_key, moved=False, others={})
"""Judges a key that nobody else uses."""


def kinds(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    """Weight and kind of each."""
    return [(finding.weight.value, finding.kind) for finding in findings]


def test_a_key_that_fits() -> None:
    """Exactly what the clients need, bound to an address: one finding, that it is fine."""
    assert kinds(judge(key(*TRADES), requirements(), VENUE, NOW_US)) == [("fine", "fit")]


@pytest.mark.parametrize(
    ("extra", "kind", "says"),
    [
        ("withdraw-funds", "may-withdraw", "withdraw-funds"),
        ("add-withdraw-address", "may-withdraw", "add-withdraw-address"),
        ("update-withdraw-address", "may-withdraw", "update-withdraw-address"),
        ("launch-rockets", "unknown-permission", "launch-rockets"),
        ("\x1b[2Jwipe\nlines", "unknown-permission", "?[2Jwipe?lines"),
        ("earn-funds", "may-earn", "earn-funds"),
    ],
)
def test_a_key_that_may_do_what_is_dangerous_is_refused_unless_waived(extra: str, kind: str, says: str) -> None:
    """Each permission too many is named, with the lines that would waive it; a waiver is for that permission alone."""
    (finding,) = judge(key(*TRADES, extra), requirements(), VENUE, NOW_US)
    assert (finding.weight, finding.kind) == (Weight.REFUSED, kind)
    assert says in finding.what
    assert f'[waivers.kraken] {says} = "' in finding.hint
    assert str(finding).isprintable()
    waived = requirements(waived={extra: "a reason"})
    assert kinds(judge(key(*TRADES, extra), waived, VENUE, NOW_US)) == [("fine", "fit")]
    assert Weight.REFUSED in {each.weight for each in judge(key(*TRADES, extra, "more"), waived, VENUE, NOW_US)}


@pytest.mark.parametrize("extra", ["create-ws-token", "query-ledger", "add-funds", "export-data"])
def test_a_key_that_may_do_more_than_needed_is_a_warning_or_refused_by_choice(extra: str) -> None:
    """A key that may do too much signs with a warning, or is refused with ``excess_permissions = "refuse"``."""
    (finding,) = judge(key(*TRADES, extra), requirements(), VENUE, NOW_US)
    assert (finding.weight, finding.kind) == (Weight.WARNING, "unused-permission")
    assert f"({extra})" in finding.what
    assert f'[waivers.kraken] {extra} = "' in finding.hint
    strict = replace(requirements(), excess=Weight.REFUSED)
    assert kinds(judge(key(*TRADES, extra), strict, VENUE, NOW_US)) == [("refused", "unused-permission")]
    assert kinds(judge(key(*TRADES, extra), requirements(waived={extra: "x"}), VENUE, NOW_US)) == [("fine", "fit")]


@pytest.mark.parametrize("gone", [{"revoked": True}, {"expires_us": NOW_US}], ids=["revoked", "expired"])
def test_a_change_of_ours_never_stops_a_proven_key(gone: dict[str, Any]) -> None:
    """A key that fits its trader and its reader stays in use when the trader is gone, for reads and cancels alike."""
    reader = (replace(client(), name="reader"), policy(permissions=sorted(READS)))
    for trader in ({}, gone):
        both = [(client(**trader), policy(permissions=sorted(TRADES))), reader]
        asked = requirements_of([credential()], both, {"main": VENUE}, {}, NOW_US)["kraken"]
        status = KeyStatus(key(*TRADES))
        status.found(judge(key(*TRADES), asked, VENUE, NOW_US))
        assert all(status.admits(action) for action in Action)


def test_a_waiver_of_nothing_is_said() -> None:
    """A waiver without its permission is said, since it would let in what somebody adds later."""
    found = judge(key(*TRADES), requirements(waived={"withdraw-funds": "x"}), VENUE, NOW_US)
    assert kinds(found) == [("warning", "waiver-unneeded")]


@pytest.mark.parametrize(
    ("granted", "held", "missing"),
    [
        (TRADES, READS, ["close-trades, modify-trades"]),
        (READS, ("query-funds", "query-open-trades"), ["query-closed-trades"]),
        (("close-trades", "query-open-trades"), ("modify-trades", *READS), []),
        (("query-ledger", "query-funds"), ("query-funds",), ["query-ledger"]),
    ],
)
def test_a_key_that_may_do_too_little(granted: tuple[str, ...], held: tuple[str, ...], missing: list[str]) -> None:
    """An error that names the policy and what it promises in vain; where either of two does, one is enough."""
    found = [
        each for each in judge(key(*held), requirements(granted), VENUE, NOW_US) if each.kind == "missing-permission"
    ]
    assert [each.weight for each in found] == [Weight.ERROR] * len(missing)
    for finding, words in zip(found, missing, strict=True):
        assert f"policy trader promises ({words})" in finding.what


def test_orders_that_are_lost_must_be_looked_up() -> None:
    """A policy that places orders and reads none still needs a key that finds out what became of them."""
    found = judge(key("modify-trades"), requirements(("modify-trades",)), VENUE, NOW_US)
    assert kinds(found) == [("error", "missing-permission")]
    assert "look up orders whose answer was lost (query-closed-trades, query-open-trades)" in found[0].what
    fits = key("modify-trades", "query-open-trades", "query-closed-trades")
    assert kinds(judge(fits, requirements(("modify-trades",)), VENUE, NOW_US)) == [("fine", "fit")]


def test_each_role_needs_what_it_signs_and_no_more() -> None:
    """A key for reads may not trade, and the one that trades need not read, where both are there."""
    pair = [credential("r", Role.READ), credential("t")]
    reader, trader = (requirements(TRADES, *pair, of=name) for name in ("r", "t"))
    assert kinds(judge(key(*READS), reader, VENUE, NOW_US)) == [("fine", "fit")]
    assert kinds(judge(key(*TRADES), reader, VENUE, NOW_US)) == [("warning", "unused-permission")]
    assert kinds(judge(key("modify-trades", "close-trades"), trader, VENUE, NOW_US)) == [("fine", "fit")]
    assert "query-funds" not in trader.usable
    funding = requirements(("query-funds", "add-funds"), credential(), credential("f", Role.FUNDING), of="f")
    assert kinds(judge(key("add-funds"), funding, VENUE, NOW_US)) == [("fine", "fit")]


def test_whose_clients_count() -> None:
    """Only those that may call now, and of the same account: of a key that serves nobody nothing is too much."""
    for gone in ({"revoked": True}, {"expires_us": NOW_US}, {"account": "other"}):
        nobody = requirements(TRADES, **gone)
        assert not nobody.serves
        assert kinds(judge(key(*TRADES, "query-ledger"), nobody, VENUE, NOW_US)) == [("fine", "fit")]
        assert kinds(judge(key("withdraw-funds"), nobody, VENUE, NOW_US)) == [("refused", "may-withdraw")]
    assert requirements(TRADES, expires_us=NOW_US + 1).serves


@pytest.mark.parametrize(
    ("change", "weight", "kind"),
    [
        ({"sources": ()}, "warning", "any-address"),
        ({"nonce_window": 10}, "warning", "nonce-window"),
        ({"expires_us": NOW_US + SOON_US}, "warning", "expires"),
        ({"expires_us": NOW_US}, "error", "expires"),
        ({"expires_us": NOW_US + SOON_US + 1}, "fine", "fit"),
    ],
)
def test_what_else_is_to_be_known(change: dict[str, Any], weight: str, kind: str) -> None:
    """Any address, a nonce window, an end within a fortnight."""
    assert kinds(judge(key(*TRADES, **change), requirements(), VENUE, NOW_US)) == [(weight, kind)]


def test_what_a_standing_admits() -> None:
    """A key of which nothing is known signs reads, a known one all calls, a refused one none."""
    status = KeyStatus()
    assert [status.admits(action) for action in Action] == [action is Action.READ for action in Action]
    assert status.word == "unproven"
    status.key = key(*TRADES)
    assert all(status.admits(action) for action in Action)
    status.found(judge(key("withdraw-funds"), requirements(), VENUE, NOW_US))
    assert not any(status.admits(action) for action in Action)
    assert status.word == "refused"


@given(
    granted=st.sets(st.sampled_from(GRANTABLE), min_size=1),
    held=st.sets(st.sampled_from([*PERMISSIONS, "new-word"])),
    waived=st.sets(st.sampled_from([*PERMISSIONS, "new-word"])),
)
def test_what_is_refused_and_what_is_warned_of(granted: set[str], held: set[str], waived: set[str]) -> None:
    """At random, exactly the dangerous permissions are refused and exactly the unneeded ones warned of; waived ones are
    neither."""
    clients = [(client(), replace(policy(), permissions=frozenset(granted)))]
    asked = requirements_of([credential()], clients, {"main": VENUE}, {"kraken": dict.fromkeys(waived, "x")}, NOW_US)[
        "kraken"
    ]
    use = {
        word
        for each in ENDPOINTS.values()
        if not each.never and all(need & granted for need in each.needs)
        for need in each.needs
        for word in need & granted
    }
    if granted & {"modify-trades", "close-trades"}:  # either may amend
        use |= {"query-open-trades", "query-closed-trades"}
    found = judge(key(*held), asked, VENUE, NOW_US)
    dangerous = {word for word in held - waived if word in VENUE.withdrawing | VENUE.earning | {"new-word"}}
    unused = held - waived - dangerous - use
    assert any(each.weight is Weight.REFUSED for each in found) == bool(dangerous)
    assert any(each.kind == "unused-permission" for each in found) == bool(unused)
    assert {each.kind for each in found} <= {*KINDS, "fit"}
    assert all(any(word in each.what for each in found if each.weight is Weight.REFUSED) for word in dangerous)
    assert all(any(word in each.what for each in found if each.weight is Weight.WARNING) for word in unused)


def test_keys_of_two_accounts_at_the_venue() -> None:
    """Two keys of one account here must be of one there; a venue that does not tell the account proves nothing."""
    mine = key(*TRADES, account="A")
    for others, told in (({}, 0), ({"b": "A"}, 0), ({"b": ""}, 0), ({"b": "B"}, 1), ({"b": "B", "c": "C"}, 1)):
        found = judge_key(mine, requirements(), VENUE, NOW_US, moved=False, others=others)
        assert [each.kind for each in found].count("another-account") == told
    assert kinds(judge(key(*TRADES), requirements(), VENUE, NOW_US)) == [("fine", "fit")]


def test_a_key_of_which_nothing_is_known() -> None:
    """Only that its nonce moved can be said of it."""
    found = judge_key(None, requirements(), VENUE, NOW_US, moved=True, others={"b": "B"})
    assert kinds(found) == [("warning", "used-elsewhere")]
