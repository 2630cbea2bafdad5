"""`signer halt`, `resume` and `status` as an operator uses them."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shlex
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from signer.audit.journal import FileJournal
from signer.cli.main import main
from signer.errors import Halted, HomeError
from signer.home.layout import Home
from signer.home.lock import NOTHING_YET
from signer.keys.argon import INSECURE_TESTS_ONLY
from signer.keys.file import FileKeyStore
from signer.keys.issue import issue
from signer.keys.passphrase import Passphrase
from signer.model import Outcome
from signer.operator import braking
from signer.serving.admin import Operator
from signer.venues.kraken.answers import words
from tests.harness.journals import begin, end, in_journal
from tests.harness.stores import SHAPE
from tests.unit.ledger.calls import charge, intent, order

CONFIG = """[accounts.main]
[accounts.second]
[groups.grids]
clients = ["bot"]
"""


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.config.write_text(CONFIG)
    passphrase = Passphrase(b"only ever used in this test", where="test")
    store = FileKeyStore.create(home.keys, passphrase, INSECURE_TESTS_ONLY)
    credential = issue(SHAPE)
    store.add_client("bot", "main", "strict", credential.api_key, credential.secret, created_us=1)
    return home


def signer(home: Home, *arguments: str) -> int:
    """The exit status of a command on this home."""
    return main(["--home", str(home.folder), *arguments])


def test_a_halt_is_in_force_in_the_next_run(home: Home) -> None:
    """A journal that is opened then begins no call of the client, until the halt has ended."""
    assert signer(home, "halt", "--client", "bot", "--reason", "runaway") == 0
    with pytest.raises(Halted, match="halt: runaway"):
        in_journal(home, lambda journal: begin(journal, intent()))
    assert signer(home, "resume", "--client", "bot") == 0
    assert in_journal(home, lambda journal: begin(journal, intent())) == 1


def test_halts_are_shown_and_ended_one_by_one(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """`status` lists what is in force with who and why; `resume` ends exactly the one named, and says what is left."""
    assert signer(home, "halt", "--reason", "drill") == 0
    assert signer(home, "halt", "--account", "second", "--reason", "audit") == 0
    capsys.readouterr()
    assert signer(home, "status", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [(halt["whom"], halt["reason"]) for halt in shown["halts"]] == [
        ("everybody", "drill"),
        ("account second", "audit"),
    ]
    assert shown["gateway"] is None
    assert signer(home, "resume", "--account", "second") == 0
    assert capsys.readouterr().err == "Resumed account second.\nStill halted: everybody.\n"
    assert signer(home, "resume", "--account", "second") == 1
    assert "There is no halt of account second." in capsys.readouterr().err


WHOM = ((), ("--client", "bot"), ("--account", "second"))


def hint(text: str) -> list[str]:
    """The arguments of the command that a halt prints."""
    return shlex.split(text.partition("`signer ")[2].partition("`")[0])


@pytest.mark.parametrize("whom", WHOM, ids=["everybody", "client", "account"])
def test_the_command_that_a_halt_prints_ends_it(
    home: Home, capsys: pytest.CaptureFixture[str], whom: tuple[str, ...]
) -> None:
    """The printed command works as it stands."""
    assert signer(home, "halt", *whom) == 0
    said = hint(capsys.readouterr().err)
    assert signer(home, *said) == 0
    signer(home, "status", "--json")
    assert json.loads(capsys.readouterr().out)["halts"] == []
    assert signer(home, *said) == 1


def test_resume_all_ends_every_halt_and_resume_alone_says_what_there_is(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bare `resume` ends nothing, because nobody can tell what it means, and prints the commands that do."""
    for whom in WHOM:
        assert signer(home, "halt", *whom) == 0
    capsys.readouterr()
    assert signer(home, "resume") == 2
    said = capsys.readouterr().err
    for command in ("signer resume --all", "signer resume --client bot", "signer resume --account second"):
        assert f"`{command}`" in said
    assert signer(home, "resume", "--all") == 0
    assert capsys.readouterr().err == "Resumed everybody, client bot, account second.\n"
    assert signer(home, "resume", "--all") == 1
    assert signer(home, "resume") == 2


