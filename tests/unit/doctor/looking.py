"""What the tests of the doctor say shortly."""

from __future__ import annotations

from collections.abc import Iterable

from signer.findings import Finding, Weight


def said(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """Weight and kind of each finding that is not fine."""
    return [(finding.weight.value, finding.kind) for finding in findings if finding.weight is not Weight.FINE]


def only(findings: Iterable[Finding]) -> Finding:
    """The one finding that there is."""
    (found,) = findings
    return found
