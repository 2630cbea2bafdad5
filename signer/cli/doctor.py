"""`signer doctor`: examines everything and prints a page with each finding and its hint."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import click
from rich.console import Console
from rich.text import Text

from signer.cli.options import json_option, opens_store
from signer.cli.showing import show_json
from signer.doctor.examination import Part, examine
from signer.findings import Finding, Weight
from signer.operator.opening import open_store
from signer.operator.probing import asking
from signer.operator.readiness import readiness_of
from signer.operator.session import Session
from signer.serving.clock import SystemClock

MARKS = {
    Weight.FINE: ("✓", "green"),
    Weight.WARNING: ("!", "yellow"),
    Weight.ERROR: ("✗", "red"),
    Weight.REFUSED: ("✗", "red"),
}
BAD = {Weight.ERROR, Weight.REFUSED}
WIDE = 1000
"""Columns of the page if it goes to a file or pipe: lines are not wrapped, so that they can be searched."""


@click.command()
@json_option
@opens_store
def doctor(session: Session, *, as_json: bool) -> int:
    """Examine files, keys, exchange, listeners, disk and versions.

    Prints what is fine, what is not, and the hint. Exit status 1 if anything is an error or refused.
    """

    home = session.home
    opened, ready = partial(open_store, session), partial(readiness_of, home)
    parts = examine(home, opened, lambda: asking(session), ready, SystemClock())
    shown = _as_json(parts) if as_json else _as_page(parts)
    return 1 if any(finding.weight in BAD for finding in shown) else 0


def _as_json(parts: Iterable[Part]) -> Sequence[Finding]:
    rows = [(part.subject, finding) for part in parts for finding in part.findings]
    findings = [finding for _, finding in rows]
    told = [
        {
            "subject": subject,
            "weight": finding.weight.value,
            "kind": finding.kind,
            "about": finding.about,
            "what": finding.what,
            "hint": finding.hint,
        }
        for subject, finding in rows
    ]
    show_json({"ok": not any(one.weight in BAD for one in findings), "findings": told})
    return findings


def _as_page(parts: Iterable[Part]) -> Sequence[Finding]:
    """Show each part as soon as it was looked at, because some take seconds."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    findings: list[Finding] = []
    for part in parts:
        if part.findings:
            console.print(Text(part.subject.capitalize(), style="bold"))
        for finding in part.findings:
            _show(console, finding)
        findings += part.findings
    console.print(_summary(findings))
    return findings


def _show(console: Console, finding: Finding) -> None:
    mark, style = MARKS[finding.weight]
    refused = "refused: " if finding.weight is Weight.REFUSED else ""
    _hang(console, Text(f"  {mark} ", style=style), Text(f"{refused}{finding.about}: {finding.what}"))
    if finding.hint:
        _hang(console, Text("    "), Text(f"→ {finding.hint}", style="dim"))


def _hang(console: Console, first: Text, text: Text) -> None:
    """Put ``text`` behind ``first``, with its further lines below its beginning."""
    for line in text.wrap(console, max(20, console.width - len(first))):
        line.rstrip()
        console.print(Text.assemble(first, line))
        first = Text(" " * len(first))


def _summary(findings: Sequence[Finding]) -> Text:
    bad = sum(finding.weight in BAD for finding in findings)
    warnings = sum(finding.weight is Weight.WARNING for finding in findings)
    if not bad and not warnings:
        return Text("\nAll is well.", style="green")
    counts = [
        f"{number} {word}{'s' if number > 1 else ''}"
        for number, word in ((bad, "error"), (warnings, "warning"))
        if number
    ]
    return Text(f"\n{' and '.join(counts)}.", style="red" if bad else "yellow")
