"""What we answer in Kraken's words, and that no reason of ours says more than it should."""

from __future__ import annotations

import json

import pytest

from signer.errors import NotAllowed, NotServed
from signer.model import Decision, RuleHit
from signer.policy.rules import denial
from signer.venues.kraken.answers import REASON_LENGTH, quoted, reason, words
from tests.unit.venues.kraken.asking import KRAKEN


def denied(*hits: RuleHit) -> NotAllowed:
    """The refusal of a decision with these hits."""
    return denial(Decision(False, hits, (), (), "trader", "hash"))


FEATURE = RuleHit("pairs", False, "XETHZUSD is not listed")
LIMIT = RuleHit("order-notional", False, "46875 USD is above 2500 USD", "limit")
RATE = RuleHit("orders-per-minute", False, "61 orders within 1m", "rate")
ALLOWS = RuleHit("permissions", True, "modify-trades is granted")


def test_a_feature_that_is_not_permitted_is_permission_denied() -> None:
    """The exact first string decides in ccxt; the second names the rule."""
    refusal = denied(ALLOWS, FEATURE)
    assert words(refusal) == ("EGeneral:Permission denied", "EGeneral:Policy pairs: XETHZUSD is not listed")
    assert refusal.rules == ("pairs",)


def test_an_order_past_a_limit_is_an_invalid_order() -> None:
    """Bots skip it and go on."""
    assert words(denied(LIMIT)) == ("EOrder:Invalid order:Policy order-notional: 46875 USD is above 2500 USD",)


def test_orders_that_come_too_fast_are_a_rate_limit() -> None:
    """The answer is one that makes bots wait."""
    assert words(denied(RATE)) == (
        "EOrder:Rate limit exceeded",
        "EOrder:Policy orders-per-minute: 61 orders within 1m",
    )


def test_a_cancel_that_names_nothing_is_an_invalid_order() -> None:
    """Exactly Kraken's words, which bots that test their key tolerate; who may not cancel at all hears that first."""
    nothing = RuleHit("ownership", False, "CancelOrder names no order", "nothing")
    assert words(denied(nothing)) == ("EOrder:Invalid order", "EOrder:Policy ownership: CancelOrder names no order")
    assert words(denied(nothing, RuleHit("permissions", False, "x")))[0] == "EGeneral:Permission denied"


def test_the_gravest_denial_speaks_and_all_are_named() -> None:
    """A feature outranks a limit, and a limit outranks a rate."""
    refusal = denied(RATE, LIMIT, ALLOWS, FEATURE)
    assert words(refusal)[0] == "EGeneral:Permission denied"
    assert refusal.rules == ("orders-per-minute", "order-notional", "pairs")
    assert words(denied(RATE, LIMIT))[0].startswith("EOrder:Invalid order:")


def test_no_rule_at_all_is_a_denial_too() -> None:
    """A call that no rule objects to is denied unless a rule allows it."""
    assert words(denied())[0] == "EGeneral:Permission denied"


def test_not_served_keeps_the_service_category() -> None:
    """The only service string that every typed client knows, then the reason."""
    refusal = NotServed.unavailable("the audit log cannot be written; nothing was sent")
    assert isinstance(refusal, NotServed)
    assert words(refusal) == (
        "EService:Unavailable",
        "EService:Gateway: the audit log cannot be written; nothing was sent",
    )


def test_a_refusal_s_body_has_no_result() -> None:
    """A null one crashes a client (docs/kraken.md §8.17)."""
    assert json.loads(KRAKEN.refusal(denied(FEATURE)).body) == {"error": list(words(denied(FEATURE)))}


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("EGeneral:Invalid arguments", "EGeneral: Invalid arguments"),
        ("a:b:c", "a:b:c"),
        ('deadline "12:00:00Z"', 'deadline "12:00:00Z"'),
        ("bot:alpha, Bot:Alpha, E:x, Ex:y", "bot:alpha, Bot:Alpha, E:x, Ex:y"),
        ("XBTUSD:BTNL and ETH:USD", "XBTUSD:BTNL and ETH: USD"),
        ("xEOrder:EOrder:Invalid order:Invalid nonce", "xEOrder: EOrder: Invalid order: Invalid nonce"),
        (":IInsufficient funds", ": IInsufficient funds"),
        ("the venue is Unavailable", "the venue is unavailable"),
        ("orderForEditNotFound", "orderforeditnotfound"),
        ("a\r\nSet-Cookie: x", "a??Set-Cookie: x"),
        ("caf\u00e9 \u202e", "caf? ?"),
        ("tab\tnul\x00del\x7f", "tab?nul?del?"),
        ("ends with a colon:", "ends with a colon:"),
    ],
)
def test_a_reason_is_one_safe_line(text: str, safe: str) -> None:
    """Printable ASCII, and no phrase that a client takes for an error of its own."""
    assert reason(text) == safe


def test_a_reason_is_bounded() -> None:
    """Escaped colons make the reason twice as long at most."""
    assert len(reason("x" * 10_000)) == REASON_LENGTH
    assert len(reason(":x" * 10_000)) <= 2 * REASON_LENGTH


def test_a_quotation_cannot_be_ended_from_inside() -> None:
    """A quoted value can neither end its quotation nor be long."""
    assert quoted('a"b') == '"a\'b"'
    assert len(quoted("x" * 1000)) < 50
