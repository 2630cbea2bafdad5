"""Threat: a client and the gateway wait for each other, or disagree on whether a body follows (RFC 9110 §10.1.1).

.NET, PowerShell and old curl send ``Expect: 100-continue`` and hold the body back until they hear ``100 Continue``.
"""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.harness.bots import Bot
from tests.harness.rig import Rig
from tests.harness.wire import Wire, ask, http

PATH = "/0/private/Balance"
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECTS = "Expect: 100-continue"
LONGEST_LINE = 8 * 1024


@pytest.fixture
def bot(rig: Rig) -> Bot:
    """A client that may do everything that a policy can allow."""
    return rig.bot("wide")


def parts(bot: Bot, *lines: str, version: str = "1.1") -> tuple[bytes, bytes]:
    """Head and body of a signed call with more header lines."""
    head, _, body = bot.request("Balance", None, *lines).partition(b"\r\n\r\n")
    return head.replace(b"HTTP/1.1", b"HTTP/" + version.encode()) + b"\r\n\r\n", body


def heard(wire: Wire, size: int) -> bytes:
    """The next ``size`` bytes of the gateway, fewer if it closes."""
    got = b""
    while len(got) < size and (more := wire.socket.recv(size - len(got))):
        got += more
    return got


@pytest.mark.parametrize("expects", [EXPECTS, "expect: 100-Continue"])
def test_a_client_that_waits_is_told_to_go_on(rig: Rig, bot: Bot, expects: str) -> None:
    """The body comes after the interim answer, and the call is answered; the connection stays."""
    wire = Wire(rig.url)
    for _ in range(2):
        head, body = parts(bot, expects)
        wire.send(head)
        assert heard(wire, len(GO_ON)) == GO_ON
        wire.send(body)
        answer = wire.answer()
        assert answer is not None
        assert answer.errors == []
    wire.close()


def test_a_chunked_body_may_wait_too(rig: Rig, bot: Bot) -> None:
    """A body in chunks, which shows no length, may wait too."""
    body, own = bot.signed(PATH)
    head = [f"POST {PATH} HTTP/1.1", "Host: gateway", *own, "Transfer-Encoding: chunked", EXPECTS, "", ""]
    wire = Wire(rig.url)
    wire.send("\r\n".join(head).encode())
    assert heard(wire, len(GO_ON)) == GO_ON
    wire.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    answer = wire.answer()
    wire.close()
    assert answer is not None
    assert answer.errors == []


def test_a_client_that_does_not_wait_hears_one_answer(rig: Rig, bot: Bot) -> None:
    """Body and head in one piece: there is nothing to go on with."""
    answer = ask(rig.url, b"".join(parts(bot, EXPECTS)))
    assert answer is not None
    assert answer.head.startswith(b"HTTP/1.1 200 ")
    assert answer.errors == []


def test_http_1_0_has_no_interim_answers(rig: Rig, bot: Bot) -> None:
    """The expectation is ignored: such a client would take the interim answer for the final one."""
    head, body = parts(bot, EXPECTS, version="1.0")
    wire = Wire(rig.url)
    wire.send(head)
    wire.send(body)
    answer = wire.answer()
    wire.close()
    assert answer is not None
    assert b" 200 " in answer.head.split(b"\r\n")[0]


def test_what_is_refused_by_its_head_gets_no_hundred(rig: Rig, bot: Bot) -> None:
    """The final status comes at once, the body is never asked for, and the connection ends."""
    length = f"Content-Length: {10**6}"
    for target, lines, status in (
        (PATH, [length], 413),
        ("/nowhere", ["Content-Length: 5"], 404),
        (PATH, ["Content-Length: 5", "Content-Encoding: gzip"], 415),
    ):
        wire = Wire(rig.url)
        wire.send("\r\n".join([f"POST {target} HTTP/1.1", "Host: gateway", EXPECTS, *lines, "", ""]).encode())
        answer = wire.answer()
        assert answer is not None
        assert answer.status == status
        assert (b"65536 bytes" in answer.body) == (status == 413)  # the bound that was hit is named
        assert wire.closed()
        wire.close()


@pytest.mark.parametrize("expected", ["200-ok", "100-continue, 100-continue", "100-continue;q=1", ""])
def test_an_expectation_that_we_do_not_know_is_refused(rig: Rig, bot: Bot, expected: str) -> None:
    """Another expectation is answered with 417, its body unread, and nothing reaches the exchange."""
    with rig.nothing_arrives():
        wire = Wire(rig.url)
        wire.send(parts(bot, f"Expect: {expected}")[0])
        answer = wire.answer()
        assert answer is not None
        assert answer.status == 417
        assert wire.closed()
        wire.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl_is_answered_without_waiting(rig: Rig, bot: Bot) -> None:
    """curl shows the interim answer, then the final one."""
    body, lines = bot.signed(PATH)
    headers = [part for line in [*lines, EXPECTS] for part in ("-H", line)]
    command = ["curl", "-sv", "--expect100-timeout", "30", *headers, "--data-binary", body.decode(), rig.url + PATH]
    done = subprocess.run(command, capture_output=True, check=True)
    assert b"< HTTP/1.1 100 Continue" in done.stderr
    assert b"< HTTP/1.1 200 OK" in done.stderr
    assert json.loads(done.stdout)["error"] == []


def test_a_line_may_have_eight_kib(rig: Rig) -> None:
    """A request line may have 8 KiB, as ccxt needs for some hundred pairs; one byte more is refused by name."""
    line = len("GET /0/public/Ticker?pair= HTTP/1.1")
    for length, status in ((LONGEST_LINE, 200), (LONGEST_LINE + 1, 414)):
        answer = ask(rig.url, http("GET", "/0/public/Ticker?pair=" + "X" * (length - line)))
        assert answer is not None
        assert answer.status == status
