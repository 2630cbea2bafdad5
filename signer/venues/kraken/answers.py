"""What we answer a client in Kraken's words, so that its library raises the exception that fits (docs/kraken.md §9).

The first string of an ``error`` array decides alone in ccxt, which matches exactly; python-kraken-sdk matches its table
against *every* string as substrings, in table order. So the first string is always one of Kraken's own, the second
carries the reason, and every reason goes through `reason`, which leaves no phrase in it that any table knows.
"""

from __future__ import annotations

import json
import re

from signer.errors import NotAllowed, NotAuthentic, NotServed, NotUnderstood
from signer.model import Decision, Json

REASON_LENGTH = 200
"""Longest reason in an answer; longer ones are cut. Clients print them, logs hold them."""

QUOTE_LENGTH = 40
"""Longest piece of the caller's own text that a reason repeats."""

_LISTED = re.compile(
    "authenticationError|insufficientAvailableFunds|requiredArgumentMissing|apiLimitExceeded|invalidUnit"
    "|Unavailable|invalidAccount|notFound|orderForEditNotFound|NotFound"
)
"""The phrases without a colon that python-kraken-sdk looks for. All have a capital; in small letters they are safe."""

_CODE = re.compile(
    "([EW][A-Z][A-Za-z]*):(?=[A-Za-z])"  # EOrder:…, WGeneral:…
    "|:(?=I?Insufficient funds|Invalid |Cancel pending|Rate limit exceeded)"
)
"""Where one of Kraken's error codes begins, or one of the endings without a code that ccxt looks for."""
_UNPRINTABLE = re.compile(r"[^ -~]")


def reason(text: str) -> str:
    """``text`` made safe to stand in an error array: printable ASCII on one line, bounded, and free of any phrase that
    a client library takes for an error of its own.

    A phrase of ccxt or of python-kraken-sdk's spot table begins with a code (``EOrder:…``) or is one of a few endings
    (``:Invalid nonce``): a space behind that colon makes it none. The few phrases without a colon are written small.
    All else stays as it is, so that a value such as ``12:00:00Z`` is quoted as the caller wrote it.
    """
    text = _UNPRINTABLE.sub("?", text)[:REASON_LENGTH]
    text = _CODE.sub(lambda found: f"{found[1] or ''}: ", text)[:REASON_LENGTH].rstrip()
    return _LISTED.sub(lambda found: found[0].lower(), text)


def quoted(value: object) -> str:
    """The caller's own word inside a reason: cut short, and unable to end its quotation."""
    text = str(value)
    cut = text if len(text) <= QUOTE_LENGTH else text[:QUOTE_LENGTH] + "..."
    return '"' + cut.replace('"', "'") + '"'


def invalid(what: str) -> NotUnderstood:
    """The refusal of a malformed, unknown or undecided parameter; ``what`` names it."""
    return NotUnderstood("EGeneral:Invalid arguments", f"EGeneral:Policy {reason(what)}")


def unknown_method() -> NotUnderstood:
    """The refusal of a path or endpoint that is not in our tables."""
    return NotUnderstood("EGeneral:Unknown method")


def unknown_pair(text: object) -> NotUnderstood:
    """The refusal of a pair that the pair table does not have, or has twice."""
    why = reason(f"the pair {quoted(text)} is not listed, or names more than one")
    return NotUnderstood("EQuery:Unknown asset pair", f"EQuery:Policy {why}")


def invalid_nonce(detail: str) -> NotAuthentic:
    """The refusal of a request whose nonce cannot be read. Kraken's text has no suffix; ``detail`` is for our log."""
    return NotAuthentic("EAPI:Invalid nonce", detail=reason(detail))


def not_served(why: str) -> NotServed:
    """The answer when a store, the log, a lane or the venue failed us; ``why`` says whether anything was sent."""
    return NotServed("EService:Unavailable", f"EService:Gateway: {reason(why)}")


def quiet(words: tuple[str, ...], why: str) -> NotServed:
    """The answer to a call that waits no less than Kraken asked us to: Kraken's ``words``, and why it was not sent."""
    kind = words[0].partition(":")[0]
    return NotServed(*words, f"{kind}:Gateway: {reason(why)}", rules=("quiet",))


def rate_limited(why: str, rule: str, *, orders: bool) -> NotServed:
    """The answer to a call that comes too fast: one that concerns ``orders``, or any other."""
    kind = "EOrder" if orders else "EAPI"
    return NotServed(f"{kind}:Rate limit exceeded", f"{kind}:Gateway: {reason(why)}", rules=(rule,))


def refusal_for(decision: Decision) -> NotAllowed:
    """The refusal that fits a decision which denies.

    A feature that is not permitted outranks an order past a limit (the bot should stop), and that one outranks orders
    that come too fast (the bot should wait). The answer names the first denial of that kind; all rules are in
    ``rules``.
    """
    denials = decision.denials
    rules = tuple(hit.rule for hit in denials)
    for kind in ("feature", "limit", "rate", "nothing"):
        hit = next((hit for hit in denials if hit.kind == kind), None)
        if hit is None:
            continue
        why = reason(f"Policy {hit.rule}: {hit.reason}")
        if kind == "feature":
            return NotAllowed("EGeneral:Permission denied", f"EGeneral:{why}", rules=rules)
        if kind == "limit":
            return NotAllowed(f"EOrder:Invalid order:{why}", rules=rules)
        if kind == "rate":
            return NotAllowed("EOrder:Rate limit exceeded", f"EOrder:{why}", rules=rules)
        return NotAllowed("EOrder:Invalid order", f"EOrder:{why}", rules=rules)  # what grid bots test their key for
    # An allow that was not given is a denial: nothing is permitted for want of a rule that objects.
    return NotAllowed("EGeneral:Permission denied", "EGeneral:Policy default: no rule allows this call", rules=rules)


def envelope_error(errors: tuple[str, ...]) -> bytes:
    """The body of a refusal. No ``result`` key: a null one crashes kraken-connector (docs/kraken.md §8.17)."""
    return json.dumps({"error": list(errors)}, separators=(",", ":")).encode()


def envelope_result(result: Json) -> bytes:
    """The body of an answer that we give ourselves."""
    return json.dumps({"error": [], "result": result}, separators=(",", ":")).encode()
