"""The commands that the comments of deploy/ show are commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from signer.cli.main import cli
from tests.deploy.manifests import DEPLOY, ROOT, comments
from tests.unit.test_docs import taken_apart

FILES = sorted(path for path in DEPLOY.rglob("*") if path.suffix in {".yaml", ".service", ".conf", ".sh"})
OURS = re.compile(
    r"(?:/opt/signer/bin/signer --home \S+|docker compose run [^;#]*?gateway|(?:docker compose|kubectl) [^;#]*?signer) "
    r"((?:init|keys|clients|policy|tls|status|reload|serve)\b[^;#]*)"
)


def name_of(path: Path) -> str:
    """How a file is called here."""
    return str(path.relative_to(DEPLOY))


def shown(path: Path) -> Iterator[str]:
    """The words for `signer` in each command of a file's comments, whoever runs it in what container."""
    for line in comments(path):
        if found := OURS.search(line):
            yield f"signer {found[1]}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_signer_understands_what_the_comments_tell_it(path: Path) -> None:
    """Each word and option is one that the program knows."""
    for command in shown(path):
        called, found, given = taken_apart(command)
        assert not isinstance(found, click.Group), command
        try:
            assert cli.main([*called, "--help", *given], prog_name="signer", standalone_mode=False) == 0
        except click.ClickException as error:
            pytest.fail(f"{path} shows `{command}`: {error.format_message()}")


def test_those_that_lead_from_nothing_to_a_bot_are_found() -> None:
    """The pattern above sees the commands that it is there for."""
    names = {name_of(path): [" ".join(taken_apart(each)[0]) for each in shown(path)] for path in FILES}
    assert {name: found for name, found in names.items() if found} == {
        "compose/compose.yaml": ["init", "keys add", "clients add", "reload"],
        "compose/vault.yaml": ["keys add", "clients add"],
        "kubernetes/signer.yaml": ["keys add", "tls show", "clients add"],
        "kubernetes/vault.yaml": ["keys add"],
        "systemd/signer.service": ["init", "keys list"],
    }


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_files_that_the_comments_name_exist(path: Path) -> None:
    """Each path exists, from the root of the repository or from the file's own folder."""
    for line in comments(path):
        for word in re.findall(r"(?:deploy|\.\.)/[\w./-]+", line):
            assert (ROOT / word).exists() or (path.parent / word).exists(), f"{path} names {word}"
