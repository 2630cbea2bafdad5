"""Whether orders pass now, as the running gateway says. `signer status` and `/-/ready` say the same."""

from __future__ import annotations

from collections.abc import Iterator

from signer.doctor.said import error, fine, warning
from signer.findings import Finding
from signer.serving.readiness import ALONE, Obstacle, Readiness

SAID_ELSEWHERE = frozenset({"halt", "expired", "policy", "book", "home"})
"""Kinds that the checks of book, home, clients and policies report with more detail."""
HINT = "the findings of its causes say what to do; `signer status` lists them"


def examine(readiness: Readiness) -> Iterator[Finding]:
    """Give one finding for the whole, and one for each obstacle that no other part reports."""
    stopped = [*readiness.everybody, *(each for found in readiness.clients.values() for each in found)]
    if not readiness.not_ready_reason and not readiness.asked:
        yield fine("orders", "orders", "not checked")
    elif not readiness.not_ready_reason:
        yield fine("orders", "orders", "pass, but for what stands below" if stopped else "pass")
    elif all(each.kind == "halt" for each in stopped):
        yield warning("orders", "orders", f"do not pass: {readiness.not_ready_reason}", HINT)
    else:
        yield error("orders", "orders", f"do not pass: {readiness.not_ready_reason}", HINT)
    seen = dict.fromkeys(each for each in stopped if each.kind not in SAID_ELSEWHERE)
    yield from map(_said, seen)
    for each in readiness.notes:
        yield fine(each.kind, "orders", each.what) if each.kind == ALONE else _said(each)


def _said(each: Obstacle) -> Finding:
    if each.kind == "revoked":
        return fine(each.kind, "orders", each.what)
    say = warning if each.kind in {"reload", "changed"} else error
    return say(each.kind, "orders", each.what, each.hint or HINT)
