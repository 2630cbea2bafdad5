"""Writing to the key store, and reading it again while it runs."""

from __future__ import annotations

import json
import traceback
from ipaddress import ip_network
from pathlib import Path

import pytest

from signer.errors import KeyStoreError
from signer.keys import entries
from signer.keys.argon import INSECURE_TESTS_ONLY, SECOND_CHOICE
from signer.keys.file import FileKeyStore
from signer.keys.key_pair import new_private, public_half
from signer.model import Algorithm
from signer.secret import Secret
from tests.harness.stores import (
    API_KEY,
    CANARY,
    CLIENT_KEY,
    PASSPHRASE_TEXT,
    filled_store,
    new_store,
    open_store,
    passphrase,
    same_key,
)

KEYS = "keys.json"


def test_what_is_kept_is_there_after_opening_again(tmp_path: Path) -> None:
    """Names, fields and handles survive the way through the file."""
    written = filled_store(tmp_path / KEYS)
    written.update_client("bot", sources=(ip_network("10.0.0.0/8"),), expires_us=99, nonces="strict")
    opened = open_store(tmp_path / KEYS)
    assert list(opened.credentials()) == list(written.credentials())
    assert list(opened.clients()) == list(written.clients())
    assert [client.name for client in opened.clients()] == ["bot", "other"]
    bot = opened.clients()[0]
    assert (bot.sources, bot.expires_us, bot.nonces, bot.revoked) == ((ip_network("10.0.0.0/8"),), 99, "strict", False)
    assert same_key(opened.signing_key("main", Algorithm.HMAC_SHA512), Secret(CANARY).key())
    assert same_key(opened.client_key("bot", Algorithm.HMAC_SHA512), Secret(CANARY[::-1]).key())


def test_the_default_profile_opens_without_leave(tmp_path: Path) -> None:
    """A store made with no word about its profile has RFC 9106's, and `serve` opens it."""
    FileKeyStore.create(tmp_path / KEYS, passphrase())
    assert SECOND_CHOICE.name in (tmp_path / KEYS).read_text()
    assert not FileKeyStore.open(tmp_path / KEYS, passphrase()).credentials()


def test_a_store_made_for_tests_is_refused_without_leave(tmp_path: Path) -> None:
    """What `serve` opens can never be a store that protects nothing."""
    new_store(tmp_path / KEYS)
    with pytest.raises(KeyStoreError, match="protects nothing"):
        FileKeyStore.open(tmp_path / KEYS, passphrase())


def test_a_store_is_not_made_twice_nor_with_a_short_passphrase(tmp_path: Path) -> None:
    """An existing store is never overwritten; eleven characters make none."""
    filled_store(tmp_path / KEYS)
    before = (tmp_path / KEYS).read_bytes()
    with pytest.raises(KeyStoreError, match="it may hold keys"):
        new_store(tmp_path / KEYS)
    assert (tmp_path / KEYS).read_bytes() == before
    with pytest.raises(KeyStoreError, match="fewer than 12"):
        FileKeyStore.create(tmp_path / "new.json", passphrase("too short"), INSECURE_TESTS_ONLY)
    assert not (tmp_path / "new.json").exists()


def test_a_missing_store_names_the_hint(tmp_path: Path) -> None:
    """The error says how to make one."""
    with pytest.raises(KeyStoreError, match="signer init"):
        open_store(tmp_path / KEYS)


def test_names_and_api_keys_are_taken_once(tmp_path: Path) -> None:
    """Neither a name nor an API key serves twice; above all no client gets a real key."""
    store = filled_store(tmp_path / KEYS)
    secret = Secret(CANARY)
    with pytest.raises(KeyStoreError, match="there is a credential main already"):
        store.add_credential("main", "spot", API_KEY[::-1], secret, created_us=1)
    with pytest.raises(KeyStoreError, match="that of the credential main"):
        store.add_credential("second", "spot", API_KEY, secret, created_us=1)
    with pytest.raises(KeyStoreError, match="there is a client bot already"):
        store.add_client("bot", "spot", "trader", API_KEY[::-1], secret, created_us=1)
    with pytest.raises(KeyStoreError, match="that of the credential main"):
        store.add_client("thief", "spot", "trader", API_KEY, secret, created_us=1)
    with pytest.raises(KeyStoreError, match="that of the client other"):
        store.update_client("bot", secret, api_key=CLIENT_KEY[::-1])
    assert len(open_store(tmp_path / KEYS).clients()) == 2


