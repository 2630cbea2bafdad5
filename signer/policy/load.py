"""Reads policy files. A file with any problem gives no policy, but a message that names all its problems."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from signer.errors import ConfigError
from signer.home.hints import OF_SHAPE, hint
from signer.model import Vocabulary
from signer.policy.policy import Policy
from signer.policy.resolve import FindPair, Problem, resolve
from signer.policy.schema import FLAGS, Table, policy_form

Form = TypeVar("Form", bound=Table)

CASES_SUFFIX = ".cases.toml"
"""The ending of files that state the expected decisions of a policy (`signer.policy.cases`)."""

LISTS = {
    "permissions": '["query-funds", "modify-trades"]',
    "pairs": '["XBT/USD", "ETH/EUR"]',
    "sides": '["buy", "sell"]',
    "order_types": '["limit"]',
    "time_in_force": '["GTC", "IOC"]',
    FLAGS: '["post"]',
    "max_order_size": '["0.5 XBT"]',
    "max_order_notional": '["2500 USD"]',
}
"""An example for each key that takes a list."""

TABLES = {"cap", "max_calls"}
"""Keys that are lists of tables."""

FORMS = {
    "max_order_size": 'write amounts with their unit, as "0.5 XBT"',
    "max_order_notional": 'write amounts with their unit, as "2500 USD"',
    "max_notional": 'write an amount with its unit, as "10000 USD"',
    "schedule": 'write a number and s, m, h or d, as "7d"',
    "window": 'write a number and s, m, h or d, as "24h"',
    "uncapped": "write a reason",
    "review_by": 'write a day that there is, in quotes, as "2027-01-31"',
}
"""The hint for each value that is text of a certain form."""


class VenueTerms(NamedTuple):
    """What policies for accounts of one venue are read by."""

    words: Vocabulary
    find: FindPair
    """Returns the pair of any spelling."""
    known: Collection[str] = ()
    """The names of its pairs, of which the nearest is proposed for a misspelt one."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The policies of a folder, by name (the file's name without ``.toml``)."""

    policies: Mapping[str, Policy]
    broken: Mapping[str, str]
    """The problems of each file that does not load, a line each, keyed by its name."""


def load_policies(folder: Path, venues: Mapping[str, VenueTerms]) -> Loaded:
    """Load every policy in ``folder``; a file with a problem is broken, and the others load.

    ``venues`` are those that a policy may be for, by name. Raises `ConfigError` if there is no such folder.
    """
    policies, broken = {}, {}
    for path in policy_files(folder):
        try:
            policies[path.stem] = load_policy(path, *terms_for(path, venues))
        except ConfigError as error:
            broken[path.stem] = str(error)
    return Loaded(policies, broken)


def policy_files(folder: Path) -> list[Path]:
    """List the policy files in ``folder``, sorted. Raises `ConfigError` if there is no such folder."""
    if not folder.is_dir():
        raise ConfigError("there is no such folder", where=str(folder), hint="run `signer init`, or make it")
    return [path for path in sorted(folder.glob("*.toml")) if not path.name.endswith(CASES_SUFFIX)]


def terms_for(path: Path, venues: Mapping[str, VenueTerms]) -> VenueTerms:
    """Choose the venue that the policy in ``path`` is for: the only one, else that which it names.

    Raises `ConfigError`.
    """
    if len(venues) == 1:
        return next(iter(venues.values()))
    named = _read_toml(path).get("venue")
    found = venues.get(named) if isinstance(named, str) else None
    if found is None:
        what = "the key is missing" if named is None else f"{_quoted(named)} is no venue of the home's accounts"
        hint = f"use one of: {', '.join(sorted(venues))}" if venues else "correct the venues in signer.toml first"
        raise _error(path, [Problem("venue", what, hint)])
    return found


def load_policy(path: Path, words: Vocabulary, find: FindPair, known: Collection[str] = ()) -> Policy:
    """Load the policy in ``path``. Raises `ConfigError` with one line (file, key, what, hint) for each problem."""
    file = read_tables(path, policy_form(words), words.withheld)
    policy, problems = resolve(path.stem, words, file, find, known)
    if policy is None:
        raise _error(path, problems)
    return policy


def read_tables(path: Path, form: type[Form], withheld: Mapping[str, str] = MappingProxyType({})) -> Form:
    """Read a TOML file as the model ``form``. Raises `ConfigError` with one line for each problem.

    ``withheld`` says why nobody is granted certain permissions.
    """
    try:
        return form.model_validate(_read_toml(path))
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise _error(path, [_problem(item, form, withheld) for item in found]) from None


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError("there is no such file", where=str(path), hint="check its name") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError("the file cannot be read", where=str(path), hint="check its owner and mode") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", where=str(path), hint="correct the line named") from None


def _error(path: Path, problems: list[Problem]) -> ConfigError:
    return ConfigError("\n".join(f"{path}: {problem}" for problem in problems))


def _problem(item: ErrorDetails, form: type[Table], withheld: Mapping[str, str]) -> Problem:
    """Turn an error of pydantic into a problem with a hint."""
    key, kind, given = _key(item["loc"]), item["type"], item["input"]
    name = next(part for part in reversed(item["loc"]) if isinstance(part, str))
    if kind == "extra_forbidden":
        return Problem(key, "there is no such key", _near_key(item["loc"], form))
    if kind == "missing":
        return Problem(key, "the key is missing", f"add {name}")
    if name == "permissions" and isinstance(given, str) and given in withheld:
        return Problem(key, f'"{given}" is granted to nobody: {withheld[given]}', "remove it")
    return Problem(key, f"{_quoted(given)} does not fit", _hint(item, name))


def _hint(item: ErrorDetails, name: str) -> str:
    """Return the hint for a value of a wrong type, else for its form."""
    if item["type"] in OF_SHAPE:
        if name in LISTS:
            return f"write a list, as {name} = {LISTS[name]}"
        if name in TABLES:
            return f"write [[{name}]], and its keys below"
    return FORMS.get(name) or hint(item["type"], item["msg"], item.get("ctx", {}))


def _key(loc: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".")


def _near_key(loc: tuple[int | str, ...], form: type[Table]) -> str:
    for part in loc[:-1]:
        if isinstance(part, str):  # into the array of tables of that name
            form = get_args(form.model_fields[part].annotation)[0]
    near = difflib.get_close_matches(str(loc[-1]), form.model_fields, n=1)
    return f"did you mean {near[0]}?" if near else f"use one of {', '.join(form.model_fields)}"


def _quoted(given: object) -> str:
    return f'"{given[:40]}"' if isinstance(given, str) else repr(given)[:40]
