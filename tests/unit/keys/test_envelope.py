"""How a file reads that is not as we write it: each kind of wrong has words of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from signer.errors import KeyStoreError, WrongPassphrase
from signer.keys.envelope import parse
from tests.harness.stores import filled_store, open_store

File = dict[str, Any]
Edit = Callable[[File], object]


def rewritten(path: Path, edit: Edit, *, redigest: bool = False) -> None:
    """Change the file as an attacker would who, with ``redigest``, knows how its plain digest is made."""
    file = json.loads(path.read_text())
    edit(file)
    if redigest:
        rest = {key: value for key, value in file.items() if key != "digest"}
        canonical = json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()
        file["digest"] = hashlib.sha256(canonical).hexdigest()
    path.write_text(json.dumps(file, indent=1))


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    filled_store(tmp_path / "keys.json")
    return tmp_path / "keys.json"


def test_what_is_written_reads_back(path: Path) -> None:
    """Reading and writing are inverse, and a digest made by the recipe of the docs is the file's own."""
    raw = path.read_bytes()
    assert parse(raw, where="keys.json").text() == raw
    rewritten(path, dict.copy, redigest=True)
    assert parse(path.read_bytes(), where="keys.json").text() == raw


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda file: file.update(version=2), "of version 2, and this signer reads version 1"),
        (lambda file: file.update(version=True), "names no version"),
        (lambda file: file.update(format="other"), "not a key store of signer"),
        (lambda file: file.pop("header"), "damaged: header does not read"),
        (lambda file: file.update(colour="red"), "does not know: colour"),
        (lambda file: file["entries"][1]["about"].update(limit=5), "does not know: entries.1.about.client.limit"),
        (lambda file: file["header"]["profile"].update(secret="x"), "does not know: header.profile.secret"),
        (lambda file: file.pop("manifest"), "damaged: manifest does not read"),
        (lambda file: file["header"].pop("salt"), "damaged: header.salt does not read"),
        (lambda file: file["entries"][0]["about"].update(kind="master"), "damaged: entries.0.about does not read"),
        (lambda file: file["entries"][0]["about"].update(created_us=1.5), "damaged"),
        (lambda file: file["entries"][1]["about"].update(sources=["10.0.0.1/8"]), "damaged"),
        (lambda file: file["entries"][0].update(secret="XY"), "damaged"),
        (lambda file: file.update(generation=99), "damaged: its digest"),
    ],
)
def test_each_kind_of_wrong_has_its_own_words(path: Path, edit: Edit, words: str) -> None:
    """Version, unknown field, missing field, wrong type and plain damage are told apart."""
    rewritten(path, edit)
    with pytest.raises(KeyStoreError) as caught:
        open_store(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff\xfe{}", b"[" * 100_000, b'{"format": 1, "format": 2}', b'{"n": ' + b"9" * 5000 + b"}"],
    ids=["empty", "cut", "utf-16", "deep", "duplicate", "huge number"],
)
def test_what_is_no_json_of_ours_is_damaged(raw: bytes) -> None:
    """No shape of bytes gets past as anything but an error of ours."""
    with pytest.raises(KeyStoreError, match="damaged: is not valid JSON"):
        parse(raw, where="keys.json")


@pytest.mark.parametrize("raw", [b"[]", b"null", b"{}", b'"text"', b'{"format": []}'])
def test_other_json_is_not_ours(raw: bytes) -> None:
    """Some other JSON file is named as such."""
    with pytest.raises(KeyStoreError, match="not a key store of signer"):
        parse(raw, where="keys.json")


def test_a_wrong_passphrase_is_told_apart_from_damage(path: Path) -> None:
    """A wrong passphrase raises an error of its own class; a flipped digit in the salt is damage."""
    with pytest.raises(WrongPassphrase):
        open_store(path, "another passphrase")
    rewritten(path, lambda file: file["header"].update(salt=file["header"]["salt"][::-1]))
    with pytest.raises(KeyStoreError, match="damaged") as caught:
        open_store(path)
    assert not isinstance(caught.value, WrongPassphrase)
