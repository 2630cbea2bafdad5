"""Attacker: may write the key store's file, knows the format, has not the passphrase. Nothing of his opens."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from signer.errors import KeyStoreError, WrongPassphrase
from tests.harness.stores import filled_store, open_store
from tests.unit.keys.test_envelope import rewritten

File = dict[str, Any]


def _swap_names(file: File) -> None:
    one, other = file["entries"][1]["about"], file["entries"][2]["about"]
    one["name"], other["name"] = other["name"], one["name"]


def _swap_secrets(file: File) -> None:
    one, other = file["entries"][1], file["entries"][2]
    for part in ("data_key", "secret"):
        one[part], other[part] = other[part], one[part]


def _swap_inner_secret(file: File) -> None:
    one, other = file["entries"][1], file["entries"][2]
    one["secret"], other["secret"] = other["secret"], one["secret"]


def _client_with_the_real_secret(file: File) -> None:
    for part in ("data_key", "secret"):
        file["entries"][1][part] = file["entries"][0][part]


def _about(**change: object) -> Callable[[File], None]:
    return lambda file: file["entries"][1]["about"].update(change)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (_about(name="friend"), "entry of client friend was changed"),
        (_about(account="futures"), "entry of client bot was changed"),
        (_about(policy="tracker"), "entry of client bot was changed"),
        (_about(api_key="EVILkey0" * 7), "entry of client bot was changed"),
        (_about(sources=["0.0.0.0/0"]), "entry of client bot was changed"),
        (_about(expires_us=2**60), "entry of client bot was changed"),
        (_about(nonces="strict"), "entry of client bot was changed"),
        (_about(revoked=True), "entry of client bot was changed"),
        (_about(created_us=0), "entry of client bot was changed"),
        (_swap_names, "was changed, renamed or moved"),
        (_swap_secrets, "was changed, renamed or moved"),
        (_swap_inner_secret, "was changed, renamed or moved"),
        (_client_with_the_real_secret, "was changed, renamed or moved"),
        (lambda file: file["entries"].pop(), "added, removed or put back"),
        (lambda file: file["entries"].clear(), "added, removed or put back"),
        (lambda file: file["entries"].reverse(), "added, removed or put back"),
        (lambda file: file["entries"].append(file["entries"][1]), "added, removed or put back"),
        (lambda file: file.update(generation=file["generation"] - 1), "added, removed or put back"),
        (lambda file: file.update(generation=2**40), "added, removed or put back"),
    ],
)
def test_an_edited_entry_or_list_does_not_open(tmp_path: Path, edit: Callable[[File], object], words: str) -> None:
    """Every field of an entry is bound to its secret, and the list of entries is one whole."""
    path = tmp_path / "keys.json"
    filled_store(path)
    rewritten(path, edit, redigest=True)
    with pytest.raises(KeyStoreError) as caught:
        open_store(path)
    assert words in str(caught.value)


def test_an_entry_of_another_file_does_not_open(tmp_path: Path) -> None:
    """An entry from a backup of another store is refused, though passphrase and names are the same."""
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    filled_store(here)
    filled_store(there)
    foreign = json.loads(there.read_text())["entries"][1]
    rewritten(here, lambda file: file["entries"].__setitem__(1, foreign), redigest=True)
    with pytest.raises(KeyStoreError, match="moved here"):
        open_store(here)


def test_an_entry_of_another_file_does_not_open_under_its_header_either(tmp_path: Path) -> None:
    """Taking the other store's header along opens none of the entries that stayed."""
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    filled_store(here)
    filled_store(there)
    other = json.loads(there.read_text())
    rewritten(here, lambda file: file.update(header=other["header"], check=other["check"]), redigest=True)
    with pytest.raises(KeyStoreError, match="moved here"):
        open_store(here)


def test_an_entry_put_back_to_an_earlier_state_is_found_out(tmp_path: Path) -> None:
    """A revoked client does not come alive by its old entry, which opens by itself but not in this list."""
    path = tmp_path / "keys.json"
    store = filled_store(path)
    earlier = json.loads(path.read_text())["entries"][1]
    store.update_client("bot", revoked=True)
    position = [entry["about"]["name"] for entry in json.loads(path.read_text())["entries"]].index("bot")
    rewritten(path, lambda file: file["entries"].__setitem__(position, earlier), redigest=True)
    with pytest.raises(KeyStoreError, match="put back to an earlier state"):
        open_store(path)


@pytest.mark.parametrize(
    "change",
    [{"iterations": 4}, {"memory_kib": 65537}, {"name": "other"}, {"name": "rfc9106-second-choice"}],
)
def test_a_changed_profile_does_not_open(tmp_path: Path, change: dict[str, object]) -> None:
    """The parameters cannot be swapped for others: the keys would be others too."""
    path = tmp_path / "keys.json"
    filled_store(path)
    rewritten(path, lambda file: file["header"]["profile"].update(change), redigest=True)
    with pytest.raises(KeyStoreError):
        open_store(path)


def test_a_store_of_the_attackers_own_passphrase_is_a_wrong_passphrase(tmp_path: Path) -> None:
    """A whole file that he made himself does not open with ours."""
    path = tmp_path / "keys.json"
    filled_store(path)
    with pytest.raises(WrongPassphrase):
        open_store(path, "passphrase of the attacker")
