"""When keys are asked about, and what becomes of the answers: on a virtual clock, before an exchange that is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import Any, cast
from urllib.parse import parse_qs

import pytest

from signer.contracts import Journal
from signer.errors import KeyStoreError, NotSent, Unanswered
from signer.findings import Weight
from signer.gateway.credential import Credential, Hearing, Listeners
from signer.gateway.forward import Account, Journey
from signer.gateway.snapshot import Snapshot
from signer.gateway.trace import Trace
from signer.keycheck.checks import DAILY_S, MOST_AGAIN_S, KeyChecks
from signer.keycheck.judgement import Requirements
from signer.lanes import CredentialLane, NonceSource
from signer.model import Action, ChainHead, Json, KeyInfo, Role, WireAnswer, WireRequest
from signer.secret import Secret
from signer.venues.kraken.orders import PairTable
from signer.venues.kraken.venue import Kraken
from tests.harness.virtual import START_US, Store, VirtualClock, run

FIT = ("query-funds",)
REQUIREMENTS = Requirements("key", serves=True, usable=frozenset(FIT))
INFO = {"apiKeyName": "n", "nonceWindow": "0", "permissions": [*FIT], "validUntil": "0", "ipAllowlist": ["192.0.2.1"]}

Answer = Callable[[int], object]


def info(seen: int | None = None, **changes: object) -> Answer:
    """GetApiKeyInfo's answer; the highest nonce seen is the one that asks, unless ``seen`` says another."""
    return lambda nonce: {"error": [], "result": {**INFO, "nonce": str(nonce if seen is None else seen), **changes}}


def refusal(error: str) -> Answer:
    """An answer that is an error."""
    return lambda _: {"error": [error]}