@pytest.mark.parametrize(
    ("reason", "shown", "told"),
    [
        ("Größe überschritten", "Größe überschritten", r"Gr\xf6\xdfe \xfcberschritten"),
        ("🛑 stop", "🛑 stop", r"\U0001f6d1 stop"),
        ("two\nlines\x1b[2J", r"two\nlines\x1b[2J", r"two\nlines\x1b[2J"),
        ("\u202egnal", r"\u202egnal", r"\u202egnal"),
        ("bad \udcff byte", r"bad \udcff byte", r"bad \udcff byte"),
        (None, "by {me}", "by {me}"),
        ("  ", "by {me}", "by {me}"),
    ],
)
def test_a_halt_takes_any_reason(
    home: Home, capsys: pytest.CaptureFixture[str], reason: str | None, shown: str, told: str
) -> None:
    """The brake does not argue about words: what a terminal must not get is escaped, a bot is told ASCII."""
    me = Operator.of(os.getuid()).name
    assert signer(home, "halt", *(() if reason is None else ("--reason", reason))) == 0
    capsys.readouterr()
    signer(home, "status", "--json")
    (placed,) = json.loads(capsys.readouterr().out)["halts"]
    assert placed["reason"] == shown.format(me=me)
    assert words(Halted.because(placed["reason"]))[1] == f"EGeneral:Policy halt: {told.format(me=me)}"
    assert records(home)[0]["reason"] == placed["reason"]


