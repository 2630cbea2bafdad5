"""What an operator does, called as a form would call it: no click, no terminal, every act on record."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from signer.errors import ConfigError, HomeError, WrongPassphrase
from signer.home.layout import Home
from signer.home.settings import load_config
from signer.keys.issue import ApiKeySecret, issue
from signer.model import HaltScope, Role
from signer.model.halts import EVERYBODY
from signer.operator import clients, halts, keyfile, keys
from signer.operator.open_orders import cancel_open, open_orders
from signer.operator.opening import INSECURE_VALUE, INSECURE_VARIABLE, open_store
from signer.operator.orders import close_unknown, unknown_calls
from signer.operator.session import Session
from signer.operator.status import status_of
from signer.operator.stop import stop_gateway
from signer.operator.taking_back import revoke_client
from signer.secret import Secret
from tests.harness.persons import Told
from tests.harness.stores import API_KEY, CANARY, SHAPE, new_store

SPOT = HaltScope(account="spot")
ACTS = ("keys", "clients", "keyfile", "halts", "orders", "stop", "init", "reload", "taking_back", "open_orders")


@pytest.fixture(name="told")
def _told() -> Told:
    return Told()


@pytest.fixture(name="session")
def _session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: Told) -> Iterator[Session]:
    home = Home(tmp_path / "home")
    home.policies.mkdir(parents=True)
    home.config.write_text('[gateway]\nlisten = "127.0.0.1:9999"\n[accounts.spot]\n')
    (home.policies / "trader.toml").touch()
    new_store(home.keys)
    monkeypatch.setenv(INSECURE_VARIABLE, INSECURE_VALUE)
    for name in ("SIGNER_PASSPHRASE", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    with Session(home, told) as session:
        yield session


def acts(home: Home) -> list[tuple[str, str, str]]:
    """Act, stage and detail of every record of an operator."""
    lines = [line for file in sorted(home.audit.glob("audit-*.jsonl")) for line in file.read_text().splitlines()]
    records: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [(one["act"], one["stage"], one.get("detail", "")) for one in records if one["kind"] == "operator"]


class Taken(contextlib.nullcontext[None]):
    """The bot's file is there already."""

    @override
    def __enter__(self) -> None:
        raise FileExistsError


def add_bot(session: Session, hand_over: clients.HandOver | None = None) -> None:
    """Issue the client ``bot``."""
    bot = clients.NewClient("bot", "spot", "trader")
    clients.add_client(session, open_store(session), bot, issue(SHAPE), hand_over or contextlib.nullcontext(), "new")


def add_main(session: Session) -> None:
    """Keep the real key ``main``."""
    given = ApiKeySecret(API_KEY, Secret(CANARY))
    config = load_config(session.home.config)
    keys.add_key(session, open_store(session), config, "main", given, account="spot", role=Role.TRADE, reason="")


def test_the_room_needs_no_command_line() -> None:
    """A process that imports every act has imported neither click nor rich."""
    imported = "; ".join(f"import signer.operator.{name}" for name in ACTS)
    code = f"import sys; {imported}; sys.exit(bool({{'click', 'rich'}} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_key_is_kept_and_removed_on_record(session: Session, told: Told) -> None:
    """The person is told the result of each act, and the log has its beginning and its end."""
    add_main(session)
    listed, replaced = keys.list_keys(session)
    assert ([one.info.name for one in listed], replaced) == (["main"], [])
    keys.remove_key(
        session, open_store(session), load_config(session.home.config), "main", leave_secret=False, reason=""
    )
    assert [said.split(".")[0].split(" of ")[0] for said in told.said] == [
        "Added credential main",
        "Removed credential main",
    ]
    assert [act[:2] for act in acts(session.home)] == [
        *(("keys add", "begun"), ("keys add", "done")),
        *(("keys remove", "begun"), ("keys remove", "done")),
    ]
    assert not keys.list_keys(session)[0]


def test_a_removal_names_the_clients_that_it_cuts_off(session: Session) -> None:
    """Removing an account's last key names the account's clients."""
    add_main(session)
    add_bot(session)
    store = open_store(session)
    assert keys.cut_off_by_removal(store, store.credential("main")) == ["bot"]


