"""`signer policy`: check policies and run their cases.

A function imports key store, book and wiring only if it needs them, because `check` and `test` run in a pipeline
without a home.
"""
# ruff: noqa: PLC0415

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from signer.cli.options import json_option
from signer.cli.policy_venue import known_venues, load_for, venue_option
from signer.cli.showing import show_json
from signer.cli.terminal import Terminal, warn
from signer.contracts import Venue
from signer.errors import ConfigError
from signer.home.layout import Home
from signer.policy.cases import cases_path, load_cases, run_cases
from signer.policy.load import CASES_SUFFIX, policy_files
from signer.policy.unreachable import unreachable

BAD_SETTING = 3
"""Exit status of a `ConfigError` (docs/cli.md)."""


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@venue_option
@json_option
@click.pass_obj
def check(home: Home, *, files: tuple[Path, ...], venue: str | None, as_json: bool) -> int:
    """Name everything that is wrong with each FILE, a policy or cases.

    It also names what can never pass. In a home, it looks pairs up in the exchange's current list. Without a home, or
    while the exchange does not answer, a name that signer does not know is "not checked". Exit status 3 if anything is
    wrong.
    """
    venues = _current_venues(home, venue)
    rows = [_checked(file, venues) for file in files]
    if as_json:
        show_json(rows)
    else:
        for row in rows:
            _show_checked(row)
    return BAD_SETTING if any(row["problems"] for row in rows) else 0


@click.command("test")
@click.argument("folders", nargs=-1, metavar="[DIR]...", type=click.Path(path_type=Path))
@venue_option
@json_option
@click.pass_obj
def test(home: Home, *, folders: tuple[Path, ...], venue: str | None, as_json: bool) -> int:
    """Run the cases beside the policies in each DIR (default: the home's). Exit status 1 if one does not hold."""
    venues = known_venues(home, venue)
    rows = [row for folder in folders or (home.policies,) for row in _results(folder, venues)]
    failed = [row for row in rows if row["problem"]]
    if as_json:
        show_json(rows)
    else:
        for row in failed:
            click.echo(f"{row['policy']}: {row['case']}: {row['problem']}")
        click.echo(f"{len(rows)} cases, {len(failed)} failed.")
    return 1 if failed else 0


def _current_venues(home: Home, named: str | None) -> Mapping[str, Venue]:
    """Fetch each exchange's list as it is now, if there is a home that says where the exchange is."""
    if not home.config.exists():
        return known_venues(home, named)
    from signer.home.settings import load_config
    from signer.operator.pairs_list import current_venues

    try:
        current = current_venues(home, load_config(home.config), Terminal(home.keys))
    except ConfigError as error:  # broken settings do not keep a policy from being checked
        warn(f"the exchange's list of pairs cannot be had: {error}")
        return known_venues(home, named)
    return current if named is None else {named: current[named]} if named in current else known_venues(home, named)


def _checked(file: Path, venues: Mapping[str, Venue]) -> dict[str, object]:
    row: dict[str, object] = {"file": str(file), "problems": [], "hash": None, "uncapped": ""}
    row |= {"never": [], "not_checked": []}
    try:
        if file.name.endswith(CASES_SUFFIX):  # `policies/*.toml` names these too
            load_cases(file)
            return row
        loaded, venue = load_for(file, venues)
    except ConfigError as error:
        return row | {"problems": str(error).splitlines()}
    never = [str(word) for word in unreachable(loaded, venue.pairs.by_id)]
    row |= {"hash": loaded.hash, "uncapped": loaded.uncapped, "never": never}
    if not venue.pairs.complete:
        return row | {"not_checked": list(loaded.unlisted)}
    lines = [f"{file}: pairs: the exchange lists no {name}; {hint}" for name, hint in loaded.unlisted.items()]
    return row | {"problems": lines}


def _show_checked(row: Mapping[str, object]) -> None:
    problems, not_checked = row["problems"], row["not_checked"]
    assert isinstance(problems, list)  # noqa: S101 - our own row
    assert isinstance(not_checked, list)  # noqa: S101 - likewise
    for problem in problems:
        click.echo(f"signer: {problem}", err=True)
    for name in not_checked:
        warn(f"{row['file']}: {name} is not checked yet: signer has no list of pairs")
    if not problems:
        click.echo(f"{row['file']}: good" + (f", but UNCAPPED: {row['uncapped']}" if row["uncapped"] else ""))
    never = row["never"]
    assert isinstance(never, list)  # noqa: S101 - our own row
    for word in never:
        click.echo(f"{row['file']}: note: {word}")


def _results(folder: Path, venues: Mapping[str, Venue]) -> list[dict[str, str]]:
    """Run each case in a folder. Raises `ConfigError` if there is none, or if a case belongs to no policy."""
    policies = {cases_path(file): file for file in policy_files(folder)}
    files = sorted(folder.glob(f"*{CASES_SUFFIX}"))
    if not files:
        raise ConfigError(
            f"there is no *{CASES_SUFFIX} file", where=str(folder), hint="name the folder of the policies"
        )
    rows: list[dict[str, str]] = []
    for file in files:
        if file not in policies:
            raise ConfigError("there is no policy beside these cases", where=str(file), hint="name it as its policy")
        loaded, venue = load_for(policies[file], venues)
        results = run_cases(loaded, load_cases(file), venue.call_of, venue.pairs.by_id)
        rows += [{"policy": loaded.name, "case": result.name, "problem": result.problem} for result in results]
    return rows
