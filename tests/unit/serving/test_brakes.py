"""Brakes of a running gateway: what its own answers say of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from signer.audit.journal import FileJournal
from signer.errors import ConfigError
from signer.gateway.snapshot import Revocations
from signer.gateway.trace import Watch
from signer.home.brakes import Brake, file_brake, new_id
from signer.home.layout import Home
from signer.home.settings import AccountConfig, Config, GroupConfig
from signer.model import HaltScope, Json, Order
from signer.serving.admin import Operator
from signer.serving.brakes import BrakeWatch, brake_records, end_halts, record_brake
from signer.serving.clock import SystemClock
from signer.serving.loaded import LoadedHome
from signer.venues import open_venue
from tests.harness.journals import opened

HALT = Brake(new_id(1), "halt", "bot", "", "a reason", "me", 0, 1)
ROOT = Operator(0, "root")


def watch(home: Home, journal: FileJournal) -> BrakeWatch:
    """The brakes of a gateway on this home, whose settings have a group. It tells nobody."""
    groups = {"grids": GroupConfig(clients=["bob", "ada"])}
    config = Config(accounts={"main": AccountConfig()}, groups=groups)
    loaded = cast("LoadedHome", SimpleNamespace(config=config, venues={"kraken": open_venue("kraken")}))
    tells_nobody = cast("Watch", SimpleNamespace(warn=lambda *_: None))
    return BrakeWatch(home.brakes, journal, Revocations(), lambda: loaded, watch=tells_nobody, clock=SystemClock())


def acts(home: Home) -> list[tuple[str, str, str]]:
    """Act, stage and client of every record of an operator."""
    lines = b"".join(path.read_bytes() for path in sorted(home.audit.glob("audit-*.jsonl"))).splitlines()
    records = [record for record in map(json.loads, lines) if record["kind"] == "operator"]
    return [(record["act"], record["stage"], record.get("client", "")) for record in records]


async def test_a_brake_whose_file_was_faster_than_the_question_is_recorded_once(tmp_path: Path) -> None:
    """The command hears that it is on record, and the file is gone then."""
    home = Home(tmp_path)
    file_brake(home.brakes, HALT)
    async with opened(home) as journal:
        brakes = watch(home, journal)
        assert journal.halted("bot", "main")
        told = await brakes.verbs()["brake"](ROOT, {"brake": cast("Json", asdict(HALT))})
        assert told == {"recorded": True}
        assert list(home.brakes.iterdir()) == []
        await brakes.close()
    assert acts(home) == [("halt", "begun", "bot"), ("halt", "done", "bot")]


async def test_a_halt_that_begins_while_all_others_end_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It came after the question, and so the answer does not name it."""
    home, record = Home(tmp_path), FileJournal.record
    later = replace(HALT, id=new_id(2), client="eve")

    async def record_slowly(journal: FileJournal, entry: Mapping[str, Json], *, urgent: bool = False) -> None:
        for halt in brake_records(later, 2):
            journal.conclude(halt)
        monkeypatch.setattr(FileJournal, "record", record)
        await journal.record(entry, urgent=urgent)

    async with opened(home) as journal:
        for number, client in enumerate(("bot", "")):
            await record_brake(replace(HALT, id=new_id(1), client=client, at_us=number), journal, 1)
        monkeypatch.setattr(FileJournal, "record", record_slowly)
        told = await end_halts(home.brakes, journal, [], every=True, by=ROOT, now_us=3)
        assert told == (["client bot", "everybody"], [])
        assert [halt.scope.client for halt in journal.halts()] == ["eve"]


async def test_each_halt_that_ends_is_one_record(tmp_path: Path) -> None:
    """A halt that has no record yet ends with its file; a halt that there is not leaves no record."""
    home = Home(tmp_path)
    async with opened(home) as journal:
        for client in ("ada", "bob"):
            brake = Brake(new_id(1), "halt", client, "", "a reason", "me", 0, 1)
            await watch(home, journal).verbs()["brake"](ROOT, {"brake": cast("Json", asdict(brake))})
        file_brake(home.brakes, HALT)
        for every, client, ended in ((False, "eve", 0), (False, "ada", 1), (True, "", 2)):
            told = await end_halts(home.brakes, journal, [HaltScope(client)], every=every, by=ROOT, now_us=1)
            assert (len(told.ended), journal.halted(client, "main")) == (ended, None)
    assert acts(home)[4:] == [("resume", "done", client) for client in ("ada", "bob", "bot")]
    assert list(home.brakes.iterdir()) == []