def test_a_client_lives_and_ends_on_record(session: Session, told: Told) -> None:
    """Issued, updated, given another credential and revoked; each act says what it did."""
    add_bot(session)
    clients.update_client(session, "bot", {"expires_us": None}, reason="")
    assert clients.rotate_client(
        session, "bot", issue(SHAPE), contextlib.nullcontext(), overlap_us=3_600_000_000, reason="leaked"
    )
    assert [info.name for info in clients.list_clients(session)[1]] == ["bot"]
    dealt_with: list[str] = []
    assert revoke_client(session, "bot", "over", then=lambda: dealt_with.append("orders"))
    assert dealt_with == ["orders"]
    assert told.noted[-1] == "Revoked client bot."
    assert [act for act, stage, _ in acts(session.home) if stage == "done"] == [
        f"clients {what}" for what in ("add", "update", "rotate", "revoke")
    ]
    assert [info.revoked for info in clients.list_clients(session)[0]] == [True]


def test_a_credential_that_cannot_be_handed_over_is_not_kept(session: Session) -> None:
    """What fails before the store is written leaves no client, and the record says that it failed."""
    with pytest.raises(FileExistsError):
        add_bot(session, Taken())
    assert not clients.list_clients(session)[0]
    assert [stage for _, stage, _ in acts(session.home)] == ["begun", "failed"]


def test_an_unknown_account_or_policy_is_refused_before_the_record(session: Session) -> None:
    """The hint names those that there are."""
    with pytest.raises(ConfigError, match="known are: trader"):
        clients.require_policy(session.home, "absent", "spot")
    with pytest.raises(ConfigError, match="known are: spot"):
        clients.add_client(
            session,
            open_store(session),
            clients.NewClient("bot", "absent", "trader"),
            issue(SHAPE),
            contextlib.nullcontext(),
            "",
        )
    assert not session.home.audit.exists()


def test_orders_are_halted_and_resumed_without_a_passphrase(session: Session, told: Told) -> None:
    """The status shows the halt while it is in force; what ends it is named."""
    halts.halt_orders(session, SPOT, "drawdown")
    assert [(halt.scope.account, halt.reason) for halt in status_of(session.home).halts] == [("spot", "drawdown")]
    assert halts.ways_to_resume(session.home) == ["signer resume --account spot"]
    resumed = halts.resume_orders(session, SPOT, "", every=False)
    assert (len(resumed.ended), resumed.left) == (1, [])
    assert "ends it" in told.noted[0]
    assert not halts.resume_orders(session, SPOT, "", every=False).ended


def test_what_is_open_is_told_and_not_cancelled_without_a_gateway(session: Session) -> None:
    """Only a gateway can cancel, and what the log knows is told all the same."""
    halts.halt_orders(session, EVERYBODY, "")
    found = open_orders(session, EVERYBODY)
    assert found is not None
    assert (found.count, found.rows) == (0, [])
    cleared = cancel_open(session, EVERYBODY)
    assert (cleared.all_closed, cleared.gateway) == (False, False)
    assert "NOTHING WAS CANCELLED" in cleared.why_not


def test_there_is_nothing_to_close_or_to_stop(session: Session) -> None:
    """An unknown number closes nothing and leaves no record; no gateway runs."""
    halts.halt_orders(session, EVERYBODY, "")
    assert not unknown_calls(session.home)
    assert not close_unknown(session, "orders release", 7, (), "by hand")
    with pytest.raises(HomeError, match="no gateway runs"):
        stop_gateway(session, "")


def test_a_backup_is_restored_and_tells_what_is_otherwise(session: Session, told: Told, tmp_path: Path) -> None:
    """The client that was added since is named."""
    saved = tmp_path / "saved.json"
    keyfile.back_up(session, open_store(session), saved, replace=False, reason="")
    add_bot(session)
    keyfile.restore(session, saved, older=True, reason="")
    assert "client bot" in told.said[1]
    assert not clients.list_clients(session)[0]


def test_a_wrong_passphrase_does_nothing(session: Session) -> None:
    """The act is not begun."""
    with Session(session.home, Told("five other words for it")) as other, pytest.raises(WrongPassphrase):
        keys.confirm_deleted(other, "main", "0" * 16, reason="")
    assert not session.home.audit.exists()
