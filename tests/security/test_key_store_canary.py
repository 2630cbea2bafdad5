"""Threat: a secret shows up in a file, message or traceback. A canary goes through every failure, and is never seen."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from signer.errors import SignerError
from signer.keys import sealing
from signer.keys.argon import INSECURE_TESTS_ONLY
from signer.keys.file import FileKeyStore
from signer.keys.issue import read_json
from signer.secret import Secret
from tests.harness.stores import (
    API_KEY,
    CANARY,
    PASSPHRASE_TEXT,
    SHAPE,
    filled_store,
    new_store,
    open_store,
    passphrase,
    spellings,
)
from tests.unit.keys.test_envelope import rewritten

Failure = Callable[[Path], object]


def _seen(text: bytes) -> list[bytes]:
    hidden = [CANARY, CANARY[::-1], PASSPHRASE_TEXT.encode()]
    return [spelling for secret in hidden for spelling in spellings(secret) if spelling in text]


def test_the_search_finds_what_it_looks_for() -> None:
    """Each spelling of the canary would be found: the other tests can fail."""
    for spelling in spellings(CANARY):
        assert _seen(b"prefix" + spelling + b"suffix")


def test_nothing_on_disk_holds_a_secret(tmp_path: Path) -> None:
    """The store, its lock and a staged copy hold neither a secret nor the passphrase, in any spelling."""
    store = filled_store(tmp_path / "keys.json")
    store.update_client("bot", policy="tracker")
    for file in tmp_path.iterdir():
        assert not _seen(file.read_bytes()), file


def _full_disk(path: Path) -> None:
    store = filled_store(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", _raise_full)
        store.add_credential("second", "spot", API_KEY[::-1], Secret(CANARY), created_us=1)


def _raise_full(descriptor: int) -> None:
    raise OSError(28, "No space left on device")


def _edited(path: Path) -> None:
    filled_store(path)
    rewritten(path, lambda file: file["entries"][0]["about"].update(name="other"), redigest=True)
    open_store(path)


def _encryption_fails(path: Path) -> None:
    store = filled_store(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "_encrypt", _raise_value)
        store.add_credential("second", "spot", API_KEY[::-1], Secret(CANARY), created_us=1)


def _raise_value(*_: object) -> bytes:
    raise SignerError("the library failed")


FAILURES: dict[str, Failure] = {
    "wrong passphrase": lambda path: (filled_store(path), open_store(path, PASSPHRASE_TEXT + "!")),
    "refused profile": lambda path: (filled_store(path), FileKeyStore.open(path, passphrase())),
    "store exists": lambda path: (filled_store(path), new_store(path)),
    "name taken": lambda path: filled_store(path).add_credential(
        "main", "spot", "K" * 56, Secret(CANARY), created_us=1
    ),
    "name malformed": lambda path: filled_store(path).add_credential("No", "a", "K" * 56, Secret(CANARY), created_us=1),
    "secret as API key": lambda path: filled_store(path).add_credential(
        "second", "spot", spellings(CANARY)[4].decode() + "==", Secret(CANARY), created_us=1
    ),
    "unknown client": lambda path: filled_store(path).update_client("absent", Secret(CANARY), api_key="K" * 56),
    "bad JSON": lambda _: read_json(b'{"api_secret": "' + spellings(CANARY)[4], SHAPE, where="standard input"),
    "short secret": lambda _: read_json(
        b'{"api_key": "key", "api_secret": "' + spellings(CANARY)[4] + b'"}', SHAPE, where="standard input"
    ),
    "full disk": _full_disk,
    "edited entry": _edited,
    "encryption fails": _encryption_fails,
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
def test_no_failure_shows_a_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], failure: Failure
) -> None:
    """Message, chained exceptions, arguments, log and output of each failure are free of it."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(SignerError) as caught:
        failure(tmp_path / "keys.json")
    report = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value)) + repr(caught.value.args)
    out, err = capfd.readouterr()
    assert not _seen((report + caplog.text + out + err).encode())


def test_the_profile_for_tests_is_named_in_the_file(tmp_path: Path) -> None:
    """A reader of the file sees that it protects nothing."""
    new_store(tmp_path / "keys.json")
    assert INSECURE_TESTS_ONLY.name in (tmp_path / "keys.json").read_text()
