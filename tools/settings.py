"""The keys of signer.toml, as the rows of a Markdown table: default, bounds and what each is for."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from signer.home.limits import LimitsConfig
from signer.home.settings import AccountConfig, AuditConfig, Config, GatewayConfig, GroupConfig, TlsConfig
from signer.home.stores import (
    AppRoleLogin,
    KubernetesLogin,
    Pkcs11Config,
    TokenLogin,
    VaultKvConfig,
    VaultTransitConfig,
)

TABLES: dict[str, tuple[type[BaseModel], ...]] = {
    "": (Config,),
    "gateway": (GatewayConfig,),
    "gateway.tls": (TlsConfig,),
    "limits": (LimitsConfig,),
    "audit": (AuditConfig,),
    "accounts.NAME": (AccountConfig,),
    "groups.NAME": (GroupConfig,),
    "stores.NAME": (VaultKvConfig, VaultTransitConfig, Pkcs11Config),
    "stores.NAME.login": (AppRoleLogin, KubernetesLogin, TokenLogin),
}
"""Each table of the file by its name, with the models that it may have. The empty name is the file's top."""


APART = {"gateway", "limits", "audit", "accounts", "groups", "stores", "waivers", "gateway.tls", "stores.NAME.login"}
"""Keys that hold a table, whose keys have rows of their own."""


def table(names: Sequence[str]) -> Iterator[str]:
    """The lines of a table with the keys of these tables of signer.toml; ``top`` is the file's own keys."""
    several = any(len(TABLES[_name(name)]) > 1 for name in names)
    yield "| key | kinds | default | what |" if several else "| key | default | what |"
    yield "|---|---|---|---|" if several else "|---|---|---|"
    for name in names:
        for key, kinds, default, what in rows(_name(name)):
            cells = [f"`{key}`", kinds, default, what] if several else [f"`{key}`", default, what]
            yield f"| {' | '.join(cells)} |"


def rows(name: str) -> Iterator[tuple[str, str, str, str]]:
    """Each key of a table: its whole name, the kinds that have it, its default, and what it is for."""
    models = TABLES[name]
    for key in dict.fromkeys(key for model in models for key in model.model_fields):
        having = [model for model in models if key in model.model_fields]
        if f"{name}.{key}".lstrip(".") not in APART:
            kinds = "all" if len(having) == len(models) else ", ".join(_kind(model) for model in having)
            defaults = dict.fromkeys(_default(model.model_fields[key]) for model in having)
            yield f"{name}.{key}".lstrip("."), kinds, "; ".join(defaults), _what(having, key)


def _name(name: str) -> str:
    return "" if name == "top" else name


def _kind(model: type[BaseModel]) -> str:
    """The word that chooses this model of several: ``vault-kv``."""
    chosen = model.model_fields.get("kind") or model.model_fields["method"]
    return str(get_args(chosen.annotation)[0])


def _what(models: Sequence[type[BaseModel]], key: str) -> str:
    """What the key is for, by the docstring behind it, and which values it takes."""
    told = next((text for model in models if (text := _documented(model).get(key))), "")
    words = [word for model in models for word in _choices(model.model_fields[key])]
    bounds = _bounds(models[0].model_fields[key])
    listed = ", ".join(f'`"{word}"`' for word in dict.fromkeys(words))
    chosen = f"One of {listed}." if len(set(words)) > 1 else ""
    return " ".join(part for part in (told, chosen, bounds) if part)


def _choices(field: FieldInfo) -> tuple[str, ...]:
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def _bounds(field: FieldInfo) -> str:
    """The least and the most that a number may be."""
    found = {name: getattr(one, name) for one in field.metadata for name in ("ge", "gt", "le") if hasattr(one, name)}
    if "le" not in found:
        return ""
    least = f"{found['ge']:,}" if "ge" in found else f"above {found['gt']:,}"
    return f"{least[0].upper()}{least[1:]} to {found['le']:,}."


def _default(field: FieldInfo) -> str:
    """The default as one would write it in the file; empty if the key must be given."""
    value = field.get_default(call_default_factory=True, validated_data={})
    return "" if value is PydanticUndefined or value is None else f"`{_toml(value)}`"


def _toml(value: Any) -> str:
    if isinstance(value, Path):
        return json.dumps(str(value))
    if isinstance(value, tuple):
        return json.dumps(list(value))
    return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)


@cache
def _documented(model: type[BaseModel]) -> dict[str, str]:
    """The docstring behind each key of a model, and of those that it inherits from, on one line."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel) and each.__module__.startswith("signer."):
            body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0]
            assert isinstance(body, ast.ClassDef)
            found |= _behind(body.body)
    return found


def _behind(body: Sequence[ast.stmt]) -> dict[str, str]:
    """Each annotated name of a class's body that a text follows, with the text."""
    return {
        name.target.id: " ".join(text.value.value.split()).replace("``", "`").replace("|", "\\|")
        for name, text in pairwise(body)
        if isinstance(name, ast.AnnAssign)
        and isinstance(name.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
