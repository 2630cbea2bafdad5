"""Threat: what a halted or revoked client left at the exchange goes on trading, and its operator does not know.

*Must hold* 11: each brake says what is open, cancels it where told to, and says truthfully what it could not cancel.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from signer.cli.main import main
from signer.home.layout import Home
from signer.sandbox.faults import CloseAfterActing, CloseBeforeReading, Errors
from tests.harness.bots import LIMIT, Bot
from tests.harness.policies import NARROW
from tests.harness.rig import Rig

MANY = NARROW.replace("1500 USD", "15000 USD")
SMALL = {"price": "20000", "volume": "0.001"}
NOT_ALL, KEY_STORE = 5, 4


@pytest.fixture
def bot(rig: Rig) -> Bot:
    """A client with caps of its own."""
    return rig.bot(rig.policy(MANY))


@pytest.fixture
def other(rig: Rig) -> Bot:
    """Make another client of the same account."""
    return rig.bot(rig.policy(MANY))


@pytest.fixture(autouse=True)
def _resumed(rig: Rig) -> Iterator[None]:
    """Leaves no halt behind: the gateway is other tests' too."""
    yield
    signer(rig.home, "resume", "--all")


def signer(home: Home, *arguments: str) -> int:
    """The exit status of a command on this home."""
    return main(["--home", str(home.folder), *arguments])


def lost(rig: Rig, bot: Bot, fault: CloseAfterActing | CloseBeforeReading) -> str:
    """The name of an order whose answer was lost."""
    name = f"n-{secrets.token_hex(6)}"
    rig.sandbox.control.add_fault(fault)
    assert rig.call(bot, "AddOrder", {**LIMIT, **SMALL, "cl_ord_id": name})[0] == "EService:Unavailable"
    return name