def halt_of(number: int, **whom: object) -> dict[str, Json]:
    """A question of a command that halts this."""
    return cast("dict[str, Json]", {"brake": asdict(replace(HALT, id=new_id(number), client="", **whom))})  # type: ignore[arg-type]


async def test_a_group_is_halted_by_the_clients_that_the_gateway_knows_too(tmp_path: Path) -> None:
    """The command may have read another signer.toml, or none. The clients of both are halted, and no other."""
    home = Home(tmp_path)
    async with opened(home) as journal:
        brakes = watch(home, journal)
        await brakes.verbs()["brake"](ROOT, halt_of(1, group="grids", clients=("eve",)))
        assert [bool(journal.halted(name, "main")) for name in ("ada", "bob", "eve", "zoe")] == [True] * 3 + [False]
        await brakes.verbs()["brake"](ROOT, halt_of(2, group="unknown"))
        assert journal.halted("zoe", "main")  # nobody knows whom it means
        await brakes.close()


async def test_a_halted_group_takes_in_who_joins_and_lets_go_of_nobody(tmp_path: Path) -> None:
    """What a start or a reload reads adds clients, on record. Only a resume frees one, and frees all of them."""
    home = Home(tmp_path)
    async with opened(home) as journal:
        brakes = watch(home, journal)
        await record_brake(replace(HALT, client="", group="grids", clients=("eve",)), journal, 1)
        assert not journal.halted("ada", "main")
        for _ in range(2):
            brakes.extend()
            assert [bool(journal.halted(name, "main")) for name in ("ada", "bob", "eve", "zoe")] == [True] * 3 + [False]
        told = await brakes.verbs()["resume"](ROOT, {"scopes": [["", "", "grids", ""]], "every": False})
        assert told == {"ended": ["group grids"], "left": []}
        assert journal.halts() == []
        await brakes.close()
    assert [stage for act, stage, _ in acts(home) if act == "halt"] == ["begun", "done", "joined"]


@pytest.mark.parametrize("written", ["XXBTZUSD", "xbt/usd", "BTC/USD", "XBTUSD"])
async def test_a_pair_that_the_command_could_not_resolve_is_resolved_by_the_gateway(
    tmp_path: Path, written: str
) -> None:
    """The command may have had no list of pairs. A halt of one pair stops no call that places nothing for it."""
    home = Home(tmp_path)
    async with opened(home) as journal:
        brakes = watch(home, journal)
        await brakes.verbs()["brake"](ROOT, halt_of(1, pair=written))
        assert [halt.scope.pair for halt in journal.halts()] == ["XXBTZUSD"]
        assert journal.halted("bot", "main", [order("XXBTZUSD")])
        assert not journal.halted("bot", "main", [order("XETHZUSD")])
        assert not journal.halted("bot", "main")
        await brakes.close()


async def test_a_pair_that_no_list_had_is_halted_once_one_has_it(tmp_path: Path) -> None:
    """The command knew it by what a person wrote. A start, a reload and a new list look again, and add a halt."""
    home = Home(tmp_path)
    async with opened(home) as journal:
        brakes = watch(home, journal)
        for pair in ("XBTUSD", "FOOUSD"):
            await record_brake(replace(HALT, client="", pair=pair, state="cancel_only"), journal, 1)
        assert not journal.halted("bot", "main", [order("XXBTZUSD")])
        for _ in range(2):
            brakes.extend()
            assert sorted(halt.scope.pair for halt in journal.halts()) == ["FOOUSD", "XBTUSD", "XXBTZUSD"]
        found = journal.halted("bot", "main", [order("XXBTZUSD")])
        assert found is not None
        assert (found.state, found.reason, found.by) == ("cancel_only", "a reason", "me")
        await brakes.close()


def order(pair: str) -> Order:
    """An order for the pair."""
    return Order(pair, "buy", "limit", Decimal(1))


async def test_a_question_that_names_no_scope_is_refused(tmp_path: Path) -> None:
    """It came from another version of the command."""
    home = Home(tmp_path)
    async with opened(home) as journal:
        brakes = watch(home, journal)
        for scopes in ("everybody", [["bot"]], ["bot"]):
            with pytest.raises(ConfigError, match="names no halt"):
                await brakes.verbs()["resume"](ROOT, {"scopes": cast("Json", scopes), "every": False})
        await brakes.close()
