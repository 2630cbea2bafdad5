"""An order runs through few files, so that whoever follows it can keep them all in mind."""

from __future__ import annotations

from pathlib import Path

from benchmarks.order_path import trace_order

MOST_FILES = 38


def test_an_order_runs_through_few_files(tmp_path: Path) -> None:
    """The traced gateway, threads included, runs no more files for an order than are allowed here."""
    path = trace_order(tmp_path)
    assert {"serving/protocol.py", "gateway/line.py", "policy/rules.py", "upstream/__init__.py"} <= path.calls.keys()
    assert len(path.calls) <= MOST_FILES, str(path)
