"""Threat: bots that go on calling while Kraken asks for quiet, until the whole account is locked out for longer.

A lockout begins anew with each try, and it is the account's: one bot's persistence is every bot's standstill.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from signer.errors import NotSent
from signer.model import Call, WireAnswer
from signer.model.allowances import Allowance
from signer.model.wire import RETRY_AFTER
from signer.upstream.connection import AnswerReader
from tests.harness.virtual import START_US, run
from tests.harness.ways import ALL, CANCEL, EXPORT, ORDER, READ, Ways

LOCKOUT = "EGeneral:Temporary lockout"
READS = "EAPI:Rate limit exceeded"
START_S = START_US // 1_000_000


def page(status: int, retry_after: str = "") -> WireAnswer:
    """An error page of the network before the exchange."""
    return WireAnswer(status, "text/html", b"<html>", ((RETRY_AFTER, retry_after),))


async def quiet_for(ways: Ways, call: Call, at_most: float = 2000.0) -> float:
    """How long ``call`` is not sent from now on, to the second; each try is answered at once meanwhile."""
    start = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() - start < at_most:
        sent, before = len(ways.exchange.arrived), asyncio.get_running_loop().time()
        await ways.call(call, "another")
        if len(ways.exchange.arrived) > sent:
            return round(before - start)
        assert asyncio.get_running_loop().time() == before
        await asyncio.sleep(0.25)
    return at_most


@pytest.mark.parametrize("met_by", [READ, ORDER, CANCEL, EXPORT], ids=lambda call: call.endpoint)
def test_a_lockout_silences_the_account_but_for_one_question_of_ours(met_by: Call) -> None:
    """For 15 minutes nothing is sent by any key, cancels and brakes included; one question follows, and all goes on."""

    async def story() -> None:
        ways = Ways(ALL, ALL)
        ways.exchange.says[met_by.endpoint] = [LOCKOUT, None]
        assert await ways.call(met_by) == [LOCKOUT]
        ways.reload()
        for seconds in range(900):
            for call in (READ, ORDER, CANCEL, EXPORT):
                words, why = await ways.call(call, f"bot-{seconds % 7}")
                assert (words, "asked for quiet" in why) == (LOCKOUT, True)
            assert (await ways.call(CANCEL, "@operator", brake=True))[0] == LOCKOUT
            await asyncio.sleep(1)
        assert len(ways.exchange.arrived) == 1
        await asyncio.sleep(30)
        assert [endpoint for *_, endpoint in ways.exchange.arrived[1:]] == ["GetApiKeyInfo"]
        assert [await ways.call(call) for call in (READ, ORDER, CANCEL, EXPORT)] == [[], [], [], []]
        assert ways.states == ["main quiet", "main resumed"]

    run(story())


def test_a_lockout_that_goes_on_is_waited_for_again() -> None:
    """Each probe that is locked out begins the 15 minutes anew; one that is not answered is asked again a minute
    later."""

    async def story() -> None:
        ways = Ways()
        ways.exchange.says["Balance"] = [LOCKOUT, None]
        ways.exchange.says["GetApiKeyInfo"] = [LOCKOUT, LOCKOUT, NotSent("away"), "EService:Busy", None]
        assert await ways.call(READ) == [LOCKOUT]
        await asyncio.sleep(5000)
        asked = [at for at, _, endpoint in ways.exchange.arrived if endpoint == "GetApiKeyInfo"]
        waits = [round(later - earlier) for earlier, later in zip([0.0, *asked], asked, strict=False)]
        assert waits[:3] == [905, 905, 905]
        assert all(900 >= wait >= 0 for wait in waits[3:])
        assert await ways.call(READ) == []

    run(story())


def test_what_was_on_its_way_before_a_lockout_does_not_end_it() -> None:
    """The other key's call was sent before; that it is answered well says nothing."""

    async def story() -> None:
        ways = Ways(ALL, ALL)
        ways.exchange.says["key-1 Balance"] = [LOCKOUT]
        both = await asyncio.gather(ways.call(READ, "a"), ways.call(READ, "b"))
        assert sorted(both) == [[], [LOCKOUT]]
        assert (await ways.call(READ))[0] == LOCKOUT

    run(story())


