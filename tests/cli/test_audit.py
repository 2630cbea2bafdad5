"""`signer audit`: what it shows, what it finds, and its exit status."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from signer.audit.chain import KINDS
from signer.audit.disk import LocalDisk
from signer.audit.journal import FileJournal
from signer.audit.segment_writer import SEGMENT_BYTES
from signer.cli import audit_lines
from signer.cli.main import main
from signer.home.layout import Home
from signer.ledger.checkpoint import BookFile
from signer.model import ChainHead, Json
from signer.offload.worker import ThreadWorker
from signer.operator.reading_book import with_marks
from signer.serving.clock import SystemClock
from tests.harness.clocks import NOON_US, SetClock
from tests.unit.audit.given import entry

CALLS: list[Mapping[str, Json]] = [
    {**entry("a1", "intent"), "endpoint": "AddOrder", "time": NOON_US},
    {
        **entry("a1", "outcome"),
        "endpoint": "AddOrder",
        "time": NOON_US + 1,
        "outcome": "rejected",
        "errors": ["EOrder:x"],
    },
    {**entry("b2", "read"), "client": "tracker", "time": NOON_US + 60_000_000},
]


def write_log(
    home: Path, entries: Sequence[Mapping[str, Json]], segment_bytes: int = SEGMENT_BYTES
) -> ChainHead | None:
    """A log in a home folder, closed; its head."""

    async def write() -> ChainHead | None:
        worker = ThreadWorker("audit")
        checkpoint = BookFile(home / "book.db")
        journal = FileJournal(
            home / "audit",
            SetClock(),
            worker,
            LocalDisk(),
            checkpoint,
            print,
            segment_bytes=segment_bytes,
            room_bytes=10,
        )
        await journal.open()
        for one in entries:
            await journal.record(one)
        await journal.close()
        worker.close()
        return journal.head()

    return asyncio.run(write())


def keep_head(home: Path, head: ChainHead) -> None:
    """Let the home's marks know a head."""
    Home(home).audit.mkdir(exist_ok=True)
    with_marks(Home(home), lambda marks: marks.keep_head(head))


def run(home: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a `signer audit` command."""
    status = main(["--home", str(home), "audit", *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_tail_shows_the_last_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest records, oldest first, a line each, over the end of a segment."""
    write_log(tmp_path, CALLS, segment_bytes=800)
    status, out, _ = run(tmp_path, capsys, "tail", "-n", "3")
    lines = out.splitlines()
    assert status == 0
    assert lines[0].startswith("2026-11-23 12:00:00.000001Z  #3  outcome  grid-bot  127.0.0.1  AddOrder  rejected")
    assert [line.split("  ")[2] for line in lines] == ["outcome", "segment", "read"]
    assert run(tmp_path, capsys, "tail", "-n", "0")[1] == ""


def test_tail_prints_the_very_lines_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each line of --json is the log's own."""
    write_log(tmp_path, CALLS)
    (path,) = (tmp_path / "audit").glob("*.jsonl")
    assert run(tmp_path, capsys, "tail", "--json")[1] == path.read_text(encoding="ascii")


def test_a_follower_gets_each_line_once(tmp_path: Path) -> None:
    """New lines, whole ones only, also from new segments."""
    write_log(tmp_path, CALLS[:1], segment_bytes=800)
    place = audit_lines.LogPosition(tmp_path / "audit")
    assert len(place.last(1)) == 1
    assert place.news() == []
    write_log(tmp_path, CALLS[1:], segment_bytes=800)
    assert [json.loads(line)["kind"] for line in place.news()] == ["outcome", "segment", "read"]
    path = sorted((tmp_path / "audit").glob("*.jsonl"))[-1]
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"unfin')
    assert place.news() == []
    path.write_bytes(whole + b'{"unfinished"}\n')
    assert place.news() == [b'{"unfinished"}\n']


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--client", "tracker"], ["b2"]),
        (["--account", "main", "--kind", "intent"], ["a1"]),
        (["--endpoint", "AddOrder"], ["a1", "a1"]),
        (["--outcome", "rejected"], ["a1"]),
        (["--text", "eorder:X"], ["a1"]),
        (["--since", "2026-11-23T12:00:30", "--until", "2027-01-01"], ["b2"]),
        (["--until", "2026-11-23T13:00:30+01:00", "--kind", "outcome"], ["a1"]),
        (["--until", "2026-11-23T12:00Z"], []),
        (["--client", "nobody"], []),
    ],
)
def test_search(tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], found: list[str]) -> None:
    """Each filter, and the exit status: 0 if there is something."""
    write_log(tmp_path, CALLS)
    status, out, _ = run(tmp_path, capsys, "search", "--json", *options)
    assert [json.loads(line).get("id") for line in out.splitlines()] == found
    assert status == (0 if found else 1)


