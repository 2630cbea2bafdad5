"""What the docs, the package's metadata and the locks say is what there is."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from signer.cli.main import EXIT_STATUS, cli
from tests.harness.sources import MODULES, ROOT, name_of, tree_of

CLI_DOCS = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md"), *ROOT.glob("examples/*.md")]
)
LOCKS = sorted(ROOT.glob("requirements*.lock"))

OTHER_PLACES = {"|", "<", ">", ">>", "&&", "||", ";", "#"}


def anchors(text: str) -> set[str]:
    """The anchors that a page's headings have."""
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    """Each link to a file has that file, and each anchor its heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = (path.parent / name).resolve() if name else path
        assert linked.exists(), f"{name_of(path)} links to {target}"
        assert not anchor or anchor in anchors(linked.read_text(encoding="utf-8")), f"{name_of(path)}: {target}"


def test_the_index_lists_every_page() -> None:
    """docs/README.md links to each file of docs/."""
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {path.name for path in (ROOT / "docs").iterdir() if path.suffix in {".md", ".json"}} - {"README.md"}
    assert pages <= set(re.findall(r"\]\(([^)\s/]+)\)", index))


def test_every_exit_status_is_documented_and_no_other() -> None:
    """The table has what errors end with, and 0, 1 (no), 2 (click's usage error) and 130 (Ctrl-C)."""
    documented = {int(status) for status in re.findall(r"^\| (\d+) \| [a-z]", CLI_DOCS, re.M)}
    assert documented == {0, 1, 2, 130, *EXIT_STATUS.values()}


def shown_commands(text: str) -> Iterator[str]:
    """Every ``signer …`` that a page shows, in a block or in a line."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S):
        if language in {"", "sh", "console"}:
            yield from re.findall(r"^(?:\$ )?(signer (?:[^\n\\]|\\\n)+)", block, re.M)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    yield from (re.sub(r"\s+", " ", span) for span in re.findall(r"`(signer [^`]+)`", prose))


def taken_apart(shown: str) -> tuple[list[str], click.Command, list[str]]:
    """The words that name the command, the command, and what it is given, up to where a shell or a reader goes on."""
    words = shlex.split(shown, comments=True)[1:]
    words = words[2:] if words[:1] == ["--home"] else words
    end = next((index for index, word in enumerate(words) if word in OTHER_PLACES or word.startswith("[")), len(words))
    called: list[str] = []
    command: click.Command = cli
    for word in words[:end]:
        known = command.get_command(click.Context(command), word) if isinstance(command, click.Group) else None
        if known is None:
            break
        called, command = [*called, word], known
    return called, command, words[len(called) : end]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_command_that_is_shown_is_understood(path: Path) -> None:
    """click knows each word and option of it; whether it works, tests/cli/test_documented_commands.py asks."""
    for shown in shown_commands(path.read_text(encoding="utf-8")):
        called, command, given = taken_apart(shown)
        assert not isinstance(command, click.Group) or given in ([], ["…"], ["--version"], ["COMMAND", "…"]), shown
        try:
            assert cli.main([*called, "--help", *given], prog_name="signer", standalone_mode=False) == 0
        except click.ClickException as error:
            pytest.fail(f"{name_of(path)} shows `{shown}`: {error.format_message()}")


def test_every_module_says_first_what_it_answers() -> None:
    """A module's docstring stands on line 1."""
    assert [name_of(path) for path in MODULES if not begins_with_a_docstring(tree_of(path))] == []


def begins_with_a_docstring(tree: ast.Module) -> bool:
    """Whether a module has a docstring, on its first line."""
    return bool(ast.get_docstring(tree)) and tree.body[0].lineno == 1


@pytest.mark.parametrize("path", LOCKS, ids=name_of)
def test_locks_have_hashes_and_name_no_index(path: Path) -> None:
    """Each requirement is pinned and has a SHA-256; nothing says where packages come from."""
    text = path.read_text(encoding="utf-8")
    requirements = re.sub(r"\s*\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.M)).splitlines()
    assert requirements
    for line in requirements:
        assert re.match(
            r"[a-z0-9-]+==[\w.]+ (; [^\\]*)?--hash=sha256:[0-9a-f]{64}( --hash=sha256:[0-9a-f]{64})*$", line
        )
    assert "://" not in text


def test_locks_have_every_dependency() -> None:
    """What pyproject.toml asks for is pinned in the lock of the same extra or group."""
    file = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    own = file["project"]["dependencies"]
    extras = {extra: [*own, *more] for extra, more in file["project"]["optional-dependencies"].items()}
    wanted = {"": own, **extras, **file["dependency-groups"]}
    assert {f"requirements{'-' * bool(name)}{name}.lock" for name in wanted} == {path.name for path in LOCKS}
    for name, texts in wanted.items():
        lock = (ROOT / f"requirements{'-' * bool(name)}{name}.lock").read_text(encoding="utf-8")
        pinned = re.findall(r"^([a-z0-9-]+)==", lock, re.M)
        assert {re.split(r"[\[<>=!~ ]", text)[0].lower() for text in texts} <= set(pinned)


def test_the_versions_of_the_whole_bots_are_those_that_run() -> None:
    """docs/bots.md names the version of each bot that the lock installs."""
    lock = (ROOT / "requirements-bots.lock").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "bots.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| ([a-z-]+) (\d[\d.]*) \|", page, re.M)
    assert len(documented) == 2
    assert all(re.search(rf"^{name}=={re.escape(version)}[. ]", lock, re.M) for name, version in documented)


def test_the_wheel_has_the_data_that_the_program_reads() -> None:
    """The package-data patterns, as setuptools reads them, find the example policies and the lists of pairs."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    package = ROOT / "signer"
    found = {file.relative_to(package) for pattern in tool["package-data"]["signer"] for file in package.glob(pattern)}
    policies = {Path("example_policies") / path.name for path in (ROOT / "policies").glob("*.toml")}
    assert len(policies) == 8
    lists = {Path("venues/kraken/asset_pairs.json"), Path("sandbox/asset_pairs.json")}
    assert found == policies | lists | {Path("py.typed")}


def test_the_drawing_of_the_demo_shows_its_steps() -> None:
    """docs/demo.svg has each line that the demo says of a step; `make demo-svg` draws it anew."""
    drawn = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8").replace("&#160;", " ")
    said = re.findall(r'_step\("([^"]+)"', (ROOT / "signer" / "cli" / "demo.py").read_text(encoding="utf-8"))
    assert len(said) >= 5
    assert [text for text in [*said, "everything went as it should"] if text not in drawn] == []
