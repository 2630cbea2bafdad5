"""The workflows: which programs of others they run, and with which rights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def jobs(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each job of a workflow by its name."""
    yield from yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items()


def steps() -> list[dict[str, Any]]:
    """Every step of every job."""
    return [step for path in WORKFLOWS for _, job in jobs(path) for step in job["steps"]]


def test_every_action_is_named_by_its_commit() -> None:
    """A tag may be another program tomorrow; the comment says which version the commit is."""
    lines = [line.strip(" -") for path in WORKFLOWS for line in path.read_text(encoding="utf-8").splitlines()]
    used = [line for line in lines if line.startswith("uses:")]
    assert len(used) == sum("uses" in step for step in steps()) > 0
    assert [line for line in used if not PINNED.match(line)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_may_read_the_source_and_nothing_else(path: Path) -> None:
    """The workflow asks for no right, each job for one, and no step for a secret."""
    text = path.read_text(encoding="utf-8")
    assert yaml.safe_load(text)["permissions"] == {}
    assert "secrets." not in text
    assert "pull_request_target" not in text
    for _, job in jobs(path):
        assert job["permissions"] == {"contents": "read"}


def test_no_step_leaves_the_token_behind() -> None:
    """A checkout keeps no credential for what runs after it."""
    checkouts = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_no_step_puts_what_somebody_else_wrote_into_a_shell() -> None:
    """A title or a branch is text of whoever opened the pull request."""
    assert not [step["run"] for step in steps() if "run" in step and "${{" in step["run"]]


def test_every_python_that_the_package_takes_is_tested() -> None:
    """The workflow tests every Python from the oldest that pyproject.toml allows to the newest."""
    (matrix,) = [job["strategy"]["matrix"] for path in WORKFLOWS for name, job in jobs(path) if name == "test"]
    assert matrix == {"python": ["3.11", "3.12", "3.13", "3.14"]}


def test_every_target_that_is_run_exists() -> None:
    """`make` knows each."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {word for step in steps() for word in re.findall(r"make (\w+)", step.get("run", ""))}
    assert {"lint", "test", "coverage", "lowest"} <= targets
    assert all(re.search(rf"^(?:\w+ )*{target}(?: \w+)*:", makefile, re.M) for target in targets)
