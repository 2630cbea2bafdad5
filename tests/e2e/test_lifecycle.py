"""Keys and clients come, change and go while bots trade: no bot notices, and every act is on record."""

from __future__ import annotations

import itertools
import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from signer.keys.probes import forget_probe
from signer.sandbox.control_client import MadeKey
from signer.sandbox.faults import Errors
from signer.sandbox.server import RunningSandbox
from signer.secret import fingerprint
from tests.e2e.bursts import Burst, nonces_by_key
from tests.harness.bots import Bot, order
from tests.harness.gateways import RunningGateway, running
from tests.harness.homes import MadeHome
from tests.harness.waiting import until

NUMBERS = itertools.count(1)
NONCES = itertools.count(1)


@pytest.fixture
def made(tmp_path: Path, shared_sandbox: RunningSandbox) -> MadeHome:
    """A home of the test's own with one account."""
    made = MadeHome(tmp_path / "home", shared_sandbox)
    made.add_account(f"lifecycle-{next(NUMBERS)}")
    return made


@pytest.fixture
def own(made: MadeHome) -> Iterator[RunningGateway]:
    """A gateway of the test's own."""
    with running(made) as gateway:
        yield gateway
        made.sandbox.control.clear_faults()


def account_of(made: MadeHome) -> str:
    """The home's one account."""
    return made.store.credentials()[0].account


def name_of(made: MadeHome) -> str:
    """Return its one credential."""
    return f"{account_of(made)}-key"


def fresh_key(made: MadeHome, **settings: Any) -> MadeKey:
    """Make another key of the account, as its owner would at the exchange."""
    return made.sandbox.control.make_key(account_of(made), tier="unlimited", **settings)


def pasted(key: MadeKey) -> str:
    """What `--stdin` reads."""
    return json.dumps({"api_key": key.api_key, "api_secret": key.api_secret})


def rotated(made: MadeHome, key: MadeKey, *options: str) -> CompletedProcess[str]:
    """`keys rotate` to that key."""
    return made.signer("keys", "rotate", name_of(made), "--stdin", *options, stdin=pasted(key))


def listed(made: MadeHome) -> dict[str, Any]:
    """The one row of `keys list` that is in force."""
    done = made.signer("keys", "list", "--json")
    assert done.returncode == 0, done.stderr
    (row,) = (row for row in json.loads(done.stdout) if row["delete_since"] is None)
    return dict(row)


def asked(bot: Bot, endpoint: str = "OpenOrders", fields: dict[str, str] | None = None) -> Any:
    """The error array of one call."""
    return bot.post(endpoint, fields or {}, next(NONCES)).json()["error"]


def test_no_bot_notices_a_rotation(own: RunningGateway) -> None:
    """A burst of orders through `keys rotate`: none refused, both keys' nonces strictly increasing, and the old key
    signs nothing once the command has returned."""
    made, old = own.made, own.made.store.credentials()[0]
    burst = Burst([own.client(account_of(made)) for _ in range(4)])
    burst.wait_for(20)
    key = fresh_key(made)
    done = rotated(made, key, "--reason", "quarterly")
    assert done.returncode == 0, done.stderr
    used_before = len(nonces_by_key(made, old.api_key)[0])
    burst.wait_for(20)
    burst.stop()
    assert burst.errors == []
    before, after = nonces_by_key(made, old.api_key, key.api_key)
    assert len(before) == used_before
    assert (before, after) == (sorted(set(before)), sorted(set(after)))
    assert len(after) > 20
    assert "Delete this at the exchange now: the key '" in done.stdout
    assert old.fingerprint in done.stdout
    assert listed(made)["fingerprint"] == fingerprint(key.api_key)
    assert len(made.orders(account_of(made))) == burst.placed


def test_a_rotation_is_on_record(own: RunningGateway) -> None:
    """The record says who, what, why and how it ended, durably and under one id, and no key or secret."""
    made, key = own.made, fresh_key(own.made)
    assert rotated(made, key, "--reason", "it leaked").returncode == 0
    begun, done = made.records(kind="operator", act="keys rotate")
    assert (begun["stage"], done["stage"], begun["id"]) == ("begun", "done", done["id"])
    assert (begun["reason"], begun["credential"], begun["uid"] >= 0, bool(begun["by"])) == (
        "it leaked",
        name_of(made),
        True,
        True,
    )
    assert fingerprint(key.api_key) in done["detail"]
    text = json.dumps(made.records())
    assert key.api_key not in text
    assert key.api_secret not in text
    made.verify()