@pytest.mark.parametrize(
    ("name", "api_key"),
    [
        ("Main", API_KEY),
        ("../main", API_KEY),
        ("", API_KEY),
        ("a" * 65, API_KEY),
        ("-a", API_KEY),
        ("a\n", API_KEY),
        ("main", ""),
        ("main", f"{API_KEY}=="),
        ("main", "a b c d e f"),
        ("main", "key\r\nHost: evil"),
    ],
)
def test_malformed_names_and_keys_are_refused(tmp_path: Path, name: str, api_key: str) -> None:
    """Nothing gets in that could break a header, a path or a list; the file is not touched."""
    store = new_store(tmp_path / KEYS)
    before = (tmp_path / KEYS).read_bytes()
    with pytest.raises(KeyStoreError, match="not well formed"):
        store.add_credential(name, "spot", api_key, Secret(CANARY), created_us=1)
    assert (tmp_path / KEYS).read_bytes() == before


def test_removing_a_credential_takes_its_handle(tmp_path: Path) -> None:
    """After the removal nothing of it stands in the file, and its name is free."""
    store = filled_store(tmp_path / KEYS)
    store.remove_credential("main")
    with pytest.raises(KeyStoreError, match=r"no credential 'main'.*known are: none"):
        store.signing_key("main", Algorithm.HMAC_SHA512)
    assert API_KEY not in (tmp_path / KEYS).read_text()
    with pytest.raises(KeyStoreError, match="no credential 'main'"):
        store.remove_credential("main")


def test_rotation_changes_key_and_secret_and_nothing_else(tmp_path: Path) -> None:
    """The old secret signs no more; policy and account stay."""
    store = filled_store(tmp_path / KEYS)
    new = Secret(bytes(64))
    store.update_client("bot", new, api_key="NEWkey00" * 7, created_us=50)
    bot = open_store(tmp_path / KEYS).clients()[0]
    assert (bot.api_key, bot.created_us, bot.policy, bot.account) == ("NEWkey00" * 7, 50, "trader", "spot")
    assert same_key(store.client_key("bot", Algorithm.HMAC_SHA512), new.key())
    assert not same_key(store.client_key("bot", Algorithm.HMAC_SHA512), Secret(CANARY[::-1]).key())


def test_a_change_keeps_the_secret(tmp_path: Path) -> None:
    """Another policy leaves the client its credential."""
    store = filled_store(tmp_path / KEYS)
    store.update_client("bot", policy="tracker")
    opened = open_store(tmp_path / KEYS)
    assert opened.clients()[0].policy == "tracker"
    assert same_key(opened.client_key("bot", Algorithm.HMAC_SHA512), Secret(CANARY[::-1]).key())


def test_a_revoked_client_comes_back_only_by_a_new_issue(tmp_path: Path) -> None:
    """A revoked client stays listed and unchanged until one of its name is added."""
    store = filled_store(tmp_path / KEYS)
    store.update_client("bot", revoked=True)
    assert store.clients()[0].revoked
    for change in ({"revoked": False}, {"policy": "tracker"}):
        with pytest.raises(KeyStoreError, match="is revoked"):
            store.update_client("bot", **change)
    store.add_client("bot", "spot", "trader", "NEWkey00" * 7, Secret(bytes(64)), created_us=60)
    assert [(client.name, client.revoked) for client in store.clients()] == [("bot", False), ("other", False)]


