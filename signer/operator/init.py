"""Makes a complete home, or none."""

from __future__ import annotations

import tempfile
from importlib.resources import files
from pathlib import Path

from signer.errors import ConfigError, HomeError
from signer.home.layout import Home
from signer.home.private_file import write_private
from signer.home.settings import Config, load_config
from signer.keys.passphrase import Passphrase
from signer.model import Vocabulary
from signer.operator.opening import create_store
from signer.operator.pairs_list import current_venues
from signer.operator.person import Person
from signer.policy.schema import json_schema
from signer.venues import open_venue

SCHEMA = "policy.schema.json"
"""The schema's file name in the first line of each example policy. Editors look for it beside the policy."""

CONFIG = """\
# signer's settings. Every key is explained in docs/configuration.md.
version = 1

[gateway]
listen = "{listen}"

[accounts.{account}]
venue = "{venue}"
origin = "{origin}"
"""


class BadSettings(ConfigError):
    """Says that the settings of a new home do not load. It names no file, for that is gone again."""


def require_free(home: Home) -> None:
    """Raises `HomeError` if the home's path exists already."""
    empty = home.folder.is_dir() and not any(home.folder.iterdir())
    if home.folder.exists() and not empty:
        hint = "choose another --home, or move it away yourself"
        raise HomeError("something is there already", where=str(home.folder), hint=hint)


def make_home(home: Home, person: Person, passphrase: Passphrase, settings: str, *, kept_text: str) -> None:
    """Make settings, example policies and an empty key store.

    Raises `SignerError`, `BadSettings` for the settings; then there is no home.

    ``settings`` is the text of signer.toml. ``kept_text`` is the passphrase if nobody else knows it, so that it is
    kept in the home, else empty.
    """
    home.folder.parent.mkdir(parents=True, exist_ok=True)
    # Built beside its place and moved there whole: an interrupted init leaves no half home.
    with tempfile.TemporaryDirectory(prefix=".signer-init-", dir=home.folder.parent) as beside:
        fresh = Home(Path(beside) / "home")
        fresh.folder.mkdir(mode=0o700)
        config = _settled(fresh, settings)
        _copy_policies(fresh, open_venue(config.venues[0]).vocabulary)
        if kept_text:
            write_private(fresh.passphrase, kept_text.encode() + b"\n", replace=False)
        current_venues(fresh, config, person)  # policies are judged by it from the first start on
        person.note("signer: making the key store …")
        create_store(fresh, person, passphrase)
        if home.folder.exists():
            home.folder.rmdir()
        fresh.folder.rename(home.folder)


def _settled(home: Home, settings: str) -> Config:
    write_private(home.config, settings.encode(), replace=False)
    try:
        return load_config(home.config)
    except ConfigError as error:
        raise BadSettings(error.what) from None


def _copy_policies(home: Home, words: Vocabulary) -> None:
    home.policies.mkdir(mode=0o700)
    for example in files("signer.example_policies").iterdir():
        if example.name.endswith(".toml"):
            write_private(home.policies / example.name, example.read_bytes(), replace=False)
    write_private(home.policies / SCHEMA, json_schema(words).encode(), replace=False)
