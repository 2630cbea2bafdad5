"""The tables of docs/cli.md and docs/configuration.md are those that the program would write."""

from __future__ import annotations

import re

from pydantic import BaseModel

from signer.cli.commands import COMMANDS
from signer.home.settings import Config
from tools import commands, settings
from tools.reference import MARKED, PAGES, ROOT, out_of_date, written


def named(kind: str) -> list[str]:
    """What the marked tables of this kind are of."""
    texts = [path.read_text(encoding="utf-8") for path in PAGES]
    return [name for text in texts for found in MARKED.findall(text) if found[1] == kind for name in found[2].split()]


def test_the_pages_are_up_to_date() -> None:
    """`make docs` would change nothing."""
    assert not [str(path.relative_to(ROOT)) for path in out_of_date()]


def test_every_command_is_in_one_table() -> None:
    """No command is missing, and none is told of twice."""
    assert sorted(named("commands")) == sorted(COMMANDS)


def test_every_table_of_the_settings_is_in_one_table() -> None:
    """No table of signer.toml is missing, and none is told of twice."""
    assert sorted(named("settings")) == sorted(name or "top" for name in settings.TABLES)


def tables_below(model: type[BaseModel], name: str) -> set[str]:
    """The tables of signer.toml that a model leads to, by the classes that its annotations name."""
    known = {each.__name__: where for where, models in settings.TABLES.items() for each in models}
    words = {word for field in model.model_fields.values() for word in re.findall(r"\w+", str(field.annotation))}
    found = {name} | {known[word] for word in words & known.keys()}
    return found.union(*(tables_below(each, where) for where in found - {name} for each in settings.TABLES[where]))


def test_every_model_of_the_settings_has_a_table() -> None:
    """The tables are all that `Config` leads to, and each key of them has a row or is a table itself."""
    assert tables_below(Config, "") == settings.TABLES.keys()
    for name, models in settings.TABLES.items():
        keys = {f"{name}.{key}".lstrip(".") for model in models for key in model.model_fields}
        assert keys - settings.APART == {row[0] for row in settings.rows(name)}


def test_every_key_says_what_it_is_for() -> None:
    """Each has a text of its own."""
    assert not [row[0] for name in settings.TABLES for row in settings.rows(name) if not row[3]]


def test_a_stale_table_is_written_anew() -> None:
    """Only what stands between the marks changes."""
    page = "before\n<!-- commands: reload -->\nold\n<!-- end -->\nafter\n"
    made = "\n".join(commands.table(["reload"]))
    assert written(page) == f"before\n<!-- commands: reload -->\n\n{made}\n\n<!-- end -->\nafter\n"
