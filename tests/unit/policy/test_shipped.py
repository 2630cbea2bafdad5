"""The policies that we ship, and the files that go with them."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest

from signer.policy import load_policy
from signer.policy.cases import cases_path, load_cases, run_cases
from signer.policy.load import policy_files
from signer.policy.rules import FEATURE_RULES, LIMIT_RULES
from signer.policy.schema import FLAGS, PolicyFile, json_schema
from signer.venues.kraken.orders import PairTable
from signer.venues.kraken.venue import Kraken
from signer.venues.kraken.vocabulary import WORDS
from tests.unit.policy.examples import policy_file

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "policies" / "policy.schema.json"
SHIPPED = policy_files(ROOT / "policies")


def test_four_are_shipped() -> None:
    """The four roles that the README names are there."""
    assert {path.stem for path in SHIPPED} == {"accumulate-only", "spot-trader", "strict", "tracker"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_policy(path: Path) -> None:
    """A shipped policy loads, is capped, meets the schema of its first line, and answers its cases as expected."""
    pairs = PairTable.built_in()
    policy = load_policy(path, WORDS, pairs.find)
    assert not policy.uncapped
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#:schema ./policy.schema.json\n")
    jsonschema.validate(tomllib.loads(text), json.loads(SCHEMA.read_text(encoding="utf-8")))
    results = run_cases(policy, load_cases(cases_path(path)), Kraken(pairs).call_of, pairs.by_id)
    assert [result for result in results if result.problem] == []


def test_schema_is_current() -> None:
    """policies/policy.schema.json is what the model says now."""
    hint = "write signer.policy.schema.json_schema(...) to policies/policy.schema.json"
    assert SCHEMA.read_text(encoding="utf-8") == json_schema(WORDS), hint


def test_documentation_is_true(tmp_path: Path) -> None:
    """The policy in docs/policy.md loads, and answers the documented case as it says."""
    text = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    example, cases = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    path = policy_file(tmp_path / "documented.toml", example)
    pairs = PairTable.built_in()
    loaded = load_policy(path, WORDS, pairs.find)
    documented = load_cases(policy_file(cases_path(path), cases))
    assert [result.problem for result in run_cases(loaded, documented, Kraken(pairs).call_of, pairs.by_id)] == [""]
    assert all(f"`{key}`" in text for key in PolicyFile.model_fields if key != "cap")
    assert all(
        f"`{rule.__name__.replace('_', '-').replace('flags', FLAGS)}`" in text
        for rule in (*FEATURE_RULES, *LIMIT_RULES)
    )