class Exchange:
    """Answers one after the other, the last one for ever; or takes its time, or cannot be reached."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers = list(answers)
        self.asked_at: list[float] = []
        self.takes_s = 0.0

    async def send(self, request: WireRequest, deadline: float) -> WireAnswer:
        """`signer.contracts.Upstream`."""
        self.asked_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes_s)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        (nonce,) = parse_qs(request.body.decode())["nonce"]
        return WireAnswer(200, "application/json", json.dumps(answer(int(nonce))).encode())


class Bench:
    """One credential, and all that watches over it."""

    def __init__(self, *answers: Answer | Exception, mark: int = 0) -> None:
        self.exchange, self.clock = Exchange(*answers), VirtualClock()
        self.alarms: list[str] = []
        self.warnings: list[str] = []
        self.records: list[Mapping[str, Json]] = []
        self.kept: list[KeyInfo] = []
        self.full = False
        self.requirements = REQUIREMENTS
        nonces = NonceSource("credential/main", mark, Store(mark).raise_mark, self.clock, on_alarm=lambda _: None)
        lane = CredentialLane("key", clock=self.clock, nonces=nonces)
        self.credential = Credential("key", "API", Secret(bytes(64)).key(), lane, Role.TRADE)
        account = Account(
            "main",
            Kraken(PairTable.built_in()),
            [self.credential],
            self.exchange,
            20.0,
            self.clock,
            Hearing("main", self.clock, Listeners(self.alarm)),
        )
        self.snapshot = Snapshot({"kraken": account.venue}, {}, {"main": account})
        self.key_checks = KeyChecks(
            lambda: self.snapshot,
            lambda: {"key": self.requirements},
            self.keep,
            journal=cast("Journal", self),
            watch=self,
            clock=self.clock,
        )

    async def keep(self, credential: Credential, key: KeyInfo) -> None:
        """Keep a probe where lists look for it; the disk may be full."""
        assert credential.status.findings, "known, and not judged yet"
        if self.full:
            raise KeyStoreError("the disk is full")
        self.kept.append(key)

    async def for_s(self, seconds: float) -> None:
        """Start, and go on so long."""
        await self.key_checks.at_start(3.0)
        running = asyncio.get_running_loop().create_task(self.key_checks.run())
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    def finished(self, trace: Trace) -> None:
        """`signer.gateway.trace.Watch`."""
        raise AssertionError(trace)

    def warn(self, kind: str, text: str) -> None:
        """`signer.gateway.trace.Watch`."""
        self.warnings.append(f"{kind} {text}")

    def dropped(self, client: str, endpoint: str, parameters: int) -> None:
        """Take no notice."""

    def alarm(self, kind: str, text: str) -> None:
        """`signer.gateway.trace.Watch`."""
        self.alarms.append(f"{kind} {text}")

    def note(self, entry: Mapping[str, Json]) -> None:
        """`signer.contracts.AuditLog`."""
        self.records.append(entry)

    async def record(self, entry: Mapping[str, Json], *, within: float = 0.0, urgent: bool = False) -> None:
        """`signer.contracts.AuditLog`."""
        raise AssertionError(entry)

    def head(self) -> ChainHead | None:
        """`signer.contracts.AuditLog`."""
        return None


def told(*answers: Answer | Exception, seconds: float = 0.5, mark: int = 0) -> Bench:
    """What was seen of an exchange that answers so, for so long."""

    async def seen() -> Bench:
        bench = Bench(*answers, mark=mark)
        await bench.for_s(seconds)
        return bench

    return run(seen())


def test_a_fit_key_is_asked_about_once_and_then_daily() -> None:
    """Proven at the start; one record; no warning; and asked again each day."""
    bench = told(info(), seconds=2.5 * DAILY_S)
    assert bench.credential.status.word == "proven"
    assert [round(at / DAILY_S, 2) for at in bench.exchange.asked_at] == [0, 1, 2]
    assert (bench.alarms, bench.warnings, len(bench.records), len(bench.kept)) == ([], [], 1, 3)
    assert bench.records[0]["standing"] == "proven"


def test_a_key_that_becomes_too_powerful_is_refused_that_day_and_comes_back() -> None:
    """An alarm and a record when it changes, and not daily."""
    much = info(permissions=[*FIT, "withdraw-funds"])
    bench = told(info(), much, much, info(), seconds=1.5 * DAILY_S)
    assert bench.credential.status.word == "refused"
    assert not any(bench.credential.admits(action) for action in Action)
    bench = told(info(), much, much, info(), seconds=3.5 * DAILY_S)
    assert [record["standing"] for record in bench.records] == ["proven", "refused", "proven"]
    assert len(bench.alarms) == 1
    assert "withdraw-funds" in bench.alarms[0]


@pytest.mark.parametrize(
    "trouble",
    [NotSent("unreachable"), Unanswered("cut"), refusal("EService:Busy")],
    ids=["not-sent", "unanswered", "busy"],
)
def test_an_exchange_that_is_away_is_asked_again_and_again(trouble: Answer | Exception) -> None:
    """Soon at first, then each minute; said once; only reads pass; and what it says in the end counts at once."""
    bench = told(trouble, seconds=600.0)
    assert bench.credential.admits(Action.READ)
    assert not bench.credential.admits(Action.CANCEL)
    waits = [
        later - earlier for earlier, later in zip(bench.exchange.asked_at, bench.exchange.asked_at[1:], strict=False)
    ]
    assert max(waits) <= MOST_AGAIN_S + 0.1
    assert 10 <= len([wait for wait in waits if wait > 0.01]) <= 20
    assert len(bench.alarms) == 1
    assert "only reads go by it" in bench.alarms[0]
    assert told(trouble, trouble, trouble, info(), seconds=10.0).credential.status.word == "proven"


def test_a_known_key_stays_known_while_the_exchange_is_away() -> None:
    """What was heard of it holds until something else is heard."""
    bench = told(info(), NotSent("unreachable"), seconds=1.5 * DAILY_S)
    assert bench.credential.status.word == "proven"
    assert "what was known of it stays" in bench.alarms[0]


def test_a_daily_question_without_an_answer_is_asked_again_soon() -> None:
    """A key that became too powerful meanwhile does not sign for another day."""
    much = info(permissions=[*FIT, "withdraw-funds"])
    bench = told(info(), NotSent("unreachable"), NotSent("unreachable"), much, seconds=DAILY_S + 300)
    assert bench.credential.status.word == "refused"


def test_a_key_that_a_command_has_just_tried_is_believed_and_asked_about_at_once() -> None:
    """What was kept lets it sign; what the exchange says now counts."""

    async def seen() -> tuple[bool, str]:
        bench = Bench(info(permissions=["withdraw-funds"]))
        bench.credential.status.key = KeyInfo("", FIT, None, 0, 0, ())
        running = asyncio.get_running_loop().create_task(bench.key_checks.run())
        bench.key_checks.judge(bench.snapshot)
        before = bench.credential.admits(Action.ORDER)
        await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return before, bench.credential.word

    assert run(seen()) == (True, "refused")


@pytest.mark.parametrize(
    ("answer", "stays"),
    [
        (info(), False),
        (refusal("EAPI:Invalid key"), True),
        (refusal("EService:Busy"), True),
        (NotSent("unreachable"), True),
    ],
    ids=["answers", "refuses", "busy", "unreachable"],
)
def test_an_operator_tries_a_stopped_key(answer: Answer | Exception, *, stays: bool) -> None:
    """A stopped key serves nobody else while it is tried, and afterwards only if the exchange has answered."""

    async def seen() -> tuple[bool, bool, str]:
        bench = Bench(answer)
        bench.exchange.takes_s = 1.0
        bench.credential.lane.stop("the exchange refuses it")
        (account,) = bench.snapshot.accounts.values()
        trying = asyncio.get_running_loop().create_task(bench.key_checks.prove(account, bench.credential))
        await asyncio.sleep(0.5)
        meanwhile = bench.credential.admits(Action.READ)
        await asyncio.gather(trying, return_exceptions=True)
        return meanwhile, bench.credential.lane.stopped, bench.credential.word

    meanwhile, stopped, word = run(seen())
    assert not meanwhile
    assert stopped == stays
    assert word == ("stopped" if stays else "proven")


def test_a_start_waits_for_a_slow_exchange_only_so_long() -> None:
    """The start goes on after a while, and the next try counts."""

    async def seen() -> tuple[float, str, str]:
        bench = Bench(info())
        bench.exchange.takes_s = 5.0
        await bench.key_checks.at_start(3.0)
        waited, word = asyncio.get_running_loop().time(), bench.credential.status.word
        bench.exchange.takes_s = 0.0
        await bench.for_s(5.0)
        return waited, word, bench.credential.status.word

    assert run(seen()) == (3.0, "unproven", "proven")


def test_a_key_that_the_exchange_refuses_is_not_asked_about_again_by_us() -> None:
    """Each further failure counts towards a lockout of the account: `Resuming` asks, at times of its own."""
    bench = told(refusal("EAPI:Invalid key"), seconds=3 * DAILY_S)
    assert len(bench.exchange.asked_at) == 1
    assert bench.credential.word == "paused"


@pytest.mark.parametrize(
    ("mark", "seen", "moved"),
    [
        (0, START_US - 5, False),
        (START_US - 10, START_US - 10, False),
        (START_US - 10, START_US - 5, True),
        (START_US - 10, START_US + 10**9, True),
        (START_US - 10, None, False),
    ],
    ids=["never used by us", "ours", "between two of ours", "above ours", "the one that asks"],
)
def test_a_nonce_that_is_none_of_ours(mark: int, seen: int | None, *, moved: bool) -> None:
    """Known as that of another program, from what the exchange says it has seen."""
    bench = told(info(seen), mark=mark)
    assert bench.credential.status.word == "proven"
    assert ["used by another program" in text for text in bench.warnings] == [True] * moved


@pytest.mark.parametrize(("refusals", "word"), [(2, "proven"), (3, "unproven")])
@pytest.mark.parametrize("mark", [0, START_US - 10], ids=["never used by us", "ours"])
def test_nonces_that_are_refused(refusals: int, word: str, mark: int) -> None:
    """The lane jumps, and tries again; after the third the key is left alone for a while. Known as used elsewhere, but
    for a key that others used before us: its first refusals tell in which unit."""
    bench = told(*[refusal("EAPI:Invalid nonce")] * refusals, info(), mark=mark)
    assert bench.credential.status.word == word
    said = any("used by another program" in text for text in bench.warnings)
    assert said == (mark > 0 or word == "unproven")
    assert any("refuses our nonces" in text for text in bench.alarms) == (word == "unproven")


def test_whoever_is_behind_another_program_knocks_softly() -> None:
    """Refused nonces count towards a lockout: after the first time, once at a time."""
    bench = told(refusal("EAPI:Invalid nonce"), seconds=600.0)
    assert len(bench.exchange.asked_at) <= 20
    assert len([text for text in bench.alarms if "refuses our nonces" in text]) == 1


def test_a_disk_that_is_full_hides_nothing() -> None:
    """What was heard is judged before it is kept, and although it cannot be."""

    async def seen() -> Bench:
        bench = Bench(info(permissions=["withdraw-funds"]))
        bench.full = True
        await bench.for_s(1.5 * DAILY_S)
        return bench

    bench = run(seen())
    assert bench.credential.status.refused
    assert len(bench.exchange.asked_at) == 2
    assert "the disk is full" in bench.alarms[1]


def test_settings_that_change_are_judged_before_they_are_in_force() -> None:
    """New settings are judged by what the exchange has said before; nobody is asked."""

    async def seen() -> Bench:
        bench = Bench(info())
        await bench.key_checks.at_start(3.0)
        bench.requirements = replace(REQUIREMENTS, usable=frozenset(), excess=Weight.REFUSED)
        bench.key_checks.judge(bench.snapshot)
        return bench

    bench = run(seen())
    assert bench.credential.status.refused
    assert len(bench.exchange.asked_at) == 1


def test_a_new_key_is_asked_about_without_delay() -> None:
    """A reload that brings one does not wait for it, and it does not wait for its turn of the day."""

    async def seen() -> Bench:
        bench = Bench(info())
        running = asyncio.get_running_loop().create_task(bench.key_checks.run())
        bench.key_checks.judge(bench.snapshot)
        await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return bench

    assert run(seen()).credential.status.word == "proven"


def test_a_call_that_waits_while_its_key_is_refused_goes_no_further() -> None:
    """A call that was let in before its key was refused signs nothing."""

    async def seen() -> tuple[str, int]:
        bench = Bench(info())
        await bench.key_checks.at_start(3.0)
        (account,) = bench.snapshot.accounts.values()
        venue = account.venue
        bench.exchange.takes_s = 2.0
        calls: Iterable[Coroutine[Any, Any, object]] = [
            account.forward(venue, replace(venue.key_info_call(), action=Action.ORDER), "bot", Journey(), lambda: None)
            for _ in range(2)
        ]
        first, second = [asyncio.get_running_loop().create_task(call) for call in calls]
        await asyncio.sleep(1.0)
        bench.requirements = replace(REQUIREMENTS, usable=frozenset(), excess=Weight.REFUSED)
        bench.key_checks.judge(bench.snapshot)
        (answer,) = await asyncio.gather(second, return_exceptions=True)
        await first
        return str(answer), len(bench.exchange.asked_at)

    answer, asked = run(seen())
    assert "no key that may do this now" in answer
    assert asked == 2
