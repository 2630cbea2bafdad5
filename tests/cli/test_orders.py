"""`signer orders` as an operator uses it on a home on which no gateway runs."""

from __future__ import annotations

import errno
import getpass
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from signer.audit.disk import LocalFile
from signer.audit.journal import FileJournal
from signer.cli.main import main
from signer.errors import AuditError
from signer.home.layout import Home
from signer.model import Json, OrderRef, Outcome
from signer.operator.reading_book import read_book
from tests.harness.journals import begin, end, in_journal, place
from tests.unit.ledger.calls import charge, intent, order, used


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.config.write_text("[accounts.main]\n")
    return home


def lost(home: Home, legs: int = 1) -> int:
    """A call whose outcome is unknown; its number."""
    orders = tuple(order(client_tag=str(7 + leg)) for leg in range(legs))
    call = intent(*(charge("10", leg=leg) for leg in range(legs)), orders=orders)

    async def lose(journal: FileJournal) -> int:
        number = await begin(journal, call)
        await end(journal, call, Outcome.UNKNOWN)
        return number

    return in_journal(home, lose)


def signer(home: Home, *arguments: object) -> int:
    """The exit status of a command on this home."""
    return main(["--home", str(home.folder), "orders", *map(str, arguments)])


def unknown(home: Home, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What `signer orders unknown --json` lists."""
    capsys.readouterr()
    assert signer(home, "unknown", "--json") == 0
    return list(json.loads(capsys.readouterr().out))


def records(home: Home, **equal: str) -> list[Mapping[str, Any]]:
    """The audit records whose members are ``equal``."""
    lines = [line for path in sorted(home.audit.glob("*.jsonl")) for line in path.read_text().splitlines()]
    found = [json.loads(line) for line in lines if line.startswith("{")]
    return [one for one in found if equal.items() <= one.items()]


def test_unknown_calls_are_listed(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """The list has what a person needs to find the calls at the exchange."""
    assert signer(home, "unknown") == 0
    assert "No outcome is unknown" in capsys.readouterr().err
    number = lost(home, legs=2)
    (row,) = unknown(home, capsys)
    assert row["orders"] == [f"buy 0.01 XXBTZUSD limit 61000.1 userref {ref}" for ref in (7, 8)]
    assert (row["id"], row["client"], row["account"], row["endpoint"]) == (number, "bot", "main", "AddOrder")
    assert row["since"].startswith("2023-11-14T22:13:20")
    assert signer(home, "unknown") == 0
    assert "userref 7; buy 0.01" in capsys.readouterr().out


def test_a_call_is_settled_by_hand(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """The order is the client's, what was not placed is given back, and one record says so, by whom and why."""
    number = lost(home, legs=2)
    assert signer(home, "settle", number, "--txid", "OAAA-B,-", "--reason", "seen at Kraken") == 0
    assert unknown(home, capsys) == []
    with read_book(home) as book:
        (known,) = book.find_orders("main", OrderRef("venue-id", "OAAA-B"))
        assert (known.client, known.order.client_tag, used(book)) == ("bot", "7", Decimal(10))
    (record,) = records(home, kind="reconciled")
    assert (record["outcome"], record["venue_ids"]) == ("accepted", ["OAAA-B", None])
    assert (record["by"], record["uid"], record["reason"]) == (getpass.getuser(), os.getuid(), "seen at Kraken")
    done = [(one["act"], one["stage"]) for one in records(home, kind="operator")]
    assert done == [("orders settle", "begun"), ("orders settle", "done")]


def test_a_call_is_released_by_hand(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """All that it held is given back."""
    number = lost(home)
    capsys.readouterr()
    assert signer(home, "release", number, "--reason", "never came", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"id": number, "closed": True, "txids": []}
    with read_book(home) as book:
        assert used(book) == 0
    (record,) = records(home, kind="reconciled")
    assert (record["outcome"], record["venue_ids"], record["reason"]) == ("not-sent", [], "never came")


def test_a_call_that_is_not_there_is_no(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 1, and nothing is on record."""
    number = lost(home)
    assert signer(home, "release", number + 1, "--reason", "x") == 1
    assert "no unknown call" in capsys.readouterr().err
    assert signer(home, "settle", number + 1, "--txid", "OA", "--reason", "x", "--json") == 1
    assert json.loads(capsys.readouterr().out)["closed"] is False
    assert records(home, kind="operator") == []


@pytest.mark.parametrize(
    ("txids", "status", "said"),
    [
        ("OA,OB", 3, "the call has 1"),
        ("no txid", 3, "is no order id"),
        ("OKNOWN", 3, "is an order of bot already"),
        ("-", 2, "txid of each order"),
        ("OA,,", 2, "txid of each order"),
    ],
)
def test_what_does_not_fit_changes_nothing(
    home: Home, capsys: pytest.CaptureFixture[str], txids: str, status: int, said: str
) -> None:
    """The call stays unknown and its charges held; the message says why."""
    known = replace(intent(orders=(order(),)), record="r0")
    in_journal(home, lambda journal: place(journal, known, "OKNOWN"))
    number = lost(home)
    assert signer(home, "settle", number, "--txid", txids, "--reason", "x") == status
    assert said in capsys.readouterr().err
    assert [row["id"] for row in unknown(home, capsys)] == [number]
    with read_book(home) as book:
        assert used(book) == 10
    assert records(home, kind="reconciled") == []


@pytest.mark.parametrize("takes_it", [True, False], ids=["slow", "dead"])
def test_an_end_that_is_late_on_record_is_told_as_it_is(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, takes_it: bool
) -> None:
    """A slow disk has ended the call after all. A dead one has not, and the message says where to look."""
    number, record, append = lost(home), FileJournal.record, LocalFile.append

    def refuse(file: LocalFile, data: bytes) -> None:
        if b'"reconciled"' in data:
            raise OSError(errno.EIO, "Input/output error")
        append(file, data)

    async def late(self: FileJournal, entry: Mapping[str, Json], *, urgent: bool = False) -> None:
        if entry["kind"] != "reconciled" or not takes_it:
            return await record(self, entry, urgent=urgent)
        self.conclude(entry)
        raise AuditError("the audit log did not take a record within 5 s")

    with monkeypatch.context() as patch:
        patch.setattr(FileJournal, "record", late)
        if not takes_it:
            patch.setattr(LocalFile, "append", refuse)
        status = signer(home, "release", number, "--reason", "never came")
    said = capsys.readouterr().err
    assert (status, "it cannot be recorded" in said) == ((0, False) if takes_it else (5, True))
    assert ("look at `signer orders unknown`" in said) is not takes_it
    assert [row["id"] for row in unknown(home, capsys)] == ([] if takes_it else [number])


def test_a_reason_is_asked_for(home: Home) -> None:
    """A call without an outcome is not ended without a reason."""
    number = lost(home)
    assert signer(home, "release", number) == 2
    assert signer(home, "release", number, "--reason", " ") == 2
    assert signer(home, "settle", number, "--txid", "OA") == 2