def test_a_halt_says_what_its_client_has_open(
    rig: Rig, bot: Bot, other: Bot, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is open now, and nobody else's; it stays open."""
    txids = [rig.place(bot, **SMALL) for _ in range(3)]
    theirs = [rig.place(other, **SMALL), rig.place_by_hand(**SMALL)]
    assert rig.call(bot, "CancelOrder", {"txid": txids[2]}) == []
    capsys.readouterr()
    assert signer(rig.home, "halt", "--client", bot.name) == 0
    shown = capsys.readouterr()
    assert all(txid in shown.out for txid in txids[:2])
    assert not any(txid in shown.out for txid in [txids[2], *theirs])  # the bot has cancelled one of its own
    assert f"Open orders of client {bot.name}: " in shown.err
    assert all(rig.is_open(txid) for txid in [*txids[:2], *theirs])


@pytest.mark.parametrize("brake", [["halt", "--client"], ["clients", "revoke"]], ids=["halt", "revoke"])
def test_a_brake_cancels_what_its_client_has_open(
    rig: Rig, bot: Bot, other: Bot, brake: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The brake cancels scheduled and unanswered orders too, by txid; orders of others under the same names stay."""
    ref = str(secrets.randbelow(2**30) + 1)
    txids = [rig.place(bot, **SMALL, userref=ref) for _ in range(2)]
    theirs = [rig.place(other, **SMALL, userref=ref), rig.place_by_hand(**SMALL, userref=ref)]
    lost(rig, bot, CloseAfterActing(endpoint="AddOrder"))
    before = rig.sandbox.control.ask(rig.sandbox.account, "OpenOrders")["open"]
    assert signer(rig.home, *brake, bot.name, "--cancel-orders") == 0
    assert f"Cancelled 3 orders of client {bot.name}." in capsys.readouterr().err
    after = rig.sandbox.control.ask(rig.sandbox.account, "OpenOrders")["open"]
    assert len(before.keys() - after.keys()) == 3
    assert before.keys() - after.keys() > set(txids)
    assert all(txid in after for txid in theirs)
    with rig.nothing_arrives():
        assert rig.call(bot, "AddOrder", {**LIMIT, **SMALL})


@pytest.mark.parametrize("cancel", [(), ("--cancel-orders",)], ids=["shows", "cancels"])
def test_a_revocation_without_the_passphrase_deals_with_open_orders(
    rig: Rig, bot: Bot, cancel: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key store cannot be changed, but the gateway refuses the client: its orders are said, or cancelled."""
    txid = rig.place(bot, **SMALL)
    wrong = tmp_path / "wrong"
    wrong.touch(0o600)
    wrong.write_text("another passphrase than that of the store")
    assert signer(rig.home, "clients", "revoke", bot.name, "--passphrase-file", str(wrong), *cancel) == KEY_STORE
    shown = capsys.readouterr()
    assert rig.is_open(txid) == (not cancel)
    assert f"Cancelled 1 order of client {bot.name}." in shown.err if cancel else txid in shown.out
    assert f"{bot.name} stays revoked" in shown.err


def test_a_whole_halt_cancels_every_clients_orders_and_none_of_the_owners(rig: Rig, bot: Bot, other: Bot) -> None:
    """Only what was placed through signer."""
    txids, theirs = [rig.place(bot, **SMALL), rig.place(other, **SMALL)], rig.place_by_hand(**SMALL)
    try:
        signer(rig.home, "halt", "--cancel-orders")  # orders that other tests have lost may be unsettled
    finally:
        assert signer(rig.home, "resume", "--all") == 0
    assert [rig.is_open(txid) for txid in [*txids, theirs]] == [False, False, True]


def test_what_could_not_be_cancelled_is_said(rig: Rig, bot: Bot, capsys: pytest.CaptureFixture[str]) -> None:
    """The exchange refuses: the command fails, names the order and why, and the halt is in force all the same."""
    txid = rig.place(bot, **SMALL)
    rig.sandbox.control.add_fault(Errors(endpoint="CancelOrder", errors=("EGeneral:Permission denied",)))
    assert signer(rig.home, "halt", "--client", bot.name, "--cancel-orders") == NOT_ALL
    assert f"{txid} may still be open: EGeneral:Permission denied" in capsys.readouterr().err
    with rig.nothing_arrives():
        assert rig.call(bot, "AddOrder", {**LIMIT, **SMALL})
    assert signer(rig.home, "halt", "--client", bot.name, "--cancel-orders") == 0
    assert not rig.is_open(txid)


def test_an_order_that_may_yet_appear_is_said(rig: Rig, bot: Bot, capsys: pytest.CaptureFixture[str]) -> None:
    """An order whose answer was lost and that the exchange does not know is never said to be cancelled."""
    name, txid = lost(rig, bot, CloseBeforeReading(endpoint="AddOrder")), rig.place(bot, **SMALL)
    assert signer(rig.home, "halt", "--client", bot.name, "--cancel-orders") == NOT_ALL
    assert name in capsys.readouterr().err
    assert not rig.is_open(txid)


def test_cancels_of_a_brake_are_on_record(rig: Rig, bot: Bot) -> None:
    """The record says who acted, for whom, and which orders were open before and after."""
    txid = rig.place(bot, **SMALL)
    assert signer(rig.home, "halt", "--client", bot.name, "--cancel-orders") == 0
    lines = [json.loads(line) for path in rig.home.audit.glob("*.jsonl") for line in path.read_text().splitlines()]
    acts = [line for line in lines if line.get("act") == "cancel orders" and line["client"] == bot.name]
    assert [(act["stage"], act.get("named", act.get("venue_ids"))) for act in acts] == [
        ("begun", [txid]),
        ("done", [txid]),
    ]


def test_without_a_gateway_nothing_is_said_to_be_cancelled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The halt is in force; the command fails and says what to do."""
    home = Home(tmp_path / "home")
    assert signer(home, "init", "--no-input") == 0
    assert signer(home, "halt", "--cancel-orders") == NOT_ALL
    said = capsys.readouterr().err
    assert "Halted everybody" in said
    assert "NOTHING WAS CANCELLED" in said
    assert "Open orders of everybody: none known." in said


def test_unknown_calls_are_listed_though_the_home_does_not_read(rig: Rig, tmp_path: Path) -> None:
    """What may be open can be listed with settings and a list of pairs that do not read."""
    home = rig.copied(tmp_path)[0].home
    home.config.write_text("[")
    home.pairs("kraken").write_text("{")
    assert signer(home, "orders", "unknown") == 0


def test_a_halt_of_a_pair_cancels_its_orders_of_every_client(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """Orders for other pairs stay, and so do those that the owner placed by hand."""
    bots = [rig.bot("wide"), rig.bot("wide")]
    meant = [rig.place(bot, **SMALL) for bot in bots]
    others = [rig.place(bots[0], pair="ETHUSD", price="2000", volume="0.01"), rig.place_by_hand(**SMALL)]
    signer(rig.home, "halt", "--pair", "BTC/USD", "--cancel-orders")  # orders that other tests lost may be unsettled
    assert "of pair XXBTZUSD." in capsys.readouterr().err
    assert [rig.is_open(txid) for txid in [*meant, *others]] == [False, False, True, True]
    lines = [json.loads(line) for path in rig.home.audit.glob("*.jsonl") for line in path.read_text().splitlines()]
    acts = [line for line in lines if line.get("act") == "cancel orders" and line.get("pair") == "XXBTZUSD"]
    assert acts[0]["stage"] == "begun"
    assert set(meant) <= set(acts[0]["named"])


def test_a_halt_of_a_group_cancels_the_orders_of_its_clients(
    rig: Rig, bot: Bot, other: Bot, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of other clients stay. A lost order of the group is looked up and cancelled as well."""
    before = rig.home.config.read_text()
    rig.home.config.write_text(f'{before}\n[groups.grids]\nclients = ["{bot.name}"]\n')
    try:
        txids = [rig.place(bot, **SMALL), rig.place(other, **SMALL)]
        lost(rig, bot, CloseAfterActing(endpoint="AddOrder"))
        assert signer(rig.home, "halt", "--group", "grids") == 0
        shown = capsys.readouterr()
        assert (txids[0] in shown.out, txids[1] in shown.out) == (True, False)
        assert signer(rig.home, "halt", "--group", "grids", "--cancel-orders") == 0
        assert "Cancelled 2 orders of group grids." in capsys.readouterr().err
        assert [rig.is_open(txid) for txid in txids] == [False, True]
    finally:
        rig.home.config.write_text(before)


def test_nobodys_orders_are_cancelled_for_a_group_that_nobody_knows(
    rig: Rig, bot: Bot, capsys: pytest.CaptureFixture[str]
) -> None:
    """It halts everybody, because nobody can tell whom it means. To cancel what everybody has open is another thing."""
    txid, before = rig.place(bot, **SMALL), rig.home.config.read_text()
    rig.home.config.write_text("nonsense")
    try:
        assert signer(rig.home, "halt", "--group", "grids", "--cancel-orders") == NOT_ALL
    finally:
        rig.home.config.write_text(before)
    said = capsys.readouterr().err
    assert "EVERYBODY is halted unless the running gateway knows them" in said
    assert "the clients of group 'grids' are not known" in said
    assert rig.is_open(txid)
    with rig.nothing_arrives():
        assert rig.call(bot, "AddOrder", {**LIMIT, **SMALL})