def test_a_replaced_key_is_listed_until_it_is_deleted(made: MadeHome) -> None:
    """A replaced key is listed by name and fingerprint until `keys confirm-deleted`, which is on record."""
    old = made.store.credentials()[0]
    assert made.signer("keys", "confirm-deleted", old.name, old.fingerprint).returncode == 4
    assert rotated(made, fresh_key(made)).returncode == 0
    shown = made.signer("keys", "list").stdout
    assert shown.count("Delete this at the exchange now") == 1
    now, then = json.loads(made.signer("keys", "list", "--json").stdout)
    assert (now["delete_since"], then["fingerprint"], then["store"]) == (None, old.fingerprint, None)
    assert then["at_venue"]
    assert repr(then["at_venue"]) in shown
    assert then["delete_since"] in shown
    assert now.keys() == then.keys()
    assert old.api_key not in json.dumps([now, then])
    assert made.signer("keys", "confirm-deleted", "other", old.fingerprint).returncode == 4
    assert made.signer("keys", "confirm-deleted", old.name, f"../probes/{now['fingerprint']}").returncode == 4
    assert made.signer("keys", "confirm-deleted", old.name, old.fingerprint, "--reason", "deleted").returncode == 0
    assert "Delete" not in made.signer("keys", "list").stdout
    assert made.records(act="keys confirm-deleted", stage="done")[-1]["detail"] == f"fingerprint {old.fingerprint}"


@pytest.mark.parametrize(
    ("permissions", "words"),
    [
        (["query-funds"], "lacks"),
        (["query-funds", "withdraw-funds", "modify-trades"], "also has withdraw-funds"),
    ],
)
def test_a_key_with_other_permissions_is_refused(own: RunningGateway, permissions: list[str], words: str) -> None:
    """Fewer would break bots, more would make the key more powerful than it was: the old key stays, and works."""
    made, bot = own.made, own.client(account_of(own.made))
    before = listed(made)["fingerprint"]
    done = rotated(made, fresh_key(made, permissions=permissions))
    assert done.returncode == 4
    assert words in done.stderr
    assert listed(made)["fingerprint"] == before
    assert asked(bot) == []
    assert [record["stage"] for record in made.records(kind="operator", act="keys rotate")] == ["begun", "failed"]
    done = rotated(made, fresh_key(made, permissions=permissions), "--other-permissions")
    assert done.returncode == (4 if "withdraw-funds" in permissions else 0), done.stderr
    assert "would be refused" in done.stderr or done.returncode == 0


def test_a_key_of_another_account_is_refused(own: RunningGateway) -> None:
    """Bots would trade on it from one call to the next; no option lets it in, and the old key works on."""
    made, bot = own.made, own.client(account_of(own.made))
    before = listed(made)["fingerprint"]
    foreign = made.sandbox.control.make_key(f"{account_of(made)}-other", tier="unlimited")
    for options in ((), ("--other-permissions",)):
        done = rotated(made, foreign, *options)
        assert (done.returncode, "of another account" in done.stderr) == (4, True)
    assert listed(made)["fingerprint"] == before
    assert asked(bot) == []