def test_the_brake_works_with_broken_settings(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """A halt is made with a warning if signer.toml does not read or is gone."""
    assert signer(home, "halt", "--client", "bot") == 0
    home.config.write_text("[gatway]")
    assert signer(home, "halt", "--account", "second") == 0
    assert "the account's name is not checked" in capsys.readouterr().err
    home.config.unlink()
    assert signer(home, "halt") == 0
    assert signer(home, "resume", "--all") == 0


def records(home: Home) -> list[dict[str, object]]:
    """What the audit log holds of operators' acts."""
    lines = b"".join(path.read_bytes() for path in sorted(home.audit.glob("audit-*.jsonl"))).splitlines()
    return [record for record in map(json.loads, lines) if record["kind"] == "operator"]


def test_halt_and_resume_are_on_record(home: Home) -> None:
    """The record says who did it, to whom and why, and that there was nothing to resume."""
    assert signer(home, "halt", "--client", "bot", "--reason", "runaway") == 0
    assert signer(home, "resume", "--client", "bot", "--reason", "fixed") == 0
    assert signer(home, "resume", "--account", "second") == 1
    told = [
        (one["act"], one["stage"], one.get("client"), one.get("account"), one.get("reason")) for one in records(home)
    ]
    assert told == [
        ("halt", "begun", "bot", None, "runaway"),
        ("halt", "done", "bot", None, None),
        ("resume", "begun", "bot", None, "fixed"),
        ("resume", "done", "bot", None, None),
        ("resume", "begun", None, "second", None),
        ("resume", "failed", None, "second", None),
    ]
    assert {(one["uid"], one["by"]) for one in records(home)} == {(os.getuid(), Operator.of(os.getuid()).name)}
    assert records(home)[-1]["detail"] == "there is no halt of account second"
    assert signer(home, "audit", "verify") == 0


def test_the_brake_works_without_a_log(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """A halt that cannot be recorded is in force, with a warning; to resume is refused, and the halt stays."""
    home.audit.write_text("this is no folder")
    assert signer(home, "halt", "--reason", "x") == 0
    assert "in effect, not on record: " in capsys.readouterr().err
    assert signer(home, "resume", "--all") == 5
    capsys.readouterr()
    assert signer(home, "status", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["halts"]) == 1


def test_a_halt_needs_no_checkpoint(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """It is found in the log; a damaged checkpoint is named, and the next act makes it anew."""
    assert signer(home, "halt", "--account", "second", "--reason", "audit") == 0
    home.book.unlink()
    capsys.readouterr()
    assert signer(home, "status") == 0
    assert "account second  halted  audit" in capsys.readouterr().out
    home.book.write_text("nonsense")
    assert signer(home, "status") == 5
    assert "makes it anew from the audit log" in capsys.readouterr().err
    assert signer(home, "halt", "--client", "bot") == 0
    assert "signer: warning: the book is made anew from the log: " in capsys.readouterr().err
    assert signer(home, "resume", "--all") == 0
    assert capsys.readouterr().err == "Resumed account second, client bot.\n"


@pytest.fixture(name="unfiled")
def _unfiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of a brake can be written."""

    def refuse(*_: object) -> None:
        raise HomeError("it cannot be written (Read-only file system)", where="brakes")

    monkeypatch.setattr(braking, "file_brake", refuse)


@pytest.mark.usefixtures("unfiled")
def test_a_brake_needs_no_file_where_it_can_be_recorded(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """The log alone is enough."""
    assert signer(home, "halt", "--reason", "x") == 0
    assert "not on record" not in capsys.readouterr().err
    assert [one["stage"] for one in records(home)] == ["begun", "done"]


@pytest.mark.usefixtures("unfiled")
def test_a_brake_that_can_be_written_nowhere_is_an_error(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """No gateway serves that could have it in memory, so the command says why, and nothing of a halt."""
    home.audit.write_text("this is no folder")
    assert signer(home, "halt", "--reason", "x") == 5
    said = capsys.readouterr().err
    assert said.startswith(f"signer: {home.audit}: ")
    assert "Halted" not in said


@pytest.mark.usefixtures("unfiled")
def test_a_brake_without_a_file_is_not_left_to_a_gateway_that_starts(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """That gateway would not know of it."""
    home.lock.write_text(json.dumps({"pid": 4711, "since_us": 1, "listen": NOTHING_YET}))
    with home.lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert signer(home, "halt", "--reason", "x") == 5
    said = capsys.readouterr().err
    assert "the brake is written nowhere: brakes: it cannot be written" in said
    assert "process 4711 starts a gateway or changes the home" in said


@pytest.mark.parametrize(
    ("arguments", "exit_status", "message"),
    [
        (("halt", "--client", "bto", "--reason", "x"), 3, "there is no client 'bto'; known are: bot"),
        (("halt", "--account", "third", "--reason", "x"), 3, "known are: main, second"),
        (("halt", "--reason", "x" * 121), 2, "it has 121 characters; write at most 120"),
        (("halt", "--reason", "\n" * 2 + "\x1b" * 31 + "x"), 2, "it has 125 characters (control characters count"),
        (("halt", "--client", "bot", "--account", "main", "--reason", "x"), 2, "exclude each other"),
        (("halt", "--group", "grid"), 3, "there is no group 'grid'"),
        (("halt", "--group", "grid"), 3, "known are: grids"),
        (("halt", "--group", "grids", "--pair", "XBT/USD"), 2, "exclude each other"),
        (("resume", "--pair", "XBT/USD", "--all"), 2, "exclude each other"),
        (("resume", "--client", "bot", "--account", "main"), 2, "exclude each other"),
        (("resume", "--client", "bot", "--all"), 2, "exclude each other"),
        (("resume",), 2, "Say which halt is to end. There is no halt."),
        (("resume", "--all", "--reason", "x" * 201), 2, "it has 201 characters; write at most 200"),
    ],
)
def test_what_is_wrong_is_said(
    home: Home, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], exit_status: int, message: str
) -> None:
    """An unknown name is an error that lists the known ones, and nothing is halted."""
    assert signer(home, *arguments) == exit_status
    assert message in capsys.readouterr().err
    signer(home, "status", "--json")
    assert json.loads(capsys.readouterr().out)["halts"] == []


@pytest.mark.parametrize("written", ["XBT/USD", "btc/usd", "XXBTZUSD"])
def test_a_pair_is_halted_by_its_id_and_resumed_by_any_spelling(
    home: Home, capsys: pytest.CaptureFixture[str], written: str
) -> None:
    """The status shows it, and an order of a client passes all the same."""
    assert signer(home, "halt", "--pair", written, "--cancel-only", "--reason", "drill") == 0
    said = capsys.readouterr().err
    assert "Only cancels pass for pair XXBTZUSD (a halt of it stays a halt); `signer resume --pair XXBTZUSD`" in said
    signer(home, "status", "--json")
    told = json.loads(capsys.readouterr().out)
    (row,) = told["halts"]
    assert (row["whom"], row["state"], row["reason"]) == ("pair XXBTZUSD", "cancel_only", "drill")
    assert "pair XXBTZUSD may only cancel, as told by" in next(
        note["what"] for note in told["orders"]["notes"] if note["kind"] == "halt"
    )
    with pytest.raises(Halted):
        in_journal(home, lambda journal: begin(journal, intent(orders=(order(),))))
    assert signer(home, "resume", "--pair", "XBTUSD") == 0
    assert "Resumed pair XXBTZUSD." in capsys.readouterr().err


def test_a_pair_that_the_exchange_does_not_list_is_refused_if_its_list_is_known(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    """The nearest one is proposed. Without the whole list the name is taken as it is, and said not to be checked."""
    assert signer(home, "halt", "--pair", "foo/usd") == 0
    assert "the pair's name 'foo/usd' is not checked" in capsys.readouterr().err
    row = {"altname": "XBTUSD", "wsname": "XBT/USD", "aclass_base": "currency", "base": "XXBT", "quote": "ZUSD"}
    home.pairs("kraken").write_text(json.dumps({"XXBTZUSD": row}))
    assert signer(home, "halt", "--pair", "XBT/USDT") == 3
    assert "no pair is called 'XBT/USDT'; did you mean XBT/USD?" in capsys.readouterr().err
    assert signer(home, "resume", "--pair", "FOO-USD") == 0
    assert "Resumed pair FOOUSD." in capsys.readouterr().err
    home.pairs("kraken").write_text("garbage")
    assert signer(home, "halt", "--pair", "XBTUSD") == 0
    said = capsys.readouterr().err
    assert "this is no list of pairs" in said
    assert "Halted pair XXBTZUSD" in said


def test_the_brake_of_a_group_works_with_broken_settings(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody can tell whom it means, so everybody is halted, and that is said. It ends by its name."""
    home.config.write_text("nonsense")
    assert signer(home, "halt", "--group", "grids") == 0
    said = capsys.readouterr().err
    assert "the group's name is not checked" in said
    assert "EVERYBODY is halted" in said
    with pytest.raises(Halted):
        in_journal(home, lambda journal: begin(journal, intent(client="anybody")))
    assert signer(home, "resume", "--group", "grids") == 0
    assert in_journal(home, lambda journal: begin(journal, intent(client="anybody"))) == 1


def test_the_brake_works_with_a_broken_key_store(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """A halt is made with a warning if the names of clients cannot be read."""
    home.keys.write_text("garbage")
    assert signer(home, "halt", "--client", "bot", "--reason", "x") == 0
    assert "the client's name is not checked" in capsys.readouterr().err


def test_a_folder_that_is_no_home_stays_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A halt in the wrong folder would stop nothing, so it is refused."""
    for command in (("halt", "--reason", "x"), ("resume", "--all")):
        assert signer(Home(tmp_path), *command) == 3
        assert "there is no home here" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_status_tells_who_holds_the_home(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """The gateway that holds the lock is shown; a lock file left behind is not a gateway."""
    home.lock.write_text('{"pid": 4711, "since_us": 1700000000000000, "listen": "127.0.0.1:8787"}')
    with home.lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert signer(home, "status") == 0
    shown = "A gateway runs: pid 4711, since 2023-11-14T22:13:20Z, listen 127.0.0.1:8787."
    assert shown in capsys.readouterr().out
    assert signer(home, "status") == 0
    assert "No gateway runs on this home." in capsys.readouterr().out


def test_status_shows_open_calls_and_caps(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """What is in flight, what is unknown, and what each client has used of its caps; beside a running gateway."""

    async def call_twice(journal: FileJournal) -> None:
        lost, open_one = intent(charge("12.50")), replace(intent(charge("30")), record="r2")
        await begin(journal, lost)
        await end(journal, lost, Outcome.UNKNOWN)
        await begin(journal, open_one)
        assert await asyncio.to_thread(signer, home, "status", "--json") == 0

    in_journal(home, call_twice)
    shown = json.loads(capsys.readouterr().out)
    assert [call["state"] for call in shown["open"]] == ["unknown", "open"]
    (used,) = shown["usage"]
    assert (used["scope"], used["cap"], Decimal(used["used"]), used["limit"]) == (
        "client/bot",
        "notional",
        Decimal("42.5"),
        "100",
    )
    assert signer(home, "status") == 0
    assert "client/bot" in capsys.readouterr().out


def test_status_writes_nothing(home: Home) -> None:
    """A home on which nothing ever ran has neither log, nor checkpoint, nor marks after a look at it."""
    before = sorted(home.folder.iterdir())
    assert signer(home, "status") == 0
    assert sorted(home.folder.iterdir()) == before