def test_search_by_age(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--since 1h` is an hour before now."""
    write_log(tmp_path, [{**entry("old"), "time": 0}, {**entry("new"), "time": SystemClock().now_us()}])
    out = run(tmp_path, capsys, "search", "--since", "1h", "--text", "new", "--json")[1]
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["new"]


def test_a_time_that_does_not_read_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message shows the forms that are understood."""
    status, _, err = run(tmp_path, capsys, "search", "--since", "yesterday")
    assert status == 2
    assert "15m" in err


def test_show_gives_all_records_of_one_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Intent and outcome of the id, with their fields; another id is not there."""
    write_log(tmp_path, CALLS)
    status, out, _ = run(tmp_path, capsys, "show", "a1")
    assert status == 0
    assert out.count("AddOrder") == 2
    assert "errors       EOrder:x" in out
    status, out, err = run(tmp_path, capsys, "show", "zz")
    assert (status, out) == (1, "")
    assert err == "signer: no record has the id zz; find it with `signer audit search`\n"


def test_readers_pass_over_an_unfinished_line_and_tell_of_a_bad_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that is being written is no error; one that is no record is named on stderr, and the rest is shown."""
    write_log(tmp_path, CALLS)
    (path,) = (tmp_path / "audit").glob("*.jsonl")
    path.write_bytes(path.read_bytes().replace(b"tracker", b"Tracker") + b'{"unfini')
    for command in ("search", "tail"):
        status, out, err = run(tmp_path, capsys, command, "--json")
        assert (status, len(out.splitlines())) == (0, 3)
        assert err.count("is not a record") == 1


def test_verify_says_ok_and_knows_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0 for an untouched log; the marks' head is asked, and a log that goes beyond it is fine."""
    head = write_log(tmp_path, CALLS[:2])
    assert head is not None
    keep_head(tmp_path, head)
    write_log(tmp_path, CALLS[2:])
    status, out, _ = run(tmp_path, capsys, "verify", "--json")
    answer = json.loads(out)
    assert (status, answer["ok"], answer["records"]) == (0, True, 4)
    assert answer["known"] == [{"by": "marks.db", "seq": head.seq, "digest": head.digest}]
    assert answer["end_proven"] is False
    end = answer["head"]
    assert run(tmp_path, capsys, "verify")[1].splitlines() == [
        "note: the end is not proven: records are known up to 3, the log goes on to 4",
        f"head 4:{end['digest']}",
        "4 records in 1 segments: nothing was changed",
    ]


def test_verify_takes_a_copied_folder_and_the_head_that_it_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A head written down elsewhere proves the end of a copy, needs no home, and finds out a cut or another record."""
    write_log(tmp_path, CALLS)
    (path,) = (tmp_path / "audit").glob("*.jsonl")
    folder, nowhere = str(tmp_path / "audit"), tmp_path / "nowhere"
    printed = next(line for line in run(nowhere, capsys, "verify", folder)[1].splitlines() if line.startswith("head "))
    head = printed.removeprefix("head ")
    status, out, _ = run(nowhere, capsys, "verify", folder, "--head", head.upper())
    assert (status, "not proven" in out) == (0, False)
    assert run(nowhere, capsys, "verify", folder, "--head", "4:" + "ab" * 32)[0] == 1
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    status, out, _ = run(nowhere, capsys, "verify", folder, "--head", head)
    assert status == 1
    assert "the log ends at record 3 and --head knows record 4: the end was cut off" in out


@pytest.mark.parametrize("head", ["4", "4:", "0:" + "a" * 64, "4:" + "g" * 64, "-1:" + "a" * 64, "4:" + "a" * 63])
def test_a_head_that_is_none_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], head: str) -> None:
    """The message shows the form."""
    write_log(tmp_path, CALLS)
    status, _, err = run(tmp_path, capsys, "verify", "--head", head)
    assert (status, "SEQ:DIGEST" in err) == (2, True)


def test_a_folder_without_a_log_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty or a missing folder is never said to be unchanged."""
    for folder in (tmp_path, tmp_path / "missing"):
        status, out, err = run(tmp_path, capsys, "verify", str(folder))
        assert (status, out) == (5, "")
        assert "holds no audit log" in err


def test_verify_finds_an_edit_and_a_cut_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 1, and segment, line and record are named."""
    head = write_log(tmp_path, CALLS)
    assert head is not None
    keep_head(tmp_path, head)
    (path,) = (tmp_path / "audit").glob("*.jsonl")
    lines = path.read_bytes().replace(b"grid-bot", b"Grid-bot", 1).splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]))
    status, out, _ = run(tmp_path, capsys, "verify")
    assert status == 1
    assert f"{path.name} line 2: record 2 was edited" in out
    assert "the log ends at record 3 and marks.db knows record 4" in out
    answer = json.loads(run(tmp_path, capsys, "verify", "--json")[1])
    assert [(finding["line"], finding["seq"]) for finding in answer["findings"]] == [(2, 2), (3, 4)]


def test_verify_without_marks_says_what_it_cannot_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a kept head the answer says that the end cannot be judged; no marks are made."""
    write_log(tmp_path, CALLS)
    status, out, _ = run(tmp_path, capsys, "verify")
    assert status == 0
    assert "the end is not proven" in out
    assert "give --head SEQ:DIGEST" in out
    assert not (tmp_path / "marks.db").exists()


ORDERS: list[Mapping[str, Json]] = [
    {
        **entry("c1", "intent"),
        "endpoint": "AddOrder",
        "decision": "allow",
        "rules": ["pairs", "sides"],
        "fields": {"pair": "XXBTZUSD", "type": "buy", "ordertype": "limit", "volume": "0.01", "price": "-1.5%"},
    },
    {**entry("c1", "outcome"), "endpoint": "AddOrder", "outcome": "accepted", "venue_ids": ["OAAAAA-BBBBB-CCCCCC"]},
    {
        **entry("c2", "denied"),
        "endpoint": "AddOrderBatch",
        "decision": "deny",
        "rules": ["order-notional"],
        "fields": {
            "pair": "XETHZUSD",
            "orders": [
                {"type": "sell", "ordertype": "limit", "volume": "1", "price": "3000"},
                {"type": "buy", "ordertype": "market", "volume": "2", "userref": "=cmd()"},
            ],
        },
    },
    {**entry("c3", "intent"), "endpoint": "CancelOrder", "fields": {"txid": "OAAAAA-BBBBB-CCCCCC"}},
    {**entry("c4", "intent"), "endpoint": "AmendOrder", "fields": {"txid": "OX", "order_qty": "3", "limit_price": "9"}},
]


def test_tail_shows_orders_and_what_denied_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each order is shown with side, size, pair, type and price, each denial with the rules that deny and no others."""
    write_log(tmp_path, ORDERS)
    out = run(tmp_path, capsys, "tail")[1]
    assert "buy 0.01 XXBTZUSD limit @ -1.5%" in out
    assert "sell 1 XETHZUSD limit @ 3000; buy 2 XETHZUSD market" in out
    assert "3 @ 9" in out
    assert "order-notional" in out
    assert "sides" not in out


def test_tail_shows_no_id_of_an_order_that_was_not_placed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run has none, and so has a refused row of a batch."""
    dry_run: Mapping[str, Json] = {
        **entry("c4", "read"),
        "endpoint": "AddOrder",
        "outcome": "accepted",
        "venue_ids": [None],
    }
    placed: list[Json] = [None, "ODDDDD-BBBBB-CCCCCC"]
    batch: Mapping[str, Json] = {**entry("c5", "outcome"), "endpoint": "AddOrderBatch", "venue_ids": placed}
    write_log(tmp_path, [dry_run, batch])
    out = run(tmp_path, capsys, "tail")[1]
    assert "ODDDDD-BBBBB-CCCCCC" in out
    assert "null" not in out


@pytest.mark.parametrize(
    ("options", "found"),
    [
        *[(["--pair", pair], ["c1", "c1"]) for pair in ("XBT/USD", "xbtusd", "BTC/USD", "XXBTZUSD")],
        (["--pair", "ETHUSD"], ["c2"]),
        (["--txid", "OAAAAA-BBBBB-CCCCCC"], ["c1", "c1", "c3"]),
        (["--txid", "OAAAAA-BBBBB-CCCCCC", "--pair", "BTCUSD", "--kind", "intent"], ["c1"]),
        (["--endpoint", "addorder"], ["c1", "c1"]),
    ],
)
def test_search_by_pair_and_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], found: list[str]
) -> None:
    """A pair in any spelling and an order id find the intent as well as its outcome."""
    write_log(tmp_path, ORDERS)
    out = run(tmp_path, capsys, "search", "--json", *options)[1]
    assert [json.loads(line)["id"] for line in out.splitlines()] == found


@pytest.mark.parametrize(
    "options", [["--outcome", "acepted"], ["--kind", "denials"], ["--endpoint", "AddOrders"], ["--pair", "XBT/XYZ"]]
)
def test_search_refuses_words_that_there_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    """A word with a slip in it is a usage error: "nothing found" would be believed."""
    write_log(tmp_path, ORDERS)
    status, out, err = run(tmp_path, capsys, "search", *options)
    assert (status, out) == (2, "")
    assert options[1] in err


def test_search_prints_a_table_that_no_spreadsheet_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row for each order, all rows alike, and no cell that begins a formula."""
    write_log(tmp_path, [*ORDERS, {**entry("c5", "denied"), "client": "=HYPERLINK(1)"}])
    out = run(tmp_path, capsys, "search", "--csv")[1]
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["id"] for row in rows if row["id"]] == ["c1", "c1", "c2", "c2", "c3", "c4", "c5"]
    batch = [row for row in rows if row["id"] == "c2"]
    assert [(row["pair"], row["side"], row["volume"]) for row in batch] == [
        ("XETHZUSD", "sell", "1"),
        ("XETHZUSD", "buy", "2"),
    ]
    assert [row["price"] for row in rows if row["id"] == "c1"] == ["'-1.5%", ""]
    assert rows[-1]["client"] == "'=HYPERLINK(1)"
    assert run(tmp_path, capsys, "search", "--csv", "--json")[0] == 2


def test_search_knows_each_kind_of_the_schema() -> None:
    """The words of ``--kind`` are those that records can have."""
    schema = json.loads((Path(__file__).parents[2] / "docs/audit-record.schema.json").read_text(encoding="utf-8"))
    assert schema["properties"]["kind"]["enum"] == list(KINDS)


@pytest.mark.parametrize("command", [["tail"], ["search"], ["show", "x"], ["verify"]])
def test_a_home_without_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]) -> None:
    """One line that says what, where and the hint; no traceback."""
    status, out, err = run(tmp_path, capsys, *command)
    assert (status, out) == (5, "")
    assert err == f"signer: {tmp_path / 'audit'}: there is no audit log; `signer serve` makes it\n"