def test_a_new_key_that_the_exchange_refuses_changes_nothing(own: RunningGateway) -> None:
    """A pair that does not belong together is found out before anything relies on it."""
    made, bot = own.made, own.client(account_of(own.made))
    before = made.home.keys.read_bytes()
    key, other = fresh_key(made), fresh_key(made)
    done = made.signer(
        "keys", "rotate", name_of(made), "--stdin",
        stdin=json.dumps({"api_key": key.api_key, "api_secret": other.api_secret}),
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (5, 1)
    assert "EAPI:Invalid" in done.stderr
    assert made.home.keys.read_bytes() == before
    assert asked(bot) == []


def test_a_gateway_that_would_not_take_it_up_keeps_the_old_key_in_the_store_too(own: RunningGateway) -> None:
    """A typo in signer.toml is found before the store changes."""
    made = own.made
    before = made.home.keys.read_bytes()
    good = made.home.config.read_text()
    key = fresh_key(made)
    made.home.config.write_text(good.replace("[gateway]", "[gateway]\nbody_secnods = 3"))
    assert rotated(made, key).returncode != 0
    assert made.home.keys.read_bytes() == before
    made.home.config.write_text(good)
    assert rotated(made, key).returncode == 0


def test_an_old_key_that_is_gone_already_is_rotated_by_what_it_last_said(own: RunningGateway) -> None:
    """A leaked key is deleted at the exchange first; what it could do is known from its last test."""
    made = own.made
    assert made.signer("keys", "test", name_of(made)).returncode == 0
    made.sandbox.control.add_fault(Errors(endpoint="GetApiKeyInfo", count=1, errors=("EAPI:Invalid key",)))
    done = rotated(made, fresh_key(made))
    assert done.returncode == 0, done.stderr
    assert "cannot be asked any more" in done.stderr


@pytest.mark.parametrize("alone", [False, True], ids=["beside a gateway", "alone"])
def test_a_key_is_tested_and_listed(made: MadeHome, *, alone: bool) -> None:
    """`keys test` asks the exchange with the next nonce of the key, whoever has it; `keys list` shows what it heard."""
    if alone:
        _test_and_list(made)
    else:
        with running(made) as gateway:
            assert asked(gateway.client(account_of(made))) == []
            _test_and_list(made)
            assert asked(gateway.client(account_of(made))) == []


def _test_and_list(made: MadeHome) -> None:
    assert listed(made)["permissions"]  # as it was last asked
    forget_probe(made.home.probes, made.store.credentials()[0].fingerprint)
    assert (listed(made)["permissions"], listed(made)["tested"]) == (None, None)
    for _ in range(2):
        done = made.signer("keys", "test", name_of(made), "--json")
        assert done.returncode == 0, done.stderr
    told, row = json.loads(done.stdout), listed(made)
    assert "modify-trades" in told["permissions"]
    assert row["permissions"] == told["permissions"]
    assert row["tested"] > "2026"
    assert row["used"] > "2026"
    (nonces,) = nonces_by_key(made, made.store.credentials()[0].api_key)
    assert nonces == sorted(set(nonces))
    assert [record["stage"] for record in made.records(act="keys test")] == ["begun", "done"] * 2
    made.verify()


def test_both_virtual_credentials_pass_for_a_while(own: RunningGateway, tmp_path: Path) -> None:
    """`clients rotate --overlap`: old and new work, each with nonces of its own; a second rotation ends the first one's
    overlap, a revocation ends all."""
    made, account = own.made, account_of(own.made)

    def issued(*arguments: str) -> Bot:
        file = tmp_path / "bot.env"
        done = made.signer("clients", *arguments, "--env-file", str(file), "--force")
        assert done.returncode == 0, done.stderr
        values = dict(line.split("=", 1) for line in file.read_text().splitlines())
        return Bot("late", values["KRAKEN_API_KEY"], values["KRAKEN_API_SECRET"], account, own.url)

    first = issued("add", "late", "--account", account, "--policy", "trader")
    second = issued("rotate", "late", "--overlap", "10m")
    assert (asked(first), asked(second)) == ([], [])
    assert asked(first, "AddOrder", order()) == []
    assert made.records(kind="intent")[-1]["client"] == "late"
    third = issued("rotate", "late", "--overlap", "10m")
    assert (asked(first), asked(second), asked(third)) == (["EAPI:Invalid key"], [], [])
    assert made.signer("clients", "update", "late", "--policy", "tracker", "--reason", "holiday").returncode == 0
    assert asked(second, "AddOrder", order()) != []
    assert (asked(second), asked(third)) == ([], [])
    assert made.signer("clients", "revoke", "late").returncode == 0
    assert (asked(second), asked(third)) == (["EAPI:Invalid key"], ["EAPI:Invalid key"])
    acts = [record["act"] for record in made.records(kind="operator", stage="done")]
    assert acts == ["clients add", "clients rotate", "clients rotate", "clients update", "clients revoke"]
    made.verify()


def test_an_overlap_ends(own: RunningGateway) -> None:
    """The old credential is refused when its time is over, without anybody acting."""
    made, bot = own.made, own.client(account_of(own.made))
    assert made.signer("clients", "rotate", bot.name, "--overlap", "5s").returncode == 0
    assert asked(bot) == []
    until(lambda: asked(bot) == ["EAPI:Invalid key"], "the end of the overlap")


def test_a_client_that_changes_keeps_its_credential(own: RunningGateway) -> None:
    """New sources and a new expiry are in force at once, and so are the old ones again."""
    made, bot = own.made, own.client(account_of(own.made))
    for options, answer in (
        (("--allow-from", "10.0.0.0/8"), ["EAPI:Invalid key"]),
        (("--allow-from-anywhere", "--expires", "30d"), []),
        (("--expires-never",), []),
    ):
        done = made.signer("clients", "update", bot.name, *options)
        assert done.returncode == 0, done.stderr
        assert asked(bot) == answer


def test_a_command_without_a_gateway_appends_to_the_chain_itself(made: MadeHome) -> None:
    """The log is whole with records of a gateway, of commands, and of a gateway again."""
    with running(made) as gateway:
        bot = gateway.client(account_of(made))
        assert asked(bot, "AddOrder", order()) == []
    assert made.signer("clients", "revoke", bot.name, "--reason", "moved away").returncode == 0
    with running(made):
        assert "nothing was changed" in made.verify()
    kinds = [record["kind"] for record in made.records() if record["kind"] in {"start", "stop", "operator"}]
    assert kinds == ["start", "stop", "operator", "operator", "start", "stop"]


def test_a_revocation_works_even_if_it_cannot_be_recorded(made: MadeHome) -> None:
    """A brake must work when other things are broken; other acts do not."""
    bot = made.add_client("doomed", account_of(made), "trader")
    made.home.audit.write_text("this is no folder")
    refused = made.signer("clients", "rotate", bot.name)
    assert refused.returncode == 5
    done = made.signer("clients", "revoke", bot.name)
    assert done.returncode == 0, done.stderr
    assert "not in the audit log" in done.stderr
    (row,) = json.loads(made.signer("clients", "list", "--json").stdout)
    assert (row["name"], row["revoked"]) == ("doomed", True)


OWN_KEY = json.dumps({"api_key": "KEY", "api_secret": b64encode(b"s" * 64).decode()})


@pytest.mark.parametrize(
    ("arguments", "stdin", "status", "words"),
    [
        (("keys", "rotate", "NAME", "--stdin"), '{"api_key": "x"}', 4, "write {"),
        (("keys", "rotate", "absent", "--stdin"), OWN_KEY, 4, "there is no credential 'absent'; known are: "),
        (("keys", "rotate", "NAME", "--stdin"), OWN_KEY, 4, "has already"),
        (("keys", "test", "absent"), "", 4, "there is no credential 'absent'"),
        (("keys", "move", "NAME", "--to", "file"), "", 2, "is in the store file already"),
        (("keys", "move", "NAME", "--to", "nowhere"), "", 3, "there is no store 'nowhere'"),
        (("clients", "update", "absent"), "", 2, "Say what is to change"),
        (("clients", "update", "absent", "--expires-never"), "", 4, "there is no client 'absent'"),
        (("clients", "update", "b", "--expires", "1d", "--expires-never"), "", 2, "exclude each other"),
        (("clients", "rotate", "b", "--overlap", "1y"), "", 2, "write a time such as"),
        (("clients", "rotate", "b", "--overlap", "32d"), "", 2, "at most 31d"),
        (("clients", "revoke", "b", "--reason", "x" * 201), "", 2, "it has 201 characters; write at most 200"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_and_changes_nothing(
    made: MadeHome, arguments: tuple[str, ...], stdin: str, status: int, words: str
) -> None:
    """One line says what, where and the hint, without a traceback."""
    info = made.store.credentials()[0]
    before = made.home.keys.read_bytes()
    done = made.signer(
        *(info.name if word == "NAME" else word for word in arguments), stdin=stdin.replace("KEY", info.api_key)
    )
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    assert words in done.stderr
    assert made.home.keys.read_bytes() == before
