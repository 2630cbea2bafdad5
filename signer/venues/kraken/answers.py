"""What we answer a client in Kraken's words, so that its library raises the exception that fits (docs/kraken.md §9).

The first string of an ``error`` array decides alone in ccxt, which matches exactly; python-kraken-sdk matches its table
against *every* string as substrings, in table order. So the first string is always one of Kraken's own, the second
carries the reason, and every reason goes through `reason`, which leaves no phrase in it that any table knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from signer.errors import NotAuthentic, NotUnderstood, RefusalKind, Refused
from signer.model import Action, Call, Json, Response

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

_encode = json.JSONEncoder(separators=(",", ":")).encode
"""Made once: `json.dumps` makes a new encoder at each call that has separators."""


def reason(text: str) -> str:
    """Make ``text`` safe to stand in an error array: printable ASCII on one line, bounded, and free of any phrase that
    a client library takes for an error of its own.

    A phrase of ccxt or of python-kraken-sdk's spot table begins with a code (``EOrder:…``) or is one of a few endings
    (``:Invalid nonce``): a space behind that colon makes it none. The few phrases without a colon are written small.
    All else stays as it is, so that a value such as ``12:00:00Z`` is quoted as the caller wrote it.
    """
    text = _UNPRINTABLE.sub("?", text)[:REASON_LENGTH]
    text = _CODE.sub(lambda found: f"{found[1] or ''}: ", text)[:REASON_LENGTH].rstrip()
    return _LISTED.sub(lambda found: found[0].lower(), text)


def quoted(value: object) -> str:
    """Return the caller's own word inside a reason: cut short, and unable to end its quotation."""
    text = str(value)
    cut = text if len(text) <= QUOTE_LENGTH else text[:QUOTE_LENGTH] + "..."
    return '"' + cut.replace('"', "'") + '"'


def invalid(what: str) -> NotUnderstood:
    """Return the refusal of a malformed, unknown or undecided parameter; ``what`` names it."""
    return NotUnderstood(RefusalKind.INVALID_ARGUMENTS, reason(what))


def unknown_method() -> NotUnderstood:
    """Return the refusal of a path or endpoint that is not in our tables."""
    return NotUnderstood(RefusalKind.UNKNOWN_ENDPOINT)


def unknown_pair(text: object) -> NotUnderstood:
    """Return the refusal of a pair that the pair table does not have, or has twice."""
    why = f"the pair {quoted(text)} is not listed, or names more than one"
    return NotUnderstood(RefusalKind.UNKNOWN_PAIR, reason(why))


def invalid_nonce(detail: str) -> NotAuthentic:
    """Return the refusal of a request whose nonce cannot be read; ``detail`` is for our log."""
    return NotAuthentic(RefusalKind.NOT_FRESH, detail=reason(detail))


def words(refused: Refused, call: Call | None = None) -> tuple[str, ...]:
    """Return the ``error`` array that tells a client of ``refused``; ``call`` is the call, where it was understood."""
    return _WORDS[refused.kind](refused, call)


def _rate_limited(refused: Refused, call: Call | None) -> tuple[str, ...]:
    """Choose the words for a rate: Kraken counts orders apart from other calls, and public calls by source."""
    if call is None:
        return ("EAPI:Rate limit exceeded", f"EGeneral:Policy {reason(refused.reason)}")
    category = "EOrder" if call.action in {Action.ORDER, Action.CANCEL} else "EAPI"
    return (f"{category}:Rate limit exceeded", f"{category}:Gateway: {reason(refused.reason)}")


def _quiet(refused: Refused, _: Call | None) -> tuple[str, ...]:
    """Repeat Kraken's own words, and say why the call was not sent."""
    category = refused.venue_words[0].partition(":")[0]
    return (*refused.venue_words, f"{category}:Gateway: {reason(refused.reason)}")


def _policy(first: str) -> _Wording:
    """Write two strings: Kraken's error, then our reason under the same category."""
    category = first.partition(":")[0]
    return lambda refused, _: (first, f"{category}:Policy {reason(refused.reason)}")


def _rule(first: str) -> _Wording:
    """Return the same, with a bound on the reason that counts the word Policy too."""
    category = first.partition(":")[0]
    return lambda refused, _: (first, f"{category}:{reason(f'Policy {refused.reason}')}")


def _alone(first: str) -> _Wording:
    """Write Kraken's error and no reason: clients compare the whole text."""
    return lambda _, __: (first,)


_Wording: TypeAlias = Callable[[Refused, Call | None], tuple[str, ...]]

_WORDS: Mapping[RefusalKind, _Wording] = {
    RefusalKind.INVALID_KEY: _alone("EAPI:Invalid key"),
    RefusalKind.INVALID_SIGNATURE: _alone("EAPI:Invalid signature"),
    RefusalKind.INVALID_PASSPHRASE: _alone("EAPI:Invalid signature"),
    RefusalKind.NOT_FRESH: _alone("EAPI:Invalid nonce"),
    RefusalKind.LOCKED_OUT: _alone("EGeneral:Temporary lockout"),
    RefusalKind.UNKNOWN_ENDPOINT: _alone("EGeneral:Unknown method"),
    RefusalKind.UNKNOWN_ORDER: _alone("EOrder:Unknown order"),
    RefusalKind.INVALID_ARGUMENTS: _policy("EGeneral:Invalid arguments"),
    RefusalKind.UNKNOWN_PAIR: _policy("EQuery:Unknown asset pair"),
    RefusalKind.NOT_PERMITTED: _rule("EGeneral:Permission denied"),
    RefusalKind.ORDER_LIMIT: lambda refused, _: (f"EOrder:Invalid order:{reason(f'Policy {refused.reason}')}",),
    RefusalKind.ORDER_RATE: _rule("EOrder:Rate limit exceeded"),
    RefusalKind.NO_ORDER_NAMED: _rule("EOrder:Invalid order"),  # bots send such a cancel to test their key
    RefusalKind.CAP: lambda refused, _: (f"EOrder:Invalid order:{refused.reason}",),
    RefusalKind.CAP_OF_ORDERS: lambda refused, _: (
        "EOrder:Rate limit exceeded",
        f"EOrder:Rate limit exceeded:{refused.reason}",
    ),
    # Not Unavailable: bots would go on trying.
    RefusalKind.HALTED: lambda refused, _: ("EGeneral:Permission denied", f"EGeneral:Policy {refused.reason}"),
    RefusalKind.CANCEL_ONLY: lambda refused, _: (
        "EService:Market in cancel_only mode",
        f"EService:Policy {refused.reason}",
    ),
    RefusalKind.RATE_LIMITED: _rate_limited,
    RefusalKind.QUIET: _quiet,
    RefusalKind.NOT_CANCELLED: lambda refused, _: refused.venue_words,
    RefusalKind.UNAVAILABLE: lambda refused, _: (
        "EService:Unavailable",
        f"EService:Gateway: {reason(refused.reason)}",
    ),
}


def refusal(refused: Refused, call: Call | None = None) -> Response:
    """Return the answer that says no. No ``result`` key: a null one crashes kraken-connector (docs/kraken.md §8.17)."""
    return _enveloped({"error": list(words(refused, call))})


def answer_with(result: Json) -> Response:
    """Return an answer of our own with that result."""
    return _enveloped({"error": [], "result": result})


def _enveloped(envelope: Json) -> Response:
    """Answer with status 200, as Kraken does; some clients repeat for ever after another (docs/kraken.md §8.16)."""
    return Response(200, "application/json", _encode(envelope).encode(), ours=True)