def test_nobody_asks_about_a_key_during_a_lockout() -> None:
    """Neither `keys test` nor the daily question is sent, since each try would begin the lockout anew."""

    async def story() -> None:
        ways = Ways()
        ways.exchange.says["Balance"] = [LOCKOUT]
        await ways.call(READ)
        (credential,) = ways.account.credentials
        for _ in range(10):
            with pytest.raises(Exception, match="asked for quiet"):
                await ways.key_checks.prove(ways.account, credential)
            await asyncio.sleep(60)
        assert ways.exchange.count("GetApiKeyInfo") == 0

    run(story())


def test_a_read_limit_holds_back_reads_alone() -> None:
    """Kraken counts no orders and no cancels there: they go on. By another key reads go on too."""

    async def story() -> None:
        ways = Ways(ALL)
        ways.exchange.says["Balance"] = [READS, None]
        assert await ways.call(READ) == [READS]
        for call in (READ, EXPORT):
            words, why = await ways.call(call, "another")
            assert (words, "asked for quiet" in why) == (READS, True)
        assert [await ways.call(call) for call in (ORDER, CANCEL, CANCEL, CANCEL)] == [[], [], [], []]
        assert await quiet_for(ways, READ) == 5
        ways = Ways(ALL, ALL)
        ways.exchange.says["key-1 Balance"] = [READS]
        assert [await ways.call(READ) for _ in range(3)] == [[READS], [], []]

    run(story())


@pytest.mark.parametrize(
    "words",
    [
        f"EService:Throttled: {START_S + 30}",
        f"EService: Throttled: {START_S + 30}",
        f"EService:Throttled:{START_S + 30}",
        f"EService:Throttled: {(START_S + 30) * 1000}",
        f"EService:Throttled: {START_S + 30}.25",
    ],
)
def test_throttled_until_a_moment(words: str) -> None:
    """Until the time that the exchange names, a client sends nothing but one cancel a second."""

    async def story() -> None:
        ways = Ways()
        ways.exchange.says["AddOrder"] = [words, None]
        assert await ways.call(ORDER) == [words]
        for call in (READ, ORDER, EXPORT):
            assert (await ways.call(call, "another"))[0] == words
        cancels = [await ways.call(CANCEL, client) for client in ("a", "a", "b")]
        assert [answer[:1] for answer in cancels] == [[], [words], []]
        assert [await ways.call(CANCEL, "@operator", brake=True) for _ in range(3)] == [[], [], []]
        assert await quiet_for(ways, ORDER) == 30

    run(story())


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("EService:Throttled", 5),
        ("EService: Throttled", 5),
        (f"EService:Throttled: {START_S - 100}", 5),
        (f"EService:Throttled: {START_S + 10**6}", 900),
        ("EService:Throttled: 9999999999999999", 900),
        ("EService:Throttled: soon", 5),
        ("EGeneral:Too many requests", 10),
        ("EAuth:Rate limit exceeded", 10),
        ("EAuth:Too many requests", 10),
        (READS, 5),
    ],
)
def test_quiet_without_a_fit_moment_is_bounded(words: str, seconds: float) -> None:
    """No time, one that has passed, one far ahead: some seconds, and never more than 15 minutes."""

    async def story() -> None:
        ways = Ways()
        ways.exchange.says["AddOrder"] = [words, None]
        assert await ways.call(ORDER) == [words]
        assert await quiet_for(ways, ORDER) == seconds

    run(story())


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("", 10),
        ("40", 40),
        ("0", 1),
        ("99999999", 900),
        (format_datetime(datetime.fromtimestamp(START_S, UTC) + timedelta(seconds=50), usegmt=True), 50),
        (format_datetime(datetime.fromtimestamp(START_S, UTC) - timedelta(seconds=50), usegmt=True), 10),
        ("Wed, 99 Foo 2026", 10),
        ("-5", 10),
        ("9" * 400, 900),
    ],
)
def test_http_429_silences_all_keys(retry_after: str, seconds: float) -> None:
    """The network's limit is the address's: with seconds, with a date, with neither, with nonsense."""

    async def story() -> None:
        ways = Ways(ALL, ALL)
        ways.exchange.says["Balance"] = [page(429, retry_after), None]
        assert await ways.call(READ) == ["HTTP 429"]
        assert (await ways.call(ORDER))[0] == READS
        assert await ways.call(CANCEL) == []
        assert await quiet_for(ways, ORDER) == seconds

    run(story())


