"""`signer init`: what a new home has."""

from __future__ import annotations

from pathlib import Path

import pytest

from signer.cli.main import main
from signer.operator.opening import INSECURE_VALUE, INSECURE_VARIABLE
from signer.policy.load import policy_files


def test_the_schema_that_each_policy_names_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor that opens a policy of a new home finds its schema; so does one that opens a shipped policy."""
    monkeypatch.setenv(INSECURE_VARIABLE, INSECURE_VALUE)
    assert main(["--home", str(tmp_path / "home"), "init", "--no-input"]) == 0
    for folder in (tmp_path / "home" / "policies", Path(__file__).parents[2] / "policies"):
        for policy in policy_files(folder):
            named = policy.read_text(encoding="utf-8").splitlines()[0].removeprefix("#:schema ")
            assert (folder / named).is_file()