def test_a_full_store_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More entries than can be read back are not written."""
    monkeypatch.setattr(entries, "MOST_ENTRIES", 3)
    store = filled_store(tmp_path / KEYS)
    with pytest.raises(KeyStoreError, match="holds 3 entries already"):
        store.add_credential("second", "spot", API_KEY[::-1], Secret(CANARY), created_us=1)


def test_reopening_takes_up_what_another_wrote(tmp_path: Path) -> None:
    """A reload sees the change without the passphrase; the store in use stays as it was."""
    held = filled_store(tmp_path / KEYS)
    open_store(tmp_path / KEYS).update_client("bot", revoked=True)
    reloaded = held.reopened()
    assert reloaded.clients()[0].revoked
    assert not held.clients()[0].revoked


def test_a_writer_builds_on_what_another_wrote(tmp_path: Path) -> None:
    """Two stores opened before either wrote do not undo each other's change."""
    one, other = filled_store(tmp_path / KEYS), open_store(tmp_path / KEYS)
    one.update_client("bot", revoked=True)
    other.remove_credential("main")
    assert [client.revoked for client in one.reopened().clients()] == [True, False]
    assert not one.reopened().credentials()


def test_reopening_refuses_another_store_and_an_older_file(tmp_path: Path) -> None:
    """A store put in its place, an older copy, and a copy that went another way are all refused."""
    path = tmp_path / KEYS
    held = filled_store(path)
    older = path.read_bytes()
    held.update_client("bot", revoked=True)
    newer = path.read_bytes()
    path.write_bytes(older)
    with pytest.raises(KeyStoreError, match="put back to an earlier state"):
        held.reopened()
    open_store(path).update_client("bot", policy="tracker")
    with pytest.raises(KeyStoreError, match="put back to an earlier state"):
        held.reopened()
    path.unlink()
    filled_store(path)
    with pytest.raises(KeyStoreError, match="replaced by another key store"):
        held.reopened()
    path.write_bytes(newer)
    assert held.reopened().clients()[0].revoked


def test_the_store_shows_only_where_it_is(tmp_path: Path) -> None:
    """No repr of the store, its infos or its errors with all local variables holds key, secret or passphrase."""
    store = filled_store(tmp_path / KEYS)
    shown = [repr(store), repr(vars(store)), repr(store.credentials()), repr(store.clients())]
    try:
        store.signing_key("absent", Algorithm.HMAC_SHA512)
    except KeyStoreError as error:
        shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()
    for text in shown:
        for secret in (CANARY.decode(), API_KEY, CLIENT_KEY, PASSPHRASE_TEXT):
            assert secret not in text


def test_an_entry_of_the_file_itself_is_written_as_before_there_were_other_stores(tmp_path: Path) -> None:
    """An entry of the file itself names no store, so that older and newer files open each other's entries."""
    filled_store(tmp_path / "keys.json")
    entry = json.loads((tmp_path / "keys.json").read_text())["entries"][0]
    assert set(entry["about"]) == {"kind", "name", "account", "api_key", "created_us"}


@pytest.mark.parametrize("algorithm", [Algorithm.ED25519, Algorithm.ECDSA_P256, Algorithm.RSA_SHA256])
def test_a_bot_never_has_the_pair_of_a_real_key(tmp_path: Path, algorithm: Algorithm) -> None:
    """A client's public key that belongs to a real private key is refused, whichever of the two comes first."""
    store, (one, two) = new_store(tmp_path / KEYS), (new_private(algorithm) for _ in range(2))
    ours = public_half(two, algorithm)
    store.add_credential("main", "spot", API_KEY, one, created_us=1, algorithm=algorithm)
    store.add_client("bot", "spot", "trader", CLIENT_KEY, ours, algorithm, created_us=2)
    stolen = public_half(one, algorithm)
    with pytest.raises(KeyStoreError, match="pair of its own"):
        store.add_client("thief", "spot", "trader", CLIENT_KEY[::-1], stolen, algorithm, created_us=3)
    with pytest.raises(KeyStoreError, match="pair of its own"):
        store.rotate_client("bot", CLIENT_KEY[::-1], stolen, algorithm, created_us=3)
    with pytest.raises(KeyStoreError, match="pair of its own"):
        store.add_credential("second", "spot", API_KEY[::-1], two, created_us=3, algorithm=algorithm)
    assert [info.name for info in store.clients()] == ["bot"]
    assert [info.name for info in store.credentials()] == ["main"]