def test_whoever_is_asked_again_and_again_waits_longer_and_longer() -> None:
    """Doubled each time within a minute, up to five minutes, and from the beginning after a good while."""

    async def story() -> None:
        ways = Ways()
        ways.exchange.says["AddOrder"] = ["EGeneral:Too many requests"]
        waits = [await quiet_for(ways, ORDER) for _ in range(8)]
        assert waits == [0, 10, 20, 40, 80, 160, 300, 300]
        await asyncio.sleep(1000)
        assert [await quiet_for(ways, ORDER) for _ in range(2)] == [0, 10]

    run(story())


@pytest.mark.parametrize("status", [403, 502, 503, 520])
def test_other_pages_ask_for_nothing(status: int) -> None:
    """A page that says that something is broken does not ask for quiet."""

    async def story() -> None:
        ways = Ways()
        ways.exchange.says["Balance"] = [page(status, "100"), None]
        assert await ways.call(READ) == [f"HTTP {status}"]
        assert await ways.call(READ) == []

    run(story())


def test_who_waits_for_a_turn_hears_of_it_at_once() -> None:
    """The queue is not sent into the lockout, one after the other."""

    async def story() -> None:
        ways = Ways()
        ways.exchange.says["*"] = [LOCKOUT]
        calls = [ways.call(call, f"bot-{n}") for n in range(5) for call in (READ, ORDER, CANCEL)]
        answers = await asyncio.gather(*calls)
        assert {answer[0] for answer in answers} == {LOCKOUT}
        assert len(ways.exchange.arrived) == 1

    run(story())


def test_after_a_read_limit_the_counter_is_taken_for_full() -> None:
    """After a limit of reads only what falls off the counter may be used, since somebody else may use the key too."""

    async def story() -> None:
        ways = Ways(reads=Allowance(20, 0.5))
        ways.exchange.says["Balance"] = [READS, None]
        await ways.call(READ)
        await asyncio.sleep(5.5)
        answers = [await ways.call(READ) for _ in range(6)]
        assert answers[:2] == [[], []]
        assert {answer[0] for answer in answers[2:]} == {READS}
        assert ways.exchange.count("Balance") == 3

    run(story())


@pytest.mark.parametrize(
    ("words", "trouble"),
    [(LOCKOUT, True), ("EService:Throttled", True), (READS, False), ("EOrder:Insufficient funds", False)],
)
def test_whoever_asks_whether_orders_pass_hears_of_it(words: str, *, trouble: bool) -> None:
    """`/-/ready` and the like: not where another key still takes orders, nor where reads alone are held back."""

    async def story() -> None:
        ways, call = Ways(), READ if words == READS else ORDER
        ways.exchange.says[call.endpoint] = [words, None]
        assert await ways.call(call) == [words]
        hearing, credentials = ways.account.hearing, ways.account.credentials
        assert bool(hearing.not_ready_reason(credentials)) == trouble
        left = max(hearing.left_s(quiet) for quiet in (hearing.quiet, credentials[0].quiet))
        assert bool(left) == (words != "EOrder:Insufficient funds")
        await asyncio.sleep(1000)
        assert hearing.not_ready_reason(credentials) == ""
        ways = Ways(ALL, ALL)
        ways.exchange.says["key-1 AddOrder"] = ["EService:Throttled"]
        await ways.call(ORDER)
        assert ways.account.hearing.not_ready_reason(ways.account.credentials) == ""

    run(story())


def test_retry_after_is_read_from_the_answer() -> None:
    """The header in any spelling; a trailer of that name is none."""
    reader = AnswerReader("here", 1000)
    reader.expect(1000, frozenset({RETRY_AFTER}))
    head = b"HTTP/1.1 429 No\r\nRETRY-after: 17\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert reader.feed(head + b"0\r\nRetry-After: 99\r\n\r\n")
    assert reader.answer() == WireAnswer(429, "", b"", ((RETRY_AFTER, "17"),))
    reader.expect(1000, frozenset({RETRY_AFTER}))
    assert reader.feed(b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n")
    assert reader.answer().header(RETRY_AFTER) == ""
