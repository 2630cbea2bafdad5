"""The published schema fits what is written, and little else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from signer.audit.archive import Archived, archived_entry
from signer.audit.throttle import RecordThrottle
from signer.gateway.trace import closed_record, reconciled_record
from signer.model import ChainHead, Intent, Json, OrderRef, Outcome, PlacedOrder
from signer.model.wire import as_json
from tests.harness.clocks import NOON_US
from tests.unit.audit.checkpoints import KeptCheckpoint
from tests.unit.audit.given import all_records, entry
from tests.unit.audit.opened import opened
from tests.unit.audit.worse_disk import WorseDisk
from tests.unit.ledger.calls import order

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "audit-record.schema.json").read_text(encoding="utf-8"))

INTENT: dict[str, Json] = {
    **entry("b", "intent"),
    "endpoint": "AddOrder",
    "fields": {"pair": "XXBTZUSD", "orders": [{"volume": "1.5", "close": {"ordertype": "limit"}}], "validate": False},
    "decision": "allow",
    "rules": ["pairs"],
    "charges": [
        {
            "cap": "notional 5000 USD / 24h",
            "scope": "client/grid-bot",
            "unit": "USD",
            "window_s": 86_400,
            "limit": "5000",
            "amount": "12.50",
            "leg": 0,
        }
    ],
    "at": NOON_US,
    "reservation": 1,
    "venue_time": 0,
    "orders": [as_json(order(flags=frozenset({"fciq"})))],
    "targets": [as_json(OrderRef("client-tag", "7"))],
    "replaces": False,
    "policy": "trader",
    "policy_hash": "ab" * 32,
}


def valid(record: object) -> bool:
    """Whether the schema takes the record."""
    return bool(Draft202012Validator(SCHEMA).is_valid(record))


def test_the_schema_is_one() -> None:
    """The file is valid JSON Schema, draft 2020-12."""
    Draft202012Validator.check_schema(SCHEMA)


def test_the_examples_fit() -> None:
    """Each example is a record, and a member that one of its kind must have cannot be left out."""
    for example in SCHEMA["examples"]:
        Draft202012Validator(SCHEMA).validate(example)
    archived = SCHEMA["examples"][-1]
    for name in ("head", "state_file", "state_digest", "segments"):
        assert not valid({key: value for key, value in archived.items() if key != name})


async def test_everything_the_log_writes_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers, recovered, dropped and throttled records, reads, intents and look-ups are all valid."""
    disk = WorseDisk()
    checkpoint = KeptCheckpoint()
    log = await opened(disk, checkpoint=checkpoint, most_notes=1)
    disk.room = disk.used()
    log.note(entry("a"))
    log.note(entry("dropped"))
    throttle = RecordThrottle(in_full=0)
    throttle.admit("10.0.0.9", "denied", 0)
    disk.room = 1 << 30
    intent = Intent("grid-bot", "main", "AddOrder", (), (), (), "b", NOON_US)
    placed = PlacedOrder("main", "grid-bot", "O2", order(), NOON_US)
    found = reconciled_record(intent, Outcome.ACCEPTED, ["O1", None], NOON_US, part=True)
    gone = closed_record("main", ["O1"], [placed], NOON_US)
    moved = archived_entry(Archived(ChainHead(7, "ab" * 32), "cd" * 32), ["audit-000001-20261123.jsonl"], NOON_US)
    written = [INTENT, *throttle.summaries(NOON_US), found, gone, moved]
    for one in written:
        await log.record(one)
    await log.close()
    for path, inode in disk.files.items():
        inode.seen += b"torn" if path.suffix == ".jsonl" else b""
    again = await opened(disk, checkpoint=checkpoint)
    assert await again.settled()
    records = all_records(disk)
    assert {record["kind"] for record in records} == {
        "segment", "read", "intent", "dropped", "throttled", "reconciled", "closed", "recovered", "opened", "archived",
    }  # fmt: skip
    for record in records:
        Draft202012Validator(SCHEMA).validate(record)


@pytest.mark.parametrize(
    "change",
    [
        {"seq": 0},
        {"digest": "AB" * 32},
        {"time": "2026-11-23"},
        {"kind": "other"},
        {"outcome": "maybe"},
        {"fields": {"price": 1.5}},
        {"fields": {"userref": 2**53}},
        {"nonce": 1},
        {"nonce": "01"},
        {"v": 1},
        {"api_key": "x"},
        {"charges": [{"cap": "c", "scope": "s", "amount": "1e5", "unit": "USD"}]},
        {"orders": [{"pair": "XXBTZUSD", "side": "buy", "order_type": "limit", "volume": "1e5"}]},
        {"targets": [{"kind": "name", "value": "7"}]},
        {"policy_hash": None},
    ],
    ids=str,
)
def test_what_is_wrong_does_not_fit(change: dict[str, object]) -> None:
    """An unknown member, a float, another spelling: the schema refuses it."""
    record = {**INTENT, "v": 2, "seq": 1, "prev": "0" * 64, "digest": "0" * 64}
    assert valid(record)
    assert not valid({**record, **change})
